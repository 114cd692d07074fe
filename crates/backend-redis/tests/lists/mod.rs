//! Every list of conformance, over what the test file connects to.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use backend_redis::{Redis, RedisDirectory, RedisNodeLeases, RedisQueue, RedisRateLimiter};
use backplane::{
    SystemClock,
    conformance::{Fresh, TestTime, directory, node_leases::NODES, queue},
    directory::Directory,
    id::NodeLeases,
    queue::TaskQueue,
    rate::RateLimiter,
};

/// A key space of its own for each case.
async fn redis() -> Redis {
    static CASES: AtomicU32 = AtomicU32::new(0);
    let case = CASES.fetch_add(1, Ordering::Relaxed);
    let redis = crate::connect().await;
    redis.with_prefix(&format!("case{case}:")).unwrap()
}

fn time() -> TestTime {
    TestTime::Engine(SystemClock::new())
}

backplane::rate_conformance!(async {
    Fresh::<dyn RateLimiter> {
        store: Arc::new(RedisRateLimiter::new(redis().await)),
        time: time(),
    }
});

backplane::node_leases_conformance!(async {
    Fresh::<dyn NodeLeases> {
        store: Arc::new(RedisNodeLeases::new(redis().await, NODES)),
        time: time(),
    }
});

backplane::directory_conformance!(async {
    let directory = RedisDirectory::new(redis().await, directory::options());
    Fresh::<dyn Directory> {
        store: Arc::new(directory),
        time: time(),
    }
});

backplane::task_queue_conformance!(async {
    Fresh::<dyn TaskQueue> {
        store: Arc::new(RedisQueue::new(redis().await, "work", queue::options())),
        time: time(),
    }
});
