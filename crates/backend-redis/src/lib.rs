//! Stores on Redis (6.2 and later) and Valkey, on one server or a Cluster.

#[cfg(feature = "backplane")]
mod bus;
mod connection;
#[cfg(feature = "backplane")]
mod directory;
mod failure;
#[cfg(feature = "backplane")]
mod lease;
#[cfg(feature = "backplane")]
mod node_leases;
#[cfg(feature = "backplane")]
mod queue;
#[cfg(feature = "backplane")]
mod rate;
mod script;

pub use redis;

#[cfg(feature = "backplane")]
pub use bus::{RedisBus, RedisBusOptions};
pub use connection::{BraceInPrefix, Redis};
#[cfg(feature = "backplane")]
pub use directory::RedisDirectory;
#[cfg(feature = "backplane")]
pub use node_leases::RedisNodeLeases;
#[cfg(feature = "backplane")]
pub use queue::RedisQueue;
#[cfg(feature = "backplane")]
pub use rate::RedisRateLimiter;
