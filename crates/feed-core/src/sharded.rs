//! Timelines split over several stores by consistent hashing, and moved between them while they are
//! in use.

mod batch;
mod placement;
mod resize;
mod shards;
mod timelines;

pub use placement::{MoveStep, Placement};
pub use shards::TimelineShards;
pub use timelines::ShardedTimelines;
