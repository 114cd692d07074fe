//! A feed in a file shows what a feed in memory shows, on any history, however often the file is
//! closed and opened again on the way.
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

use std::{path::Path, sync::Arc, time::Duration};

use backend_redb::{RedbFeedOptions, Writer, WriterOptions, feed_parts, redb::Database};
use backplane::{ManualClock, id::KeeperOptions};
use feed_core::{
    Entry, ErrorKind, Feed, FeedOptions, FeedParts, FollowSettings, Hybrid, IdempotencyKey, ListId,
    MemoryTimelines, MemoryTimelinesOptions, NewPost, Page, PageRequest, PageSize, PostId,
    Published, Result, UserId,
};
use futures::executor::block_on;
use proptest::{collection::vec, prelude::*};

const USERS: u64 = 5;
const LIST: ListId = ListId::new(1);

#[derive(Clone, Debug)]
enum Op {
    Publish(UserId, Option<u64>),
    Reply(UserId, usize),
    Edit(usize),
    Delete(usize),
    Repost(UserId, usize),
    Unrepost(UserId, usize),
    Like(UserId, usize),
    Unlike(UserId, usize),
    Follow(UserId, UserId, bool),
    Unfollow(UserId, UserId),
    Block(UserId, UserId, bool),
    Mute(UserId, UserId, bool),
    SetList(UserId, Vec<UserId>),
    MarkRead(UserId, usize),
    Home(UserId),
    Work(usize),
    Pass(Duration),
    Reopen,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let user = || (0..USERS).prop_map(UserId::new);
    let post = || 0..20_usize;
    let op = prop_oneof![
        8 => (user(), prop::option::weighted(0.3, 0..3_u64)).prop_map(|(by, key)| Op::Publish(by, key)),
        2 => (user(), post()).prop_map(|(by, post)| Op::Reply(by, post)),
        1 => post().prop_map(Op::Edit),
        2 => post().prop_map(Op::Delete),
        3 => (user(), post()).prop_map(|(by, post)| Op::Repost(by, post)),
        1 => (user(), post()).prop_map(|(by, post)| Op::Unrepost(by, post)),
        3 => (user(), post()).prop_map(|(by, post)| Op::Like(by, post)),
        1 => (user(), post()).prop_map(|(by, post)| Op::Unlike(by, post)),
        6 => (user(), user(), prop::bool::weighted(0.2)).prop_map(|(a, b, hide)| Op::Follow(a, b, hide)),
        2 => (user(), user()).prop_map(|(a, b)| Op::Unfollow(a, b)),
        1 => (user(), user(), any::<bool>()).prop_map(|(a, b, on)| Op::Block(a, b, on)),
        1 => (user(), user(), any::<bool>()).prop_map(|(a, b, on)| Op::Mute(a, b, on)),
        1 => (user(), vec(user(), 0..4)).prop_map(|(owner, members)| Op::SetList(owner, members)),
        1 => (user(), post()).prop_map(|(by, post)| Op::MarkRead(by, post)),
        4 => user().prop_map(Op::Home),
        5 => (1..4_usize).prop_map(Op::Work),
        1 => (0..20_u64).prop_map(|days| Op::Pass(Duration::from_secs(days * 86_400))),
        2 => Just(Op::Reopen),
    ];
    vec(op, 1..80)
}

/// The same feed twice.
struct Twins {
    memory: Feed,
    /// Closed while it is opened again.
    disk: Option<Feed>,
    folder: tempfile::TempDir,
    clock: ManualClock,
    /// Every post that was published, in order.
    posts: Vec<PostId>,
}

impl Twins {
    fn new() -> Self {
        let clock = ManualClock::default();
        let mut memory = FeedParts::in_memory_at(Arc::new(clock.clone()));
        memory.timelines = Arc::new(MemoryTimelines::new(timelines()));
        memory.policy = Arc::new(policy());
        memory.options = options();
        let folder = tempfile::tempdir().unwrap();
        let mut twins = Self {
            memory: Feed::new(memory),
            disk: None,
            folder,
            clock,
            posts: Vec::new(),
        };
        twins.reopen();
        twins
    }

    fn reopen(&mut self) {
        drop(self.disk.take());
        let path = self.folder.path().join("feed.redb");
        self.disk = Some(block_on(open(&path, &self.clock)));
    }

    /// What both feeds answer to `ask`.
    fn both<T: PartialEq + std::fmt::Debug>(
        &self,
        mut ask: impl AsyncFnMut(&Feed) -> Result<T>,
    ) -> Result<T, ErrorKind> {
        let mut answer = |feed| block_on(ask(feed)).map_err(|error| error.kind());
        let disk = self.disk.as_ref().expect("the file is open");
        let (expected, answer) = (answer(&self.memory), answer(disk));
        assert_eq!(answer, expected);
        answer
    }

    fn step(&mut self, op: &Op) {
        // So that both generators give the same id to the same post.
        self.clock.advance(Duration::from_millis(1));
        match *op {
            Op::Publish(author, key) => {
                let mut post = NewPost::new("a post");
                let key = key.map(|key| key.to_string().parse::<IdempotencyKey>().unwrap());
                post.key = key;
                self.published(async |feed| feed.publish(author, post.clone()).await);
            }
            Op::Reply(author, nth) => {
                let post = NewPost::new("a reply").in_reply_to(self.post(nth));
                self.published(async |feed| feed.publish(author, post.clone()).await);
            }
            Op::Repost(actor, nth) => {
                let post = self.post(nth);
                self.published(async |feed| feed.repost(actor, post).await);
            }
            Op::Pass(time) => self.clock.advance(time),
            Op::Reopen => self.reopen(),
            _ => self.change(op),
        }
    }

    fn published(&mut self, publish: impl AsyncFnMut(&Feed) -> Result<Published>) {
        if let Ok(Published::Accepted(post)) = self.both(publish) {
            self.posts.push(post);
        }
    }

    /// Does what answers no new post; what is refused is refused by both.
    fn change(&self, op: &Op) {
        let settings = |hide| FollowSettings::default().with_hide_reposts(hide);
        match *op {
            Op::Edit(nth) => {
                let (author, post) = self.own(nth);
                let _ = self.both(async |feed| feed.edit(author, post, "edited".into()).await);
            }
            Op::Delete(nth) => {
                let (author, post) = self.own(nth);
                let _ = self.both(async |feed| feed.delete(author, post).await);
            }
            Op::Unrepost(actor, nth) => {
                let _ = self.both(async |feed| feed.unrepost(actor, self.post(nth)).await);
            }
            Op::Like(actor, nth) => {
                let _ = self.both(async |feed| feed.like(actor, self.post(nth)).await);
            }
            Op::Unlike(actor, nth) => {
                let _ = self.both(async |feed| feed.unlike(actor, self.post(nth)).await);
            }
            Op::Follow(viewer, author, hide) => {
                let _ = self.both(async |feed| {
                    feed.follow_with(viewer, author, settings(hide))
                        .await
                        .map(drop)
                });
            }
            Op::Unfollow(viewer, author) => {
                let _ = self.both(async |feed| feed.unfollow(viewer, author).await);
            }
            Op::Block(viewer, other, true) => {
                let _ = self.both(async |feed| feed.block(viewer, other).await);
            }
            Op::Block(viewer, other, false) => {
                let _ = self.both(async |feed| feed.unblock(viewer, other).await);
            }
            Op::Mute(viewer, other, true) => {
                let _ = self.both(async |feed| feed.mute(viewer, other).await);
            }
            Op::Mute(viewer, other, false) => {
                let _ = self.both(async |feed| feed.unmute(viewer, other).await);
            }
            Op::SetList(owner, ref members) => {
                let _ = self.both(async |feed| feed.set_list(owner, LIST, members).await);
            }
            Op::MarkRead(viewer, nth) => {
                let _ = self.both(async |feed| feed.mark_read(viewer, self.post(nth)).await);
            }
            // What fanout has yet to do shows in a timeline, and not in one that was lost and built
            // anew. So pages are compared once all is done.
            Op::Home(viewer) => self.each(async |feed| {
                feed.home(viewer, PageRequest::newest()).await.unwrap();
            }),
            Op::Work(most) => self.each(async |feed| {
                feed.work(most).await.unwrap();
            }),
            _ => unreachable!("done by its caller"),
        }
    }

    fn post(&self, nth: usize) -> PostId {
        match self.posts.len() {
            0 => PostId::MAX,
            posts => self.posts[nth % posts],
        }
    }

    /// A post and its author, if it is there.
    fn own(&self, nth: usize) -> (UserId, PostId) {
        let post = self.post(nth);
        let state = block_on(self.memory.parts().outbox.lookup(&[post])).unwrap()[0];
        let author = state.live().map_or(UserId::new(0), |entry| entry.author);
        (author, post)
    }

    fn each(&self, mut call: impl AsyncFnMut(&Feed)) {
        let disk = self.disk.as_ref().expect("the file is open");
        for feed in [&self.memory, disk] {
            block_on(call(feed));
        }
    }

    /// Does all work there is, and what that leaves for later: the two feeds may have come to it at
    /// different times.
    fn settle(&self) {
        for _ in 0..2 {
            self.each(async |feed| {
                feed.work_all().await.unwrap();
            });
            self.clock.advance(options().call_timeout);
        }
        self.each(async |feed| {
            feed.work_all().await.unwrap();
        });
    }

    /// Compares everything that anybody can see, in pages of `size`.
    fn compare(&self, size: usize) {
        let users: Vec<_> = (0..USERS).map(UserId::new).collect();
        let size = PageSize::new(size).unwrap();
        for &viewer in &users {
            for source in 0..USERS + 2 {
                let entries = async |feed: &Feed| entries(feed, viewer, source, size).await;
                self.both(entries).unwrap();
            }
            self.both(async |feed| feed.degree(viewer).await).unwrap();
            let unread = async |feed: &Feed| feed.unread(viewer, PageSize::default()).await;
            self.both(unread).unwrap();
        }
        self.both(async |feed| feed.parts().counters.counts(&self.posts).await)
            .unwrap();
        self.both(async |feed| feed.parts().outbox.posts(&self.posts).await)
            .unwrap();
    }
}

/// All entries of one of the feeds that `viewer` can see.
async fn entries(feed: &Feed, viewer: UserId, source: u64, size: PageSize) -> Result<Vec<Entry>> {
    let mut request = PageRequest::newest().with_size(size);
    let mut entries = Vec::new();
    loop {
        let page: Page = match source {
            USERS => feed.home(viewer, request).await?,
            source if source > USERS => feed.list(viewer, LIST, request).await?,
            author => feed.author(viewer, UserId::new(author), request).await?,
        };
        entries.extend(page.entries);
        match page.next {
            Some(next) => request = PageRequest::at(next).with_size(size),
            None => return Ok(entries),
        }
    }
}

async fn open(path: &Path, clock: &ManualClock) -> Feed {
    let database = Arc::new(Database::create(path).unwrap());
    let writer = Writer::start(database, WriterOptions::default()).unwrap();
    // Histories take days at once, and no thread is quick enough to keep a mark ahead of that.
    let ids = KeeperOptions::default().with_reserve(Duration::from_secs(100 * 365 * 86_400));
    let options = RedbFeedOptions::default()
        .with_ids(ids)
        .with_timelines(timelines())
        .with_feed(options());
    let mut parts = feed_parts(&writer, Arc::new(clock.clone()), options)
        .await
        .unwrap();
    parts.policy = Arc::new(policy());
    Feed::new(parts)
}

/// Small bounds, so that short histories reach past them.
fn options() -> FeedOptions {
    FeedOptions::default()
        .with_post_quota(None)
        .with_followers_per_piece(2)
        .with_backfill_posts(2)
        .with_build_entries(5)
        .with_repost_span(3)
}

fn timelines() -> MemoryTimelinesOptions {
    MemoryTimelinesOptions::default().with_capacity(6)
}

const fn policy() -> Hybrid {
    Hybrid::new(2)
}

#[test]
fn a_small_history_outlives_the_process() {
    let [ann, bob, cat] = [0, 1, 2].map(UserId::new);
    let first = 0;
    let mut twins = Twins::new();
    let history = [
        Op::Publish(ann, None),
        Op::Follow(bob, ann, false),
        Op::Follow(cat, bob, false),
        Op::Publish(ann, Some(1)),
        Op::Work(9),
        Op::Home(bob),
        Op::Repost(bob, first),
        Op::Like(cat, first),
        Op::Work(9),
        Op::Home(cat),
        Op::Publish(bob, None),
        Op::MarkRead(cat, first),
        Op::Delete(first),
        Op::Unfollow(bob, ann),
    ];
    for op in &history {
        twins.step(op);
    }
    twins.settle();
    twins.compare(2);
    twins.reopen();
    twins.compare(2);
    let home = PageRequest::newest();
    let entries = async |feed: &Feed| Ok(feed.home(cat, home).await?.entries);
    let seen = twins.both(entries).unwrap();
    assert_eq!(seen.len(), 1, "the repost went with its origin: {seen:?}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_file_shows_what_memory_shows(ops in ops(), size in 1..6_usize) {
        let mut twins = Twins::new();
        for op in &ops {
            twins.step(op);
        }
        twins.settle();
        twins.compare(size);
        twins.reopen();
        twins.compare(size);
    }
}
