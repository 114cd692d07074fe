//! One of several stores of timelines is down for a while.

use std::{
    collections::HashSet,
    future::ready,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use async_trait::async_trait;
use backplane::{
    ManualClock,
    queue::{Lane, Lease},
    ring::HashRing,
};
use feed_core::{
    Audience, Change, EdgeRoute, Feed, FeedEvent, FeedEvents, FeedParts, Followed, NewPost,
    PageRequest, Placement, PostId, Published, Result, Route, Seek, ShardedTimelines, UserId,
};
use parking_lot::Mutex;

use crate::{
    flaky::{Fault, Faults, Flaky, Strike},
    fleet::{flaky, shards, stores},
    world::now,
};

/// A feed whose timelines are in four stores, the last of which may be down.
struct Town {
    feed: Feed,
    clock: ManualClock,
    ring: HashRing,
    last: Arc<Faults>,
    graph: Arc<Faults>,
    told: Arc<Told>,
}

/// Of which posts watchers were told, and followers, once for each of them; and of which that they are
/// gone.
#[derive(Debug, Default)]
struct Told {
    watchers: Mutex<Vec<PostId>>,
    followers: Mutex<usize>,
    of_the_end: Mutex<(Vec<PostId>, usize)>,
}

#[async_trait]
impl FeedEvents for Told {
    async fn emit(&self, events: &[FeedEvent]) -> Result<()> {
        for event in events {
            if let FeedEvent::Post {
                entry,
                audience,
                change,
            } = event
            {
                let mut of_the_end = self.of_the_end.lock();
                match audience {
                    Audience::Author if *change == Change::Retracted => {
                        of_the_end.0.push(entry.post);
                    }
                    Audience::Followers(followers) if *change == Change::Retracted => {
                        of_the_end.1 += followers.len();
                    }
                    Audience::Author => self.watchers.lock().push(entry.post),
                    Audience::Followers(followers) => *self.followers.lock() += followers.len(),
                }
            }
        }
        Ok(())
    }
}

impl Town {
    fn new() -> Self {
        let clock = ManualClock::default();
        let last = Arc::new(Faults::default());
        let mut stores = stores(4, 50);
        stores[3] = flaky(&stores, &last).remove(3);
        let (told, graph) = (Arc::new(Told::default()), Arc::new(Faults::default()));
        let mut parts = FeedParts::in_memory_at(Arc::new(clock.clone()));
        parts.graph = Flaky::new(parts.graph, &graph);
        parts.events = Arc::clone(&told) as _;
        let settled = shards(&stores, 0b1111);
        let ring = settled.ring().clone();
        parts.timelines = Arc::new(ShardedTimelines::new(Placement::settled(settled)));
        Self {
            feed: Feed::new(parts),
            clock,
            ring,
            last,
            graph,
            told,
        }
    }

    /// Users whose timelines are in the last store, or in the others.
    fn users(&self, in_last: bool) -> impl Iterator<Item = UserId> + '_ {
        let is_last = |user: &u64| {
            let owner = self.ring.owner_of_u64(*user).expect("every key is owned");
            owner.name().as_bytes() == b"s3"
        };
        (1..)
            .filter(move |user| is_last(user) == in_last)
            .map(UserId::new)
    }

    /// An author with a timeline in the last store or in the others, whom so many users with timelines
    /// in the last store follow, and in the others.
    fn author(&self, is_last: bool, in_last: usize, in_others: usize) -> (UserId, Vec<UserId>) {
        let author = self.users(is_last).next().expect("users do not end");
        let mut followers: Vec<_> = self.users(false).skip(1).take(in_others).collect();
        followers.extend(self.users(true).skip(1).take(in_last));
        for &follower in &followers {
            now(self.feed.follow(follower, author));
            now(self.feed.home(follower, PageRequest::newest()));
        }
        (author, followers)
    }

    fn publish(&self, author: UserId) -> PostId {
        self.clock.advance(Duration::from_millis(1));
        match now(self.feed.publish(author, NewPost::new("a post"))) {
            Published::Accepted(post) => post,
            other => panic!("{other:?}"),
        }
    }

    fn outage(&self) {
        self.last.arm(0, Strike::Outage { store: None });
    }

    /// All tasks there are.
    fn queued(&self) -> usize {
        let stats = now(self.feed.parts().queue.stats());
        stats.ready + stats.delayed + stats.leased + stats.dead
    }

    /// Does what is due, and then what is delayed, until there is nothing.
    fn settle(&self) {
        for _ in 0..1_000 {
            now(self.feed.work_all());
            if self.queued() == 0 {
                return;
            }
            self.clock.advance(Duration::from_secs(60));
        }
        panic!("work does not end");
    }

    fn holds(&self, viewer: UserId, post: PostId) -> bool {
        let window = now(self.feed.parts().timelines.window(viewer, Seek::Newest, 10));
        window.entries.iter().any(|entry| entry.post == post)
    }

    fn shows(&self, viewer: UserId, post: PostId) -> bool {
        let page = now(self.feed.home(viewer, PageRequest::newest()));
        page.entries.iter().any(|entry| entry.post == post)
    }

    fn all_hold(&self, viewers: &[UserId], posts: &[PostId]) -> bool {
        let mut viewers = viewers.iter();
        viewers.all(|&viewer| posts.iter().all(|&post| self.holds(viewer, post)))
    }

    fn all_show(&self, viewers: &[UserId], posts: &[PostId]) -> bool {
        let mut viewers = viewers.iter();
        viewers.all(|&viewer| posts.iter().all(|&post| self.shows(viewer, post)))
    }
}

#[test]
fn a_store_that_is_down_holds_up_no_other_and_leaves_no_task() {
    for in_last in [1, 8, 1_000] {
        let town = Town::new();
        let (author, followers) = town.author(false, in_last, 2_000);
        town.outage();
        let posts: Vec<_> = (0..5).map(|_| town.publish(author)).collect();
        now(town.feed.work_all());
        assert_eq!(town.queued(), 0, "all is done at once");
        assert_eq!(*town.told.watchers.lock(), posts);
        assert_eq!(*town.told.followers.lock(), posts.len() * followers.len());
        assert!(town.all_hold(&followers[..2_000], &posts));

        town.last.disarm();
        assert!(town.all_show(&followers, &posts));
    }
}

#[test]
fn an_author_whose_own_timeline_is_down_reaches_their_followers() {
    let town = Town::new();
    let (author, followers) = town.author(true, 100, 100);
    now(town.feed.home(author, PageRequest::newest()));
    town.outage();
    let posts: Vec<_> = (0..5).map(|_| town.publish(author)).collect();
    now(town.feed.work_all());
    assert_eq!(
        town.queued(),
        posts.len(),
        "a timeline to drop, once a post"
    );
    assert_eq!(*town.told.watchers.lock(), posts);
    assert!(town.all_hold(&followers[..100], &posts));

    town.last.disarm();
    town.settle();
    assert!(town.all_show(&followers, &posts));
    assert!(town.all_show(&[author], &posts));
}

#[test]
fn who_was_away_pulls_where_their_timeline_cannot_be_dropped() {
    let town = Town::new();
    let (author, followers) = town.author(false, 10, 10);
    town.clock.advance(Duration::from_secs(30 * 24 * 60 * 60));
    let here = &followers[..10];
    for &follower in here {
        now(town.feed.home(follower, PageRequest::newest()));
    }
    town.outage();
    let post = town.publish(author);
    now(town.feed.work_all());
    assert_eq!(town.queued(), 0);
    assert!(town.all_hold(here, &[post]));
    town.last.disarm();
    assert!(town.all_show(&followers, &[post]));
}

/// To note a post on an edge is a durable write, and whose timeline went cold needs none.
#[test]
fn of_those_away_only_those_of_the_failing_store_are_noted() {
    let town = Town::new();
    let (author, followers) = town.author(false, 10, 10);
    town.clock.advance(Duration::from_secs(30 * 24 * 60 * 60));
    let edges = || now(town.feed.parts().graph.followers(author, None, 100));
    let before = edges();
    town.outage();
    let post = town.publish(author);
    now(town.feed.work_all());
    assert_eq!(town.queued(), 0);
    let moved = before.iter().zip(edges()).filter(|(was, is)| *was != is);
    let moved: HashSet<_> = moved.map(|(was, _)| was.viewer).collect();
    assert_eq!(moved, followers[10..].iter().copied().collect());
    town.last.disarm();
    assert!(town.all_show(&followers, &[post]));
}

#[test]
fn a_post_is_left_to_readers_where_no_timeline_can_be_written() {
    let town = Town::new();
    let (author, followers) = town.author(true, 100, 0);
    now(town.feed.home(author, PageRequest::newest()));
    town.outage();
    let post = town.publish(author);
    assert_eq!(now(town.feed.work(16)), 1);
    assert_eq!(town.queued(), 1, "it is tried again");
    for _ in 0..20 {
        town.clock.advance(Duration::from_secs(61));
        now(town.feed.work_all());
    }
    assert_eq!(
        town.queued(),
        1,
        "the author's own timeline is to be dropped"
    );
    town.last.disarm();
    town.settle();
    assert!(town.all_show(&followers, &[post]));
    assert!(town.all_show(&[author], &[post]));
}

/// The store that keeps a follower's timeline goes away as their follow ends, with what it read before
/// the post: whatever of the edge fanout has seen by then, the post is not missed.
#[test]
fn a_follow_that_ends_as_its_store_goes_away_misses_no_post() {
    for is_away in [false, true] {
        for calls in 0..10 {
            let town = Town::new();
            let (author, _) = town.author(false, 0, 2);
            let follower = town.users(true).next().expect("users do not end");
            now(town.feed.home(follower, PageRequest::newest()));
            if is_away {
                town.clock.advance(Duration::from_secs(30 * 24 * 60 * 60));
            }
            let graph = Arc::clone(&town.feed.parts().graph);
            let Followed::Added(stamp) = now(graph.follow(follower, author, None)) else {
                panic!("a new edge");
            };
            let post = town.publish(author);
            let edge = EdgeRoute {
                viewer: follower,
                author,
                stamp,
                route: Route::PUSH,
            };
            let end = move || drop(now(graph.reroute(&[edge])));
            town.graph.arm(calls, Strike::Meanwhile(Box::new(end)));
            town.outage();
            now(town.feed.work_all());
            town.graph.disarm();
            town.last.disarm();
            assert!(!town.holds(follower, post));
            town.settle();
            assert!(
                town.shows(follower, post),
                "away: {is_away}, after {calls} calls"
            );
        }
    }
}

/// A post of the past settles an edge, at which a newer one has passed before it was there.
#[test]
fn a_post_of_the_past_that_settles_an_edge_leaves_no_newer_one_out() {
    let town = Town::new();
    let (author, _) = town.author(false, 0, 2);
    let follower = town.users(true).next().expect("users do not end");
    // Fills the timeline, so that it goes back no further.
    let busy = town.users(false).nth(3).expect("users do not end");
    now(town.feed.follow(follower, busy));
    for _ in 0..60 {
        town.publish(busy);
    }
    now(town.feed.home(follower, PageRequest::newest()));
    town.settle();
    town.clock.advance(Duration::from_secs(30 * 24 * 60 * 60));
    let passed = town.publish(author);
    now(town.feed.work_all());

    let graph = &town.feed.parts().graph;
    now(graph.follow(follower, author, None));
    town.outage();
    let past = NewPost::elsewhere(PostId::new(1));
    assert!(now(town.feed.publish(author, past)).post().is_some());
    now(town.feed.work_all());
    assert_eq!(town.queued(), 0);
    town.last.disarm();
    assert!(town.shows(follower, passed));
}

/// Reads ask the outbox, so timelines need not be rid of what is gone.
#[test]
fn a_store_that_is_down_holds_up_no_deletion_and_no_word_of_it() {
    for is_last in [false, true] {
        let town = Town::new();
        let (author, followers) = town.author(is_last, 20, 20);
        now(town.feed.home(author, PageRequest::newest()));
        let post = town.publish(author);
        now(town.feed.work_all());
        town.outage();
        assert!(now(town.feed.delete(author, post)));
        now(town.feed.work_all());
        assert_eq!(
            *town.told.of_the_end.lock(),
            (vec![post], followers.len()),
            "once, and at once"
        );
        town.settle();
        town.last.disarm();
        for viewer in followers.into_iter().chain([author]) {
            assert!(!town.shows(viewer, post));
        }
    }
}

#[test]
fn a_repost_is_taken_back_whose_author_has_a_store_that_is_down() {
    let town = Town::new();
    let (author, _) = town.author(true, 0, 0);
    let post = town.publish(author);
    town.clock.advance(Duration::from_millis(1));
    assert!(now(town.feed.repost(author, post)).post().is_some());
    town.outage();
    assert!(now(town.feed.unrepost(author, post)));
    let counts = now(town.feed.parts().counters.counts(&[post]));
    assert_eq!(counts[0].reposts, 0);
}

/// A store that takes calls and never answers.
#[test]
fn a_store_that_hangs_holds_up_its_pieces_and_not_those_that_wait() {
    let town = Town::new();
    let follow = |viewer, author| {
        now(town.feed.follow(viewer, author));
        now(town.feed.home(viewer, PageRequest::newest()));
    };
    let authors: Vec<_> = town.users(false).take(4).collect();
    let waiting = town.users(true).next().expect("users do not end");
    for &author in &authors[..3] {
        follow(waiting, author);
    }
    let free = town.users(false).nth(4).expect("users do not end");
    follow(free, authors[3]);
    let publish = |&author| town.publish(author);
    let posts: Vec<_> = authors.iter().map(publish).collect();

    let mut work = pin!(town.feed.work(16));
    let mut seconds = 0;
    let done = loop {
        town.last.arm(0, Strike::Fault(Fault::DieBefore));
        if let Poll::Ready(done) = poll_once(&mut work) {
            break done;
        }
        seconds += 1;
        assert!(seconds <= 3 * 60, "the worker hangs");
        town.clock.advance(Duration::from_secs(1));
        // Another worker may take up those that have failed.
        let leased = town.feed.parts().queue.lease(16, Duration::from_secs(600));
        let is_free = |lease: &Lease| lease.lane == Lane::new(authors[3].get());
        assert!(!now(leased).iter().any(is_free), "after {seconds} s");
    };
    assert_eq!(done.expect("the queue answers"), 4);
    assert!(town.holds(free, posts[3]));
    town.last.disarm();
    town.settle();
    assert!(town.all_show(&[waiting], &posts[..3]));
}

#[test]
fn a_store_that_hangs_does_not_keep_a_worker_from_stopping() {
    let town = Town::new();
    let (author, _) = town.author(false, 10, 0);
    town.publish(author);
    town.last.arm(0, Strike::Fault(Fault::DieBefore));
    let mut run = pin!(town.feed.run(ready(())));
    assert!(poll_once(&mut run).is_pending());
    town.clock.advance(Duration::from_secs(60));
    assert!(matches!(poll_once(&mut run), Poll::Ready(Ok(()))));
}

/// A worker holds what it does and what waits behind it for as long as a large store may take.
#[test]
fn to_turn_all_timelines_cold_may_take_as_long_as_a_call() {
    let town = Town::new();
    let (author, followers) = town.author(false, 1, 1);
    let queue = &town.feed.parts().queue;
    now(queue.enqueue(&[Feed::task_after_loss()]));
    town.clock.advance(CALL_TIMEOUT);
    let post = town.publish(author);
    town.last.arm(0, Strike::Fault(Fault::DieBefore));
    let mut work = pin!(town.feed.work(16));
    for seconds in 0..CALL_TIMEOUT.as_secs() {
        assert!(poll_once(&mut work).is_pending(), "after {seconds} s");
        town.clock.advance(Duration::from_secs(1));
        assert_eq!(now(queue.lease(16, CALL_TIMEOUT)), [], "after {seconds} s");
    }
    assert!(matches!(poll_once(&mut work), Poll::Ready(Ok(2))));
    town.settle();
    assert!(!followers.iter().any(|&viewer| town.holds(viewer, post)));
    assert!(town.all_show(&followers, &[post]));
}

#[test]
fn timelines_stay_warm_as_long_as_those_of_another_store_cannot_be_turned_cold() {
    let town = Town::new();
    let (author, followers) = town.author(false, 1, 2);
    let post = town.publish(author);
    town.settle();
    now(town.feed.parts().queue.enqueue(&[Feed::task_after_loss()]));
    town.clock.advance(CALL_TIMEOUT);
    town.outage();
    for _ in 0..20 {
        now(town.feed.work_all());
        assert!(town.all_hold(&followers[..2], &[post]));
        town.clock.advance(Duration::from_secs(61));
    }
    town.last.disarm();
    town.settle();
    assert!(!followers.iter().any(|&viewer| town.holds(viewer, post)));
    assert!(town.all_show(&followers, &[post]));
}

/// As options have it by themselves.
const CALL_TIMEOUT: Duration = Duration::from_secs(300);

fn poll_once<F: Future>(future: &mut Pin<&mut F>) -> Poll<F::Output> {
    future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
}
