//! A feed in memory, and what tests do with it.
#![allow(dead_code, reason = "each test file uses a part")]

use std::{sync::Arc, time::Duration};

use backplane::{Clock, ManualClock, Timestamp};
use feed_core::{
    Feed, FeedParts, NewPost, Page, PageRequest, PageSize, PostId, Published, Seek, UserId,
};

pub(crate) const ANN: UserId = UserId::new(1);
pub(crate) const BOB: UserId = UserId::new(2);
pub(crate) const CAT: UserId = UserId::new(3);

pub(crate) struct House {
    pub(crate) feed: Feed,
    pub(crate) clock: ManualClock,
}

impl House {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut FeedParts)) -> Self {
        let clock = ManualClock::default();
        let mut parts = FeedParts::in_memory_at(Arc::new(clock.clone()));
        change(&mut parts);
        Self {
            feed: Feed::new(parts),
            clock,
        }
    }

    pub(crate) async fn follow(&self, viewer: UserId, author: UserId) {
        let followed = self.feed.follow(viewer, author).await;
        followed.expect("users can follow each other");
    }

    pub(crate) async fn post(&self, author: UserId) -> PostId {
        self.publish(author, NewPost::new("a post")).await
    }

    pub(crate) async fn post_as(&self, author: UserId, post: PostId) {
        self.publish(author, NewPost::elsewhere(post)).await;
    }

    /// So many posts, oldest first.
    pub(crate) async fn posts(&self, author: UserId, count: usize) -> Vec<PostId> {
        let mut posts = Vec::with_capacity(count);
        for _ in 0..count {
            posts.push(self.post(author).await);
        }
        posts
    }

    pub(crate) async fn repost(&self, actor: UserId, post: PostId) -> PostId {
        self.clock.advance(Duration::from_millis(1));
        match self.feed.repost(actor, post).await {
            Ok(Published::Accepted(repost)) => repost,
            other => panic!("{other:?}"),
        }
    }

    /// Does all the fanout there is.
    pub(crate) async fn work(&self) {
        self.feed.work_all().await.expect("the queue answers");
    }

    pub(crate) async fn page(&self, viewer: UserId, size: usize) -> Page {
        let size = PageSize::new(size).expect("a valid size");
        let page = self
            .feed
            .home(viewer, PageRequest::newest().with_size(size))
            .await;
        page.expect("the stores answer")
    }

    /// The newest page.
    pub(crate) async fn home(&self, viewer: UserId, size: usize) -> Vec<PostId> {
        let page = self.page(viewer, size).await;
        page.entries.iter().map(|entry| entry.post).collect()
    }

    /// Every page down to the last.
    pub(crate) async fn walk(&self, viewer: UserId, size: usize) -> Vec<PostId> {
        let size = PageSize::new(size).expect("a valid size");
        let mut request = PageRequest::newest().with_size(size);
        let mut posts = Vec::new();
        for _ in 0..10_000 {
            let page = self
                .feed
                .home(viewer, request)
                .await
                .expect("the stores answer");
            posts.extend(page.entries.iter().map(|entry| entry.post));
            match page.next {
                Some(next) => request = PageRequest::at(next).with_size(size),
                None => return posts,
            }
        }
        panic!("the walk does not end");
    }

    /// What is in the timeline, visible or not.
    pub(crate) async fn timeline(&self, viewer: UserId) -> Vec<PostId> {
        let timelines = &self.feed.parts().timelines;
        let window = timelines.window(viewer, Seek::Newest, 1_000).await;
        let window = window.expect("the store answers");
        window.entries.iter().map(|entry| entry.post).collect()
    }

    pub(crate) fn clock_now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn publish(&self, author: UserId, post: NewPost) -> PostId {
        self.clock.advance(Duration::from_millis(1));
        match self.feed.publish(author, post).await {
            Ok(Published::Accepted(post)) => post,
            other => panic!("{other:?}"),
        }
    }
}
