//! Two feeds of two processes, their clients, and a feed that reads outboxes alone.

use std::{sync::Arc, time::Duration};

use backplane::ManualClock;
use feed_core::{
    Entry, Feed, FeedOptions, FeedParts, Hybrid, MemoryTimelines, MemoryTimelinesOptions, NewPost,
    PageRequest, PageSize, PostId, Result, Seek, UserId,
};
use futures::FutureExt as _;

use crate::{
    flaky::{Fault, Faults, Flaky, Strike},
    fleet::Fleet,
};

/// How many users there are.
pub(crate) const USERS: u64 = 5;

/// What a client does at one of the processes, or what happens to the system.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Publish(u64),
    Repost(u64, usize),
    Delete(usize),
    Follow(u64, u64),
    Unfollow(u64, u64),
    Read(u64),
    Work(usize),
    LoseTimeline(u64),
    /// The process takes the next step of a move, to the ring of these stores if it is the first.
    Move(u8),
    CancelMove,
    /// All that was published is delivered, and everybody looks at their feed.
    Compare,
    Pass(Duration),
}

/// What comes in the way of an operation.
#[derive(Clone, Debug)]
pub(crate) enum Interruption {
    Fault(Fault),
    /// Others do this, each at one of the processes.
    Meanwhile(Vec<(usize, Op)>),
}

/// An operation at one of the processes, and what comes in the way of which of its calls of a store.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) process: usize,
    pub(crate) op: Op,
    pub(crate) interruption: Option<(u32, Interruption)>,
}

/// Clones share it.
#[derive(Clone)]
pub(crate) struct World(Arc<Parts>);

struct Parts {
    fleet: Fleet,
    feeds: [Feed; 2],
    /// A feed whose timelines are always cold.
    pulling: Feed,
    clock: ManualClock,
    faults: Arc<Faults>,
}

impl World {
    /// Authors with up to `push_below` followers are pushed.
    pub(crate) fn new(push_below: u64) -> Self {
        let clock = ManualClock::default();
        let mut sound = FeedParts::in_memory_at(Arc::new(clock.clone()));
        let none = MemoryTimelinesOptions::default().with_max_bytes(0);
        sound.timelines = Arc::new(MemoryTimelines::new(none));
        sound.policy = Arc::new(Hybrid::new(push_below + 1).with_push_below(push_below));
        sound.options = FeedOptions::default()
            .with_post_quota(None)
            .with_followers_per_piece(2)
            .with_backfill_posts(2)
            .with_build_entries(5)
            .with_repost_span(3)
            .with_scan_budget(10_000)
            .with_attempts(3)
            .with_call_timeout(Duration::from_secs(10));
        let faults = Arc::new(Faults::default());
        let fleet = Fleet::new(&faults);
        let feed = |process| {
            Feed::new(FeedParts {
                timelines: fleet.timelines(process),
                outbox: Flaky::new(Arc::clone(&sound.outbox), &faults),
                graph: Flaky::new(Arc::clone(&sound.graph), &faults),
                queue: Flaky::new(Arc::clone(&sound.queue), &faults),
                ..sound.clone()
            })
        };
        Self(Arc::new(Parts {
            feeds: [feed(0), feed(1)],
            pulling: Feed::new(sound),
            fleet,
            clock,
            faults,
        }))
    }

    pub(crate) fn step(&self, step: &Step) {
        if let Some((calls, interruption)) = &step.interruption {
            let strike = match interruption {
                Interruption::Fault(fault) => Strike::Fault(*fault),
                Interruption::Meanwhile(ops) => self.meanwhile(ops.clone()),
            };
            self.0.faults.arm(*calls, strike);
        }
        self.apply(step.process, &step.op);
        self.0.faults.disarm();
    }

    fn meanwhile(&self, ops: Vec<(usize, Op)>) -> Strike {
        let world = self.clone();
        Strike::Meanwhile(Box::new(move || {
            for (process, op) in &ops {
                world.apply(*process, op);
            }
        }))
    }

    /// Whether it fails, or its process dies, is of no matter: what happened is what the durable
    /// stores say.
    fn apply(&self, process: usize, op: &Op) {
        let Parts {
            fleet,
            feeds,
            clock,
            ..
        } = &*self.0;
        let (feed, user) = (&feeds[process], UserId::new);
        // So that every post has a millisecond, and the generator is never exhausted.
        clock.advance(Duration::from_millis(1));
        match *op {
            Op::Publish(author) => attempt(feed.publish(user(author), NewPost::new("a post"))),
            Op::Repost(actor, nth) => {
                let Some(entry) = self.pick(nth) else { return };
                attempt(feed.repost(user(actor), entry.post));
            }
            Op::Delete(nth) => {
                let Some(entry) = self.pick(nth) else { return };
                attempt(feed.delete(entry.author, entry.post));
            }
            Op::Follow(viewer, author) => {
                attempt(feed.follow(user(viewer), user(author)));
            }
            Op::Unfollow(viewer, author) => attempt(feed.unfollow(user(viewer), user(author))),
            Op::Read(viewer) => attempt(feed.home(user(viewer), PageRequest::newest())),
            Op::Work(pieces) => attempt(feed.work(pieces)),
            Op::LoseTimeline(viewer) => {
                for (_, store) in &fleet.sound {
                    now(store.drop_many(&[user(viewer)]));
                }
            }
            Op::Move(members) => fleet.advance(process, members),
            Op::CancelMove => fleet.cancel(),
            Op::Compare => self.compare(),
            Op::Pass(time) => clock.advance(time),
        }
    }

    /// One of the entries there are.
    fn pick(&self, nth: usize) -> Option<Entry> {
        let users: Vec<_> = (0..USERS).map(UserId::new).collect();
        let outbox = &self.0.pulling.parts().outbox;
        let entries = now(outbox.latest(&users, Seek::Newest, 1_000));
        (!entries.is_empty()).then(|| entries[nth % entries.len()])
    }

    /// Lets all work be done, and then all see the same.
    pub(crate) fn compare(&self) {
        self.0.faults.disarm();
        self.settle();
        for viewer in (0..USERS).map(UserId::new) {
            let expected = walk(&self.0.pulling, viewer);
            for (process, feed) in self.0.feeds.iter().enumerate() {
                let shown = walk(feed, viewer);
                assert_eq!(shown, expected, "home of {viewer} at process {process}");
            }
        }
    }

    fn settle(&self) {
        let Parts {
            feeds,
            pulling,
            clock,
            ..
        } = &*self.0;
        for round in 0..1_000 {
            now(feeds[round % 2].work_all());
            let stats = now(pulling.parts().queue.stats());
            if stats.ready + stats.delayed + stats.leased == 0 {
                return;
            }
            clock.advance(Duration::from_secs(7));
        }
        panic!("work does not end");
    }
}

/// The home feed from the newest page to the last.
fn walk(feed: &Feed, viewer: UserId) -> Vec<PostId> {
    let size = PageSize::new(3).expect("a valid size");
    let mut request = PageRequest::newest().with_size(size);
    let mut shown = Vec::new();
    loop {
        let page = now(feed.home(viewer, request));
        shown.extend(page.entries.iter().map(|entry| entry.post));
        let Some(next) = page.next else { return shown };
        request = PageRequest::at(next).with_size(size);
    }
}

fn attempt<T>(call: impl Future<Output = Result<T>>) {
    let _ = call.now_or_never();
}

/// Memory stores never wait.
pub(crate) fn now<T, E: std::fmt::Debug>(answer: impl Future<Output = Result<T, E>>) -> T {
    let answer = answer.now_or_never().expect("memory stores never wait");
    answer.expect("nothing fails")
}
