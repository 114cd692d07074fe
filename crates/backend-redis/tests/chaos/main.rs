//! Servers that die under load, and what readers learn of it.
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

mod outbox;
mod reader;

use std::{collections::HashMap, sync::Arc, time::Duration};

use backend_redis::{Redis, RedisBus, RedisBusOptions};
use backplane::{
    Position, SystemClock, Topic,
    bus::{Bus, Outgoing, Relay, RelayOptions},
};
use redis::{Client, cluster::ClusterClient};

use crate::reader::Reader;

const TOPICS: usize = 30;

/// The node on which a test runs must not wait for a dead server longer than this.
const PATIENCE: Duration = Duration::from_secs(2);

async fn node(cluster: &engines::RedisCluster) -> Arc<dyn Bus> {
    let client = ClusterClient::builder(cluster.urls())
        .connection_timeout(PATIENCE)
        .response_timeout(PATIENCE)
        .retries(2)
        .build()
        .unwrap();
    let redis = Redis::from(client.get_async_connection().await.unwrap());
    let client = Client::open(&*cluster.urls()[1]).unwrap();
    let options = RedisBusOptions::default().with_probe_every(Duration::from_secs(1));
    Arc::new(RedisBus::new(redis, client, options))
}

/// Publishes one message to each topic, and notes where those stand that were acknowledged.
async fn round(writer: &dyn Bus, topics: &[Topic], acked: &mut HashMap<Topic, Vec<Position>>) {
    let publish = |topic: &Topic| {
        let message = Outgoing::new(topic.clone(), "x");
        async move {
            let published = writer.publish(std::slice::from_ref(&message)).await;
            let published = published.and_then(|mut published| published.remove(0));
            (message.topic, published)
        }
    };
    for (topic, published) in futures::future::join_all(topics.iter().map(publish)).await {
        match published {
            Ok(published) => acked.entry(topic).or_default().push(published.position()),
            Err(error) => assert!(error.is_retryable(), "{error:?}"),
        }
    }
}

/// A master is killed while a node publishes and another reads. Its replica takes over, and the reader
/// gets every acknowledged message, or word of another epoch in the place of those that may be lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_follow_a_replica_that_takes_over() {
    let cluster = engines::RedisCluster::start(3, 1).unwrap();
    let topics: Vec<Topic> = (0..TOPICS)
        .map(|number| format!("room:{number}").parse().unwrap())
        .collect();
    // Subscriptions are made again, and not only made up for by looking at positions.
    let options = RelayOptions::default().with_check_every(Duration::MAX);
    let clock = Arc::new(SystemClock::new());
    let relay = Relay::new(node(&cluster).await, clock, options);
    let (reader, mut acked) = (Reader::default(), HashMap::new());

    let script = async {
        for topic in &topics {
            relay.want(topic);
        }
        for topic in &topics {
            reader.start(topic, relay.joined(topic).await.unwrap());
        }
        let writer = node(&cluster).await;
        for _ in 0..20 {
            round(&*writer, &topics, &mut acked).await;
        }
        cluster.kill(0).unwrap();
        let before: HashMap<_, _> = acked.clone();
        loop {
            round(&*writer, &topics, &mut acked).await;
            // So that the reader finds in the history what it missed.
            tokio::time::sleep(Duration::from_millis(50)).await;
            // Each topic has been published to again and again since, and the reader is up to date.
            let is_past = |topic: &Topic| acked[topic].len() >= before[topic].len() + 10;
            if topics.iter().all(is_past) {
                break;
            }
        }
        for topic in &topics {
            reader.reaches(topic, *acked[topic].last().unwrap()).await;
        }
    };
    let script = tokio::time::timeout(Duration::from_secs(90), script);
    tokio::select! {
        done = script => done.expect("the reader is up to date in a minute and a half"),
        ended = relay.run(&reader) => panic!("{ended:?}"),
    }
    let changed: usize = topics
        .iter()
        .map(|topic| reader.check(topic, &acked[topic]))
        .sum();
    assert!(changed > 0, "the topics of the dead master began anew");
    assert!(changed < TOPICS, "the others did not");
}
