//! The memory implementation of every trait: the reference and the fast path.
mod high_water;
mod node_leases;

pub use high_water::MemoryHighWater;
pub use node_leases::MemoryNodeLeases;

mod bus;

pub use bus::{MemoryBus, MemoryBusOptions, MemoryNode};
mod rate;

pub use rate::{MemoryRateLimiter, MemoryRateLimiterOptions};
