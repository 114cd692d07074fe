//! The traits of chat-core.

mod sequence_marks;

pub use sequence_marks::RedisSequenceMarks;
