//! The memory implementation of every trait: the reference and the fast path.
mod rate;

pub use rate::{MemoryRateLimiter, MemoryRateLimiterOptions};
