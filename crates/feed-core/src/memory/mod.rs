//! Every trait in process memory: the reference model, and the fast path.
mod graph;
mod outbox;
mod room;
mod shards;

pub use graph::{MemoryGraph, MemoryGraphOptions};
pub use outbox::{MemoryOutbox, MemoryOutboxOptions};
