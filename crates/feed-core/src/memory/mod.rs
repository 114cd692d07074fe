//! Every trait in process memory: the reference model, and the fast path.
mod outbox;
mod shards;

pub use outbox::{MemoryOutbox, MemoryOutboxOptions};
