use backplane::Timestamp;
use bench::CpuTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion};
use feed_core::{
    BuildStart, Entry, MemoryTimelines, MemoryTimelinesOptions, PostId, Seek, TimelineStore, UserId,
};
use futures::FutureExt as _;

use crate::{
    FANOUT, FOLLOWERS, PAGE,
    crowd::{CAPACITY, Crowd, VIEWERS},
};

/// So many timelines stay in a core's cache.
const FEW: u64 = 100;
const LIMIT: usize = 20;
const NEVER: u64 = u64::MAX;
const OFTEN: u64 = 5;

type Group<'a> = BenchmarkGroup<'a, CpuTime>;

pub(crate) fn run(criterion: &mut Criterion<CpuTime>) {
    let (mut crowd, timelines) = full(VIEWERS, NEVER);
    let mut group = criterion.benchmark_group(PAGE);
    newest(&mut group, "newest_of_100k", &mut crowd, &timelines);
    cursor(&mut group, "cursor_of_100k", &mut crowd, &timelines);
    let (mut few, hot) = full(FEW, NEVER);
    newest(&mut group, "newest_hot", &mut few, &hot);
    cursor(&mut group, "cursor_hot", &mut few, &hot);
    group.finish();

    let mut group = criterion.benchmark_group(FANOUT);
    for followers in FOLLOWERS {
        let id = BenchmarkId::new("memory", followers);
        fanout(&mut group, id, &mut crowd, followers, |owners, entry| {
            timelines.push_many(owners, entry).reached
        });
    }
    let store: &dyn TimelineStore = &timelines;
    let id = BenchmarkId::new("memory_async", 1_000);
    fanout(&mut group, id, &mut crowd, 1_000, |owners, entry| {
        let report = store.push_many(owners, entry).now_or_never();
        let report = report.expect("memory does not wait");
        report.expect("memory does not fail").reached
    });
    group.finish();
    drop(timelines);

    let (mut crowd, timelines) = full(VIEWERS, OFTEN);
    let mut group = criterion.benchmark_group(FANOUT);
    let id = BenchmarkId::new("memory_reposts", 1_000);
    fanout(&mut group, id, &mut crowd, 1_000, |owners, entry| {
        timelines.push_many(owners, entry).reached
    });
    group.finish();
    let mut group = criterion.benchmark_group(PAGE);
    newest(&mut group, "reposts_of_100k", &mut crowd, &timelines);
    group.finish();
}

/// Of timelines without and with reposts.
pub(crate) fn bytes_an_entry() -> (f64, f64) {
    const SOME: u32 = 10_000;
    let bytes = |repost_every| {
        let (_, timelines) = full(u64::from(SOME), repost_every);
        let bytes = u32::try_from(timelines.bytes() / 1_000).expect("less than 4 TB");
        f64::from(bytes) / f64::from(SOME) * 1_000.0 / 800.0
    };
    (bytes(NEVER), bytes(OFTEN))
}

/// Full timelines of that many viewers.
fn full(viewers: u64, repost_every: u64) -> (Crowd, MemoryTimelines) {
    let options = MemoryTimelinesOptions::default().with_max_bytes(4 << 30);
    let timelines = MemoryTimelines::new(options);
    let crowd = Crowd::new(viewers, repost_every);
    let line: Vec<_> = crowd.line().collect();
    for viewer in (0..viewers).map(UserId::new) {
        let now = Timestamp::EPOCH;
        let BuildStart::Started(ticket) = timelines.begin_build(viewer, now, now) else {
            unreachable!("every viewer is built once");
        };
        assert!(timelines.commit_build(ticket, &line, PostId::MIN));
    }
    (crowd, timelines)
}

fn fanout(
    group: &mut Group<'_>,
    id: BenchmarkId,
    crowd: &mut Crowd,
    followers: u32,
    push: impl Fn(&[UserId], Entry) -> usize,
) {
    group.bench_function(id, |bencher| {
        bencher.iter(|| {
            let entry = crowd.post(followers);
            let reached = push(crowd.followers(followers as usize), entry);
            assert_eq!(reached, followers as usize);
        });
    });
}

fn newest(group: &mut Group<'_>, id: &str, crowd: &mut Crowd, timelines: &MemoryTimelines) {
    group.bench_function(id, |bencher| {
        bencher.iter(|| {
            let window = timelines.window(crowd.viewer(), Seek::Newest, LIMIT);
            assert_eq!(window.entries.len(), LIMIT);
            window
        });
    });
}

fn cursor(group: &mut Group<'_>, id: &str, crowd: &mut Crowd, timelines: &MemoryTimelines) {
    let posts: Vec<_> = crowd.line().skip(LIMIT).map(|entry| entry.post).collect();
    assert_eq!(posts.len() + LIMIT, usize::try_from(CAPACITY).unwrap_or(0));
    group.bench_function(id, |bencher| {
        bencher.iter(|| {
            let post = posts[crowd.rng.usize(..posts.len())];
            let window = timelines.window(crowd.viewer(), Seek::Before(post), LIMIT);
            assert_eq!(window.entries.len(), LIMIT);
            window
        });
    });
}
