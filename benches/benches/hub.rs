//! What a delivery costs, beside what broadcast channels ask for it.
//!
//! A figure is the CPU time of everything between the call of `publish` and the return of the last
//! sink, divided by the deliveries. The sinks read each message and keep nothing. Our rows drive the
//! shard on the measuring thread; the rows in threads count the whole process, with the hand-over
//! to two shard threads and back. The peers run one task a subscriber on the measuring thread.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};

use backplane::{
    Topic,
    hub::{
        Batch, CloseReason, Connection, ConnectionOptions, ConnectionSink, DeliveryRef, Flow, Hub,
        HubOptions, Outgoing, Published, RetainOptions, Retained, SubscribeOptions,
    },
};
use bench::{Bars, CpuTime, Row};
use bench_peers::fanout as peers;
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, SamplingMode, criterion_group};

const INLINE: &str = "hub_inline";
const THREADS: &str = "hub_threads";
const PEERS: &str = "hub_peers";
const SIZES: [u32; 2] = [1_000, 100_000];
/// Messages between two looks of the shard, for the rows that publish several at a time.
const BATCH: u32 = 1_024;
const TOPICS: usize = 1_000_000;
static PAYLOAD: &[u8] = &[7; 128];

fn main() -> std::io::Result<()> {
    let (crowds, others) = (crowds(), others());
    inline();
    threads();
    crowds.print()?;
    others.print()
}

fn crowds() -> Bars {
    let mut bars = Bars::new("hub, one topic: CPU ns a delivery of 128 bytes, median of this run");
    for size in SIZES {
        let row = |group: &str, name: &str| Row::new(group, format!("{name}/{size}"));
        bars.row(row(INLINE, "one_topic").items(size).bar(30.0));
        bars.row(row(THREADS, "two_threads").items(size).bar(30.0));
        for peer in ["tokio_broadcast", "async_broadcast", "flume"] {
            bars.peer(row(PEERS, peer).items(size));
        }
    }
    bars
}

fn others() -> Bars {
    let mut bars = Bars::new("hub, many topics and none: CPU ns a call, median of this run");
    bars.row(
        Row::new(INLINE, "a_million_topics_batched")
            .items(BATCH)
            .bar(120.0),
    );
    bars.row(
        Row::new(INLINE, "a_million_topics_one_by_one")
            .items(BATCH)
            .bar(450.0),
    );
    bars.row(Row::new(INLINE, "nobody_subscribes").bar(30.0));
    bars.row(Row::new(INLINE, "publish_and_retain").bar(120.0));
    bars.row(Row::new(INLINE, "subscribe_and_unsubscribe").bar(500.0));
    bars
}

/// A sink that reads each message and counts it.
#[derive(Debug, Default)]
struct Counter {
    delivered: Arc<AtomicU64>,
    bytes: usize,
}

impl ConnectionSink for Counter {
    fn flush(&mut self, batch: &mut Batch<'_>) -> Flow {
        let mut delivered = 0;
        while let Some(delivery) = batch.next() {
            if let DeliveryRef::Message { payload, .. } = delivery {
                self.bytes += payload.len();
                delivered += 1;
            }
        }
        // Only one shard writes to a counter, so it need not be one step.
        let so_far = self.delivered.load(Ordering::Relaxed);
        self.delivered.store(so_far + delivered, Ordering::Relaxed);
        black_box(self.bytes);
        Flow::Ready
    }

    fn close(&mut self, _: CloseReason) {}
}

/// A sink that tells the measuring thread that a shard has come this far.
#[derive(Debug)]
struct Fence(mpsc::Sender<()>);

impl ConnectionSink for Fence {
    fn flush(&mut self, batch: &mut Batch<'_>) -> Flow {
        while batch.next().is_some() {
            self.0.send(()).expect("the bench waits");
        }
        Flow::Ready
    }

    fn close(&mut self, _: CloseReason) {}
}

fn topic(number: usize) -> Topic {
    format!("inbox:{number}").parse().expect("a short name")
}

fn connect(hub: &Hub, sink: impl ConnectionSink + 'static) -> Connection {
    let connection = hub.connect(sink, &ConnectionOptions::default());
    connection.expect("room")
}

fn subscribe(connection: &Connection, topic: &Topic) {
    let subscribed = connection.subscribe(topic, &SubscribeOptions::default());
    subscribed.expect("room");
}

fn publish(hub: &Hub, topic: &Topic) -> Published {
    hub.publish(topic, Bytes::from_static(PAYLOAD))
}

/// `count` connections that count into as many counters as there are shards.
fn audience(hub: &Hub, shards: usize, count: usize) -> (Vec<Connection>, Vec<Arc<AtomicU64>>) {
    let counters: Vec<_> = (0..shards).map(|_| Arc::default()).collect();
    let connections = (0..count).map(|number| {
        let delivered = Arc::clone(&counters[number % shards]);
        connect(
            hub,
            Counter {
                delivered,
                bytes: 0,
            },
        )
    });
    (connections.collect(), counters)
}

fn total(counters: &[Arc<AtomicU64>]) -> u64 {
    counters
        .iter()
        .map(|counter| counter.load(Ordering::Relaxed))
        .sum()
}

fn one_topic_inline(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group(INLINE);
    group.measurement_time(Duration::from_secs(3));
    for size in SIZES {
        let hub = Hub::new(HubOptions::inline());
        let (connections, counters) = audience(&hub, 1, size as usize);
        let hot = topic(0);
        for connection in &connections {
            subscribe(connection, &hot);
        }
        hub.run_once();
        group.bench_function(BenchmarkId::new("one_topic", size), |bencher| {
            bencher.iter(|| {
                let before = total(&counters);
                let _ = publish(&hub, &hot);
                hub.run_once();
                assert_eq!(total(&counters) - before, u64::from(size));
            });
        });
    }
    group.finish();
}

fn a_million_topics(criterion: &mut Criterion<CpuTime>) {
    let hub = Hub::new(HubOptions::inline());
    let (connections, counters) = audience(&hub, 1, TOPICS / 4);
    let topics: Vec<_> = (0..TOPICS).map(topic).collect();
    let mut order: Vec<_> = (0..TOPICS).collect();
    let mut rng = fastrand::Rng::with_seed(1);
    rng.shuffle(&mut order);
    for (place, &number) in order.iter().enumerate() {
        subscribe(&connections[place / 4], &topics[number]);
        if place % 1_000 == 0 {
            hub.run_once();
        }
    }
    hub.run_once();
    let mut batch: Vec<_> = (0..BATCH)
        .map(|_| Outgoing::new(topics[0].clone(), Bytes::new()))
        .collect();
    let mut group = criterion.benchmark_group(INLINE);
    group.measurement_time(Duration::from_secs(3));
    let mut next = |batch: &mut [Outgoing]| {
        for outgoing in batch {
            outgoing.topic = topics[rng.usize(..TOPICS)].clone();
            outgoing.payload = Bytes::from_static(PAYLOAD);
        }
    };
    for (name, batched) in [
        ("a_million_topics_batched", true),
        ("a_million_topics_one_by_one", false),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| {
                (0..rounds).fold(Duration::ZERO, |sum, _| {
                    next(&mut batch);
                    let (before, start) = (total(&counters), CpuTime::Thread.read());
                    if batched {
                        hub.publish_batch(&mut batch);
                        hub.run_once();
                    } else {
                        for outgoing in &batch {
                            let _ = publish(&hub, &outgoing.topic);
                            hub.run_once();
                        }
                    }
                    let spent = CpuTime::Thread.read().saturating_sub(start);
                    assert_eq!(total(&counters) - before, u64::from(BATCH));
                    sum + spent
                })
            });
        });
    }
    group.bench_function("subscribe_and_unsubscribe", |bencher| {
        let newcomer = topic(TOPICS);
        bencher.iter(|| {
            let connection = &connections[rng.usize(..connections.len())];
            subscribe(connection, &newcomer);
            assert!(connection.unsubscribe(&newcomer));
            hub.run_once();
        });
    });
    group.finish();
}

fn publish_alone(criterion: &mut Criterion<CpuTime>) {
    let hub = Hub::new(HubOptions::inline());
    let (deserted, kept) = (topic(0), topic(1));
    let retained: Retained = hub.retain(&kept, RetainOptions::default()).expect("room");
    let mut group = criterion.benchmark_group(INLINE);
    group.bench_function("nobody_subscribes", |bencher| {
        bencher.iter(|| {
            assert!(matches!(
                publish(&hub, &deserted),
                Published::Unheard { .. }
            ));
        });
    });
    group.bench_function("publish_and_retain", |bencher| {
        // Not static, so that a share of it is counted as that of a real payload is.
        let payload = Bytes::copy_from_slice(PAYLOAD);
        bencher.iter(|| {
            let position = hub.publish(&kept, payload.clone()).position();
            assert_eq!(
                position.map(|position| position.epoch),
                Some(retained.epoch())
            );
        });
    });
    group.finish();
}

fn peers(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group(PEERS);
    group.sampling_mode(SamplingMode::Flat).sample_size(20);
    let payload = Bytes::from_static(PAYLOAD);
    for size in SIZES {
        let subscribers = size as usize;
        let mut broadcast = peers::tokio_broadcast(subscribers);
        group.bench_function(BenchmarkId::new("tokio_broadcast", size), |bencher| {
            bencher.iter(|| broadcast(payload.clone()));
        });
        let mut broadcast = peers::async_broadcast(subscribers);
        group.bench_function(BenchmarkId::new("async_broadcast", size), |bencher| {
            bencher.iter(|| broadcast(payload.clone()));
        });
        let mut broadcast = peers::flume(subscribers);
        group.bench_function(BenchmarkId::new("flume", size), |bencher| {
            bencher.iter(|| broadcast(payload.clone()));
        });
    }
    group.finish();
}

fn one_topic_in_threads(criterion: &mut Criterion<CpuTime>) {
    const SHARDS: usize = 2;
    let mut group = criterion.benchmark_group(THREADS);
    group.measurement_time(Duration::from_secs(3));
    for size in SIZES {
        let hub = Hub::new(HubOptions::default().with_shards(SHARDS));
        let (connections, counters) = audience(&hub, SHARDS, size as usize);
        let (hot, fence) = (topic(0), topic(1));
        for connection in &connections {
            subscribe(connection, &hot);
        }
        let (arrived, arrivals) = mpsc::channel();
        let fences = [(); SHARDS].map(|()| connect(&hub, Fence(arrived.clone())));
        for connection in &fences {
            subscribe(connection, &fence);
        }
        group.bench_function(BenchmarkId::new("two_threads", size), |bencher| {
            bencher.iter(|| {
                let before = total(&counters);
                let _ = publish(&hub, &hot);
                let _ = publish(&hub, &fence);
                for _ in 0..SHARDS {
                    arrivals.recv().expect("every shard arrives");
                }
                assert_eq!(total(&counters) - before, u64::from(size));
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = inline;
    config = Criterion::default().with_measurement(CpuTime::Thread);
    targets = one_topic_inline, a_million_topics, publish_alone, peers
}

criterion_group! {
    name = threads;
    config = Criterion::default().with_measurement(CpuTime::Process);
    targets = one_topic_in_threads
}
