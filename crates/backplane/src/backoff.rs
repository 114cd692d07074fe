//! Exponential delays with full jitter, bounded, that honour a server's own wish.
//!
//! The shape is "full jitter" of Marc Brooker, *Exponential Backoff And Jitter*, AWS Architecture
//! Blog, 2015: each delay is drawn evenly from zero up to a ceiling that doubles with every retry.
//! Of the variants compared there it makes clients that failed together collide least.

use std::time::Duration;

use fastrand::Rng;

/// How fast delays grow, and when to give up.
///
/// Every combination of values is meaningful: a zero base retries at once, zero retries never do.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct BackoffOptions {
    /// The ceiling of the first delay; 100 ms unless set.
    pub base: Duration,
    /// The highest ceiling that doubling reaches; 30 s unless set.
    pub max_delay: Duration,
    /// How many delays are given out before giving up; 10 unless set.
    pub max_retries: u32,
    /// The most that all delays together may last, without the attempts between them; 10 minutes
    /// unless set.
    pub max_total: Duration,
}

impl BackoffOptions {
    /// Sets the ceiling of the first delay.
    #[must_use]
    pub const fn with_base(mut self, base: Duration) -> Self {
        self.base = base;
        self
    }

    /// Sets the highest ceiling that doubling reaches.
    #[must_use]
    pub const fn with_max_delay(mut self, max_delay: Duration) -> Self {
        self.max_delay = max_delay;
        self
    }

    /// Sets how many delays are given out before giving up.
    #[must_use]
    pub const fn with_max_retries(mut self, max_retries: u32) -> Self {
        self.max_retries = max_retries;
        self
    }

    /// Sets the most that all delays together may last.
    #[must_use]
    pub const fn with_max_total(mut self, max_total: Duration) -> Self {
        self.max_total = max_total;
        self
    }

    /// The longest delay that may follow `retries` earlier ones: the base doubled that many times,
    /// at most `max_delay`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use backplane::BackoffOptions;
    /// let options = BackoffOptions::default();
    /// assert_eq!(options.ceiling(0), Duration::from_millis(100));
    /// assert_eq!(options.ceiling(3), Duration::from_millis(800));
    /// assert_eq!(options.ceiling(u32::MAX), Duration::from_secs(30));
    /// ```
    #[must_use]
    pub fn ceiling(&self, retries: u32) -> Duration {
        let factor = 1_u64.checked_shl(retries).unwrap_or(u64::MAX);
        let doubled = nanos(self.base).saturating_mul(factor);
        Duration::from_nanos(doubled).min(self.max_delay)
    }

    /// The delay after `retries` earlier ones, for callers that keep that count themselves, as a
    /// stored task does. It knows no limit on retries or on their total.
    ///
    /// A server's `retry_after` is a floor: the jitter comes on top of it, so that clients who were
    /// all told the same instant do not return at it together.
    #[must_use]
    pub fn delay(&self, retries: u32, retry_after: Option<Duration>, rng: &mut Rng) -> Duration {
        let jitter = Duration::from_nanos(rng.u64(0..=nanos(self.ceiling(retries))));
        retry_after.unwrap_or_default().saturating_add(jitter)
    }
}

impl Default for BackoffOptions {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(100),
            max_delay: Duration::from_secs(30),
            max_retries: 10,
            max_total: Duration::from_secs(600),
        }
    }
}

/// The delays between the attempts of one operation.
///
/// The same options and the same seed give the same delays.
///
/// ```
/// use std::time::Duration;
/// use backplane::{Backoff, BackoffOptions};
///
/// let options = BackoffOptions::default().with_max_retries(2);
/// let mut backoff = Backoff::new(options, fastrand::Rng::with_seed(7));
/// assert!(backoff.next(None).unwrap() <= Duration::from_millis(100));
/// // The server answered "Retry-After: 4".
/// assert!(backoff.next(Some(Duration::from_secs(4))).unwrap() >= Duration::from_secs(4));
/// assert_eq!(backoff.next(None), None); // give up
/// ```
#[derive(Clone, Debug)]
pub struct Backoff {
    options: BackoffOptions,
    rng: Rng,
    retries: u32,
    total: Duration,
}

impl Backoff {
    /// The delays of an operation that has not failed yet.
    #[must_use]
    pub fn new(options: BackoffOptions, rng: Rng) -> Self {
        Self {
            options,
            rng,
            retries: 0,
            total: Duration::ZERO,
        }
    }

    /// How long to wait before trying again, or `None` to give up.
    ///
    /// The delay lasts at least `retry_after`, the wait that the server asked for, if it did. A wish
    /// that does not fit into what is left of [`max_total`](BackoffOptions::max_total) ends the
    /// retries, rather than being cut short.
    pub fn next(&mut self, retry_after: Option<Duration>) -> Option<Duration> {
        if self.retries >= self.options.max_retries {
            return None;
        }
        let delay = self.options.delay(self.retries, retry_after, &mut self.rng);
        let total = self.total.checked_add(delay)?;
        if total > self.options.max_total {
            return None;
        }
        self.retries += 1;
        self.total = total;
        Some(delay)
    }

    /// How many delays have been given out since the start or the last reset.
    #[must_use]
    pub const fn retries(&self) -> u32 {
        self.retries
    }

    /// Starts over after a success, as a connection does that held for a while. The random sequence
    /// goes on.
    pub fn reset(&mut self) {
        self.retries = 0;
        self.total = Duration::ZERO;
    }
}

/// Whole nanoseconds, at most the 584 years that 64 bits hold.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;
    use proptest::prelude::*;

    use super::*;

    fn unbounded() -> BackoffOptions {
        BackoffOptions::default()
            .with_max_retries(u32::MAX)
            .with_max_total(Duration::MAX)
    }

    fn delays(backoff: &mut Backoff, count: usize) -> Vec<Option<Duration>> {
        (0..count).map(|_| backoff.next(None)).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_delays() {
        let of_seed = |seed| {
            let mut backoff = Backoff::new(unbounded(), Rng::with_seed(seed));
            delays(&mut backoff, 20)
        };
        assert_eq!(of_seed(1), of_seed(1));
        assert_ne!(of_seed(1), of_seed(2));
    }

    #[test]
    fn delays_are_spread_evenly_up_to_the_ceiling() {
        const DRAWS: u32 = 40_000;
        const TENTHS: u32 = 10;
        let options = unbounded();
        let mut rng = Rng::with_seed(3);
        for retries in [0, 4, 40] {
            let ceiling = options.ceiling(retries);
            let mut tally = [0_u32; TENTHS as usize];
            for _ in 0..DRAWS {
                let delay = options.delay(retries, None, &mut rng);
                let tenth = delay.as_nanos() * u128::from(TENTHS) / (ceiling.as_nanos() + 1);
                tally[usize::try_from(tenth).unwrap()] += 1;
            }
            // Six standard deviations of a fair tenth are 360 draws.
            for count in tally {
                assert!(count.abs_diff(DRAWS / TENTHS) < 360, "{tally:?}");
            }
        }
    }

    #[test]
    fn gives_up_after_the_last_retry_and_starts_over_after_a_reset() {
        let options = BackoffOptions::default().with_max_retries(3);
        let mut backoff = Backoff::new(options, Rng::with_seed(4));
        let given = delays(&mut backoff, 5);
        assert_eq!(given.iter().flatten().count(), 3);
        assert_eq!((given[3], given[4], backoff.retries()), (None, None, 3));
        backoff.reset();
        assert!(backoff.next(None).unwrap() <= Duration::from_millis(100));
    }

    #[test]
    fn a_wish_beyond_the_total_ends_the_retries_without_using_one() {
        let options = BackoffOptions::default().with_max_total(Duration::from_secs(60));
        let mut backoff = Backoff::new(options, Rng::with_seed(5));
        assert_eq!(backoff.next(Some(Duration::from_secs(61))), None);
        assert_eq!(backoff.retries(), 0);
        assert!(backoff.next(None).is_some());
    }

    #[test]
    fn clients_told_the_same_instant_do_not_return_together() {
        let floor = Duration::from_secs(9);
        let mut rng = Rng::with_seed(6);
        let mut returns: Vec<_> = (0..100)
            .map(|_| unbounded().delay(5, Some(floor), &mut rng))
            .collect();
        returns.sort_unstable();
        returns.dedup();
        assert_eq!(returns.len(), 100);
        assert!(returns[0] >= floor);
    }

    #[test]
    fn a_reset_restores_the_total_too() {
        let options = BackoffOptions::default().with_max_total(Duration::from_secs(10));
        let mut backoff = Backoff::new(options, Rng::with_seed(7));
        let wish = Some(Duration::from_secs(9));
        assert!(backoff.next(wish).is_some());
        assert_eq!(backoff.next(wish), None);
        backoff.reset();
        assert!(backoff.next(wish).is_some());
    }

    fn any_duration() -> impl Strategy<Value = Duration> {
        prop_oneof![
            Just(Duration::ZERO),
            Just(Duration::MAX),
            (0..10_000_u64).prop_map(Duration::from_millis),
            (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(s, n)| Duration::new(s, n)),
        ]
    }

    proptest! {
        #[test]
        fn no_input_breaks_a_bound(
            base in any_duration(),
            max_delay in any_duration(),
            max_total in any_duration(),
            max_retries in prop_oneof![0..80_u32, Just(u32::MAX)],
            wishes in prop::collection::vec(prop::option::of(any_duration()), 0..90),
            seed: u64,
        ) {
            let options = BackoffOptions { base, max_delay, max_retries, max_total };
            let mut backoff = Backoff::new(options.clone(), Rng::with_seed(seed));
            let (mut total, mut given) = (Duration::ZERO, 0_u32);
            for wish in wishes {
                let floor = wish.unwrap_or_default();
                let Some(delay) = backoff.next(wish) else { continue };
                prop_assert!(delay >= floor);
                prop_assert!(delay <= floor.saturating_add(options.ceiling(given)));
                total = total.checked_add(delay).unwrap();
                given += 1;
                prop_assert!(total <= max_total);
            }
            prop_assert!(given <= max_retries);
            prop_assert_eq!(given, backoff.retries());
        }

        #[test]
        fn ceilings_double_from_the_base_to_the_maximum(
            base in 0..u64::from(u32::MAX),
            max in any::<u64>(),
            retries in 0..100_u32,
        ) {
            let options = BackoffOptions::default()
                .with_base(Duration::from_nanos(base))
                .with_max_delay(Duration::from_nanos(max));
            let mut expected = u128::from(base);
            for _ in 0..retries {
                expected = (expected * 2).min(u128::from(u64::MAX));
            }
            let expected = expected.min(u128::from(max));
            prop_assert_eq!(options.ceiling(retries).as_nanos(), expected);
        }
    }
}
