use std::sync::Arc;

use bench::CpuTime;
use criterion::{BenchmarkGroup, Criterion};
use feed_core::{
    Feed, FeedOptions, FeedParts, Hybrid, NewPost, Page, PageRequest, PageSource, Published, UserId,
};
use futures::FutureExt as _;

use crate::HOME;

/// They have 25 followers each and are pulled.
const FAMOUS: usize = 2_000;
const PULLED: usize = 50;
/// They have three followers each and are pushed.
const OTHERS: usize = 50_000;
const PUSHED: usize = 150;
const VIEWERS: usize = 1_000;
/// The followers above which an author is pulled.
const THRESHOLD: u64 = 10;

type Group<'a> = BenchmarkGroup<'a, CpuTime>;

pub(crate) fn run(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group(HOME);
    let hybrid = World::new(PULLED);
    let newest = |_: &Page| PageRequest::newest();
    let older = |page: &Page| PageRequest::at(page.next.expect("there are older entries"));
    hybrid.read(&mut group, "pulled_50_hot", 1, newest);
    hybrid.read(&mut group, "pulled_50", VIEWERS, newest);
    hybrid.read(&mut group, "pulled_50_cursor", VIEWERS, older);
    World::new(0).read(&mut group, "all_pushed", VIEWERS, newest);
    group.finish();
}

/// A feed in memory, and viewers who follow `PUSHED` authors that are pushed and some that are not.
struct World {
    feed: Feed,
    viewers: Vec<UserId>,
}

impl World {
    fn new(pulled: usize) -> Self {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut parts = FeedParts::in_memory();
        parts.policy = Arc::new(Hybrid::new(THRESHOLD));
        parts.options = FeedOptions::default().with_post_quota(None);
        let mut users: Vec<_> = (0..)
            .take(VIEWERS + FAMOUS + OTHERS)
            .map(UserId::new)
            .collect();
        rng.shuffle(&mut users);
        let others = users.split_off(VIEWERS + FAMOUS);
        let famous = users.split_off(VIEWERS);
        let world = Self {
            feed: Feed::new(parts),
            viewers: users,
        };
        world.follow(&famous, pulled);
        world.follow(&others, PUSHED);
        let mut posts: Vec<_> = famous.iter().cycle().take(20 * FAMOUS).collect();
        posts.extend(others.iter().cycle().take(4 * OTHERS));
        rng.shuffle(&mut posts);
        world.publish(&posts);
        world
    }

    /// Every viewer follows the next `count` of the authors.
    fn follow(&self, authors: &[UserId], count: usize) {
        let mut authors = authors.iter().cycle();
        for &viewer in &self.viewers {
            for &author in authors.by_ref().take(count) {
                let followed = self.feed.follow(viewer, author);
                now(followed);
            }
        }
        self.work();
    }

    fn publish(&self, authors: &[&UserId]) {
        for authors in authors.chunks(1_000) {
            for &&author in authors {
                let published = now(self.feed.publish(author, NewPost::new("a post")));
                assert!(matches!(published, Published::Accepted(_)));
            }
            self.work();
        }
    }

    fn work(&self) {
        now(self.feed.work_all());
    }

    /// Measures a page of one of so many viewers after the other, whose timelines are warm.
    fn read(
        &self,
        group: &mut Group<'_>,
        id: &str,
        viewers: usize,
        request: impl Fn(&Page) -> PageRequest,
    ) {
        let requests = self.viewers[..viewers].iter().map(|&viewer| {
            let newest = || now(self.feed.home(viewer, PageRequest::newest()));
            newest();
            (viewer, request(&newest()))
        });
        let requests: Vec<_> = requests.collect();
        let mut requests = requests.iter().cycle();
        group.bench_function(id, |bencher| {
            bencher.iter(|| {
                let (viewer, request) = requests.next()?;
                let page = now(self.feed.home(*viewer, *request));
                assert_eq!(page.source, PageSource::Timeline);
                assert_eq!(page.entries.len(), 20);
                Some(page)
            });
        });
    }
}

fn now<T>(future: impl Future<Output = feed_core::Result<T>>) -> T {
    let done = future.now_or_never().expect("memory does not wait");
    done.expect("memory does not fail")
}
