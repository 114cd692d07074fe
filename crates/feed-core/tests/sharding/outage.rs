//! One of several stores of timelines is down for a while.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use backplane::{ManualClock, ring::HashRing};
use feed_core::{
    Audience, Feed, FeedEvent, FeedEvents, FeedParts, NewPost, PageRequest, Placement, PostId,
    Published, Result, Seek, ShardedTimelines, UserId,
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
