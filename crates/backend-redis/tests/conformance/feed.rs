//! The lists of feed-core.

macro_rules! lists {
    ($redis:ident) => {
        feed_core::timeline_conformance!(async {
            let options = backend_redis::RedisTimelinesOptions::default().with_capacity(8);
            let timelines = backend_redis::RedisTimelines::new($redis().await, options);
            fresh::<dyn feed_core::TimelineStore>(std::sync::Arc::new(timelines))
        });
    };
}

pub(crate) use lists;
