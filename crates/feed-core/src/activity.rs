use std::{fmt, time::Duration};

use async_trait::async_trait;
use backplane::Timestamp;

use crate::{PostId, Result, UserId};

/// When each user was last here and last posted, how often they do either, and how far they have
/// read. Every call ends by itself, as those of a [`TimelineStore`](crate::TimelineStore) do.
///
/// # Cancel safety
///
/// Dropping the future of any call leaves each single change done whole or not at all.
#[async_trait]
pub trait Activity: fmt::Debug + Send + Sync {
    /// Notes that each user does so at `at`, as [`Rhythm::again`] says. What is older than something
    /// already noted changes nothing.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    async fn note(&self, habit: Habit, users: &[UserId], at: Timestamp) -> Result<()>;

    /// How often each user does so, in the order asked; nothing of one who never did.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    async fn rhythms(&self, habit: Habit, users: &[UserId]) -> Result<Vec<Option<Rhythm>>>;

    /// Moves the viewer's marker forward to `post` and answers where it stands; it never moves back.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    async fn mark_read(&self, viewer: UserId, post: PostId) -> Result<PostId>;

    /// Where the viewer's marker stands: [`PostId::MIN`] if it was never moved.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    async fn marker(&self, viewer: UserId) -> Result<PostId>;

    /// Forgets the user.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    async fn erase(&self, user: UserId) -> Result<()>;
}

/// What a user does now and then.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the two rates that a policy weighs against each other"
)]
pub enum Habit {
    /// Reads a feed.
    Visit,
    /// Posts or reposts.
    Post,
}

/// When a user last did something, and how often they do.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Rhythm {
    /// The last time.
    pub last: Timestamp,
    /// Times a day after the first, in thousandths, averaged with a time constant of a week.
    pub per_day_milli: u32,
}

impl Rhythm {
    /// For stores: the first time.
    #[must_use]
    pub const fn first(at: Timestamp) -> Self {
        Self {
            last: at,
            per_day_milli: 0,
        }
    }

    /// The rhythm after one more note at `at`: one more time, if the last one was a minute ago or
    /// earlier, or else no change, so that a retry counts once.
    ///
    /// The average is that of a point process under exponential decay: each time adds its share of a
    /// week, and what was there before decays by `exp(-t / week)`. It is computed in integers, so
    /// that all stores agree.
    ///
    /// ```
    /// use std::time::Duration;
    /// use backplane::Timestamp;
    /// use feed_core::Rhythm;
    ///
    /// let mut rhythm = Rhythm::first(Timestamp::EPOCH);
    /// for _ in 0..60 {
    ///     rhythm = rhythm.again(rhythm.last.saturating_add(Duration::from_secs(12 * 3_600)));
    /// }
    /// assert!((1_900..2_200).contains(&rhythm.per_day_milli));
    /// ```
    #[must_use]
    pub fn again(self, at: Timestamp) -> Self {
        let since = at.saturating_since(self.last);
        if since < ONCE {
            return self;
        }
        let decayed = (u128::from(self.per_day_milli) * u128::from(decay(since)) + HALF) >> 64;
        let rate = decayed.saturating_add(SHARE);
        Self {
            last: at,
            per_day_milli: u32::try_from(rate).unwrap_or(u32::MAX),
        }
    }
}

/// Notes within this time of the last one belong to it.
const ONCE: Duration = Duration::from_secs(60);

/// Once a week in times a day: a thousand thousandths by seven, rounded.
const SHARE: u128 = 143;

const HALF: u128 = 1 << 63;

/// `exp(-since / week)` as a fraction of 2^64, by squaring the decay of a millisecond.
fn decay(since: Duration) -> u64 {
    /// `exp(-1 / 604,800,000)` as a fraction of 2^64, rounded.
    const MILLISECOND: u64 = 0xffff_fff8_e606_40d0;
    let (mut decay, mut power) = (u64::MAX, MILLISECOND);
    let mut millis = since.as_millis();
    while millis > 0 && decay > 0 {
        if millis & 1 == 1 {
            decay = product(decay, power);
        }
        power = product(power, power);
        millis >>= 1;
    }
    decay
}

fn product(a: u64, b: u64) -> u64 {
    u64::try_from((u128::from(a) * u128::from(b)) >> 64).expect("both factors are below 2^64")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_note_within_a_minute_belongs_to_the_one_before() {
        let first = Rhythm::first(Timestamp::from_millis(1_000_000));
        assert_eq!(first.again(Timestamp::from_millis(1_059_999)), first);
        let next = first.again(Timestamp::from_millis(1_060_000));
        assert_eq!(
            (next.last.as_millis(), next.per_day_milli),
            (1_060_000, 143)
        );
    }

    #[test]
    fn an_older_note_changes_nothing() {
        let first = Rhythm::first(Timestamp::from_millis(1_000_000));
        assert_eq!(first.again(Timestamp::EPOCH), first);
    }

    #[test]
    fn a_long_absence_leaves_one_time() {
        let visits = Rhythm {
            last: Timestamp::EPOCH,
            per_day_milli: u32::MAX,
        };
        assert_eq!(
            visits.again(Timestamp::from_millis(u64::MAX)).per_day_milli,
            143
        );
    }

    proptest! {
        #[test]
        fn decays_exponentially(millis in 0_u64..40 * 604_800_000) {
            #[expect(clippy::cast_precision_loss, reason = "the tolerance is far coarser")]
            let (ours, exact) = (
                decay(Duration::from_millis(millis)) as f64 / 2_f64.powi(64),
                (-(millis as f64) / 604_800_000.0).exp(),
            );
            prop_assert!((ours - exact).abs() < 1e-9, "{ours} {exact}");
        }

        #[test]
        fn the_rate_stays_near_the_truth(minutes in 30_u64..2 * 24 * 60) {
            let step = Duration::from_secs(minutes * 60);
            let mut rhythm = Rhythm::first(Timestamp::EPOCH);
            for _ in 0..2_000 {
                rhythm = rhythm.again(rhythm.last.saturating_add(step));
            }
            let exact = u32::try_from(1_440_000 / minutes).unwrap();
            // Just after a visit, the average stands half a visit a week above the rate.
            let error = rhythm.per_day_milli.abs_diff(exact);
            prop_assert!(error <= 143 + exact / 100, "{rhythm:?} for {exact}");
        }
    }
}
