use std::sync::Arc;

use backplane::{
    Clock,
    id::{KeeperOptions, Layout},
    queue::QueueOptions,
};
use feed_core::{Feed, FeedOptions, FeedParts, Result};

use super::{
    RedisActions, RedisActivity, RedisGraph, RedisOutbox, RedisOutboxOptions, RedisSharedCache,
    RedisTimelines, RedisTimelinesOptions,
};
use crate::{Redis, RedisIds, RedisQueue, RedisRateLimiter};

/// What a feed on Redis is made of: everything but users, policy and events. All processes that open it
/// under one prefix are one feed. Replace what you bring.
///
/// What a server may lose that dies, and what becomes of it, stands with each store. The queue
/// [tells](RedisQueue::with_after_loss) of tasks that may be lost, upon which the feed has all timelines
/// built anew.
///
/// ```no_run
/// use std::sync::Arc;
/// use backend_redis::{Redis, RedisFeedOptions, feed_parts};
/// use backplane::SystemClock;
/// use feed_core::{Feed, NewPost, PageRequest, UserId};
/// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
/// let (redis, _client) = Redis::connect(&["redis://127.0.0.1/"]).await?;
/// let clock = Arc::new(SystemClock::new());
/// let feed = Feed::new(feed_parts(&redis, clock, RedisFeedOptions::default()).await?);
///
/// feed.publish(UserId::new(1), NewPost::new("seen by every process")).await?;
/// feed.work_all().await?;
/// println!("{:?}", feed.home(UserId::new(1), PageRequest::newest()).await?);
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// `Full` if the nodes that make ids are all leased, and whatever Redis fails with.
///
/// # Panics
///
/// Outside of a tokio runtime.
pub async fn feed_parts(
    redis: &Redis,
    clock: Arc<dyn Clock>,
    options: RedisFeedOptions,
) -> Result<FeedParts> {
    let redis = || redis.clone();
    let ids = RedisIds::open(redis(), Layout::TWITTER, Arc::clone(&clock), options.ids).await?;
    let queue = RedisQueue::new(redis(), "feed", options.queue);
    let queue = queue
        .with_after_loss(Feed::task_after_loss())
        .with_clock(Arc::clone(&clock));
    let actions = Arc::new(RedisActions::new(redis()));
    Ok(FeedParts {
        timelines: Arc::new(RedisTimelines::new(redis(), options.timelines)),
        outbox: Arc::new(RedisOutbox::new(redis(), options.outbox)),
        graph: Arc::new(RedisGraph::new(redis())),
        activity: Arc::new(RedisActivity::new(redis())),
        actions: Arc::clone(&actions) as _,
        counters: actions,
        queue: Arc::new(queue),
        ids: Arc::new(ids),
        limiter: Arc::new(RedisRateLimiter::new(redis())),
        snapshots: Arc::new(RedisSharedCache::new(redis())),
        options: options.feed,
        ..FeedParts::in_memory_at(clock)
    })
}

/// The bounds of what [`feed_parts`] opens. All processes have the same.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RedisFeedOptions {
    /// How long a node is leased that makes ids, and how far ahead its ids are reserved.
    pub ids: KeeperOptions,
    /// The bounds of the outbox.
    pub outbox: RedisOutboxOptions,
    /// The bounds of the queue of fanout.
    pub queue: QueueOptions,
    /// The bounds of the home timelines.
    pub timelines: RedisTimelinesOptions,
    /// The bounds of the feed itself.
    pub feed: FeedOptions,
}

impl RedisFeedOptions {
    /// Sets [`ids`](Self::ids).
    #[must_use]
    pub fn with_ids(mut self, ids: KeeperOptions) -> Self {
        self.ids = ids;
        self
    }

    /// Sets [`outbox`](Self::outbox).
    #[must_use]
    pub fn with_outbox(mut self, outbox: RedisOutboxOptions) -> Self {
        self.outbox = outbox;
        self
    }

    /// Sets [`queue`](Self::queue).
    #[must_use]
    pub fn with_queue(mut self, queue: QueueOptions) -> Self {
        self.queue = queue;
        self
    }

    /// Sets [`timelines`](Self::timelines).
    #[must_use]
    pub fn with_timelines(mut self, timelines: RedisTimelinesOptions) -> Self {
        self.timelines = timelines;
        self
    }

    /// Sets [`feed`](Self::feed).
    #[must_use]
    pub fn with_feed(mut self, feed: FeedOptions) -> Self {
        self.feed = feed;
        self
    }
}
