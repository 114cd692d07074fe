//! What a feed costs that lies in a file: durable appends, alone and together, and the reads of a
//! page.
//!
//! The file holds 2,000 authors with 20 posts each, in random order of authors; all of it fits
//! redb's cache. An append's CPU time is that of the caller and the writer's thread together. What
//! bounds appends is the disk, not the processor, so their number a second by the wall clock stands
//! below the table: it is this machine's disk's.

use std::{
    cell::Cell,
    hint::black_box,
    io::{self, Write as _},
    sync::Arc,
    time::Duration,
};

use backend_redb::{
    RedbActivity, RedbActivityOptions, RedbGraph, RedbGraphOptions, RedbOutbox, RedbOutboxOptions,
    Writer, WriterOptions, redb::Database,
};
use backplane::{Clock, SystemClock};
use bench::{Bars, CpuTime, Row};
use bytes::Bytes;
use criterion::{BenchmarkGroup, Criterion, criterion_group};
use feed_core::{Activity, Entry, Graph, Habit, Outbox, PostId, Publication, Seek, UserId};
use futures::{executor::block_on, future::join_all};

const AUTHORS: u64 = 2_000;
const POSTS_EACH: u64 = 20;
const CALLERS: u32 = 256;
const PAGE: usize = 20;
/// The first post's id: 57 bits, as of an id that carries a time.
const FIRST: u64 = 1_790_000_000_000 << 16;

fn main() -> io::Result<()> {
    let bars = bars();
    benches();
    bars.print()?;
    if bars.is_empty() {
        return Ok(());
    }
    appends_a_second()
}

fn bars() -> Bars {
    let mut bars = Bars::new("redb: CPU ns, median of this run");
    let row = |name| Row::new("redb", name);
    bars.row(row("append_alone").cap("the disk"));
    let together = row("append_of_256_callers").items(CALLERS);
    bars.row(together.cap("the disk"));
    bars.row(row("newest_50_authors"));
    bars.row(row("lookup_20_posts"));
    bars.row(row("circle_of_200"));
    bars.row(row("note_again"));
    bars
}

/// A file with a feed's stores, which is gone when this is dropped.
struct File {
    outbox: RedbOutbox,
    graph: RedbGraph,
    activity: RedbActivity,
    next: Cell<u64>,
    _folder: tempfile::TempDir,
}

impl File {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let database = Database::create(folder.path().join("feed.redb"));
        let database = Arc::new(database.expect("the file is new"));
        let writer = Writer::start(database, WriterOptions::default()).expect("there is a thread");
        let clock = Arc::new(SystemClock::new());
        let activity = RedbActivity::open(&writer, "bench", clock, RedbActivityOptions::default());
        Self {
            outbox: block_on(RedbOutbox::open(
                &writer,
                "bench",
                RedbOutboxOptions::default(),
            ))
            .expect("the file is new"),
            graph: block_on(RedbGraph::open(
                &writer,
                "bench",
                RedbGraphOptions::default(),
            ))
            .expect("the file is new"),
            activity: block_on(activity).expect("the file is new"),
            next: Cell::new(FIRST),
            _folder: folder,
        }
    }

    fn filled(rng: &mut fastrand::Rng) -> Self {
        let file = Self::new();
        let mut order: Vec<u64> = (0..AUTHORS * POSTS_EACH).map(|n| n % AUTHORS).collect();
        rng.shuffle(&mut order);
        let posts: Vec<_> = order
            .iter()
            .map(|&author| file.publication(author))
            .collect();
        block_on(file.outbox.append(&posts)).expect("there is room");
        file
    }

    fn publication(&self, author: u64) -> Publication {
        let post = PostId::new(self.next.get());
        self.next.set(self.next.get() + 1);
        let entry = Entry::original(post, UserId::new(author));
        Publication::new(entry, Bytes::from_static(b"a body"))
    }

    /// One append of each of so many callers who wait together.
    fn append(&self, callers: u32) {
        let items: Vec<_> = (0..callers).map(|n| [self.publication(n.into())]).collect();
        let appends = items.iter().map(|item| self.outbox.append(item));
        for appended in block_on(join_all(appends)) {
            appended.expect("there is room");
        }
    }
}

fn redb(criterion: &mut Criterion<CpuTime>) {
    let mut rng = fastrand::Rng::with_seed(1);
    let file = File::filled(&mut rng);
    let mut group = criterion.benchmark_group("redb");
    outbox(&mut group, &file, &mut rng);
    viewer(&mut group, &file);
    group.finish();
}

fn outbox(group: &mut BenchmarkGroup<'_, CpuTime>, file: &File, rng: &mut fastrand::Rng) {
    group.bench_function("append_alone", |bencher| {
        bencher.iter(|| file.append(1));
    });
    group.bench_function("append_of_256_callers", |bencher| {
        bencher.iter(|| file.append(CALLERS));
    });
    group.bench_function("newest_50_authors", |bencher| {
        bencher.iter(|| {
            let authors = rng.choose_multiple(0..AUTHORS, 50);
            let authors: Vec<_> = authors.into_iter().map(UserId::new).collect();
            let page = block_on(file.outbox.latest(black_box(&authors), Seek::Newest, PAGE));
            assert_eq!(page.expect("the file is sound").len(), PAGE);
        });
    });
    group.bench_function("lookup_20_posts", |bencher| {
        bencher.iter(|| {
            let mut post = || PostId::new(rng.u64(FIRST..FIRST + AUTHORS * POSTS_EACH));
            let posts: Vec<_> = (0..PAGE).map(|_| post()).collect();
            let states = block_on(file.outbox.lookup(black_box(&posts)));
            assert!(
                states.expect("the file is sound")[PAGE - 1]
                    .live()
                    .is_some()
            );
        });
    });
}

fn viewer(group: &mut BenchmarkGroup<'_, CpuTime>, file: &File) {
    let viewer = UserId::new(7);
    let follows = (100..300)
        .map(UserId::new)
        .map(|author| file.graph.follow(viewer, author, None));
    for followed in block_on(join_all(follows)) {
        followed.expect("there is room");
    }
    group.bench_function("circle_of_200", |bencher| {
        bencher.iter(|| {
            let circles = block_on(file.graph.circles(&[viewer])).expect("the file is sound");
            assert_eq!(circles[0].sources().len(), 201);
        });
    });
    let now = SystemClock::new().now();
    group.bench_function("note_again", |bencher| {
        bencher.iter(|| {
            let noted = block_on(file.activity.note(Habit::Visit, &[viewer], now));
            noted.expect("there is room");
        });
    });
}

fn appends_a_second() -> io::Result<()> {
    let clock = SystemClock::new();
    let file = File::filled(&mut fastrand::Rng::with_seed(1));
    let mut out = io::stdout().lock();
    writeln!(out, "\nredb: durable appends a second, by the wall clock")?;
    for (callers, rounds) in [(1, 2_000), (CALLERS, 200)] {
        let start = clock.monotonic();
        for _ in 0..rounds {
            file.append(callers);
        }
        let took = clock.monotonic().saturating_sub(start);
        let rate = f64::from(callers * rounds) / took.as_secs_f64();
        writeln!(out, "{callers:>4} callers {rate:>10.0}")?;
    }
    Ok(())
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .with_measurement(CpuTime::Process)
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = redb
}
