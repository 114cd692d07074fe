//! What a message costs on the memory bus, and what a reader's recovery costs.

use std::sync::Arc;

use backplane::{
    CoarseClock, Position, SystemClock, Topic,
    bus::{
        BusLimits, HistoryPage, HistoryRead, Message, Outgoing, Recovery, RecoveryOptions, Step,
    },
    memory::{MemoryBus, MemoryBusOptions, MemoryNode},
};
use bench::{Bars, CpuTime, Row};
use criterion::{BatchSize, Criterion, Throughput, criterion_group};
use futures::{FutureExt, StreamExt};

const PUBLISH: &str = "bus_publish";
const RECOVER: &str = "bus_recover";
const TOPICS: u32 = 1_000;
const MISSED: u32 = 100;

fn main() -> std::io::Result<()> {
    let bars = bars();
    benches();
    bars.print()
}

fn bars() -> Bars {
    let mut bars = Bars::new("bus: CPU ns a message of 128 bytes, history on, median of this run");
    bars.row(Row::new(PUBLISH, "one_topic").bar(120.0));
    bars.row(Row::new(PUBLISH, "thousand_topics"));
    bars.row(Row::new(PUBLISH, "one_topic_fine_clock").bar(120.0));
    bars.row(Row::new(PUBLISH, "batch_of_100").items(100).bar(120.0));
    bars.row(Row::new(PUBLISH, "to_one_node_and_read"));
    bars.row(Row::new(RECOVER, "history_and_merge").items(MISSED));
    bars.row(Row::new(RECOVER, "merge").items(MISSED));
    bars
}

fn publish(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group(PUBLISH);
    group.throughput(Throughput::Elements(1));
    let one = messages(1);
    let thousand = messages(TOPICS);
    for (name, node, messages) in [
        ("one_topic", coarse(), &one),
        ("one_topic_fine_clock", fine(), &one),
        ("thousand_topics", coarse(), &thousand),
    ] {
        let mut next = messages.iter().cycle();
        let mut published = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let message = next.next().expect("a cycle does not end");
                published += 1;
                node.publish_one(message).expect("within the limits")
            });
        });
        assert_eq!(total(&node, messages), published, "{name}");
    }
    group.bench_function("to_one_node_and_read", |bencher| {
        let node = coarse();
        node.subscribe(&[one[0].topic.clone()])
            .expect("within the limits");
        let mut events = node.events();
        bencher.iter(|| {
            node.publish_one(&one[0]).expect("within the limits");
            let event = events.next().now_or_never();
            assert!(event.flatten().is_some(), "it has arrived");
        });
    });
    group.throughput(Throughput::Elements(100));
    group.bench_function("batch_of_100", |bencher| {
        let node = coarse();
        let batch = vec![one[0].clone(); 100];
        bencher.iter(|| {
            let published = node.publish(&batch).expect("within the limits");
            assert_eq!(published.len(), 100);
        });
    });
    group.finish();
}

fn recover(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group(RECOVER);
    group.throughput(Throughput::Elements(u64::from(MISSED)));
    let node = coarse();
    let message = &messages(1)[0];
    for _ in 0..MISSED {
        node.publish_one(message).expect("within the limits");
    }
    let page = page(&node, &message.topic, None);
    let since = Position::new(page.top.epoch, 0);
    let live: Vec<Message> = page.messages[90..].to_vec();
    let recovery = || {
        let mut recovery = Recovery::new(since, RecoveryOptions::default());
        for message in &live {
            recovery.live(message.clone());
        }
        recovery
    };
    group.bench_function("merge", |bencher| {
        bencher.iter_batched(
            || page.clone(),
            |page| assert_complete(recovery().page(page)),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("history_and_merge", |bencher| {
        bencher.iter(|| {
            let page = self::page(&node, &message.topic, Some(since));
            assert_complete(recovery().page(page));
        });
    });
    group.finish();
}

fn assert_complete(step: Step) {
    let Step::Done(recovered) = step else {
        panic!("nothing is missing");
    };
    assert_eq!(recovered.gap, None);
    assert_eq!(recovered.messages.len(), MISSED as usize);
}

fn page(node: &MemoryNode, topic: &Topic, since: Option<Position>) -> HistoryPage {
    let read = HistoryRead::new(topic.clone(), since, MISSED as usize);
    let mut pages = node.history(&[read]).expect("within the limits");
    pages.remove(0).expect("a stream that exists")
}

fn total(node: &MemoryNode, messages: &[Outgoing]) -> u64 {
    let tops = messages.iter().map(|message| {
        let page = page(node, &message.topic, None);
        page.top.offset
    });
    tops.sum()
}

fn messages(topics: u32) -> Vec<Outgoing> {
    let message = |topic| {
        let topic = format!("topic:{topic}");
        Outgoing::new(topic.parse().expect("a valid name"), vec![7; 128])
    };
    (0..topics).map(message).collect()
}

fn coarse() -> MemoryNode {
    MemoryBus::new(options(), Arc::new(CoarseClock::new())).node()
}

fn fine() -> MemoryNode {
    MemoryBus::new(options(), Arc::new(SystemClock::new())).node()
}

fn options() -> MemoryBusOptions {
    MemoryBusOptions::default().with_limits(BusLimits::new())
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime::Thread);
    targets = publish, recover
}
