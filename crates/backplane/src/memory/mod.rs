//! The memory implementation of every trait: the reference and the fast path.

mod queue;
mod signal;

pub use queue::MemoryQueue;
