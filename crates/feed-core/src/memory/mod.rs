//! Every trait in process memory: the reference model, and the fast path.
mod actions;
mod activity;
mod graph;
mod outbox;
mod parts;
mod shared_cache;
mod timeline;

pub use actions::{MemoryActions, MemoryActionsOptions};
pub use activity::{MemoryActivity, MemoryActivityOptions};
pub use graph::{MemoryGraph, MemoryGraphOptions};
pub use outbox::{MemoryOutbox, MemoryOutboxOptions};
pub(crate) use parts::feed_parts;
pub use shared_cache::{MemorySharedCache, MemorySharedCacheOptions};
pub use timeline::{MemoryTimelines, MemoryTimelinesOptions};
