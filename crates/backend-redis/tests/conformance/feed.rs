//! The lists of feed-core.

macro_rules! lists {
    ($redis:ident) => {
        feed_core::timeline_conformance!(async {
            let options = backend_redis::RedisTimelinesOptions::default().with_capacity(8);
            let timelines = backend_redis::RedisTimelines::new($redis().await, options);
            fresh::<dyn feed_core::TimelineStore>(std::sync::Arc::new(timelines))
        feed_core::outbox_conformance!(async {
            let options = RedisOutboxOptions::default()
                .with_keys_per_author(100)
                .with_retractions_per_author(100);
            fresh::<dyn feed_core::Outbox>(Arc::new(RedisOutbox::new($redis().await, options)))
        });

        feed_core::shared_cache_conformance!(async {
            fresh::<dyn feed_core::SharedCache>(Arc::new(RedisSharedCache::new($redis().await)))
        });
    };
}

pub(crate) use lists;
