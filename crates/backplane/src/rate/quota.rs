use std::{num::NonZeroU32, time::Duration};

/// So much per period, and so much at once.
///
/// ```
/// use std::time::Duration;
/// use backplane::rate::Quota;
/// # fn main() -> Result<(), backplane::rate::QuotaError> {
/// // 300 posts in three hours, spread evenly, and at most 20 in one go.
/// let posts = Quota::new(300, Duration::from_secs(3 * 3_600))?.with_burst(20)?;
/// assert_eq!(posts.burst(), 20);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Quota {
    count: NonZeroU32,
    period_nanos: u64,
    burst: NonZeroU32,
}

impl Quota {
    /// The longest time that an empty bucket may take to refill: a leap year.
    pub const MAX_REFILL: Duration = Duration::from_secs(366 * 24 * 3_600);

    /// `count` per `period`, all of which may come at once.
    ///
    /// # Errors
    ///
    /// [`QuotaError::Zero`] if either is zero, [`QuotaError::SlowRefill`] for a period longer than
    /// [`MAX_REFILL`](Self::MAX_REFILL).
    pub fn new(count: u32, period: Duration) -> Result<Self, QuotaError> {
        let count = NonZeroU32::new(count).ok_or(QuotaError::Zero)?;
        if period.is_zero() {
            return Err(QuotaError::Zero);
        }
        if period > Self::MAX_REFILL {
            return Err(QuotaError::SlowRefill);
        }
        Ok(Self {
            count,
            period_nanos: u64::try_from(period.as_nanos()).map_err(|_| QuotaError::SlowRefill)?,
            burst: count,
        })
    }

    /// The same pace, with `burst` at once: more than the count to save up over several periods, or
    /// less to keep the pace even.
    ///
    /// # Errors
    ///
    /// [`QuotaError::Zero`] if it is zero, and [`QuotaError::SlowRefill`] if it would take longer
    /// than [`MAX_REFILL`](Self::MAX_REFILL) to refill.
    pub fn with_burst(self, burst: u32) -> Result<Self, QuotaError> {
        let burst = NonZeroU32::new(burst).ok_or(QuotaError::Zero)?;
        let quota = Self { burst, ..self };
        let longest = Self::MAX_REFILL.as_nanos() * u128::from(self.count.get());
        if quota.capacity_ticks() > longest {
            return Err(QuotaError::SlowRefill);
        }
        Ok(quota)
    }

    /// How much comes back per period.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.count.get()
    }

    /// How long that takes.
    #[must_use]
    pub const fn period(self) -> Duration {
        Duration::from_nanos(self.period_nanos)
    }

    /// How much may be taken at once.
    #[must_use]
    pub const fn burst(self) -> u32 {
        self.burst.get()
    }

    /// How long a cost takes to come back, in ticks of which there are `count` to a nanosecond. In
    /// ticks the pace of every quota is a whole number.
    pub(super) fn ticks_of(self, cost: u32) -> u128 {
        u128::from(cost) * u128::from(self.period_nanos)
    }

    /// How long an empty bucket takes to refill, in ticks.
    pub(super) fn capacity_ticks(self) -> u128 {
        self.ticks_of(self.burst())
    }
}

/// Why there can be no such quota.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum QuotaError {
    /// A count, period or burst of zero would never let anything pass, or everything.
    #[error("a quota's count, period and burst must be above zero")]
    Zero,
    /// An empty bucket would take longer than [`Quota::MAX_REFILL`] to refill.
    #[error("a quota must refill within 366 days")]
    SlowRefill,
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn a_quota_without_any_part_is_refused() {
        assert_eq!(Quota::new(0, HOUR), Err(QuotaError::Zero));
        assert_eq!(Quota::new(1, Duration::ZERO), Err(QuotaError::Zero));
        let quota = Quota::new(1, HOUR).unwrap();
        assert_eq!(quota.with_burst(0), Err(QuotaError::Zero));
    }

    #[test]
    fn a_quota_that_takes_over_a_year_to_refill_is_refused() {
        let longer = Quota::MAX_REFILL + Duration::from_nanos(1);
        assert_eq!(Quota::new(9, longer), Err(QuotaError::SlowRefill));
        assert_eq!(Quota::new(9, Duration::MAX), Err(QuotaError::SlowRefill));
        let yearly = Quota::new(9, Quota::MAX_REFILL).unwrap();
        assert_eq!(yearly.with_burst(10), Err(QuotaError::SlowRefill));
        let daily = Quota::new(9, Quota::MAX_REFILL / 366).unwrap();
        assert!(daily.with_burst(9 * 366).is_ok());
        let refused = daily.with_burst(9 * 366 + 1);
        assert_eq!(refused, Err(QuotaError::SlowRefill));
    }

    #[test]
    fn the_burst_is_the_count_unless_set() {
        let quota = Quota::new(7, HOUR).unwrap();
        assert_eq!((quota.count(), quota.period(), quota.burst()), (7, HOUR, 7));
        assert_eq!(quota.with_burst(2).unwrap().burst(), 2);
    }
}
