//! The traits of feed-core.

mod timelines;

pub use timelines::{RedisTimelines, RedisTimelinesOptions};
