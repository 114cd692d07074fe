//! The traits of feed-core.

mod shared_cache;

pub use shared_cache::RedisSharedCache;
