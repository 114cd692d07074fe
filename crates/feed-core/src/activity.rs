use std::{fmt, time::Duration};

use async_trait::async_trait;
use backplane::Timestamp;

use crate::{PostId, Result, UserId};

/// When each viewer was last here, how often they come, and how far they have read.
#[async_trait]
pub trait Activity: fmt::Debug + Send + Sync {
    /// Notes that each viewer reads at `at`, as [`Visits::touched`] says. A visit older than one
    /// already noted changes nothing.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    async fn touch(&self, viewers: &[UserId], at: Timestamp) -> Result<()>;

    /// What is known of each viewer, in the order asked; nothing of one who was never here.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    async fn visits(&self, viewers: &[UserId]) -> Result<Vec<Option<Visits>>>;

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

    /// Forgets the viewer.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    async fn erase(&self, viewer: UserId) -> Result<()>;
}

/// A viewer's visits.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Visits {
    /// The last one.
    pub last: Timestamp,
    /// Visits a day after the first, in thousandths, averaged with a time constant of a week.
    pub per_day_milli: u32,
}

impl Visits {
    /// For stores: the first visit.
    #[must_use]
    pub const fn first(at: Timestamp) -> Self {
        Self {
            last: at,
            per_day_milli: 0,
        }
    }

    /// The visits after one more touch at `at`: a new visit, if the last one began a minute ago or
    /// earlier, or else no change.
    ///
    /// The average is that of a point process under exponential decay: a visit adds its share of a
    /// week, and what was there before decays by `exp(-t / week)`. It is computed in integers, so
    /// that all stores agree.
    ///
    /// ```
    /// use std::time::Duration;
    /// use backplane::Timestamp;
    /// use feed_core::Visits;
    ///
    /// let mut visits = Visits::first(Timestamp::EPOCH);
    /// for _ in 0..60 {
    ///     visits = visits.touched(visits.last.saturating_add(Duration::from_secs(12 * 3_600)));
    /// }
    /// assert!((1_900..2_200).contains(&visits.per_day_milli));
    /// ```
    #[must_use]
    pub fn touched(self, at: Timestamp) -> Self {
        let since = at.saturating_since(self.last);
        if since < VISIT {
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

/// Touches within this time of a visit's beginning belong to it.
const VISIT: Duration = Duration::from_secs(60);

/// One visit a week in visits a day: a thousand thousandths by seven, rounded.
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
    fn a_touch_within_a_minute_belongs_to_the_visit() {
        let first = Visits::first(Timestamp::from_millis(1_000_000));
        assert_eq!(first.touched(Timestamp::from_millis(1_059_999)), first);
        let next = first.touched(Timestamp::from_millis(1_060_000));
        assert_eq!(
            (next.last.as_millis(), next.per_day_milli),
            (1_060_000, 143)
        );
    }

    #[test]
    fn an_older_touch_changes_nothing() {
        let first = Visits::first(Timestamp::from_millis(1_000_000));
        assert_eq!(first.touched(Timestamp::EPOCH), first);
    }

    #[test]
    fn a_long_absence_leaves_one_visit() {
        let visits = Visits {
            last: Timestamp::EPOCH,
            per_day_milli: u32::MAX,
        };
        assert_eq!(
            visits
                .touched(Timestamp::from_millis(u64::MAX))
                .per_day_milli,
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
            let mut visits = Visits::first(Timestamp::EPOCH);
            for _ in 0..2_000 {
                visits = visits.touched(visits.last.saturating_add(step));
            }
            let exact = u32::try_from(1_440_000 / minutes).unwrap();
            // Just after a visit, the average stands half a visit a week above the rate.
            let error = visits.per_day_milli.abs_diff(exact);
            prop_assert!(error <= 143 + exact / 100, "{visits:?} for {exact}");
        }
    }
}
