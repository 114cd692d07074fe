//! Every trait in process memory: the reference model, and the fast path.
mod actions;
mod activity;
mod graph;
mod outbox;
mod room;
mod shards;

pub use actions::{MemoryActions, MemoryActionsOptions};
pub use activity::{MemoryActivity, MemoryActivityOptions};
pub use graph::{MemoryGraph, MemoryGraphOptions};
pub use outbox::{MemoryOutbox, MemoryOutboxOptions};
