//! What every [`RateLimiter`] guarantees.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics to fail"
)]

use std::{sync::Arc, time::Duration};

use crate::{
    ErrorKind,
    conformance::{Fresh, ROUNDS, TestTime},
    rate::{Decision, MAX_KEY_BYTES, Quota, RateLimiter},
};

/// Runs every case of [`RateLimiter`] against the empty limiter that `$fresh` makes.
#[macro_export]
macro_rules! rate_conformance {
    ($fresh:expr) => {
        $crate::conformance_cases!(
            rate_conformance,
            [$crate::conformance::rate],
            $fresh =>
                burst_passes_at_once,
                more_than_the_burst_waits,
                waiting_as_told_is_enough,
                what_was_used_comes_back_bit_by_bit,
                idle_time_saves_up_no_more_than_the_burst,
                a_cost_counts_as_many,
                a_refused_cost_takes_nothing,
                a_cost_above_the_burst_never_passes,
                a_cost_of_zero_only_asks,
                a_cost_of_zero_is_allowed_whatever_is_owed,
                keys_do_not_share,
                keys_are_any_bytes,
                a_key_over_the_limit_is_invalid,
                concurrent_checks_share_one_quota,
                a_new_quota_applies_to_what_was_used,
        );
    };
}

const HOUR: Duration = Duration::from_secs(3_600);

/// An hour, less what a real engine may let pass between two checks of a case.
const NEARLY_AN_HOUR: Duration = Duration::from_secs(59 * 60);

fn hourly(count: u32) -> Quota {
    Quota::new(count, HOUR).unwrap()
}

async fn check(fresh: &Fresh<dyn RateLimiter>, key: &[u8], quota: Quota, cost: u32) -> Decision {
    fresh.store.check(key, quota, cost).await.unwrap()
}

fn allowed(remaining: u32) -> Decision {
    Decision::Allowed { remaining }
}

/// A key that has used nothing may use its whole burst at once.
pub async fn burst_passes_at_once(fresh: &Fresh<dyn RateLimiter>) {
    for remaining in (0..5).rev() {
        assert_eq!(check(fresh, b"key", hourly(5), 1).await, allowed(remaining));
    }
}

/// Beyond the burst a check is limited, and told how long to wait.
pub async fn more_than_the_burst_waits(fresh: &Fresh<dyn RateLimiter>) {
    let quota = hourly(1);
    assert_eq!(check(fresh, b"key", quota, 1).await, allowed(0));
    let decision = check(fresh, b"key", quota, 1).await;
    let Decision::Limited { retry_after } = decision else {
        panic!("{decision:?}");
    };
    assert!(
        retry_after <= HOUR && retry_after > NEARLY_AN_HOUR,
        "{retry_after:?}"
    );
}

/// A check that waited as long as it was told passes.
pub async fn waiting_as_told_is_enough(fresh: &Fresh<dyn RateLimiter>) {
    let quota = Quota::new(1, Duration::from_secs(1)).unwrap();
    assert!(check(fresh, b"key", quota, 1).await.is_allowed());
    let decision = check(fresh, b"key", quota, 1).await;
    let Decision::Limited { retry_after } = decision else {
        panic!("{decision:?}");
    };
    assert!(retry_after <= Duration::from_secs(1), "{retry_after:?}");
    fresh.time.pass(retry_after).await;
    assert!(check(fresh, b"key", quota, 1).await.is_allowed());
}

/// A quota comes back evenly, and a check waits for as much of it as it asks for.
pub async fn what_was_used_comes_back_bit_by_bit(fresh: &Fresh<dyn RateLimiter>) {
    let one = Duration::from_millis(400);
    let quota = Quota::new(10, 10 * one).unwrap();
    assert_eq!(check(fresh, b"key", quota, 10).await, allowed(0));
    for cost in [1, 3] {
        let decision = check(fresh, b"key", quota, cost).await;
        let Decision::Limited { retry_after } = decision else {
            panic!("{decision:?}");
        };
        assert!(retry_after <= cost * one, "{retry_after:?}");
        assert!(retry_after == cost * one || is_engine(fresh));
    }
    fresh.time.pass(3 * one).await;
    let decision = check(fresh, b"key", quota, 0).await;
    let Decision::Allowed { remaining } = decision else {
        panic!("{decision:?}");
    };
    assert!(remaining == 3 || is_engine(fresh) && (3..10).contains(&remaining));
    assert!(check(fresh, b"key", quota, 3).await.is_allowed());
}

/// Whether time passes that no case has let pass.
const fn is_engine(fresh: &Fresh<dyn RateLimiter>) -> bool {
    !matches!(fresh.time, TestTime::Manual(_))
}

/// A key that rests for longer than its quota takes to refill holds the burst and no more.
pub async fn idle_time_saves_up_no_more_than_the_burst(fresh: &Fresh<dyn RateLimiter>) {
    let quick = Quota::new(100, Duration::from_secs(1))
        .unwrap()
        .with_burst(3)
        .unwrap();
    assert!(check(fresh, b"key", quick, 3).await.is_allowed());
    fresh.time.pass(Duration::from_millis(300)).await;
    assert_eq!(check(fresh, b"key", quick, 0).await, allowed(3));
    assert_eq!(check(fresh, b"key", hourly(3), 3).await, allowed(0));
    assert!(!check(fresh, b"key", hourly(3), 1).await.is_allowed());
}

/// A cost of n takes as much as n costs of one.
pub async fn a_cost_counts_as_many(fresh: &Fresh<dyn RateLimiter>) {
    assert_eq!(check(fresh, b"key", hourly(10), 3).await, allowed(7));
    assert_eq!(check(fresh, b"key", hourly(10), 1).await, allowed(6));
    assert_eq!(check(fresh, b"key", hourly(10), 6).await, allowed(0));
}

/// A check that is refused leaves everything to a smaller one.
pub async fn a_refused_cost_takes_nothing(fresh: &Fresh<dyn RateLimiter>) {
    assert_eq!(check(fresh, b"key", hourly(5), 3).await, allowed(2));
    for _ in 0..3 {
        assert!(!check(fresh, b"key", hourly(5), 3).await.is_allowed());
    }
    assert_eq!(check(fresh, b"key", hourly(5), 2).await, allowed(0));
}

/// A cost above the burst is told apart from one that has to wait, and takes nothing.
pub async fn a_cost_above_the_burst_never_passes(fresh: &Fresh<dyn RateLimiter>) {
    for cost in [6, u32::MAX] {
        assert_eq!(
            check(fresh, b"key", hourly(5), cost).await,
            Decision::Oversized
        );
    }
    assert_eq!(check(fresh, b"key", hourly(5), 5).await, allowed(0));
    assert_eq!(
        check(fresh, b"key", hourly(5), 6).await,
        Decision::Oversized
    );
}

/// A cost of zero is allowed, takes nothing and tells what remains.
pub async fn a_cost_of_zero_only_asks(fresh: &Fresh<dyn RateLimiter>) {
    for _ in 0..3 {
        assert_eq!(check(fresh, b"key", hourly(2), 0).await, allowed(2));
    }
    assert_eq!(check(fresh, b"key", hourly(2), 2).await, allowed(0));
    assert_eq!(check(fresh, b"key", hourly(2), 0).await, allowed(0));
}

/// A cost of zero is allowed also where more was used than the burst it is checked against.
pub async fn a_cost_of_zero_is_allowed_whatever_is_owed(fresh: &Fresh<dyn RateLimiter>) {
    assert_eq!(check(fresh, b"key", hourly(10), 10).await, allowed(0));
    let smaller = hourly(10).with_burst(3).unwrap();
    assert_eq!(check(fresh, b"key", smaller, 0).await, allowed(0));
    assert!(!check(fresh, b"key", smaller, 1).await.is_allowed());
}

/// What one key uses is not missing from another.
pub async fn keys_do_not_share(fresh: &Fresh<dyn RateLimiter>) {
    assert_eq!(check(fresh, b"alice", hourly(1), 1).await, allowed(0));
    assert_eq!(check(fresh, b"bob", hourly(1), 1).await, allowed(0));
    assert!(!check(fresh, b"alice", hourly(1), 1).await.is_allowed());
}

/// Keys are compared byte by byte, whatever the bytes, up to the limit.
pub async fn keys_are_any_bytes(fresh: &Fresh<dyn RateLimiter>) {
    let longest = [0xff; MAX_KEY_BYTES];
    let keys: [&[u8]; 7] = [b"", b"\0", b"\0\0", b"a", b"a\0", b"\xff\xfe", &longest];
    for key in keys {
        assert_eq!(check(fresh, key, hourly(1), 1).await, allowed(0), "{key:?}");
    }
    for key in keys {
        assert!(
            !check(fresh, key, hourly(1), 1).await.is_allowed(),
            "{key:?}"
        );
    }
}

/// A key longer than the limit is refused as invalid.
pub async fn a_key_over_the_limit_is_invalid(fresh: &Fresh<dyn RateLimiter>) {
    let key = [b'k'; MAX_KEY_BYTES + 1];
    let error = fresh.store.check(&key, hourly(1), 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

/// Checks of one key at the same time never get more between them than the quota holds.
pub async fn concurrent_checks_share_one_quota(fresh: &Fresh<dyn RateLimiter>) {
    for round in 0..ROUNDS {
        let check = move |limiter: Arc<dyn RateLimiter>, _| async move {
            let mut allowed = 0;
            for _ in 0..4 {
                let decision = limiter.check(&round.to_be_bytes(), hourly(10), 1).await;
                allowed += u32::from(decision.unwrap().is_allowed());
            }
            allowed
        };
        let allowed: u32 = fresh.at_once(4, check).await.into_iter().sum();
        assert_eq!(allowed, 10);
    }
}

/// What a key has used stays used when its quota changes, as the time it takes to refill.
pub async fn a_new_quota_applies_to_what_was_used(fresh: &Fresh<dyn RateLimiter>) {
    assert_eq!(check(fresh, b"key", hourly(1), 1).await, allowed(0));
    assert!(!check(fresh, b"key", hourly(10), 1).await.is_allowed());
    let larger = hourly(10).with_burst(30).unwrap();
    assert_eq!(check(fresh, b"key", larger, 0).await, allowed(20));
    assert_eq!(check(fresh, b"key", larger, 20).await, allowed(0));
}
