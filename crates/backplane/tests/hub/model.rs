//! Random operations on a hub, against who should have received what.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use backplane::{
    Epoch, Position, Topic,
    hub::{
        CloseReason, Connection, ConnectionOptions, Delivery, Hub, HubOptions, Outgoing, Published,
        SubscribeOptions, Subscribed,
    },
};
use bytes::Bytes;
use proptest::prelude::*;

use super::{Recorder, payload, send, settle, topic};

#[derive(Clone, Debug)]
enum Op {
    Connect,
    Subscribe(usize, usize),
    Unsubscribe(usize, usize),
    Publish(usize),
    PublishBatch(Vec<usize>),
    Close(usize),
    Run,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => Just(Op::Connect),
        6 => (0..12_usize, 0..6_usize).prop_map(|(who, to)| Op::Subscribe(who, to)),
        3 => (0..12_usize, 0..6_usize).prop_map(|(who, to)| Op::Unsubscribe(who, to)),
        8 => (0..6_usize).prop_map(Op::Publish),
        3 => proptest::collection::vec(0..6_usize, 0..20).prop_map(Op::PublishBatch),
        1 => (0..12_usize).prop_map(Op::Close),
        3 => Just(Op::Run),
    ]
}

/// Who should have received what, by connection and topic.
#[derive(Default)]
struct Model {
    connections: Vec<Option<(Connection, BTreeSet<usize>)>>,
    sinks: Vec<Recorder>,
    expected: Vec<BTreeMap<Topic, Vec<String>>>,
    published: usize,
}

impl Model {
    fn publish(&mut self, to: usize) -> String {
        self.published += 1;
        let text = self.published.to_string();
        let everybody = self.connections.iter().zip(&mut self.expected);
        for (connection, expected) in everybody {
            if connection
                .as_ref()
                .is_some_and(|(_, held)| held.contains(&to))
            {
                expected.entry(topic(to)).or_default().push(text.clone());
            }
        }
        text
    }

    fn apply(&mut self, hub: &Hub, op: Op) {
        match op {
            Op::Connect => {
                let sink = Recorder::default();
                let connection = hub.connect(sink.clone(), &ConnectionOptions::default());
                let connection = connection.expect("room");
                self.connections.push(Some((connection, BTreeSet::new())));
                self.sinks.push(sink);
                self.expected.push(BTreeMap::new());
            }
            Op::Subscribe(who, to) => {
                if let Some(Some((connection, held))) = self.connections.get_mut(who) {
                    let subscribed = connection.subscribe(&topic(to), &SubscribeOptions::default());
                    let is_new = matches!(subscribed.expect("room"), Subscribed::New(_));
                    assert_eq!(is_new, held.insert(to));
                }
            }
            Op::Unsubscribe(who, to) => {
                if let Some(Some((connection, held))) = self.connections.get_mut(who) {
                    assert_eq!(connection.unsubscribe(&topic(to)), held.remove(&to));
                }
            }
            Op::Publish(to) => {
                let text = self.publish(to);
                send(hub, &topic(to), text);
            }
            Op::PublishBatch(tos) => {
                let batch = tos.iter().map(|&to| {
                    let text = self.publish(to);
                    Outgoing::new(topic(to), text.into())
                });
                let mut batch: Vec<_> = batch.collect();
                hub.publish_batch(&mut batch);
                assert!(batch.iter().all(|outgoing| {
                    !matches!(outgoing.outcome, None | Some(Published::Refused))
                }));
            }
            Op::Close(who) => {
                if let Some(connection) = self.connections.get_mut(who) {
                    *connection = None;
                }
            }
            Op::Run => {
                hub.run_once();
            }
        }
    }

    fn check(&self, hub: &Hub) {
        let open = || self.connections.iter().flatten();
        let topics: BTreeSet<_> = open().flat_map(|(_, held)| held.iter()).collect();
        let stats = hub.stats();
        assert_eq!(stats.connections, open().count());
        assert_eq!(
            stats.subscriptions,
            open().map(|(_, held)| held.len()).sum()
        );
        assert_eq!(stats.topics, topics.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Each message reaches exactly the subscribers of its moment, once, in the order of its topic;
    /// the counters agree with a walk, and return to zero.
    #[test]
    fn agrees_with_the_model(
        ops in proptest::collection::vec(op(), 0..250),
        shards in 1_usize..4,
    ) {
        let hub = Hub::new(HubOptions::inline().with_shards(shards));
        let mut model = Model::default();
        for op in ops {
            model.apply(&hub, op);
            model.check(&hub);
        }
        settle(&hub);
        for (sink, expected) in model.sinks.iter().zip(&model.expected) {
            let mut seen: BTreeMap<Topic, Vec<String>> = BTreeMap::new();
            for delivery in sink.take() {
                let Delivery::Message { topic, .. } = &delivery else { panic!("{delivery:?}") };
                seen.entry(topic.clone()).or_default().push(payload(&delivery));
            }
            prop_assert_eq!(&seen, expected);
        }
        model.connections.clear();
        settle(&hub);
        prop_assert_eq!(hub.stats(), Hub::new(HubOptions::inline()).stats());
        prop_assert!(model.sinks.iter().all(|sink| sink.closed() == [CloseReason::Requested]));
    }
}

/// What a slow connection has to do with its sink and its topics.
#[derive(Clone, Debug)]
enum SlowOp {
    Toggle(usize, usize),
    Publish(usize),
    Lose(usize),
    Room(usize, usize),
    Reconnect(usize),
    Run,
}

fn slow_op() -> impl Strategy<Value = SlowOp> {
    prop_oneof![
        6 => (0..4_usize, 0..4_usize).prop_map(|(who, to)| SlowOp::Toggle(who, to)),
        8 => (0..4_usize).prop_map(SlowOp::Publish),
        2 => (0..4_usize).prop_map(SlowOp::Lose),
        5 => (0..4_usize, 0..4_usize).prop_map(|(who, room)| SlowOp::Room(who, room)),
        1 => (0..4_usize).prop_map(SlowOp::Reconnect),
        5 => Just(SlowOp::Run),
    ]
}

/// A connection whose sink is mostly full, and the messages it may receive, in order.
struct Slow {
    sink: Recorder,
    connection: Connection,
    held: BTreeSet<usize>,
    /// Topic, text, and whether it must arrive, since the subscription lasts.
    expected: Vec<(Topic, String, bool)>,
}

impl Slow {
    fn connect(hub: &Hub) -> Self {
        let sink = Recorder::stalled();
        let connection = hub.connect(sink.clone(), &ConnectionOptions::default());
        Self {
            sink,
            connection: connection.expect("room"),
            held: BTreeSet::new(),
            expected: Vec::new(),
        }
    }

    fn toggle(&mut self, number: usize) {
        let to = topic(number);
        if self.held.remove(&number) {
            assert!(self.connection.unsubscribe(&to));
            let ended = self.expected.iter_mut().filter(|(of, ..)| *of == to);
            ended.for_each(|(_, _, is_due)| *is_due = false);
        } else {
            self.held.insert(number);
            let subscribed = self.connection.subscribe(&to, &SubscribeOptions::default());
            assert!(matches!(subscribed, Ok(Subscribed::New(_))));
        }
    }

    fn set_room(&self, room: Option<usize>) {
        self.sink.set_room(room);
        self.connection.ready().ready();
    }
}

/// Everything seen was expected, under its topic's name, once, in the topic's order; and nothing is
/// missing of subscriptions that last.
fn check_seen(sink: &Recorder, expected: &[(Topic, String, bool)]) {
    let mut left: BTreeMap<Topic, VecDeque<String>> = BTreeMap::new();
    for delivery in sink.take() {
        let (topic, text) = match &delivery {
            Delivery::Message { topic, .. } => (topic, payload(&delivery)),
            Delivery::Gap {
                topic, resume_from, ..
            } => (topic, gap(*resume_from)),
            other => panic!("{other:?}"),
        };
        left.entry(topic.clone()).or_default().push_back(text);
    }
    let mut after_gap = BTreeSet::new();
    for (topic, text, is_due) in expected {
        let left = left.entry(topic.clone()).or_default();
        let came = left.front() == Some(text);
        if came {
            left.pop_front();
        }
        // Losses that follow each other are told as one.
        let is_merged = text.starts_with("gap") && after_gap.contains(topic);
        assert!(came || is_merged || !is_due, "{topic}: {text} is missing");
        if text.starts_with("gap") && (came || is_merged) {
            after_gap.insert(topic);
        } else {
            after_gap.remove(topic);
        }
    }
    left.retain(|_, left| !left.is_empty());
    assert!(left.is_empty(), "nobody sent {left:?}");
}

fn gap(resume_from: Option<Position>) -> String {
    format!("gap after {resume_from:?}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// However full the sinks are when subscriptions come and go and slots are used again: what is
    /// delivered has its own topic's name, in order and once, and what a lasting subscription was
    /// owed has come in the end.
    #[test]
    fn slow_sinks_agree_with_the_model(
        ops in proptest::collection::vec(slow_op(), 0..150),
        shards in 1_usize..3,
    ) {
        let hub = Hub::new(HubOptions::inline().with_shards(shards));
        let mut slow: Vec<_> = (0..4).map(|_| Slow::connect(&hub)).collect();
        let text = Bytes::from("0123456789".repeat(100));
        for (number, op) in ops.into_iter().enumerate() {
            match op {
                SlowOp::Toggle(who, to) => slow[who].toggle(to),
                SlowOp::Publish(to) => {
                    let message = text.slice(..number);
                    send(&hub, &topic(to), message.clone());
                    let text = String::from_utf8_lossy(&message).into_owned();
                    for one in slow.iter_mut().filter(|one| one.held.contains(&to)) {
                        one.expected.push((topic(to), text.clone(), true));
                    }
                }
                SlowOp::Lose(to) => {
                    let last = Some(Position::new(Epoch::new(1), number as u64));
                    hub.publish_gap(&topic(to), None, last);
                    for one in slow.iter_mut().filter(|one| one.held.contains(&to)) {
                        one.expected.push((topic(to), gap(last), true));
                    }
                }
                SlowOp::Room(who, room) => slow[who].set_room(Some(room)),
                SlowOp::Reconnect(who) => {
                    let left = std::mem::replace(&mut slow[who], Slow::connect(&hub));
                    left.sink.set_room(None);
                    left.connection.close();
                    settle(&hub);
                    prop_assert_eq!(left.sink.closed(), [CloseReason::Requested]);
                    check_seen(&left.sink, &left.expected);
                }
                SlowOp::Run => { hub.run_once(); }
            }
        }
        for one in &slow {
            one.set_room(None);
        }
        settle(&hub);
        for one in &slow {
            check_seen(&one.sink, &one.expected);
        }
        prop_assert_eq!(hub.stats().queued_bytes, 0);
        prop_assert!(text.is_unique(), "the hub keeps a payload that everybody has");
        drop(slow);
        settle(&hub);
        prop_assert_eq!(hub.stats(), Hub::new(HubOptions::inline()).stats());
    }
}
