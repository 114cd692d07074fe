//! The traits of feed-core.

mod actions;
mod activity;
mod graph;
mod outbox;
mod parts;
mod shared_cache;
mod timelines;

use std::error::Error as StdError;

use backplane::{ErrorKind, Result};

pub use actions::RedisActions;
pub use activity::RedisActivity;
pub use graph::RedisGraph;
pub use outbox::{RedisOutbox, RedisOutboxOptions};
pub use parts::{RedisFeedOptions, feed_parts};
pub use shared_cache::RedisSharedCache;
pub use timelines::{RedisTimelines, RedisTimelinesOptions};

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
