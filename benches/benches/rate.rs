//! What asking a rate limiter costs, beside another keyed limiter.

use std::{hint::black_box, num::NonZeroU32, sync::Arc, time::Duration};

use backplane::{Clock, CoarseClock, SystemClock, memory::MemoryRateLimiter, rate::Quota};
use bench::{Bars, CpuTime, Row};
use bench_peers::limits as peers;
use criterion::{Criterion, criterion_group};

const GROUP: &str = "rate_check";
const KEYS: u64 = 10_000;
/// Far more than one thread can ask for.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(1_000_000).expect("above zero");

fn main() -> std::io::Result<()> {
    let bars = bars();
    benches();
    bars.print()
}

fn bars() -> Bars {
    let mut bars = Bars::new("rate: CPU ns a check of one of 10,000 keys, median of this run");
    for row in ["memory", "memory_coarse"] {
        bars.row(Row::new(GROUP, row));
    }
    bars.peer(Row::new(GROUP, "governor").cap("keys swept by hand"));
    bars
}

fn checks(criterion: &mut Criterion<CpuTime>) {
    check(criterion, "memory", memory(Arc::new(SystemClock::new())));
    check(
        criterion,
        "memory_coarse",
        memory(Arc::new(CoarseClock::new())),
    );
    check(criterion, "governor", peers::governor(PER_SECOND));
}

fn memory(clock: Arc<dyn Clock>) -> impl Fn(u64) -> bool {
    let limiter = MemoryRateLimiter::new(clock);
    let quota = Quota::new(PER_SECOND.get(), Duration::from_secs(1)).expect("a quota");
    move |key| {
        let decision = limiter.check(&key.to_le_bytes(), quota, 1);
        decision.expect("room for every key").is_allowed()
    }
}

/// Measures `check` on keys in turn, and asserts that it allows a quota that no bench can use up.
fn check(criterion: &mut Criterion<CpuTime>, name: &str, check: impl Fn(u64) -> bool) {
    let mut calls = 0_u64;
    let mut group = criterion.benchmark_group(GROUP);
    group
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            calls += 1;
            assert!(check(black_box(calls % KEYS)), "{name} limits");
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime::Thread);
    targets = checks
}
