//! What an identifier costs, beside what other generators ask for it.
//!
//! A correct generator with 12 sequence bits cannot pass 4.096 million ids a second, however cheap
//! an id is. So the groups measure bursts of half a millisecond's sequence, after a gap in which
//! every generator's clock moves on, and count the CPU time of the bursts alone.

use std::{
    cell::Cell,
    fmt::Write,
    hint::black_box,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use backplane::{
    Clock, CoarseClock,
    id::{Id, IdError, KeeperOptions, Layout, LeaseKeeper, SnowflakeGenerator},
    memory::MemoryNodeLeases,
};
use bench::{Bars, Bursts, CpuTime, Row, Sustained};
use bench_peers::ids as peers;
use criterion::{Criterion, SamplingMode, criterion_group};

const GROUP: &str = "ids_burst";
const BURST: u32 = 2_048;
const CAP: &str = "4.096 M/s (12 bits a ms)";

fn main() -> io::Result<()> {
    let bars = bars();
    benches();
    bars.print()?;
    if bars.is_empty() {
        return Ok(());
    }
    io::Write::write_all(&mut io::stdout().lock(), sustained().as_bytes())
}

fn bars() -> Bars {
    let mut bars = Bars::new("ids: CPU ns an id in bursts of 2,048, median of this run");
    for (row, bar) in [("shared", 9.0), ("leased_256", 2.0), ("batch_1024", 1.0)] {
        bars.row(Row::new(GROUP, row).items(BURST).bar(bar).cap(CAP));
    }
    for row in ["shared_leased_node", "batch_1024_iter"] {
        bars.row(Row::new(GROUP, row).items(BURST).cap(CAP));
    }
    // What ours cannot go below on this machine: they are these and little else.
    for (floor, cap) in [
        ("coarse_clock", "floor of `shared`"),
        ("clock_and_cas", "floor of `shared`"),
        ("counter", "floor of `leased_256`"),
        ("numbers", "floor of `batch_1024`"),
    ] {
        bars.peer(Row::new(GROUP, floor).items(BURST).cap(cap));
    }
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

fn ours(criterion: &mut Criterion<CpuTime>) {
    let ids = generator();
    burst(criterion, "shared", || {
        ids.next_id().expect("far below the cap")
    });
    let local = generator().local(256);
    burst(criterion, "leased_256", || {
        local.next_id().expect("far below the cap")
    });
    let ids = generator();
    burst_of(criterion, "batch_1024", |burst: &mut [Id]| {
        for batch in burst.chunks_mut(1_024) {
            ids.fill(batch).expect("far below the cap");
        }
    });
    let keeper = leased();
    burst(criterion, "shared_leased_node", || {
        keeper.generator().next_id().expect("far below the cap")
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
}

/// The clock and the shared word alone, without layout, node or limit; a number in memory that is
/// read and written back; numbers in order, written without asking anybody.
fn floors(criterion: &mut Criterion<CpuTime>) {
    let clock = CoarseClock::new();
    let mut readings = 0;
    burst(criterion, "coarse_clock", || {
        readings += 1;
        (clock.now(), readings)
    });
    let word = AtomicU64::new(0);
    burst(criterion, "clock_and_cas", || {
        let now = clock.now().as_millis() << 12;
        let mut last = word.load(Ordering::Relaxed);
        loop {
            let next = now.max(last + 1);
            match word.compare_exchange_weak(last, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return next,
                Err(moved) => last = moved,
            }
        }
    });
    let counter = Cell::new(0_u64);
    burst(criterion, "counter", || {
        let counter = black_box(&counter);
        counter.set(counter.get() + 1);
        counter.get()
    });
    let mut number = 0_u64;
    burst_of(criterion, "numbers", |burst| {
        for slot in burst {
            number += 1;
            *slot = number;
        }
    });
}

fn others(criterion: &mut Criterion<CpuTime>) {
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

/// A generator whose node is leased for longer than the bench takes.
fn leased() -> LeaseKeeper {
    let clock = CoarseClock::new();
    let leases = MemoryNodeLeases::new(1_024, Arc::new(clock.clone()));
    let hour = Duration::from_secs(3_600);
    let options = KeeperOptions::default().with_ttl(hour).with_reserve(hour);
    let opening = LeaseKeeper::open(Arc::new(leases), Layout::DISCORD, clock, &options);
    let opened = futures::executor::block_on(opening).expect("memory does not fail");
    opened.granted().expect("1,024 nodes are free")
}

/// Asks without pause, and sleeps as long as a refusal says. Ours are first driven until they are
/// refused, so that the second they may run ahead of the clock is not counted.
fn sustained() -> String {
    let mut table = format!(
        "\nsustained, without pause, one thread\n{:<24}{:>9}{:>14}\n",
        "", "M/s", "CPU ns an id"
    );
    let ids = generator();
    let mut batch = [Id::new(0); 1_024];
    while ids.fill(&mut batch).is_ok() {}
    let shared = || loop {
        match ids.next_id() {
            Ok(id) => return id,
            Err(refusal) => wait(refusal),
        }
    };
    one_by_one(&mut table, "shared", shared);
    line(&mut table, "batch_1024", || match ids.fill(&mut batch) {
        Ok(()) => batch.len(),
        Err(refusal) => {
            wait(refusal);
            0
        }
    });
    one_by_one(&mut table, "ferroid_atomic", peers::ferroid_atomic());
    one_by_one(&mut table, "snowflaked", peers::snowflaked());
    one_by_one(&mut table, "rs_snowflake", peers::rs_snowflake());
    one_by_one(&mut table, "ulid", peers::ulid());
    one_by_one(&mut table, "uuid_v7", peers::uuid_v7());
    table
}

fn wait(refusal: IdError) {
    thread::sleep(refusal.retry_after().expect("only the cap refuses"));
}

fn one_by_one<T: Ord + Copy + Default>(table: &mut String, name: &str, next: impl Fn() -> T) {
    const CHUNK: usize = 256;
    let mut last = T::default();
    line(table, name, || {
        for _ in 0..CHUNK {
            let id = next();
            assert!(id > last, "{name} went back");
            last = id;
        }
        CHUNK
    });
}

fn line(table: &mut String, name: &str, chunk: impl FnMut() -> usize) {
    let run = Sustained::measure(Duration::from_millis(700), chunk);
    let millions = run.per_second / 1e6;
    writeln!(table, "{name:<24}{millions:>9.2}{:>14.1}", run.cpu_nanos)
        .expect("a string takes what is written");
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
    targets = ours, floors, others
}
