use std::time::Duration;

use backend_redis::{RedisOutbox, RedisOutboxOptions};
use feed_core::{Entry, Outbox, PostId, PostState, Publication, UserId};
use futures::future::join_all;

use crate::on_cluster;

/// Asks until the servers answer.
async fn live(outbox: &RedisOutbox, posts: &[PostId]) -> usize {
    loop {
        match outbox.lookup(posts).await {
            Ok(states) => return states.iter().filter_map(PostState::live).count(),
            Err(error) => assert!(error.is_retryable(), "{error:?}"),
        }
    }
}

/// A client of a Cluster that has much to do when a master dies is not stuck for ever.
#[tokio::test]
async fn calls_go_on_when_a_replica_has_taken_over() {
    const POSTS: u64 = 400;
    let cluster = engines::RedisCluster::start(3, 1).unwrap();
    let outbox = RedisOutbox::new(on_cluster(&cluster).await, RedisOutboxOptions::default());
    let item = |post: u64| {
        let entry = Entry::original(PostId::new(post), UserId::new(post % 50));
        Publication::new(entry, "body".into())
    };
    let items: Vec<_> = (1..=POSTS).map(item).collect();
    outbox.append(&items).await.unwrap();
    cluster.kill(0).unwrap();
    let posts: Vec<_> = items.iter().map(|item| item.entry.post).collect();
    let asked = tokio::time::timeout(Duration::from_secs(60), live(&outbox, &posts));
    assert!(asked.await.expect("it answers within a minute") > 0);
}

/// A master is killed while posts are published that its only replica must have. When that has taken over,
/// all posts are there that were acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_post_is_lost_that_every_replica_had() {
    let cluster = engines::RedisCluster::start(3, 1).unwrap();
    let within = Duration::from_millis(500);
    let writer = on_cluster(&cluster).await;
    let redis = on_cluster(&cluster).await.with_replicas(1, within, writer);
    let outbox = RedisOutbox::new(redis, RedisOutboxOptions::default());
    let publish = |post| {
        let outbox = outbox.clone();
        let entry = Entry::original(PostId::new(post), UserId::new(post % 50));
        let item = Publication::new(entry, "body".into());
        tokio::spawn(async move {
            let appended = outbox.append(&[item]).await;
            appended.map(|_| entry.post)
        })
    };
    let before: Vec<_> = (1..=100).map(publish).collect();
    let before = join_all(before).await;
    let beside: Vec<_> = (101..=300).map(publish).collect();
    cluster.kill(0).unwrap();
    let published = before.into_iter().chain(join_all(beside).await);
    let mut acked = Vec::new();
    for published in published {
        match published.unwrap() {
            Ok(post) => acked.push(post),
            Err(error) => assert!(error.is_retryable(), "{error:?}"),
        }
    }
    assert!(!acked.is_empty());
    assert_eq!(live(&outbox, &acked).await, acked.len());
}
