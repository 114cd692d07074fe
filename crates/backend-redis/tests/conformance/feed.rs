//! The lists of feed-core.

macro_rules! timelines {
    ($redis:expr) => {
        feed_core::timeline_conformance!(async {
            let options = backend_redis::RedisTimelinesOptions::default().with_capacity(8);
            let timelines = backend_redis::RedisTimelines::new($redis.await, options);
            fresh::<dyn feed_core::TimelineStore>(std::sync::Arc::new(timelines))
        });
    };
}

macro_rules! lists {
    ($redis:expr) => {
        crate::feed::timelines!($redis);

        feed_core::outbox_conformance!(async {
            let options = RedisOutboxOptions::default()
                .with_keys_per_author(100)
                .with_retractions_per_author(100);
            fresh::<dyn feed_core::Outbox>(Arc::new(RedisOutbox::new($redis.await, options)))
        });

        feed_core::shared_cache_conformance!(async {
            fresh::<dyn feed_core::SharedCache>(Arc::new(RedisSharedCache::new($redis.await)))
        });

        feed_core::activity_conformance!(async {
            let activity = backend_redis::RedisActivity::new($redis.await);
            fresh::<dyn feed_core::Activity>(Arc::new(activity))
        });

        feed_core::graph_conformance!(async {
            let graph = backend_redis::RedisGraph::new($redis.await);
            fresh::<dyn feed_core::Graph>(Arc::new(graph))
        });

        feed_core::actions_conformance!(async {
            let store = Arc::new(backend_redis::RedisActions::new($redis.await));
            let subject = feed_core::conformance::actions::Subject {
                actions: store.clone(),
                counters: store,
            };
            fresh::<feed_core::conformance::actions::Subject>(Arc::new(subject))
        });
    };
}

pub(crate) use {lists, timelines};
