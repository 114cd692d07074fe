//! The memory implementation of every trait: the reference and the fast path.

mod bus;

pub use bus::{MemoryBus, MemoryBusOptions, MemoryNode};
