//! The traits of chat-core.

mod presence;
mod sequence_marks;

pub use presence::{RedisPresence, RedisPresenceOptions};
pub use sequence_marks::RedisSequenceMarks;
