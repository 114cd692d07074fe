//! The traits of the ground floor.

mod bus;
mod directory;
mod id_counter;
mod ids;
mod node_leases;
mod queue;
mod rate;

pub use bus::{RedisBus, RedisBusOptions};
pub use directory::RedisDirectory;
pub use id_counter::RedisIdCounter;
pub use ids::RedisIds;
pub use node_leases::RedisNodeLeases;
pub use queue::RedisQueue;
pub use rate::RedisRateLimiter;
