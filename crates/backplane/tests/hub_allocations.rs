//! What the hub costs in memory, counted by the allocator, so that noise cannot touch it.

use allocation_counter::measure;
use backplane::{
    Topic,
    hub::{
        Batch, CloseReason, Connection, ConnectionOptions, ConnectionSink, Flow, Hub, HubOptions,
        Outgoing, RetainOptions, SubscribeOptions,
    },
};
use bytes::Bytes;

/// A sink that takes everything and keeps nothing.
#[derive(Debug)]
struct Discard;

impl ConnectionSink for Discard {
    fn flush(&mut self, batch: &mut Batch<'_>) -> Flow {
        while batch.next().is_some() {}
        Flow::Ready
    }

    fn close(&mut self, _: CloseReason) {}
}

fn topic(number: usize) -> Topic {
    format!("topic:{number}").parse().expect("a short name")
}

fn connections(hub: &Hub, count: usize) -> Vec<Connection> {
    let connected = (0..count).map(|_| hub.connect(Discard, &ConnectionOptions::default()));
    let connected = connected.map(|connection| connection.expect("room"));
    let connected = connected.collect();
    settle(hub);
    connected
}

fn settle(hub: &Hub) {
    while hub.run_once() > 0 {}
}

fn subscribe(connection: &Connection, topic: &Topic) {
    let subscribed = connection.subscribe(topic, &SubscribeOptions::default());
    subscribed.expect("room");
}

/// What `add` allocates and keeps, in bytes for each of `count`.
fn bytes_each(count: usize, add: impl FnOnce()) -> f64 {
    let kept = measure(add).bytes_current;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let each = kept as f64 / count as f64;
    each
}

#[test]
fn a_broadcast_allocates_nothing() {
    const SHARDS: usize = 2;
    let hub = Hub::new(HubOptions::inline().with_shards(SHARDS));
    let everybody = connections(&hub, 1_000);
    for connection in &everybody {
        subscribe(connection, &topic(0));
    }
    let retained = topic(1);
    let _history = hub.retain(&retained, RetainOptions::default()).unwrap();
    subscribe(&everybody[0], &retained);
    settle(&hub);
    let payload = Bytes::from_static(b"shared by all");
    let mut batch: Vec<_> = (0..64)
        .map(|n| Outgoing::new(topic(n % 4), payload.clone()))
        .collect();
    let mut broadcast = |rounds: usize| {
        for _ in 0..rounds {
            let _ = hub.publish(&batch[0].topic, payload.clone());
            let _ = hub.publish(&retained, payload.clone());
            for outgoing in &mut batch {
                outgoing.payload = payload.clone();
            }
            hub.publish_batch(&mut batch);
            settle(&hub);
        }
    };
    // Queues grow to what a round needs, and the history to its bound.
    broadcast(20);
    assert_eq!(measure(|| broadcast(100)).count_total, 0);
}

#[test]
fn a_connection_costs_at_most_256_bytes() {
    const COUNT: usize = 100_000;
    let hub = Hub::new(HubOptions::inline());
    let mut everybody = Vec::new();
    let each = bytes_each(COUNT, || {
        for _ in 0..100 {
            everybody.extend(connections(&hub, COUNT / 100));
        }
    });
    assert!(each <= 256.0, "{each} bytes");
}

#[test]
fn a_subscriber_of_a_crowd_costs_at_most_24_bytes() {
    const COUNT: usize = 100_000;
    let hub = Hub::new(HubOptions::inline());
    let everybody = connections(&hub, COUNT);
    let crowd = topic(0);
    let each = bytes_each(COUNT, || {
        for some in everybody.chunks(1_000) {
            for connection in some {
                subscribe(connection, &crowd);
            }
            settle(&hub);
        }
    });
    assert!(each <= 24.0, "{each} bytes");
}

#[test]
fn one_of_many_subscriptions_costs_at_most_24_bytes() {
    const CONNECTIONS: usize = 1_000;
    const TOPICS: usize = 128;
    let hub = Hub::new(HubOptions::inline());
    let everybody = connections(&hub, CONNECTIONS);
    let topics: Vec<_> = (0..TOPICS).map(topic).collect();
    let each = bytes_each(CONNECTIONS * TOPICS, || {
        for connection in &everybody {
            for topic in &topics {
                subscribe(connection, topic);
            }
            settle(&hub);
        }
    });
    assert!(each <= 24.0, "{each} bytes");
}

/// A topic with one subscriber pays for its own entries too: a hash bucket, and one cache line each
/// in the directory and in the shard, with the slack of growing vectors.
#[test]
fn a_topic_of_its_own_costs_at_most_240_bytes() {
    const COUNT: usize = 100_000;
    let hub = Hub::new(HubOptions::inline());
    let everybody = connections(&hub, COUNT / 4);
    let topics: Vec<_> = (0..COUNT).map(topic).collect();
    let each = bytes_each(COUNT, || {
        for (number, topic) in topics.iter().enumerate() {
            subscribe(&everybody[number / 4], topic);
            if number % 1_000 == 0 {
                settle(&hub);
            }
        }
        settle(&hub);
    });
    assert!(each <= 240.0, "{each} bytes");
}

#[test]
fn what_nobody_subscribes_to_costs_nothing() {
    let hub = Hub::new(HubOptions::inline());
    let never = topic(7);
    let idle = measure(|| {
        let _ = hub.publish(&never, Bytes::from_static(b"unheard"));
        settle(&hub);
    });
    assert_eq!(idle.count_total, 0);
    let connection = connections(&hub, 1).pop().unwrap();
    let churn = |rounds: usize| {
        for _ in 0..rounds {
            subscribe(&connection, &never);
            connection.unsubscribe(&never);
            settle(&hub);
        }
    };
    churn(100);
    assert_eq!(measure(|| churn(1_000)).bytes_current, 0);
}

/// What readers resume with takes memory while they do, a window of them at a time.
#[test]
fn readers_that_resume_together_take_memory_a_few_at_a_time() {
    const READERS: usize = 5_000;
    const MISSED: usize = 256;
    let hub = Hub::new(HubOptions::inline());
    let retained = hub.retain(&topic(0), RetainOptions::default()).unwrap();
    let seen = retained.top();
    for _ in 0..MISSED {
        let _ = hub.publish(&topic(0), Bytes::from_static(b"missed"));
    }
    let everybody = connections(&hub, READERS);
    let options = SubscribeOptions::default().with_resume(seen);
    for connection in &everybody {
        connection.subscribe(&topic(0), &options).unwrap();
    }
    let most = measure(|| settle(&hub)).bytes_max;
    assert!(most <= 16 << 20, "{most} bytes");
}

#[test]
fn what_a_burst_took_is_given_back() {
    const BURST: usize = 200_000;
    let options = HubOptions::inline().with_inbox_bytes(1 << 30);
    let hub = Hub::new(options);
    let connection = connections(&hub, 1).pop().unwrap();
    subscribe(&connection, &topic(0));
    settle(&hub);
    let publish = |count| {
        for _ in 0..count {
            let _ = hub.publish(&topic(0), Bytes::from_static(b"x"));
        }
        settle(&hub);
    };
    let kept = measure(|| {
        // The inbox and the shard have a buffer each, and exchange them.
        [BURST; 2].into_iter().chain([1; 10]).for_each(publish);
    });
    assert!(kept.bytes_max >= BURST as u64 * 64);
    assert!(
        kept.bytes_current <= 9 << 20,
        "{} bytes",
        kept.bytes_current
    );
}
