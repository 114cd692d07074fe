//! One of several stores of timelines is down for a while.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use backplane::{ManualClock, ring::HashRing};
use feed_core::{
    Audience, EdgeSettings, Feed, FeedEvent, FeedEvents, FeedParts, NewPost, PageRequest,
    Placement, PostId, Published, Result, Seek, ShardedTimelines, UserId,
};
use parking_lot::Mutex;

use crate::{
    flaky::{Faults, Strike},
    fleet::{flaky, shards, stores},
    world::now,
};

/// A feed whose timelines are in four stores, the last of which may be down.
struct Town {
    feed: Feed,
    clock: ManualClock,
    ring: HashRing,
    last: Arc<Faults>,
    told: Arc<Told>,
}

/// Of which posts watchers were told, and followers, once for each of them.
#[derive(Debug, Default)]
struct Told {
    watchers: Mutex<Vec<PostId>>,
    followers: Mutex<usize>,
}

#[async_trait]
impl FeedEvents for Told {
    async fn emit(&self, events: &[FeedEvent]) -> Result<()> {
        for event in events {
            if let FeedEvent::Post {
                entry, audience, ..
            } = event
            {
                match audience {
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
        let told = Arc::new(Told::default());
        let mut parts = FeedParts::in_memory_at(Arc::new(clock.clone()));
        parts.events = Arc::clone(&told) as _;
        let settled = shards(&stores, 0b1111);
        let ring = settled.ring().clone();
        parts.timelines = Arc::new(ShardedTimelines::new(Placement::settled(settled)));
        Self {
            feed: Feed::new(parts),
            clock,
            ring,
            last,
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

    /// An author whom so many users with timelines in the last store follow, and in the others.
    fn author(&self, in_last: usize, in_others: usize) -> (UserId, Vec<UserId>) {
        let mut others = self.users(false);
        let author = others.next().expect("users do not end");
        let mut followers: Vec<_> = others.take(in_others).collect();
        followers.extend(self.users(true).take(in_last));
        for &follower in &followers {
            now(self.feed.follow(follower, author, EdgeSettings::default()));
            now(self.feed.home(follower, &PageRequest::newest()));
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

    /// Does what is due, and then what is delayed, until there is nothing. Says how many tasks there
    /// were at most.
    fn settle(&self) -> usize {
        let mut most = 0;
        for _ in 0..1_000 {
            while now(self.feed.work(16)) > 0 {
                most = most.max(self.queued());
            }
            if self.queued() == 0 {
                return most;
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
        let page = now(self.feed.home(viewer, &PageRequest::newest()));
        page.entries.iter().any(|entry| entry.post == post)
    }
}

#[test]
fn a_store_that_is_down_costs_one_task_a_post_and_no_more() {
    let town = Town::new();
    let (author, followers) = town.author(1_000, 2_000);
    town.outage();
    let posts: Vec<_> = (0..5).map(|_| town.publish(author)).collect();
    assert_eq!(now(town.feed.work(16)), posts.len());
    assert_eq!(town.queued(), posts.len());
    assert_eq!(
        *town.told.watchers.lock(),
        posts,
        "watchers need no timeline"
    );

    town.last.disarm();
    assert!(town.settle() <= posts.len());
    for post in posts {
        assert!(followers.iter().all(|&viewer| town.holds(viewer, post)));
    }
}

#[test]
fn posts_are_left_to_readers_where_a_store_stays_down() {
    let town = Town::new();
    let (author, followers) = town.author(1_000, 2_000);
    town.outage();
    let post = town.publish(author);
    assert_eq!(town.settle(), 1);
    let in_others = &followers[..2_000];
    assert!(in_others.iter().all(|&viewer| town.shows(viewer, post)));
    town.last.disarm();
    assert!(followers.iter().all(|&viewer| town.shows(viewer, post)));
}

#[test]
fn a_few_timelines_that_cannot_be_written_hold_nobody_else_up() {
    let town = Town::new();
    let (author, followers) = town.author(8, 900);
    town.outage();
    let post = town.publish(author);
    assert_eq!(now(town.feed.work(1)), 1);
    assert_eq!(town.queued(), 8, "each is given up by a task of its own");
    assert_eq!(*town.told.followers.lock(), followers.len());
    assert!(
        followers[..900]
            .iter()
            .all(|&viewer| town.holds(viewer, post))
    );

    town.last.disarm();
    assert_eq!(town.settle(), 0);
    assert!(followers.iter().all(|&viewer| town.shows(viewer, post)));
}
