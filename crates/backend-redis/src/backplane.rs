//! The traits of the ground floor.

mod bus;
mod directory;
mod ids;
mod node_leases;
mod queue;
mod rate;

pub use bus::{RedisBus, RedisBusOptions};
pub use directory::RedisDirectory;
pub use ids::RedisIds;
pub use node_leases::RedisNodeLeases;
pub use queue::RedisQueue;
pub use rate::RedisRateLimiter;
