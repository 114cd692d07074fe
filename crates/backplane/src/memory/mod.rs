//! The memory implementation of every trait: the reference and the fast path.
mod bus;
mod directory;
mod high_water;
mod id_counter;
mod node_leases;
mod queue;
mod rate;
mod room;
mod shards;

pub use bus::{MemoryBus, MemoryBusOptions, MemoryNode};
pub use directory::MemoryDirectory;
pub use high_water::MemoryHighWater;
pub use id_counter::MemoryIdCounter;
pub use node_leases::MemoryNodeLeases;
pub use queue::MemoryQueue;
pub use rate::{MemoryRateLimiter, MemoryRateLimiterOptions};
pub use room::Room;
pub use shards::{ReadMany, SHARDS, Shards, WriteMany};
