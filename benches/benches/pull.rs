//! What a read costs that pulls: merges of outboxes, lookups, and the graph that says whom to pull.
//!
//! Authors have 20 posts each, in random order of authors, and every merge asks for another random
//! set of them. There are 2,000 authors in the `warm` rows, as many as a feed pulls because they are
//! widely followed: they stay in a core's cache. There are 100,000 in the `cold` rows, where most of
//! what a merge touches comes from memory.

use std::{hint::black_box, time::Duration};

use bench::{Bars, CpuTime, Row};
use bytes::Bytes;
use criterion::{BatchSize, Bencher, BenchmarkGroup, Criterion, criterion_group};
use feed_core::{
    Entry, FollowSettings, MemoryGraph, MemoryOutbox, PostId, Publication, Seek, UserId,
};

/// The groups, and how many authors each has.
const POPULATIONS: [(&str, u64); 2] = [("warm", 2_000), ("cold", 100_000)];
const POSTS_EACH: u64 = 20;
const FOLLOWERS: u64 = 1_000_000;
const CHUNK: u32 = 1_000;
const PAGE: usize = 20;
/// The first post's id: 57 bits, as of an id that carries a time.
const FIRST: u64 = 1_790_000_000_000 << 16;

type Group<'a> = BenchmarkGroup<'a, CpuTime>;

fn main() -> std::io::Result<()> {
    let bars = bars();
    benches();
    bars.print()
}

fn bars() -> Bars {
    let mut bars = Bars::new("pull: CPU ns, median of this run");
    for (group, _) in POPULATIONS {
        let row = |name| Row::new(format!("pull_{group}"), format!("{group}_{name}"));
        bars.row(row("newest_50_authors").bar(3_000.0));
        bars.row(row("newest_200_authors").bar(8_000.0));
        bars.row(row("before_50_authors"));
        bars.row(row("before_200_authors"));
        bars.row(row("build_1000_authors").bar(1_000_000.0));
        bars.row(row("lookup_20_posts").bar(1_000.0));
        bars.row(row("append_one"));
    }
    bars.row(Row::new("graph", "walk_edge").items(CHUNK).bar(20.0));
    bars.row(Row::new("graph", "circle_kept"));
    bars.row(Row::new("graph", "circle_made_of_200"));
    bars
}

fn pull(criterion: &mut Criterion<CpuTime>) {
    for (name, authors) in POPULATIONS {
        let mut group = criterion.benchmark_group(format!("pull_{name}"));
        Pull::new(name, authors).run(&mut group);
        group.finish();
    }
}

struct Pull {
    name: &'static str,
    authors: u64,
    outbox: MemoryOutbox,
    rng: fastrand::Rng,
}

impl Pull {
    fn new(name: &'static str, authors: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut order: Vec<u64> = (0..authors * POSTS_EACH).map(|n| n % authors).collect();
        rng.shuffle(&mut order);
        let outbox = MemoryOutbox::default();
        for (post, author) in (FIRST..).zip(order) {
            let item = publication(author, post);
            outbox.append(&[item]).expect("there is room");
        }
        Self {
            name,
            authors,
            outbox,
            rng,
        }
    }

    fn run(&mut self, group: &mut Group<'_>) {
        for count in [50, 200] {
            let sets = self.sets(count);
            self.latest(group, "newest", &sets, |_| Seek::Newest);
            let posts = self.authors * POSTS_EACH;
            self.latest(group, "before", &sets, |rng| {
                Seek::Before(PostId::new(FIRST + rng.u64(posts / 2..posts)))
            });
        }
        self.build(group);
        self.lookup(group);
        self.append(group);
    }

    fn latest(
        &mut self,
        group: &mut Group<'_>,
        place: &str,
        sets: &[Vec<UserId>],
        seek: impl Fn(&mut fastrand::Rng) -> Seek,
    ) {
        let id = format!("{}_{place}_{}_authors", self.name, sets[0].len());
        group.bench_function(id, |bencher| {
            over(bencher, sets, |authors| {
                let seek = seek(&mut self.rng);
                let page = self.outbox.latest(black_box(authors), seek, PAGE);
                assert_eq!(page.len(), PAGE);
                assert!(page[0].post > page[PAGE - 1].post);
            });
        });
    }

    fn build(&mut self, group: &mut Group<'_>) {
        let sets = self.sets(1_000);
        group.bench_function(format!("{}_build_1000_authors", self.name), |bencher| {
            over(bencher, &sets, |authors| {
                let entries = self.outbox.latest(authors, Seek::Newest, 800);
                assert_eq!(entries.len(), 800);
            });
        });
    }

    fn lookup(&mut self, group: &mut Group<'_>) {
        let sets = self.sets(50);
        let pages = sets
            .iter()
            .map(|authors| self.outbox.latest(authors, Seek::Newest, PAGE))
            .map(|page| page.iter().map(|entry| entry.post).collect());
        let pages: Vec<Vec<PostId>> = pages.collect();
        group.bench_function(format!("{}_lookup_20_posts", self.name), |bencher| {
            over(bencher, &pages, |posts| {
                assert!(self.outbox.lookup(posts)[PAGE - 1].live().is_some());
            });
        });
    }

    fn append(&mut self, group: &mut Group<'_>) {
        let mut next = FIRST + self.authors * POSTS_EACH;
        group.bench_function(format!("{}_append_one", self.name), |bencher| {
            bencher.iter_batched(
                || {
                    next += 1;
                    [publication(self.rng.u64(..self.authors), next)]
                },
                |item| self.outbox.append(&item).expect("there is room"),
                BatchSize::LargeInput,
            );
        });
    }

    /// 500 sets of `count` authors each.
    fn sets(&mut self, count: usize) -> Vec<Vec<UserId>> {
        let mut set = || self.rng.choose_multiple(0..self.authors, count);
        (0..500)
            .map(|_| set().into_iter().map(UserId::new).collect())
            .collect()
    }
}

fn graph(criterion: &mut Criterion<CpuTime>) {
    let (graph, star) = (MemoryGraph::default(), UserId::new(0));
    for viewer in 1..=FOLLOWERS {
        follow(&graph, UserId::new(viewer), star);
    }
    let viewer = UserId::new(7);
    for author in 1..=200 {
        follow(&graph, viewer, UserId::new(FOLLOWERS + author));
    }
    let mut group = criterion.benchmark_group("graph");
    let mut after = None;
    group.bench_function("walk_edge", |bencher| {
        bencher.iter(|| {
            let page = graph.followers(star, after, CHUNK as usize);
            after = page.last().map(|follower| follower.viewer);
            assert!(page.len() == CHUNK as usize || after.is_none());
            page
        });
    });
    group.bench_function("circle_kept", |bencher| {
        bencher.iter(|| assert!(graph.circle(viewer).follows(star)));
    });
    let mut settings = FollowSettings::default();
    group.bench_function("circle_made_of_200", |bencher| {
        bencher.iter_batched(
            || {
                settings = settings.with_notify(!settings.notify);
                graph
                    .follow(viewer, star, Some(settings))
                    .expect("there is room")
            },
            |_| assert_eq!(graph.circle(viewer).sources().len(), 202),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// Measures `work` on one of `inputs` after the other.
fn over<T>(bencher: &mut Bencher<'_, CpuTime>, inputs: &[T], mut work: impl FnMut(&T)) {
    let mut inputs = inputs.iter().cycle();
    bencher.iter(|| inputs.next().map(&mut work));
}

fn publication(author: u64, post: u64) -> Publication {
    let entry = Entry::original(PostId::new(post), UserId::new(author));
    Publication::new(entry, Bytes::from_static(b"a body"))
}

fn follow(graph: &MemoryGraph, viewer: UserId, author: UserId) {
    graph.follow(viewer, author, None).expect("there is room");
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .with_measurement(CpuTime::Thread)
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = pull, graph
}
