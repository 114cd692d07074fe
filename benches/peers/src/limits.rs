//! Keyed rate limiters. Each function makes one and returns a call that takes one unit of a key.

use std::num::NonZeroU32;

use governor::{Quota, RateLimiter};

/// `governor`, keyed over its concurrent map, on its default clock.
pub fn governor(per_second: NonZeroU32) -> impl Fn(u64) -> bool {
    let limiter = RateLimiter::keyed(Quota::per_second(per_second));
    move |key| limiter.check_key(&key).is_ok()
}
