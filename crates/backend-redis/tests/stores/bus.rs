//! What the bus on Redis does with time and room.

use std::time::Duration;

use backend_redis::{RedisBus, RedisBusOptions};
use backplane::{
    Epoch, Topic,
    bus::{Bus, BusEvent, BusLimits, HistoryRead, IdempotencyKey, Outgoing, Published},
};
use bytes::Bytes;
use engines::{Flavour, RedisCluster};
use futures::StreamExt as _;
use tokio::time::timeout;

use crate::house::{IN_THE_END, Operator, Server, client, connect, master_of, slot_of, until};

fn node_on(server: &Server, options: RedisBusOptions) -> RedisBus {
    let client = client(&server.engine.url());
    RedisBus::new(server.redis.clone(), client, options)
}

async fn epoch(node: &RedisBus, topic: &Topic) -> Epoch {
    let read = HistoryRead::top(topic.clone());
    let pages = node.history(&[read]).await.unwrap();
    pages[0].as_ref().unwrap().top.epoch
}

/// A topic keeps its epoch as long as somebody is subscribed to it, and is forgotten else.
#[tokio::test]
async fn a_topic_is_kept_that_is_subscribed() {
    let server = Server::start().await;
    let mut limits = BusLimits::new();
    limits.history_ttl = Duration::from_millis(600);
    limits.idempotency_window = Duration::from_millis(600);
    let options = RedisBusOptions::default()
        .with_limits(limits)
        .with_topic_ttl(Duration::from_millis(600));
    let node = node_on(&server, options);
    let [kept, left]: [Topic; 2] = ["kept", "left"].map(|name| name.parse().unwrap());
    node.subscribe(std::slice::from_ref(&kept)).await.unwrap();
    let before = [epoch(&node, &kept).await, epoch(&node, &left).await];
    // It was used last, so whatever nobody keeps is gone with it.
    until("the topic is forgotten", async || {
        !server.ask::<bool>("EXISTS {bus:left}").await
    })
    .await;
    assert_eq!(epoch(&node, &kept).await, before[0]);
    assert_ne!(epoch(&node, &left).await, before[1]);
}

fn tag(topic: &Topic) -> String {
    format!("bus:{topic}")
}

/// Topics that the first of three masters serves.
fn topics_of_the_first() -> impl Iterator<Item = Topic> {
    let topics = (0..).map(|number| format!("topic:{number}").parse().unwrap());
    topics.filter(|topic| master_of(&tag(topic)) == 0)
}

/// Whether somebody is subscribed to a topic on the server with this address, by this command.
async fn is_heard(url: &str, command: &str, topic: &Topic) -> bool {
    let operator = Operator::of(url).await;
    let count = format!("PUBSUB {command} {{{}}}", tag(topic));
    let (_, count): (String, u64) = operator.ask(&count).await;
    count > 0
}

/// What a node hears until it has heard the second message of as many topics.
async fn hear_until_two(node: &RedisBus, topics: usize) -> Vec<(Topic, Bytes)> {
    let (mut events, mut heard) = (node.events(), Vec::new());
    let mut left = topics;
    while left > 0 {
        if let BusEvent::Message { topic, message } = events.next().await.unwrap() {
            left -= usize::from(message.payload == "two");
            heard.push((topic, message.payload));
        }
    }
    heard.sort_unstable();
    heard
}

/// Also where there are no shard channels, whose subscriptions a server ends that serves their slot no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_is_where_its_slot_is_and_nowhere_else() {
    for (flavour, command) in [
        (Flavour::Redis, "SHARDNUMSUB"),
        (Flavour::Redis62, "NUMSUB"),
    ] {
        let cluster = RedisCluster::start_as(flavour, 3, 0).unwrap();
        let urls = cluster.urls();
        let options = RedisBusOptions::default().with_probe_every(Duration::from_millis(100));
        let node = RedisBus::new(connect(&urls).await, client(&urls[0]), options);
        let mut topics: Vec<_> = topics_of_the_first().take(2).collect();
        topics.sort_unstable();
        for subscribed in node.subscribe(&topics).await.unwrap() {
            subscribed.unwrap();
        }
        let (moves, stays) = (&topics[0], &topics[1]);
        cluster.move_slot(slot_of(&tag(moves)), 0, 1).unwrap();
        until("the subscription has followed its slot", async || {
            !is_heard(&urls[0], command, moves).await && is_heard(&urls[1], command, moves).await
        })
        .await;
        assert!(is_heard(&urls[0], command, stays).await, "{flavour:?}");

        for payload in ["one", "two"] {
            let message = |topic: &Topic| Outgoing::new(topic.clone(), payload);
            let messages: Vec<_> = topics.iter().map(message).collect();
            node.publish(&messages).await.unwrap();
        }
        let heard = timeout(IN_THE_END, hear_until_two(&node, topics.len()));
        let heard = heard.await.unwrap();
        let once = |topic: &Topic| ["one", "two"].map(|payload| (topic.clone(), payload.into()));
        let once: Vec<_> = topics.iter().flat_map(once).collect();
        assert_eq!(heard, once, "{flavour:?}");
    }
}

/// A key is remembered for its time, also where a topic is forgotten sooner.
#[tokio::test]
async fn a_key_outlives_the_history() {
    let server = Server::start().await;
    let mut limits = BusLimits::new();
    limits.history_ttl = Duration::from_millis(50);
    let options = RedisBusOptions::default()
        .with_limits(limits)
        .with_topic_ttl(Duration::from_millis(50));
    let node = node_on(&server, options);
    let message = Outgoing::new("room".parse().unwrap(), "once").with_key(IdempotencyKey::new(7));
    let publish = async || {
        let published = node.publish(std::slice::from_ref(&message)).await;
        published.unwrap().remove(0).unwrap()
    };
    let first = publish().await;
    until("the history is gone", async || {
        !server.ask::<bool>("EXISTS {bus:room}:history").await
    })
    .await;
    assert_eq!(publish().await, Published::Duplicate(first.position()));
}

/// A page has as many bytes as it may, however many messages they are.
#[tokio::test]
async fn a_page_is_as_long_as_it_may_be() {
    let server = Server::start().await;
    let node = node_on(&server, RedisBusOptions::default());
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
