use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use backplane::{Error, ErrorKind, Result, id::IdCounter};
use redis::Value;

use crate::{
    Redis,
    answer::bytes,
    script::{Call, script},
};

/// An [`IdCounter`] on Redis, for the generators of all nodes.
///
/// A block is one round trip and one script, however large it is. Numbers begin with 1, and end with 2^63 - 1.
///
/// ```no_run
/// use std::sync::Arc;
/// use backend_redis::{Redis, RedisIdCounter};
/// use backplane::id::AutoIncrementKeeper;
/// # async fn open(redis: Redis) -> Result<(), Box<dyn std::error::Error>> {
/// let counter = Arc::new(RedisIdCounter::new(redis, "orders"));
/// let keeper = AutoIncrementKeeper::open(counter, 1_000).await?;
/// println!("{}", keeper.generator().next_id()?);
/// # Ok(()) }
/// ```
///
/// # What Redis may lose
///
/// Redis is not as durable as the trait asks: numbers that a server gave last may be forgotten when it dies, and
/// would be given again. Two things stand against that. A counter that finds itself on another server, which was
/// started since or was a replica of the former, passes over [as many numbers](Self::with_leap) as may be lost. And
/// whoever takes numbers says which it had last, so that what any process that goes on has had is not given again.
///
/// What remains is a server that comes back with nothing and is asked first by a process that has had no number:
/// nobody knows then that there were any, and they begin again with 1. Where that must not be, let Redis write
/// through (`appendfsync always`) and its replicas acknowledge
/// ([`with_replicas`](Redis::with_replicas)), or number by [`RedisIds`](crate::RedisIds), which go by time.
#[derive(Clone, Debug)]
pub struct RedisIdCounter {
    redis: Redis,
    key: Arc<str>,
    leap: u64,
    /// The greatest number that this process has had.
    had: Arc<AtomicU64>,
}

script!(TAKE, "id_counter/take.lua");

impl RedisIdCounter {
    /// The counter under the key that is the prefix of `redis` and `{counter:name}`.
    #[must_use]
    pub fn new(redis: Redis, name: &str) -> Self {
        let key = format!("{}{{counter:{name}}}", redis.prefix()).into();
        Self {
            redis,
            key,
            leap: 1_000_000,
            had: Arc::default(),
        }
    }

    /// Passes over `numbers` on a server that may have lost the last ones: more than are taken in as long as may
    /// be lost. A million by default. All nodes give the same.
    #[must_use]
    pub const fn with_leap(mut self, numbers: u64) -> Self {
        self.leap = numbers;
        self
    }
}

#[async_trait]
impl IdCounter for RedisIdCounter {
    async fn take(&self, count: u32) -> Result<u64> {
        if count == 0 {
            return Err(Error::bare(ErrorKind::Invalid, "take"));
        }
        let call = Call::of(&TAKE)
            .key(&*self.key)
            .number(count)
            .number(self.had.load(Ordering::Relaxed))
            .number(self.leap.min(LONGEST_LEAP));
        match self.redis.ask("take", &call, taken).await? {
            Taken::Until(last) => {
                self.had.fetch_max(last, Ordering::Relaxed);
                Ok(last - (u64::from(count) - 1).min(last))
            }
            Taken::Full => Err(Error::bare(ErrorKind::Full, "take")),
        }
    }
}

/// What Redis can add at once.
const LONGEST_LEAP: u64 = i64::MAX as u64;

/// What became of a block.
enum Taken {
    /// It ends with this number.
    Until(u64),
    Full,
}

fn taken(answer: &Value) -> Option<Taken> {
    match answer {
        Value::SimpleString(_) => Some(Taken::Full),
        answer => {
            let last = std::str::from_utf8(bytes(answer)?).ok()?;
            Some(Taken::Until(last.parse().ok()?))
        }
    }
}
