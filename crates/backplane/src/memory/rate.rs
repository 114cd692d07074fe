use std::{fmt, hash::BuildHasher, sync::Arc};

use async_trait::async_trait;
use hashbrown::{DefaultHashBuilder, HashTable};
use parking_lot::Mutex;

use crate::{
    Clock, Error, ErrorKind, Result,
    rate::{Decision, MAX_KEY_BYTES, Quota, RateLimiter, Tat},
};

/// How many slots of the table a new key looks at for idle ones to drop. A table is at most seven
/// eighths full, so with four slots a key the sweep outruns the growth.
const SWEPT_PER_KEY: usize = 4;

/// How many slots it looks at before it is refused for lack of room, so that a stranger who fills the
/// table cannot make every check walk all of it. The next new key goes on where this one stopped.
const SWEPT_WHEN_FULL: usize = 64;

const MOST_SHARDS: usize = 1 << 12;

/// The bounds of a [`MemoryRateLimiter`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct MemoryRateLimiterOptions {
    /// The most keys remembered at once; 2²⁰ unless set. A key takes about 40 bytes and its own
    /// length.
    pub max_keys: usize,
    /// How many locks share the keys, rounded down to a power of two; 64 unless set, at most 4,096.
    /// Each takes an even part of `max_keys`, so that the first is full a little before all are.
    pub shards: usize,
}

impl MemoryRateLimiterOptions {
    /// Sets the most keys remembered at once.
    #[must_use]
    pub const fn with_max_keys(mut self, max_keys: usize) -> Self {
        self.max_keys = max_keys;
        self
    }

    /// Sets how many locks share the keys.
    #[must_use]
    pub const fn with_shards(mut self, shards: usize) -> Self {
        self.shards = shards;
        self
    }
}

impl Default for MemoryRateLimiterOptions {
    fn default() -> Self {
        Self {
            max_keys: 1 << 20,
            shards: 64,
        }
    }
}

/// A [`RateLimiter`] of one process.
///
/// It keeps one instant per key that has used up anything, and reads its clock's monotonic time. Keys
/// that are whole again are dropped as new ones come in, a few slots of the table at a time; no task
/// runs in the background. Reading the clock is a large part of what a check costs: where a tick of
/// precision is enough, give it a [`CoarseClock`](crate::CoarseClock).
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use backplane::{ManualClock, memory::MemoryRateLimiter, rate::{Decision, Quota}};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let clock = ManualClock::default();
/// let limiter = MemoryRateLimiter::new(Arc::new(clock.clone()));
/// let quota = Quota::new(2, Duration::from_secs(10))?;
/// assert_eq!(limiter.check(b"alice", quota, 2)?, Decision::Allowed { remaining: 0 });
/// let retry_after = Duration::from_secs(5);
/// assert_eq!(limiter.check(b"alice", quota, 1)?, Decision::Limited { retry_after });
/// clock.advance(retry_after);
/// assert!(limiter.check(b"alice", quota, 1)?.is_allowed());
/// # Ok(()) }
/// ```
pub struct MemoryRateLimiter {
    clock: Arc<dyn Clock>,
    /// Seeded per process: strangers who choose keys cannot aim them at one slot.
    hasher: DefaultHashBuilder,
    shards: Box<[Shard]>,
    max_keys_per_shard: usize,
}

impl MemoryRateLimiter {
    /// A limiter with the default bounds.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_options(clock, &MemoryRateLimiterOptions::default())
    }

    /// A limiter with these bounds.
    #[must_use]
    pub fn with_options(clock: Arc<dyn Clock>, options: &MemoryRateLimiterOptions) -> Self {
        let shards = options.shards.min(options.max_keys).clamp(1, MOST_SHARDS);
        let shards = 1_usize << shards.ilog2();
        Self {
            clock,
            hasher: DefaultHashBuilder::default(),
            shards: (0..shards).map(|_| Shard::default()).collect(),
            max_keys_per_shard: options.max_keys / shards,
        }
    }

    /// Takes `cost` from the `quota` of `key` if that much is there, as [`RateLimiter::check`] does,
    /// without an executor.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] for a key over [`MAX_KEY_BYTES`]; [`ErrorKind::Full`] for a new key if
    /// the key's shard is full and none of the slots it looked at was idle.
    pub fn check(&self, key: &[u8], quota: Quota, cost: u32) -> Result<Decision> {
        if key.len() > MAX_KEY_BYTES {
            return Err(Error::bare(ErrorKind::Invalid, "check"));
        }
        let hash = self.hasher.hash_one(key);
        let now = u64::try_from(self.clock.monotonic().as_nanos()).unwrap_or(u64::MAX);
        let mut keys = self.shard(hash).keys.lock();
        if let Some(known) = keys.table.find_mut(hash, |known| *known.key == *key) {
            let (tat, decision) = known.tat.check(now, quota, cost);
            known.tat = tat;
            return Ok(decision);
        }
        let (tat, decision) = Tat::default().check(now, quota, cost);
        if !tat.is_idle(now) {
            keys.make_room(now, self.max_keys_per_shard)?;
            let key = key.into();
            keys.table.insert_unique(hash, Key { key, tat }, |known| {
                self.hasher.hash_one(&*known.key)
            });
        }
        Ok(decision)
    }

    /// How many keys are remembered, idle ones that have not been dropped yet among them.
    #[must_use]
    pub fn keys(&self) -> usize {
        let keys = |shard: &Shard| shard.keys.lock().table.len();
        self.shards.iter().map(keys).sum()
    }

    /// By bits in the middle of the hash: the table uses those at both ends.
    fn shard(&self, hash: u64) -> &Shard {
        let middle = usize::try_from(hash >> 32 & 0xffff_ffff).unwrap_or(0);
        &self.shards[middle & (self.shards.len() - 1)]
    }
}

impl fmt::Debug for MemoryRateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryRateLimiter")
            .field("keys", &self.keys())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl RateLimiter for MemoryRateLimiter {
    async fn check(&self, key: &[u8], quota: Quota, cost: u32) -> Result<Decision> {
        self.check(key, quota, cost)
    }
}

/// On a cache line of its own, so that cores that hold neighbouring locks do not share one.
#[derive(Default)]
#[repr(align(64))]
struct Shard {
    keys: Mutex<Keys>,
}

#[derive(Default)]
struct Keys {
    table: HashTable<Key>,
    /// The slot at which the next sweep starts.
    next_slot: usize,
}

struct Key {
    key: Box<[u8]>,
    tat: Tat,
}

impl Keys {
    /// Drops idle keys on the way, and fails if there is no room for one more key after that.
    fn make_room(&mut self, now: u64, max_keys: usize) -> Result<()> {
        self.sweep(now, SWEPT_PER_KEY);
        if self.table.len() >= max_keys {
            self.sweep(now, SWEPT_WHEN_FULL);
        }
        if self.table.len() >= max_keys {
            return Err(Error::bare(ErrorKind::Full, "check"));
        }
        Ok(())
    }

    fn sweep(&mut self, now: u64, slots: usize) {
        for _ in 0..slots.min(self.table.num_buckets()) {
            if self.next_slot >= self.table.num_buckets() {
                self.next_slot = 0;
            }
            if let Ok(known) = self.table.get_bucket_entry(self.next_slot)
                && known.get().tat.is_idle(now)
            {
                known.remove();
            }
            self.next_slot += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, thread, time::Duration};

    use proptest::prelude::*;

    use super::*;
    use crate::{
        ManualClock, Timestamp,
        conformance::{Fresh, TestTime},
    };

    crate::rate_conformance!(async { fresh() });

    const HOUR: Duration = Duration::from_secs(3_600);

    fn fresh() -> Fresh<dyn RateLimiter> {
        let clock = ManualClock::default();
        Fresh {
            store: Arc::new(MemoryRateLimiter::new(Arc::new(clock.clone()))),
            time: TestTime::Manual(clock),
        }
    }

    fn with_max_keys(max_keys: usize, shards: usize) -> (ManualClock, MemoryRateLimiter) {
        let clock = ManualClock::default();
        let options = MemoryRateLimiterOptions::default()
            .with_max_keys(max_keys)
            .with_shards(shards);
        let limiter = MemoryRateLimiter::with_options(Arc::new(clock.clone()), &options);
        (clock, limiter)
    }

    fn hourly(count: u32) -> Quota {
        Quota::new(count, HOUR).unwrap()
    }

    #[test]
    fn threads_never_get_more_between_them_than_the_quota_holds() {
        let (_, limiter) = with_max_keys(1_000, 8);
        let allowed_by_one = || {
            (0..1_000)
                .filter(|_| limiter.check(b"key", hourly(777), 1).unwrap().is_allowed())
                .count()
        };
        let allowed: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(allowed_by_one)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(allowed, 777);
    }

    #[test]
    fn a_new_key_is_refused_when_full_and_known_keys_go_on() {
        let (clock, limiter) = with_max_keys(10, 1);
        for key in 0..10_u8 {
            assert!(limiter.check(&[key], hourly(2), 1).unwrap().is_allowed());
        }
        let refused = limiter.check(b"new", hourly(2), 1).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Full);
        assert!(limiter.check(&[3], hourly(2), 1).unwrap().is_allowed());
        clock.advance(HOUR / 2);
        assert!(limiter.check(b"new", hourly(2), 1).unwrap().is_allowed());
        assert!(limiter.keys() <= 10);
    }

    #[test]
    fn a_full_table_finds_its_one_idle_key() {
        const KEYS: u8 = 28;
        for idle in 0..KEYS {
            let (clock, limiter) = with_max_keys(usize::from(KEYS), 1);
            for key in 0..KEYS {
                let cost = if key == idle { 1 } else { 2 };
                assert!(limiter.check(&[key], hourly(2), cost).unwrap().is_allowed());
            }
            clock.advance(HOUR / 2);
            assert!(limiter.check(b"new", hourly(2), 1).unwrap().is_allowed());
            assert!(limiter.check(b"newer", hourly(2), 1).is_err());
        }
    }

    #[test]
    fn keys_never_exceed_the_bound_whatever_the_shards() {
        for (max_keys, shards) in [(0, 4), (1, 64), (100, 7), (100, 0), (100, 1_000)] {
            let (_, limiter) = with_max_keys(max_keys, shards);
            let checks = (0..1_000_u16).map(|key| limiter.check(&key.to_le_bytes(), hourly(1), 1));
            let stored = checks.flatten().count();
            assert_eq!(limiter.keys(), stored);
            assert!(
                stored <= max_keys && stored >= max_keys / 2,
                "{stored} of {max_keys}"
            );
        }
    }

    #[test]
    fn bounds_of_everything_are_no_bounds() {
        let (_, limiter) = with_max_keys(usize::MAX, usize::MAX);
        assert!(limiter.check(b"key", hourly(1), 1).unwrap().is_allowed());
    }

    #[test]
    fn idle_keys_make_way_as_new_ones_come() {
        let (clock, limiter) = with_max_keys(1 << 20, 1);
        // A stream of strangers, a hundred of whom are in debt at any time.
        for key in 0..50_000_u32 {
            clock.advance(HOUR / 100);
            limiter.check(&key.to_le_bytes(), hourly(1), 1).unwrap();
        }
        assert!(limiter.keys() < 400, "{} keys", limiter.keys());
    }

    #[test]
    fn asking_remembers_no_key() {
        let (_, limiter) = with_max_keys(10, 1);
        for key in 0..100_u8 {
            limiter.check(&[key], hourly(1), 0).unwrap();
            limiter.check(&[key], hourly(1), 2).unwrap();
        }
        assert_eq!(limiter.keys(), 0);
    }

    #[test]
    fn steps_of_the_wall_clock_change_nothing() {
        let (clock, limiter) = with_max_keys(10, 1);
        limiter.check(b"key", hourly(1), 1).unwrap();
        for now in [Timestamp::EPOCH, Timestamp::from_millis(u64::MAX)] {
            clock.set_now(now);
            let decision = limiter.check(b"key", hourly(1), 1).unwrap();
            assert_eq!(decision, Decision::Limited { retry_after: HOUR });
        }
    }

    proptest! {
        /// Dropping idle keys must not show: the oracle remembers every key for ever.
        #[test]
        fn forgetting_is_invisible(
            steps in prop::collection::vec((0..40_u8, 1..4_u32, 0..900_u64), 1..300),
        ) {
            let (clock, limiter) = with_max_keys(1_000, 1);
            let quota = hourly(4);
            let mut oracle: HashMap<u8, Tat> = HashMap::new();
            for (key, cost, wait) in steps {
                clock.advance(Duration::from_secs(wait));
                let now = u64::try_from(clock.monotonic().as_nanos()).unwrap();
                let tat = oracle.entry(key).or_default();
                let (next, expected) = tat.check(now, quota, cost);
                *tat = next;
                prop_assert_eq!(limiter.check(&[key], quota, cost).unwrap(), expected);
            }
        }
    }
}
