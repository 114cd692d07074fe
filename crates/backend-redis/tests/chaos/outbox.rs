use std::time::Duration;

use backend_redis::{RedisOutbox, RedisOutboxOptions};
use feed_core::{Entry, Outbox, PostId, PostState, Publication, UserId};

use crate::{
    house::{master_of, until},
    on_cluster, on_replicas, replica_lacks,
};

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
    let items: Vec<_> = (1..=POSTS).map(item).collect();
    outbox.append(&items).await.unwrap();
    cluster.kill(0).unwrap();
    let posts: Vec<_> = items.iter().map(|item| item.entry.post).collect();
    let asked = tokio::time::timeout(Duration::from_secs(60), live(&outbox, &posts));
    assert!(asked.await.expect("it answers within a minute") > 0);
}

/// A master hangs, and posts go on as soon as its replica has taken over, also over the connection of those
/// who wait for replicas.
#[tokio::test]
async fn posts_go_on_when_a_master_hangs() {
    let cluster = engines::RedisCluster::start(3, 1).unwrap();
    let writer = on_cluster(&cluster).await;
    // Of none, since the replica that takes over has none.
    let redis = on_cluster(&cluster).await;
    let redis = redis.with_replicas(0, Duration::from_millis(500), writer);
    let outbox = RedisOutbox::new(redis, RedisOutboxOptions::default());
    let items: Vec<_> = (1..=30).map(item).collect();
    outbox.append(&items).await.unwrap();
    cluster.pause(0).unwrap();
    until("all posts are published", async || {
        let more: Vec<_> = (31..=60).map(item).collect();
        outbox.append(&more).await.is_ok()
    })
    .await;
}

/// A master is killed whose only replica has not heard of the newest posts. When that takes over, all posts
/// are there that were acknowledged.
#[tokio::test]
async fn no_post_is_lost_that_every_replica_had() {
    let cluster = engines::RedisCluster::start(3, 1).unwrap();
    let redis = on_replicas(&cluster).await;
    let outbox = RedisOutbox::new(redis, RedisOutboxOptions::default());
    // Which of the posts are acknowledged.
    let publish = async |posts: Vec<u64>| {
        let items: Vec<_> = posts.iter().copied().map(item).collect();
        match outbox.append(&items).await {
            Ok(_) => items.iter().map(|item| item.entry.post).collect(),
            Err(error) => {
                assert!(error.is_retryable(), "{error:?}");
                Vec::new()
            }
        }
    };
    let mut acked = Vec::new();
    until("a post is acknowledged", async || {
        acked = publish((1..=100).collect()).await;
        !acked.is_empty()
    })
    .await;
    replica_lacks(&cluster, async {
        let is_there = |post: &u64| master_of(&format!("outbox:{}", author(*post))) == 0;
        acked.extend(publish((101..=200).filter(is_there).collect()).await);
    })
    .await;
    // The replica that takes over has none itself.
    let judge = RedisOutbox::new(on_cluster(&cluster).await, RedisOutboxOptions::default());
    assert_eq!(live(&judge, &acked).await, acked.len());
}

const fn author(post: u64) -> u64 {
    post % 50
}

fn item(post: u64) -> Publication {
    let entry = Entry::original(PostId::new(post), UserId::new(author(post)));
    Publication::new(entry, "body".into())
}
