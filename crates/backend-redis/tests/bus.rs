//! What the bus on Redis does with time.
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

use std::time::Duration;

use backend_redis::{Redis, RedisBus, RedisBusOptions};
use backplane::{
    Epoch, Topic,
    bus::{Bus, BusLimits, HistoryRead},
};
use redis::Client;

async fn epoch(node: &RedisBus, topic: &Topic) -> Epoch {
    let read = HistoryRead::top(topic.clone());
    let pages = node.history(&[read]).await.unwrap();
    pages[0].as_ref().unwrap().top.epoch
}

/// A topic keeps its epoch as long as somebody is subscribed to it, and is forgotten else.
#[tokio::test]
async fn a_topic_is_kept_that_is_subscribed() {
    let server = engines::Redis::start().unwrap();
    let client = Client::open(server.url()).unwrap();
    let redis = Redis::from(client.get_connection_manager().await.unwrap());
    let mut limits = BusLimits::new();
    limits.history_ttl = Duration::from_millis(600);
    let options = RedisBusOptions::default()
        .with_limits(limits)
        .with_topic_ttl(Duration::from_millis(600));
    let node = RedisBus::new(redis, client.clone(), options);
    let [kept, left]: [Topic; 2] = ["kept", "left"].map(|name| name.parse().unwrap());
    node.subscribe(std::slice::from_ref(&kept)).await.unwrap();
    let before = [epoch(&node, &kept).await, epoch(&node, &left).await];
    // It was used last, so whatever nobody keeps is gone with it.
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut exists = redis::cmd("EXISTS");
    exists.arg("{bus:left}");
    while exists.query_async::<bool>(&mut connection).await.unwrap() {
        tokio::task::yield_now().await;
    }
    assert_eq!(epoch(&node, &kept).await, before[0]);
    assert_ne!(epoch(&node, &left).await, before[1]);
}
