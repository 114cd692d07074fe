use std::sync::Arc;

use backplane::{
    Clock,
    id::{Layout, SnowflakeGenerator, SnowflakeOptions},
    memory::{MemoryQueue, MemoryRateLimiter},
    queue::QueueOptions,
};

use crate::{
    FeedOptions, FeedParts, Hybrid, MemoryActions, MemoryActivity, MemoryGraph, MemoryOutbox,
    MemorySharedCache, MemorySharedCacheOptions, MemoryTimelines, Unobserved,
};

pub(crate) fn feed_parts(clock: Arc<dyn Clock>) -> FeedParts {
    let ids = SnowflakeGenerator::with_clock(
        Layout::TWITTER,
        0,
        Arc::clone(&clock),
        &SnowflakeOptions::default(),
    );
    let actions = Arc::new(MemoryActions::default());
    FeedParts {
        timelines: Arc::new(MemoryTimelines::default()),
        outbox: Arc::new(MemoryOutbox::default()),
        graph: Arc::new(MemoryGraph::default()),
        activity: Arc::new(MemoryActivity::default()),
        actions: Arc::clone(&actions) as _,
        counters: actions,
        queue: Arc::new(MemoryQueue::new(
            Arc::clone(&clock),
            QueueOptions::default(),
        )),
        ids: Arc::new(ids.expect("the layout has a node 0")),
        limiter: Arc::new(MemoryRateLimiter::new(Arc::clone(&clock))),
        snapshots: Arc::new(MemorySharedCache::new(
            Arc::clone(&clock),
            MemorySharedCacheOptions::default(),
        )),
        users: None,
        policy: Arc::new(Hybrid::default()),
        events: Arc::new(Unobserved),
        clock,
        options: FeedOptions::default(),
    }
}
