//! The outbox answers as the one in memory does, on one server and on a Cluster.
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use backend_redis::{Redis, RedisOutbox, RedisOutboxOptions};
use feed_core::{
    Appended, Entry, ErrorKind, Outbox, PostId, PostState, Publication, UserId,
    conformance::histories::{History, few_cases, outbox},
};
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

/// An append that meets a full server takes neither room nor the id on those that are not.
#[tokio::test]
async fn a_full_server_leaves_nothing_on_the_others() {
    let cluster = engines::RedisCluster::start(3, 0).unwrap();
    let client = ClusterClient::new(cluster.urls()).unwrap();
    let redis = Redis::from(client.get_async_connection().await.unwrap());
    let outbox = RedisOutbox::new(redis, RedisOutboxOptions::default());
    let full = Client::open(&*cluster.urls()[0]).unwrap();
    let mut full = full.get_multiplexed_async_connection().await.unwrap();
    let mut limit = async |bytes: u32| {
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg("maxmemory").arg(bytes);
        set.exec_async(&mut full).await.unwrap();
    };
    let item = |author: u64, post: u64| {
        let entry = Entry::original(PostId::new(post), UserId::new(author));
        Publication::new(entry, "a body".into())
    };
    let posts: Vec<_> = (1..=40).collect();
    limit(1).await;
    let mut refused = Vec::new();
    for &post in &posts {
        if let Err(error) = outbox.append(&[item(post, post)]).await {
            assert_eq!(error.kind(), ErrorKind::Full);
            refused.push(post);
        }
    }
    let all: Vec<_> = posts.iter().copied().map(PostId::new).collect();
    let live = async || {
        let states = outbox.lookup(&all).await.unwrap();
        states.iter().filter_map(PostState::live).count()
    };
    assert!((1..40).contains(&refused.len()), "{refused:?}");
    assert_eq!(live().await, 40 - refused.len());
    // Nobody has them, so another author may.
    limit(0).await;
    for post in refused {
        let stored = outbox.append(&[item(1_000 + post, post)]).await.unwrap();
        assert_eq!(stored, [Appended::Stored], "{post}");
    }
    assert_eq!(live().await, 40);
}
