//! What an identifier costs, beside what other generators ask for it.
//!
//! A correct generator with 12 sequence bits cannot pass 4.096 million ids a second, however cheap
//! an id is. So the groups measure bursts of half a millisecond's sequence, after a gap in which
//! every generator's clock moves on, and count the CPU time of the bursts alone.

use std::{sync::Arc, time::Duration};

use backplane::id::{Id, Layout, SnowflakeGenerator};
use bench::{Bars, Bursts, CpuTime, Row};
use bench_peers::ids as peers;
use criterion::{Criterion, SamplingMode, criterion_group};

const GROUP: &str = "ids_burst";
const BURST: u32 = 2_048;
const CAP: &str = "4.096 M/s (12 bits a ms)";

fn main() -> std::io::Result<()> {
    let bars = bars();
    benches();
    bars.print()
}

fn bars() -> Bars {
    let mut bars = Bars::new("ids: CPU ns an id in bursts of 2,048, median of this run");
    for (row, bar) in [("shared", 9.0), ("leased_64", 2.0), ("batch_1024", 1.0)] {
        bars.row(Row::new(GROUP, row).items(BURST).bar(bar).cap(CAP));
    }
    bars.row(Row::new(GROUP, "batch_1024_iter").items(BURST).cap(CAP));
    for (peer, cap) in [
        ("ferroid_atomic", CAP),
        ("ferroid_lock", CAP),
        ("ferroid_basic", CAP),
        ("snowflaked", CAP),
        ("rs_snowflake", CAP),
        ("ulid", "none (80 random bits)"),
        ("uuid_v7", "none (42 counter bits)"),
    ] {
        bars.peer(Row::new(GROUP, peer).items(BURST).cap(cap));
    }
    bars
}

fn bursts(criterion: &mut Criterion<CpuTime>) {
    let ids = generator();
    burst(criterion, "shared", || {
        ids.next_id().expect("far below the cap")
    });
    let local = generator().local(64);
    burst(criterion, "leased_64", || {
        local.next_id().expect("far below the cap")
    });
    let ids = generator();
    burst_of(criterion, "batch_1024", |burst: &mut [Id]| {
        for batch in burst.chunks_mut(1_024) {
            ids.fill(batch).expect("far below the cap");
        }
    });
    let ids = generator();
    burst_of(criterion, "batch_1024_iter", |burst: &mut [Id]| {
        for batch in burst.chunks_mut(1_024) {
            let reserved = ids.reserve(batch.len()).expect("far below the cap");
            for (slot, id) in batch.iter_mut().zip(reserved) {
                *slot = id;
            }
        }
    });
    burst(criterion, "ferroid_atomic", peers::ferroid_atomic());
    burst(criterion, "ferroid_lock", peers::ferroid_lock());
    burst(criterion, "ferroid_basic", peers::ferroid_basic());
    burst(criterion, "snowflaked", peers::snowflaked());
    burst(criterion, "rs_snowflake", peers::rs_snowflake());
    burst(criterion, "ulid", peers::ulid());
    burst(criterion, "uuid_v7", peers::uuid_v7());
}

fn generator() -> Arc<SnowflakeGenerator> {
    Arc::new(SnowflakeGenerator::new(Layout::DISCORD, 1).expect("node 1 fits 10 bits"))
}

/// Measures one id a call.
fn burst<T: Copy + Default + Ord>(
    criterion: &mut Criterion<CpuTime>,
    name: &str,
    mut next: impl FnMut() -> T,
) {
    burst_of(criterion, name, |ids| ids.fill_with(&mut next));
}

/// Measures `fill`, and asserts that what it writes never stops growing.
fn burst_of<T: Copy + Default + Ord>(
    criterion: &mut Criterion<CpuTime>,
    name: &str,
    mut fill: impl FnMut(&mut [T]),
) {
    let bursts = Bursts::new(BURST as usize, Duration::from_micros(1_500));
    let mut last = T::default();
    let mut group = criterion.benchmark_group(GROUP);
    group
        .sample_size(30)
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_secs(2));
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|count| {
            bursts.run(count, &mut fill, |ids| {
                for id in ids {
                    assert!(*id > last, "{name} went back");
                    last = *id;
                }
            })
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime::Thread);
    targets = bursts
}
