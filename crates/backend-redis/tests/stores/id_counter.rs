//! Counters on servers that have lost what they had given.

use backend_redis::{Redis, RedisIdCounter};
use backplane::{ErrorKind, id::IdCounter};

use crate::house::Server;

/// So many numbers may be lost.
const LEAP: u64 = 1_000;

fn counter(redis: &Redis) -> RedisIdCounter {
    RedisIdCounter::new(redis.clone(), "orders").with_leap(LEAP)
}

/// On a server that is not the one that gave the last numbers, those are passed over that it may lack.
#[tokio::test]
async fn another_server_passes_over_what_it_may_lack() {
    let server = Server::start().await;
    assert_eq!(counter(&server.redis).take(10).await.unwrap(), 1);
    server.order("REPLICAOF 127.0.0.1 1").await;
    server.order("REPLICAOF NO ONE").await;
    let new = counter(&server.redis);
    assert_eq!(new.take(1).await.unwrap(), 11 + LEAP);
    assert_eq!(new.take(5).await.unwrap(), 12 + LEAP, "once");
}

/// A process that goes on has no number again, nor has another that asks after it.
#[tokio::test]
async fn a_process_outlasts_a_server_that_has_lost_everything() {
    let server = Server::start().await;
    let old = counter(&server.redis);
    assert_eq!(old.take(10).await.unwrap(), 1);
    server.order("FLUSHALL").await;
    assert_eq!(old.clone().take(1).await.unwrap(), 11 + LEAP);
    assert_eq!(counter(&server.redis).take(1).await.unwrap(), 12 + LEAP);
    // And one that was restored from before.
    server.order("HSET {counter:orders} last 3").await;
    assert!(old.take(1).await.unwrap() > 12 + LEAP);
}

/// A counter that has come to its end takes nothing, and what is no number is none.
#[tokio::test]
async fn a_counter_ends_and_does_not_wrap() {
    let server = Server::start().await;
    let (counter, last) = (counter(&server.redis), i64::MAX - 3);
    counter.take(1).await.unwrap();
    server
        .order(&format!("HSET {{counter:orders}} last {last}"))
        .await;
    assert_eq!(counter.take(4).await.unwrap_err().kind(), ErrorKind::Full);
    let first = u64::try_from(last + 1).unwrap();
    assert_eq!(counter.take(3).await.unwrap(), first);
    assert_eq!(counter.take(1).await.unwrap_err().kind(), ErrorKind::Full);
    server.order("HSET {counter:orders} last stranger").await;
    let refused = counter.take(1).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corrupt);
    server.order("SET {counter:orders} stranger").await;
    let refused = counter.take(1).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corrupt);
}

/// A block that a full server refuses is not gone.
#[tokio::test]
async fn nothing_is_taken_where_memory_is_full() {
    let server = Server::start().await;
    let counter = counter(&server.redis);
    counter.take(1).await.unwrap();
    server.order("CONFIG SET maxmemory 1").await;
    assert_eq!(counter.take(9).await.unwrap_err().kind(), ErrorKind::Full);
    server.order("CONFIG SET maxmemory 0").await;
    assert_eq!(counter.take(1).await.unwrap(), 2);
}
