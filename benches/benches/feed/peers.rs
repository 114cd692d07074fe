use std::{io, time::Duration};

use backplane::{Clock, SystemClock};
use bench::CpuTime;
use bench_peers::timelines::{Lists, Sets};
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode};
use feed_core::UserId;

use crate::{
    FANOUT, FOLLOWERS, PAGE,
    crowd::{CAPACITY, Crowd, VIEWERS},
};

/// As many as fill in a few seconds.
const LISTS: u32 = 20_000;
const BOUND: usize = 800;

type Group<'a> = BenchmarkGroup<'a, CpuTime>;

pub(crate) fn run(criterion: &mut Criterion<CpuTime>) {
    sets(criterion);
    let mut group = criterion.benchmark_group(FANOUT);
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    lists(&mut group).expect("Redis answers");
    group.finish();
}

fn sets(criterion: &mut Criterion<CpuTime>) {
    let mut crowd = Crowd::new(VIEWERS, u64::MAX);
    let sets = Sets::new(BOUND);
    for viewer in 0..VIEWERS {
        sets.fill(viewer, crowd.line().map(|entry| entry.post.get()));
    }
    let mut group = criterion.benchmark_group(PAGE);
    group.bench_function("dashmap_btreeset", |bencher| {
        bencher.iter(|| {
            let page = sets.newest(crowd.viewer().get(), 20);
            assert_eq!(page.len(), 20);
            page
        });
    });
    group.finish();
    let mut group = criterion.benchmark_group(FANOUT);
    for followers in FOLLOWERS {
        let id = BenchmarkId::new("dashmap_btreeset", followers);
        group.bench_function(id, |bencher| {
            bencher.iter(|| {
                let post = crowd.post(followers).post;
                let owners = raw(crowd.followers(followers as usize));
                sets.push(&owners, post.get());
            });
        });
    }
    group.finish();
}

fn lists(group: &mut Group<'_>) -> io::Result<()> {
    let mut lists = filled()?;
    let mut crowd = Crowd::new(u64::from(LISTS), u64::MAX);
    for followers in FOLLOWERS {
        let id = BenchmarkId::new("redis_server", followers);
        group.bench_function(id, |bencher| {
            bencher.iter_custom(|rounds| {
                pushed(&mut lists, &mut crowd, followers, rounds, Lists::cpu)
                    .expect("Redis answers")
            });
        });
    }
    let clock = SystemClock::new();
    group.bench_function(BenchmarkId::new("redis_wall", 1_000), |bencher| {
        bencher.iter_custom(|rounds| {
            let wall = |_: &mut Lists| Ok(clock.monotonic());
            pushed(&mut lists, &mut crowd, 1_000, rounds, wall).expect("Redis answers")
        });
    });
    Ok(())
}

/// What `clock` says that so many posts took; to encode the requests is not counted.
fn pushed(
    lists: &mut Lists,
    crowd: &mut Crowd,
    followers: u32,
    rounds: u64,
    clock: impl Fn(&mut Lists) -> io::Result<Duration>,
) -> io::Result<Duration> {
    let requests = (0..rounds).map(|_| {
        let post = crowd.post(followers).post;
        let owners = raw(crowd.followers(followers as usize));
        lists.encode(&owners, post.get())
    });
    let requests: Vec<_> = requests.collect();
    let before = clock(lists)?;
    for requests in &requests {
        lists.call(requests, 2 * followers as usize)?;
    }
    Ok(clock(lists)?.saturating_sub(before))
}

/// What a post of a full list takes in the server.
pub(crate) fn bytes_an_entry() -> io::Result<f64> {
    let bytes = filled()?.bytes()?;
    Ok(bytes / f64::from(LISTS) / 800.0)
}

fn filled() -> io::Result<Lists> {
    let mut lists = Lists::new(BOUND)?;
    let crowd = Crowd::new(u64::from(LISTS), u64::MAX);
    let line: Vec<_> = crowd.line().map(|entry| entry.post.get()).collect();
    assert_eq!(line.len() as u64, CAPACITY);
    for viewer in 0..u64::from(LISTS) {
        lists.fill(viewer, line.iter().copied())?;
    }
    Ok(lists)
}

fn raw(owners: &[UserId]) -> Vec<u64> {
    owners.iter().map(|owner| owner.get()).collect()
}
