//! The lists of feed-core.

macro_rules! lists {
    ($redis:ident) => {
        feed_core::shared_cache_conformance!(async {
            fresh::<dyn feed_core::SharedCache>(Arc::new(RedisSharedCache::new($redis().await)))
        });
    };
}

pub(crate) use lists;
