//! The memory implementation of every trait: the reference and the fast path.

mod directory;
mod queue;

pub use directory::MemoryDirectory;
pub use queue::MemoryQueue;
