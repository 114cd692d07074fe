use std::time::Duration;

use async_trait::async_trait;
use backplane::{
    Error, ErrorKind, Result,
    rate::{Decision, MAX_KEY_BYTES, Quota, RateLimiter},
};
use redis::Value;

use crate::{
    Redis,
    script::{Call, script},
};

/// A [`RateLimiter`] on Redis, which all nodes share.
///
/// Each check is one round trip and one script of `TIME`, `GET` and at most a `SET`. A key whose bucket
/// is full takes no room. Time is that of the server, in microseconds: clocks of nodes do not matter, and
/// when the server's own is set back, keys wait longer by as much.
///
/// What a server loses, as when a replica takes over from a master that had not told it yet, is used
/// again: a key may pass that much above its quota.
#[derive(Clone, Debug)]
pub struct RedisRateLimiter {
    redis: Redis,
}

script!(CHECK, "rate.lua");

impl RedisRateLimiter {
    /// The limiter whose keys begin with the prefix of `redis` and `rate:`.
    #[must_use]
    pub const fn new(redis: Redis) -> Self {
        Self { redis }
    }
}

#[async_trait]
impl RateLimiter for RedisRateLimiter {
    async fn check(&self, key: &[u8], quota: Quota, cost: u32) -> Result<Decision> {
        if key.len() > MAX_KEY_BYTES {
            return Err(Error::bare(ErrorKind::Invalid, "check"));
        }
        if cost > quota.burst() {
            return Ok(Decision::Oversized);
        }
        let pace = Pace::of(quota);
        let mut call = Call::passing(&CHECK)
            .key([self.redis.prefix().as_bytes(), b"rate:", key].concat())
            .number(pace.ticks_per_microsecond);
        for instant in [pace.ticks_of(cost), pace.ticks_of(quota.burst())] {
            let (microseconds, ticks) = pace.split(instant);
            call = call.number(microseconds).number(ticks);
        }
        let read = |answer: &Value| pace.read(answer);
        let (taken, missing) = self.redis.ask("check", &call, read).await?;
        Ok(pace.decide(taken, missing, quota, cost))
    }
}

/// A quota in ticks: so many make a microsecond that each unit takes a whole number of them.
struct Pace {
    ticks_per_microsecond: u64,
    /// How long a unit takes to come back.
    unit: u128,
}

impl Pace {
    fn of(quota: Quota) -> Self {
        Self {
            ticks_per_microsecond: u64::from(quota.count()) * 1_000,
            unit: quota.period().as_nanos(),
        }
    }

    fn ticks_of(&self, cost: u32) -> u128 {
        u128::from(cost) * self.unit
    }

    /// Whole microseconds, and the ticks that are left.
    fn split(&self, ticks: u128) -> (u64, u64) {
        let whole = u128::from(self.ticks_per_microsecond);
        let part = |ticks| u64::try_from(ticks).expect("a quota refills within 366 days");
        (part(ticks / whole), part(ticks % whole))
    }

    /// Whether the cost was taken, and what is missing, in ticks.
    fn read(&self, answer: &Value) -> Option<(bool, u128)> {
        let Value::Array(parts) = answer else {
            return None;
        };
        let [
            Value::Int(taken),
            Value::Int(microseconds),
            Value::Int(ticks),
        ] = parts[..]
        else {
            return None;
        };
        let microseconds = u128::try_from(microseconds).ok()?;
        let ticks = u128::try_from(ticks).ok()?;
        let missing = microseconds * u128::from(self.ticks_per_microsecond) + ticks;
        Some((taken == 1, missing))
    }

    fn decide(&self, taken: bool, missing: u128, quota: Quota, cost: u32) -> Decision {
        let capacity = self.ticks_of(quota.burst());
        if taken {
            let left = capacity.saturating_sub(missing) / self.unit;
            return Decision::Allowed {
                remaining: u32::try_from(left).unwrap_or(u32::MAX),
            };
        }
        let excess = (missing + self.ticks_of(cost)).saturating_sub(capacity);
        let microseconds = excess.div_ceil(u128::from(self.ticks_per_microsecond));
        Decision::Limited {
            retry_after: Duration::from_micros(u64::try_from(microseconds).unwrap_or(u64::MAX)),
        }
    }
}
