//! News feeds for applications that already have users and posts.
//!
//! A [`Feed`] takes posts, fans them out to the home timelines of followers and serves pages of home,
//! author and list feeds. It is put together of [`FeedParts`], each behind a trait: all of them in
//! memory to begin with, on an engine when they must outlive the process.
//!
//! ```
//! use feed_core::{Feed, NewPost, PageRequest, UserId};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> feed_core::Result<()> {
//! let (feed, ann, bob) = (Feed::in_memory(), UserId::new(1), UserId::new(2));
//! feed.follow(bob, ann).await?;
//! let post = feed.publish(ann, NewPost::new("hello")).await?.post();
//! feed.work_all().await?; // in a server: `feed.run(…)`, in the background
//!
//! let page = feed.home(bob, PageRequest::newest()).await?;
//! assert_eq!(page.entries.first().map(|entry| entry.post), post);
//! # Ok(()) }
//! ```
//!
//! # How a post comes to its readers
//!
//! Publishing stores a post in its author's [`Outbox`], which is the truth, and leaves a task of
//! fanout in the queue. Workers take the task through the author's followers, one piece at a time, and
//! write the post's [`Entry`] into their timelines ([`TimelineStore`]), a cache. A [`FanoutPolicy`]
//! decides for which authors that is done: the others are pulled, which means that reading merges
//! their outboxes with the timeline. Below the end of a timeline, and where there is none, everything
//! is pulled. So push, pull and every mixture of them show the same pages, and the loss of a timeline
//! shows on none.
//!
//! What a viewer may see is decided when a page is read, by the [`Graph`] and the outbox as they are
//! then: who follows, blocks and mutes whom, and what was deleted.
//!
//! # What is promised
//!
//! - **Order.** Pages are ordered by post id, newest first, so ids must grow with time.
//! - **Durability** is that of the stores: what has returned is stored. Timelines may be lost at any
//!   time.
//! - **Completeness.** A post of an author who is pulled is on every follower's page when
//!   [`publish`](Feed::publish) returns; one that is pushed when a worker has come to it. None is
//!   missed and none is shown twice, whatever fails or dies in between.
//! - **Events** about posts are delivered at least once, to the audience that [`Audience`] says, unless a
//!   piece of the fanout is [given up](FeedOptions::attempts).
//! - **Cancellation.** A future that is dropped leaves what a failure leaves: the operation is done or
//!   not, and a retry finds out.
//!
//! # Around it
//!
//! - [`Hydrator`] turns entries into posts and users out of two levels of cache.
//! - [`LiveFeeds`] carries changes to open screens; [`FeedEvents`] to other listeners.
//! - [`Ranker`] orders the newest entries by score, [`group`] puts together what belongs together.
//!
//! # Backends
//!
//! Every store has an implementation in memory here, `Memory…`. The crate `backend-redb` keeps the
//! outbox, the graph, activity, actions, the queue and ids in one file; timelines, which can be built
//! again, stay in memory. A store of your own implements one of the traits of [`FeedParts`], and passes
//! its list of cases in [`conformance`](crate#features).
//!
//! # What it is not
//!
//! - Not a server: it opens no socket and starts no thread or task, but for the hub of [`LiveFeeds`].
//!   The application runs the workers ([`Feed::run`]) and knows its user.
//! - Not a search engine and no recommender: pages are of authors who are followed or named. Scores of a
//!   [`Ranker`] are the application's.
//! - Not a store of media or profiles: a body is bytes to it, and a user a number.
//! - Not for audiences inside a post: what a viewer may see depends on who follows, blocks and mutes whom,
//!   never on the body.
//!
//! # Features
//!
//! - `metrics`: counters through the facade of that name.
//! - `conformance`: the cases that every implementation of a trait must pass. Outside semver.

// The engine, and the ways through it.
mod ask;
mod erase;
mod fanout;
mod feed;
mod follow;
mod publish;
mod react;
mod read;
mod tell;

// What the ways end in: traits, and the values they exchange.
mod activity;
mod counters;
mod cursor;
mod entry;
mod error;
mod events;
mod graph;
mod options;
mod outbox;
mod page;
mod policy;
mod shared_cache;
mod timeline;

// Around it.
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod group;
mod hydrate;
mod live;
mod memory;
mod sharded;
mod shelf;
mod telemetry;

pub use activity::{Activity, Habit, Rhythm};
pub use ask::Reactions;
pub use counters::{Action, ActionKind, Actions, Counters, Counts, Recorded};
pub use cursor::Cursor;
pub use entry::{Entry, ListId, PostId, Seek, UserId};
pub use error::{Error, ErrorKind, Result};
pub use events::{Audience, Change, FeedEvent, FeedEvents, Tee, Unobserved};
pub use feed::{Feed, FeedParts};
pub use graph::{
    Circle, CircleEdge, Degree, EdgeRoute, FollowSettings, Followed, Follower, Graph, Hide, Route,
    RouteStamp,
};
pub use group::{Group, group};
pub use hydrate::{
    CacheOptions, CacheStats, Hydrated, Hydrator, HydratorOptions, HydratorParts, Item, Lack,
    OutboxPosts, Part, PostSource, PostVersion, Skipped, User, UserSource,
};
pub use live::{LiveChange, LiveEvent, LiveFeed, LiveFeeds, LiveRequest};
pub use memory::{
    MemoryActions, MemoryActionsOptions, MemoryActivity, MemoryActivityOptions, MemoryGraph,
    MemoryGraphOptions, MemoryOutbox, MemoryOutboxOptions, MemorySharedCache,
    MemorySharedCacheOptions, MemoryTimelines, MemoryTimelinesOptions,
};
pub use options::FeedOptions;
pub use outbox::{
    Appended, IdempotencyKey, Outbox, Post, PostState, Publication, Retracted, Revised,
};
pub use page::{Page, PageRequest, PageSize, PageSource};
pub use policy::{AuthorStats, Delivery, FanoutPolicy, Hybrid, PairRate, PullAll, PushAll};
pub use publish::{Content, NewPost, NextPostId, Published};
pub use read::Ranker;
pub use sharded::{MoveStep, Placement, ShardedTimelines, TimelineShards};
pub use shared_cache::{CacheItem, SharedCache};
pub use timeline::{BuildStart, BuildTicket, PushReport, TimelineState, TimelineStore, Window};
