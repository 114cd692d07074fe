//! What the bus on Redis does with time and room.
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

use std::time::Duration;

use backend_redis::{Redis, RedisBus, RedisBusOptions};
use backplane::{
    Epoch, Topic,
    bus::{Bus, BusLimits, HistoryRead, IdempotencyKey, Outgoing, Published},
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
    limits.idempotency_window = Duration::from_millis(600);
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

/// A key is remembered for its time, also where a topic is forgotten sooner.
#[tokio::test]
async fn a_key_outlives_the_history() {
    let server = engines::Redis::start().unwrap();
    let client = Client::open(server.url()).unwrap();
    let redis = Redis::from(client.get_connection_manager().await.unwrap());
    let mut limits = BusLimits::new();
    limits.history_ttl = Duration::from_millis(50);
    let options = RedisBusOptions::default()
        .with_limits(limits)
        .with_topic_ttl(Duration::from_millis(50));
    let node = RedisBus::new(redis, client.clone(), options);
    let message = Outgoing::new("room".parse().unwrap(), "once").with_key(IdempotencyKey::new(7));
    let publish = async || {
        let published = node.publish(std::slice::from_ref(&message)).await;
        published.unwrap().remove(0).unwrap()
    };
    let first = publish().await;
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut exists = redis::cmd("EXISTS");
    exists.arg("{bus:room}:history");
    while exists.query_async::<bool>(&mut connection).await.unwrap() {
        tokio::task::yield_now().await;
    }
    assert_eq!(publish().await, Published::Duplicate(first.position()));
}

/// A page has as many bytes as it may, however many messages they are.
#[tokio::test]
async fn a_page_is_as_long_as_it_may_be() {
    let server = engines::Redis::start().unwrap();
    let client = Client::open(server.url()).unwrap();
    let redis = Redis::from(client.get_connection_manager().await.unwrap());
    let node = RedisBus::new(redis, client, RedisBusOptions::default());
    let topic: Topic = "room".parse().unwrap();
    let messages: Vec<_> = (0..50)
        .map(|number| Outgoing::new(topic.clone(), vec![number; 10]))
        .collect();
    let published = node.publish(&messages).await.unwrap();
    let fifth = published[4].as_ref().unwrap().position();
    for (bytes, expected) in [
        (0, 1),
        (99, 9),
        (100, 10),
        (101, 10),
        (319, 31),
        (9_999, 45),
    ] {
        let read = HistoryRead::new(topic.clone(), Some(fifth), 100).with_bytes(bytes);
        let page = node.history(&[read]).await.unwrap().remove(0).unwrap();
        let payloads: Vec<_> = page.messages.iter().map(|one| one.payload[0]).collect();
        let expected: Vec<_> = (5..5 + expected).collect();
        assert_eq!(payloads, expected, "{bytes} bytes");
    }
}
