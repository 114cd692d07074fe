use std::time::Duration;

use crate::rate::{Decision, Quota};

/// The theoretical arrival time: when a key's bucket is full again.
///
/// It is exact. A quota of 7 a minute has no whole number of nanoseconds between two units, so the
/// instant is kept in ticks of which the quota's count make a nanosecond; rounding it would either
/// admit too much over time or hold back the last unit of a period. An instant of 64 bits in ticks of
/// 32 takes 96, so that with its count it fills 16 bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tat {
    /// The lower 64 bits of the ticks on the caller's clock.
    low: u64,
    /// The upper 32.
    high: u32,
    /// How many ticks make a nanosecond; zero in a new one, which is at the clock's origin.
    count: u32,
}

impl Tat {
    /// Whether the bucket is full at `now`, so that the key need not be remembered.
    pub(crate) fn is_idle(self, now: u64) -> bool {
        self.ticks() <= u128::from(now) * u128::from(self.count)
    }

    /// Takes `cost` at `now`, in nanoseconds, if it is there: the new state and the answer.
    pub(crate) fn check(self, now: u64, quota: Quota, cost: u32) -> (Self, Decision) {
        if cost > quota.burst() {
            return (self, Decision::Oversized);
        }
        let count = u128::from(quota.count());
        let now_ticks = u128::from(now) * count;
        let missing = self.in_ticks(quota).saturating_sub(now_ticks);
        let after = missing + quota.ticks_of(cost);
        let excess = after.saturating_sub(quota.capacity_ticks());
        if excess > 0 && cost > 0 {
            let retry_after = Duration::from_nanos(saturate(excess.div_ceil(count)));
            return (self, Decision::Limited { retry_after });
        }
        let left = quota.capacity_ticks().saturating_sub(after) / quota.ticks_of(1);
        let remaining = u32::try_from(left).unwrap_or(u32::MAX);
        let next = match cost {
            0 => self,
            _ => Self::from_ticks(now_ticks + after, quota),
        };
        (next, Decision::Allowed { remaining })
    }

    /// The end of the clock's time is far below the end of 96 bits, but for clocks that start there.
    fn from_ticks(ticks: u128, quota: Quota) -> Self {
        let high = ticks >> u64::BITS;
        Self {
            low: u64::try_from(ticks - (high << u64::BITS)).expect("what is left is 64 bits"),
            high: u32::try_from(high).unwrap_or(u32::MAX),
            count: quota.count(),
        }
    }

    fn ticks(self) -> u128 {
        u128::from(self.high) << u64::BITS | u128::from(self.low)
    }

    /// In the ticks of `quota`. If it was computed for another pace the rest of a nanosecond counts as
    /// a whole one.
    fn in_ticks(self, quota: Quota) -> u128 {
        if self.count == quota.count() {
            return self.ticks();
        }
        let nanos = self.ticks().div_ceil(u128::from(self.count.max(1)));
        nanos * u128::from(quota.count())
    }
}

fn saturate(nanos: u128) -> u64 {
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_quota() -> impl Strategy<Value = Quota> {
        let period = prop_oneof![1..100_u64, 1..100_000_000_000_u64];
        let count = prop_oneof![1..20_u32, any::<u32>().prop_map(|n| n.max(1))];
        let burst = prop_oneof![1..20_u32, any::<u32>().prop_map(|n| n.max(1))];
        (count, period, burst).prop_filter_map("refills within a year", |(count, period, burst)| {
            let quota = Quota::new(count, Duration::from_nanos(period)).ok()?;
            quota.with_burst(burst).ok()
        })
    }

    /// A bucket of units cut into `period` parts each, so that every nanosecond adds `count` whole
    /// parts.
    struct Bucket {
        quota: Quota,
        level: u128,
        at: u64,
    }

    impl Bucket {
        fn full(quota: Quota, at: u64) -> Self {
            let level = u128::from(quota.burst()) * quota.period().as_nanos();
            Self { quota, level, at }
        }

        fn check(&mut self, now: u64, cost: u32) -> Decision {
            let full = Self::full(self.quota, now).level;
            let unit = self.quota.period().as_nanos();
            let count = u128::from(self.quota.count());
            self.level = full.min(self.level + u128::from(now - self.at) * count);
            self.at = now;
            if cost > self.quota.burst() {
                return Decision::Oversized;
            }
            let Some(level) = self.level.checked_sub(u128::from(cost) * unit) else {
                let missing = u128::from(cost) * unit - self.level;
                let retry_after = Duration::from_nanos(saturate(missing.div_ceil(count)));
                return Decision::Limited { retry_after };
            };
            self.level = level;
            let remaining = u32::try_from(level / unit).unwrap();
            Decision::Allowed { remaining }
        }
    }

    proptest! {
        #[test]
        fn answers_as_an_exact_token_bucket(
            quota in any_quota(),
            start in 0..u64::MAX / 2,
            steps in prop::collection::vec((0..1_000_u64, 0..100_u64, any::<u32>()), 1..60),
        ) {
            let (mut now, mut tat, mut bucket) = (start, Tat::default(), Bucket::full(quota, start));
            let pace = 1 + u64::try_from(quota.period().as_nanos()).unwrap() / u64::from(quota.count());
            for (wait, unit, cost) in steps {
                now += pace * wait / 100 + unit;
                // Costs around the burst and far beyond it.
                let cost = cost % (2 * quota.burst().min(1 << 30) + 1);
                let (next, decision) = tat.check(now, quota, cost);
                prop_assert_eq!(decision, bucket.check(now, cost));
                prop_assert!(decision.is_allowed() || next == tat);
                tat = next;
                prop_assert_eq!(tat.is_idle(now), bucket.level == Bucket::full(quota, now).level);
            }
        }

        #[test]
        fn the_wait_is_enough_and_a_nanosecond_less_is_not(
            quotas in prop::collection::vec(any_quota(), 1..8),
            start in 0..u64::MAX / 2,
        ) {
            let (mut now, mut tat) = (start, Tat::default());
            for quota in quotas.into_iter().cycle().take(20) {
                let cost = quota.burst().div_ceil(2);
                if let (_, Decision::Limited { retry_after }) = tat.check(now, quota, cost) {
                    let wait = u64::try_from(retry_after.as_nanos()).unwrap();
                    prop_assert!(!tat.check(now + wait - 1, quota, cost).1.is_allowed());
                    now += wait;
                }
                let (next, decision) = tat.check(now, quota, cost);
                prop_assert!(decision.is_allowed());
                tat = next;
            }
        }

        #[test]
        fn no_time_and_no_change_of_quota_overflows(
            checks in prop::collection::vec((any::<u64>(), any_quota(), any::<u32>()), 1..20),
        ) {
            let mut tat = Tat::default();
            for (now, quota, cost) in checks {
                let now = if cost % 3 == 0 { u64::MAX - now % 10 } else { now };
                let (next, decision) = tat.check(now, quota, cost);
                if let Decision::Allowed { remaining } = decision {
                    prop_assert!(remaining <= quota.burst() - cost);
                }
                tat = next;
            }
        }
    }

    #[test]
    fn a_pace_without_a_whole_interval_gives_back_all_of_it_in_a_period() {
        let minute = Duration::from_secs(60);
        let quota = Quota::new(7, minute).unwrap();
        let end = u64::try_from(minute.as_nanos()).unwrap();
        let (mut tat, mut decision) = (Tat::default(), Decision::Oversized);
        for _ in 0..7 {
            (tat, decision) = tat.check(0, quota, 1);
        }
        assert_eq!(decision, Decision::Allowed { remaining: 0 });
        assert!(!tat.check(end - 1, quota, 7).1.is_allowed());
        assert!(tat.check(end, quota, 7).1.is_allowed());
    }

    #[test]
    fn what_was_used_stays_used_under_another_quota() {
        let hour = Duration::from_secs(3_600);
        let small = Quota::new(1, hour).unwrap();
        let (tat, _) = Tat::default().check(0, small, 1);
        let pace = Quota::new(10, hour).unwrap();
        assert!(!tat.check(0, pace, 1).1.is_allowed());
        let (_, larger) = tat.check(0, pace.with_burst(30).unwrap(), 1);
        assert_eq!(larger, Decision::Allowed { remaining: 19 });
    }

    #[test]
    fn a_fraction_of_another_pace_counts_as_a_nanosecond() {
        let sevenths = Quota::new(7, Duration::from_nanos(10)).unwrap();
        let (tat, _) = Tat::default().check(0, sevenths, 1); // in 1 3/7 ns
        let whole = Quota::new(1, Duration::from_nanos(1)).unwrap();
        let (_, decision) = tat.check(0, whole.with_burst(2).unwrap(), 1);
        let retry_after = Duration::from_nanos(1);
        assert_eq!(decision, Decision::Limited { retry_after });
    }

    #[test]
    fn asking_for_nothing_is_allowed_even_in_debt() {
        let hour = Duration::from_secs(3_600);
        let large = Quota::new(10, hour).unwrap();
        let (tat, _) = Tat::default().check(0, large, 10);
        let small = large.with_burst(1).unwrap();
        assert_eq!(
            tat.check(0, small, 0),
            (tat, Decision::Allowed { remaining: 0 })
        );
    }
}
