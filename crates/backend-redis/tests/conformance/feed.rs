//! The lists of feed-core.

macro_rules! lists {
    ($redis:ident) => {
        feed_core::activity_conformance!(async {
            let activity = backend_redis::RedisActivity::new($redis().await);
            fresh::<dyn feed_core::Activity>(Arc::new(activity))
        });

        feed_core::graph_conformance!(async {
            let graph = backend_redis::RedisGraph::new($redis().await);
            fresh::<dyn feed_core::Graph>(Arc::new(graph))
        });

        feed_core::actions_conformance!(async {
            let store = Arc::new(backend_redis::RedisActions::new($redis().await));
            let subject = feed_core::conformance::actions::Subject {
                actions: store.clone(),
                counters: store,
            };
            fresh::<feed_core::conformance::actions::Subject>(Arc::new(subject))
        });
    };
}

pub(crate) use lists;
