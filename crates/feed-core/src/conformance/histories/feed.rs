//! A whole feed, beside the same in memory.

use std::{fmt::Debug, sync::Arc, time::Duration};

use backplane::ManualClock;
use proptest::{collection::vec, prelude::*};

use super::History;
use crate::{
    Entry, ErrorKind, Feed, FeedOptions, FeedParts, FollowSettings, Hybrid, IdempotencyKey, ListId,
    MemoryTimelines, MemoryTimelinesOptions, NewPost, Page, PageRequest, PageSize, PostId,
    Published, Result, UserId,
};

const USERS: u64 = 5;
const LIST: ListId = ListId::new(1);

/// What somebody does, or what happens.
#[derive(Clone, Debug)]
#[expect(missing_docs, clippy::exhaustive_enums, reason = "the names say it")]
pub enum Op {
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
}

/// Histories of a few users, whose feed is closed and opened again on the way.
pub fn histories() -> impl Strategy<Value = History<Op>> {
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
    ];
    vec(prop::option::weighted(0.97, op), 1..80)
}

/// How many entries a home timeline of the caller's feed is to hold.
pub const CAPACITY: usize = 6;

/// Small bounds, so that short histories reach past them.
fn options() -> FeedOptions {
    FeedOptions::default()
        .with_post_quota(None)
        .with_followers_per_piece(2)
        .with_backfill_posts(2)
        .with_build_entries(5)
        .with_repost_span(3)
}

/// The same parts with these bounds, and a policy under which both ways are used.
fn bounded(mut parts: FeedParts) -> FeedParts {
    parts.options = options();
    parts.policy = Arc::new(Hybrid::new(2));
    parts
}

/// Plays a history on a feed in memory and on those that `open` opens one after another, and compares
/// all that anybody can see at the end, in pages of `size`: before the last is closed and after.
///
/// The options and the policy of the parts are replaced by small ones.
pub async fn play(
    history: &[Option<Op>],
    size: usize,
    mut open: impl AsyncFnMut(&ManualClock) -> FeedParts,
) {
    let mut twins = Twins::new();
    twins.reopen(&mut open).await;
    for op in history {
        match op {
            Some(op) => twins.step(op).await,
            None => twins.reopen(&mut open).await,
        }
    }
    twins.settle().await;
    twins.compare(size).await;
    twins.reopen(&mut open).await;
    twins.compare(size).await;
}

/// The same feed twice.
struct Twins {
    memory: Feed,
    /// Closed while it is opened again.
    subject: Option<Feed>,
    clock: ManualClock,
    /// Every post that was published, in order.
    posts: Vec<PostId>,
}

impl Twins {
    fn new() -> Self {
        let clock = ManualClock::default();
        let mut memory = FeedParts::in_memory_at(Arc::new(clock.clone()));
        let timelines = MemoryTimelinesOptions::default().with_capacity(CAPACITY);
        memory.timelines = Arc::new(MemoryTimelines::new(timelines));
        Self {
            memory: Feed::new(bounded(memory)),
            subject: None,
            clock,
            posts: Vec::new(),
        }
    }

    async fn reopen(&mut self, open: &mut impl AsyncFnMut(&ManualClock) -> FeedParts) {
        drop(self.subject.take());
        let parts = open(&self.clock).await;
        self.subject = Some(Feed::new(bounded(parts)));
    }

    /// What both feeds answer to `ask`.
    async fn both<T: PartialEq + Debug>(
        &self,
        mut ask: impl AsyncFnMut(&Feed) -> Result<T>,
    ) -> Result<T, ErrorKind> {
        let expected = ask(&self.memory).await.map_err(|error| error.kind());
        let answer = ask(self.subject()).await.map_err(|error| error.kind());
        assert_eq!(answer, expected);
        answer
    }

    async fn step(&mut self, op: &Op) {
        // So that both generators give the same id to the same post.
        self.clock.advance(Duration::from_millis(1));
        match *op {
            Op::Publish(author, key) => {
                let mut post = NewPost::new("a post");
                let key = key.map(|key| key.to_string().parse::<IdempotencyKey>().unwrap());
                post.key = key;
                self.published(async |feed| feed.publish(author, post.clone()).await)
                    .await;
            }
            Op::Reply(author, nth) => {
                let post = NewPost::new("a reply").in_reply_to(self.post(nth));
                self.published(async |feed| feed.publish(author, post.clone()).await)
                    .await;
            }
            Op::Repost(actor, nth) => {
                let post = self.post(nth);
                self.published(async |feed| feed.repost(actor, post).await)
                    .await;
            }
            Op::Pass(time) => self.clock.advance(time),
            _ => self.change(op).await,
        }
    }

    async fn published(&mut self, publish: impl AsyncFnMut(&Feed) -> Result<Published>) {
        if let Ok(Published::Accepted(post)) = self.both(publish).await {
            self.posts.push(post);
        }
    }

    /// Does what answers no new post; what is refused is refused by both.
    async fn change(&self, op: &Op) {
        match *op {
            Op::Edit(nth) => {
                let (author, post) = self.own(nth).await;
                let _ = self
                    .both(async |feed| feed.edit(author, post, "edited".into()).await)
                    .await;
            }
            Op::Delete(nth) => {
                let (author, post) = self.own(nth).await;
                let _ = self
                    .both(async |feed| feed.delete(author, post).await)
                    .await;
            }
            Op::Unrepost(actor, nth) => {
                let _ = self
                    .both(async |feed| feed.unrepost(actor, self.post(nth)).await)
                    .await;
            }
            Op::Like(actor, nth) => {
                let _ = self
                    .both(async |feed| feed.like(actor, self.post(nth)).await)
                    .await;
            }
            Op::Unlike(actor, nth) => {
                let _ = self
                    .both(async |feed| feed.unlike(actor, self.post(nth)).await)
                    .await;
            }
            Op::MarkRead(viewer, nth) => {
                let _ = self
                    .both(async |feed| feed.mark_read(viewer, self.post(nth)).await)
                    .await;
            }
            // What fanout has yet to do shows in a timeline, and not in one that was lost and built
            // anew. So pages are compared once all is done.
            Op::Home(viewer) => {
                self.each(async |feed| {
                    feed.home(viewer, PageRequest::newest()).await.unwrap();
                })
                .await;
            }
            Op::Work(most) => {
                self.each(async |feed| {
                    feed.work(most).await.unwrap();
                })
                .await;
            }
            _ => self.relate(op).await,
        }
    }

    /// Changes who sees whom.
    async fn relate(&self, op: &Op) {
        match *op {
            Op::Follow(viewer, author, hide) => {
                let _ = self
                    .both(async |feed| {
                        let settings = FollowSettings::default().with_hide_reposts(hide);
                        feed.follow_with(viewer, author, settings).await.map(drop)
                    })
                    .await;
            }
            Op::Unfollow(viewer, author) => {
                let _ = self
                    .both(async |feed| feed.unfollow(viewer, author).await)
                    .await;
            }
            Op::Block(viewer, other, true) => {
                let _ = self
                    .both(async |feed| feed.block(viewer, other).await)
                    .await;
            }
            Op::Block(viewer, other, false) => {
                let _ = self
                    .both(async |feed| feed.unblock(viewer, other).await)
                    .await;
            }
            Op::Mute(viewer, other, true) => {
                let _ = self.both(async |feed| feed.mute(viewer, other).await).await;
            }
            Op::Mute(viewer, other, false) => {
                let _ = self
                    .both(async |feed| feed.unmute(viewer, other).await)
                    .await;
            }
            Op::SetList(owner, ref members) => {
                let _ = self
                    .both(async |feed| feed.set_list(owner, LIST, members).await)
                    .await;
            }
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
    async fn own(&self, nth: usize) -> (UserId, PostId) {
        let post = self.post(nth);
        let state = self.memory.parts().outbox.lookup(&[post]).await.unwrap()[0];
        let author = state.live().map_or(UserId::new(0), |entry| entry.author);
        (author, post)
    }

    async fn each(&self, mut call: impl AsyncFnMut(&Feed)) {
        for feed in [&self.memory, self.subject()] {
            call(feed).await;
        }
    }

    fn subject(&self) -> &Feed {
        self.subject.as_ref().expect("it is open")
    }

    /// Does all work there is, and what that leaves for later: the two feeds may have come to it at
    /// different times.
    async fn settle(&self) {
        for _ in 0..2 {
            self.each(async |feed| {
                feed.work_all().await.unwrap();
            })
            .await;
            self.clock.advance(options().call_timeout);
        }
        self.each(async |feed| {
            feed.work_all().await.unwrap();
        })
        .await;
    }

    /// Compares everything that anybody can see, in pages of `size`.
    async fn compare(&self, size: usize) {
        let users: Vec<_> = (0..USERS).map(UserId::new).collect();
        let size = PageSize::new(size).unwrap();
        for &viewer in &users {
            for source in 0..USERS + 2 {
                let entries = async |feed: &Feed| entries(feed, viewer, source, size).await;
                self.both(entries).await.unwrap();
            }
            self.both(async |feed| feed.degree(viewer).await)
                .await
                .unwrap();
            let unread = async |feed: &Feed| feed.unread(viewer, PageSize::default()).await;
            self.both(unread).await.unwrap();
        }
        self.both(async |feed| feed.parts().counters.counts(&self.posts).await)
            .await
            .unwrap();
        self.both(async |feed| feed.parts().outbox.posts(&self.posts).await)
            .await
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
