//! The traits of feed-core.

mod timelines;

pub use timelines::{RedisTimelines, RedisTimelinesOptions};
mod outbox;
mod shared_cache;

use std::error::Error as StdError;

use backplane::{ErrorKind, Result};

pub use outbox::{RedisOutbox, RedisOutboxOptions};
pub use shared_cache::RedisSharedCache;

/// What was `found` under a key; `instead`, loudly, if it does not decode.
fn pass_over<T>(found: Result<T>, key: impl FnOnce() -> String, instead: T) -> Result<T> {
    match found {
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            let error = &error as &dyn StdError;
            tracing::error!(key = key(), error, "passed over what does not decode");
            Ok(instead)
        }
        found => found,
    }
}
