//! Readers of a bus.

use std::{sync::Arc, time::Duration};

use backend_redis::{Redis, RedisBus, RedisBusOptions};
use backplane::{
    SystemClock,
    bus::{Bus, Relay, RelayOptions},
};
use engines::{Proxy, RedisCluster};

use crate::{
    house::{IN_THE_END, client, until},
    load::{Load, TOPICS},
    on_cluster, on_server,
    reader::Reader,
    trouble::{TROUBLES, Trouble},
};

fn node(redis: Redis, url: &str) -> Arc<dyn Bus> {
    let client = client(url);
    let options = RedisBusOptions::default().with_probe_every(Duration::from_secs(1));
    Arc::new(RedisBus::new(redis, client, options))
}

async fn node_of(cluster: &RedisCluster) -> Arc<dyn Bus> {
    node(on_cluster(cluster).await, &cluster.urls()[1])
}

/// Has `reader` read all topics of `load` through `bus` while `story` goes on, and until it has caught up.
///
/// It checks no positions: what it hears is what the bus pushes, and what that says it may have missed.
async fn read_while(
    bus: Arc<dyn Bus>,
    reader: &Reader,
    load: &mut Load<'_>,
    story: impl AsyncFnOnce(&mut Load<'_>),
) {
    let options = RelayOptions::default().with_check_every(Duration::MAX);
    let relay = Relay::new(bus, Arc::new(SystemClock::new()), options);
    let script = async {
        for topic in &load.topics {
            relay.want(topic);
        }
        for topic in &load.topics {
            reader.start(topic, relay.joined(topic).await.unwrap());
        }
        story(load).await;
        reader.catches_up(load).await;
    };
    tokio::select! {
        done = tokio::time::timeout(IN_THE_END, script) => done.expect("the reader is up to date"),
        ended = relay.run(reader) => panic!("{ended:?}"),
    }
}

/// Something happens to the master of a third of the topics: its readers get every acknowledged message, or
/// word of another epoch in the place of those that may be lost. The others notice nothing.
async fn one_of_three(cluster: &RedisCluster, happens: impl AsyncFnOnce(&mut Load<'_>)) {
    let (bus, writer) = (node_of(cluster).await, node_of(cluster).await);
    let (reader, mut load) = (Reader::default(), Load::new(&*writer));
    read_while(bus, &reader, &mut load, async |load| {
        for _ in 0..20 {
            load.round().await;
        }
        happens(load).await;
    })
    .await;
    let changed: usize = load
        .topics
        .iter()
        .map(|topic| reader.check(topic, &load.acked[topic]))
        .sum();
    assert!(changed > 0, "the topics of that master began anew");
    assert!(changed < TOPICS, "the others did not");
}

/// Its replica takes over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_follow_a_replica_that_takes_over() {
    let cluster = RedisCluster::start(3, 1).unwrap();
    one_of_three(&cluster, async |load| {
        cluster.kill(0).unwrap();
        load.rounds(10).await;
    })
    .await;
}

/// Its replica takes over, and then it goes on, and is a master for as long as nobody has told it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_do_not_follow_a_master_that_was_taken_for_dead() {
    let cluster = RedisCluster::start(3, 1).unwrap();
    one_of_three(&cluster, async |load| {
        cluster.pause(0).unwrap();
        load.rounds(10).await;
        cluster.resume(0).unwrap();
        load.rounds(20).await;
    })
    .await;
}

/// It starts again before anybody has missed it, and has lost everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_are_told_of_a_server_that_starts_with_nothing() {
    let cluster = RedisCluster::start(3, 0).unwrap();
    one_of_three(&cluster, async |load| {
        cluster.restart_empty(0).unwrap();
        load.rounds(10).await;
    })
    .await;
}

/// The server is well, but what is between it and the reader is not: it gets every message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_miss_nothing_over_a_bad_network() {
    let server = engines::Redis::start().unwrap();
    let proxy = Proxy::start(server.address()).unwrap();
    let bus = node(on_server(&proxy.url()).await, &proxy.url());
    let writer = node(on_server(&server.url()).await, &server.url());
    let (reader, mut load) = (Reader::default(), Load::new(&*writer));
    read_while(bus, &reader, &mut load, async |load| {
        for trouble in TROUBLES {
            load.rounds(5).await;
            let _ = proxy.take_traffic();
            trouble.begin(&proxy);
            load.rounds(5).await;
            if let Trouble::Silence(_) = trouble {
                // Nobody tells the node, so it has to find out.
                until("the node has connected anew", async || {
                    proxy.take_traffic().commands.contains_key("HELLO")
                })
                .await;
            }
            load.rounds(5).await;
            Trouble::end(&proxy);
            // Though no message comes any more that would show what is missing.
            reader.catches_up(load).await;
        }
    })
    .await;
    for topic in &load.topics {
        assert_eq!(
            reader.check(topic, &load.acked[topic]),
            0,
            "{topic}: it was not lost"
        );
    }
}
