//! The outbox answers as the one in memory does, on one server and on a Cluster.
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use backend_redis::{Redis, RedisOutbox, RedisOutboxOptions};
use feed_core::conformance::histories::{History, few_cases, outbox};
use proptest::test_runner::TestRunner;
use redis::{Client, cluster::ClusterClient};
use tokio::runtime::Runtime;

fn answers_as_memory_does(connect: impl AsyncFn() -> Redis) {
    let cases = AtomicU32::new(0);
    let runtime = Runtime::new().unwrap();
    let redis = runtime.block_on(connect());
    let play = |history: History<outbox::Op>| {
        let case = cases.fetch_add(1, Ordering::Relaxed);
        let own = format!("case{case}:");
        let options = RedisOutboxOptions::default()
            .with_keys_per_author(outbox::KEYS_PER_AUTHOR)
            .with_retractions_per_author(outbox::RETRACTIONS_PER_AUTHOR);
        runtime.block_on(outbox::play(&history, usize::MAX, async || {
            let redis = redis.clone().with_prefix(&own).unwrap();
            Arc::new(RedisOutbox::new(redis, options.clone()))
        }));
        Ok(())
    };
    let mut runner = TestRunner::new(few_cases());
    runner.run(&outbox::histories(), play).unwrap();
}

#[test]
fn an_outbox_on_a_server_answers_as_memory_does() {
    let server = engines::Redis::start().unwrap();
    answers_as_memory_does(async || {
        let client = Client::open(server.url()).unwrap();
        client.get_connection_manager().await.unwrap().into()
    });
}

#[test]
fn an_outbox_on_a_cluster_answers_as_memory_does() {
    let cluster = engines::RedisCluster::start(3, 0).unwrap();
    answers_as_memory_does(async || {
        let client = ClusterClient::new(cluster.urls()).unwrap();
        client.get_async_connection().await.unwrap().into()
    });
}
