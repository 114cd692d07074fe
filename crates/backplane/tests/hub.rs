//! The hub against a model, and each of its promises by name.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use backplane::{
    Epoch, ErrorKind, Position, Topic,
    bus::{HistoryPage, Message, RecoveryOptions},
    hub::{
        Batch, CloseReason, Connection, ConnectionOptions, ConnectionSink, Delivery, Drive, Flow,
        Hub, HubOptions, Interest, Outgoing, Overflow, Progress, Published, RetainOptions,
        SubscribeOptions, Subscribed,
    },
};
use bytes::Bytes;
use futures::StreamExt;
use parking_lot::Mutex;
use proptest::prelude::*;

/// A sink that records, and takes only as much as it has room for.
#[derive(Clone, Debug, Default)]
struct Recorder(Arc<Mutex<Recorded>>);

#[derive(Debug, Default)]
struct Recorded {
    seen: Vec<Delivery>,
    closed: Vec<CloseReason>,
    /// How many deliveries it takes before it is full; `None` for any number.
    room: Option<usize>,
    panics: bool,
    quits: bool,
}

impl Recorder {
    fn stalled() -> Self {
        let recorder = Self::default();
        recorder.set_room(Some(0));
        recorder
    }

    fn set_room(&self, room: Option<usize>) {
        self.0.lock().room = room;
    }

    fn take(&self) -> Vec<Delivery> {
        std::mem::take(&mut self.0.lock().seen)
    }

    fn closed(&self) -> Vec<CloseReason> {
        self.0.lock().closed.clone()
    }

    fn payloads(&self) -> Vec<String> {
        self.take().iter().map(payload).collect()
    }
}

impl ConnectionSink for Recorder {
    fn flush(&mut self, batch: &mut Batch<'_>) -> Flow {
        let mut recorded = self.0.lock();
        assert!(!recorded.panics, "asked to");
        if recorded.quits {
            return Flow::Closed;
        }
        while batch.peek().is_some() {
            match &mut recorded.room {
                Some(0) => return Flow::Full,
                Some(room) => *room -= 1,
                None => {}
            }
            let next = batch.next().expect("it was peeked at");
            recorded.seen.push(next.to_owned());
        }
        Flow::Ready
    }

    fn close(&mut self, reason: CloseReason) {
        self.0.lock().closed.push(reason);
    }
}

fn payload(delivery: &Delivery) -> String {
    match delivery {
        Delivery::Message { payload, .. } => String::from_utf8_lossy(payload).into_owned(),
        Delivery::Gap { missed, .. } => format!("gap of {missed:?}"),
        other => format!("{other:?}"),
    }
}

fn topic(number: usize) -> Topic {
    format!("topic:{number}").parse().expect("a short name")
}

fn inline() -> Hub {
    Hub::new(HubOptions::inline().with_seed(1))
}

fn settle(hub: &Hub) {
    while hub.run_once() > 0 {}
}

fn subscribed(hub: &Hub, sink: &Recorder, to: &Topic, overflow: Overflow) -> Connection {
    let options = ConnectionOptions::default().with_budget(1_000);
    let connection = hub.connect(sink.clone(), &options).expect("room");
    let options = SubscribeOptions::default().with_overflow(overflow);
    connection.subscribe(to, &options).expect("room");
    connection
}

fn send(hub: &Hub, to: &Topic, payload: impl Into<Bytes>) {
    let published = hub.publish(to, payload.into());
    assert_ne!(published, Published::Refused);
}

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

    /// Whatever a sink takes and when: what it sees of each topic, plus what it is told of, is what
    /// was published, in order, and the budget holds.
    #[test]
    fn a_slow_connection_is_told_of_everything_it_misses(
        steps in proptest::collection::vec((0..3_usize, 0..400_usize, 0..4_usize), 1..150),
    ) {
        const POLICIES: [Overflow; 3] =
            [Overflow::DropOldest, Overflow::DropNewest, Overflow::Conflate];
        let hub = inline();
        let (slow, quick) = (Recorder::stalled(), Recorder::default());
        let options = ConnectionOptions::default().with_budget(1_000);
        let connection = hub.connect(slow.clone(), &options).unwrap();
        let other = hub.connect(quick.clone(), &options).unwrap();
        for (number, policy) in POLICIES.into_iter().enumerate() {
            let options = SubscribeOptions::default().with_overflow(policy);
            connection.subscribe(&topic(number), &options).unwrap();
            other.subscribe(&topic(number), &SubscribeOptions::default()).unwrap();
        }
        let mut offsets = [0_u64; 3];
        for (number, size, room) in steps {
            offsets[number] += 1;
            let position = Position::new(Epoch::new(7), offsets[number]);
            let _ = hub.publish_at(&topic(number), vec![b'x'; size].into(), position);
            slow.set_room(Some(room));
            if room > 0 {
                connection.ready().ready();
            }
            settle(&hub);
            prop_assert!(hub.stats().queued_bytes <= 1_000);
        }
        slow.set_room(None);
        connection.ready().ready();
        settle(&hub);
        prop_assert_eq!(hub.stats().queued_bytes, 0);
        prop_assert_eq!(quick.take().len() as u64, offsets.iter().sum::<u64>());
        let mut at: HashMap<Topic, u64> = HashMap::new();
        for delivery in slow.take() {
            match delivery {
                Delivery::Message { topic, position, skipped, .. } => {
                    let at = at.entry(topic).or_default();
                    *at += skipped + 1;
                    prop_assert_eq!(position.map(|position| position.offset), Some(*at));
                }
                Delivery::Gap { topic, missed, resume_from, .. } => {
                    let at = at.entry(topic).or_default();
                    prop_assert_eq!(resume_from.map(|from| from.offset), Some(*at));
                    *at += missed.expect("every loss is counted here");
                }
                other => panic!("{other:?}"),
            }
        }
        for (number, offset) in offsets.into_iter().enumerate() {
            prop_assert_eq!(at.get(&topic(number)).copied().unwrap_or(0), offset);
        }
    }

    /// Whenever pages are read and messages arrive live: the reader gets every offset after its own,
    /// once and in order.
    #[test]
    fn a_reader_that_catches_up_gets_everything_once(
        since in 0..10_u64,
        lag in 0..5_u64,
        steps in proptest::collection::vec(0..4_u8, 1..40),
    ) {
        let hub = inline();
        let sink = Recorder::default();
        let connection = hub.connect(sink.clone(), &ConnectionOptions::default()).unwrap();
        let at = |offset| Position::new(Epoch::new(1), offset);
        let message = |offset: u64| Message::new(at(offset), offset.to_string().into());
        let mut stored = 10;
        // What has reached this hub lags behind what the stream has stored.
        let mut live = 10 - lag;
        let options = SubscribeOptions::default();
        let mut catch_up = connection
            .catch_up(&topic(0), at(since), &options, RecoveryOptions::default())
            .unwrap();
        let mut progress = Progress::Read;
        for step in steps {
            match step {
                0 => stored += 1,
                1 if live < stored => {
                    live += 1;
                    let _ = hub.publish_at(&topic(0), message(live).payload, at(live));
                }
                2 if progress == Progress::Read => {
                    let page = (catch_up.at().offset + 1..=stored).map(message);
                    let page = page.take(catch_up.limit()).collect();
                    progress = catch_up.page(HistoryPage::new(page, at(stored)));
                }
                _ => { hub.run_once(); }
            }
        }
        while progress == Progress::Read {
            let page = (catch_up.at().offset + 1..=stored).map(message).collect();
            progress = catch_up.page(HistoryPage::new(page, at(stored)));
        }
        for offset in live + 1..=stored + 1 {
            let _ = hub.publish_at(&topic(0), message(offset).payload, at(offset));
        }
        settle(&hub);
        let expected: Vec<_> = (since + 1..=stored + 1).map(|offset| offset.to_string()).collect();
        prop_assert_eq!(sink.payloads(), expected);
    }
}

#[test]
fn subscribing_twice_delivers_once() {
    let (hub, sink) = (inline(), Recorder::default());
    let connection = subscribed(&hub, &sink, &topic(0), Overflow::Disconnect);
    let again = connection.subscribe(&topic(0), &SubscribeOptions::default());
    assert!(matches!(again, Ok(Subscribed::Already(_))));
    send(&hub, &topic(0), "once");
    settle(&hub);
    assert_eq!(sink.payloads(), ["once"]);
}

#[test]
fn a_stale_id_never_ends_a_newer_subscription() {
    let (hub, sink) = (inline(), Recorder::default());
    let connection = subscribed(&hub, &sink, &topic(0), Overflow::Disconnect);
    let options = SubscribeOptions::default();
    let old = connection.subscribe(&topic(0), &options).unwrap().id();
    assert!(connection.unsubscribe(&topic(0)));
    let new = connection.subscribe(&topic(0), &options).unwrap().id();
    assert!(!connection.cancel(old));
    assert_eq!(hub.stats().subscriptions, 1);
    send(&hub, &topic(0), "still here");
    assert!(connection.cancel(new));
    assert!(!connection.cancel(new));
    send(&hub, &topic(0), "gone");
    settle(&hub);
    assert_eq!(sink.payloads(), ["still here"]);
    assert_eq!(hub.stats().topics, 0);
}

#[test]
fn every_subscriber_gets_the_very_bytes_that_were_published() {
    let hub = Hub::new(HubOptions::inline().with_shards(2));
    let sinks: Vec<_> = (0..10).map(|_| Recorder::default()).collect();
    let connections: Vec<_> = sinks
        .iter()
        .map(|sink| subscribed(&hub, sink, &topic(0), Overflow::Disconnect))
        .collect();
    let encoded = Bytes::from("encoded once".to_owned());
    send(&hub, &topic(0), encoded.clone());
    settle(&hub);
    for sink in &sinks {
        let [Delivery::Message { payload, .. }] = &sink.take()[..] else {
            panic!("one message each")
        };
        assert_eq!(payload.as_ptr(), encoded.as_ptr());
    }
    drop(connections);
}

#[test]
fn what_must_not_be_lost_closes_a_slow_connection_with_one_reason() {
    let (hub, slow, quick) = (inline(), Recorder::stalled(), Recorder::default());
    let connection = subscribed(&hub, &slow, &topic(0), Overflow::Disconnect);
    let _other = subscribed(&hub, &quick, &topic(0), Overflow::Disconnect);
    for _ in 0..5 {
        send(&hub, &topic(0), vec![0; 300]);
    }
    settle(&hub);
    assert_eq!(slow.closed(), [CloseReason::SlowConsumer]);
    assert!(slow.take().is_empty());
    assert!(connection.is_closed());
    let refused = connection.subscribe(&topic(1), &SubscribeOptions::default());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(quick.take().len(), 5);
    let stats = hub.stats();
    assert_eq!(
        (stats.connections, stats.subscriptions, stats.queued_bytes),
        (1, 1, 0)
    );
    connection.close();
    settle(&hub);
    assert_eq!(slow.closed(), [CloseReason::SlowConsumer]);
}

#[test]
fn a_message_beyond_the_whole_budget_is_a_gap_at_once() {
    let (hub, sink) = (inline(), Recorder::default());
    let _connection = subscribed(&hub, &sink, &topic(0), Overflow::DropNewest);
    send(&hub, &topic(0), "before");
    send(&hub, &topic(0), vec![0; 2_000]);
    send(&hub, &topic(0), "after");
    settle(&hub);
    assert_eq!(sink.payloads(), ["before", "gap of Some(1)", "after"]);
}

#[test]
fn a_loss_in_front_of_the_hub_reaches_every_subscriber_in_its_place() {
    let (hub, quick, slow) = (inline(), Recorder::default(), Recorder::stalled());
    let _quick = subscribed(&hub, &quick, &topic(0), Overflow::Disconnect);
    let connection = subscribed(&hub, &slow, &topic(0), Overflow::DropOldest);
    send(&hub, &topic(0), "a");
    settle(&hub);
    hub.publish_gap(&topic(0), None, None);
    send(&hub, &topic(0), "b");
    settle(&hub);
    slow.set_room(None);
    connection.ready().ready();
    settle(&hub);
    assert_eq!(quick.payloads(), ["a", "gap of None", "b"]);
    assert_eq!(slow.payloads(), ["a", "gap of None", "b"]);
}

#[test]
fn a_sink_that_panics_or_quits_takes_nobody_along() {
    let (hub, other) = (inline(), Recorder::default());
    let (bad, gone) = (Recorder::default(), Recorder::default());
    bad.0.lock().panics = true;
    gone.0.lock().quits = true;
    let _connections =
        [&bad, &gone, &other].map(|sink| subscribed(&hub, sink, &topic(0), Overflow::Disconnect));
    send(&hub, &topic(0), "x");
    settle(&hub);
    assert_eq!(bad.closed(), [CloseReason::SinkPanicked]);
    assert_eq!(gone.closed(), [CloseReason::SinkClosed]);
    assert_eq!(other.payloads(), ["x"]);
    assert_eq!(hub.stats().subscriptions, 1);
}

#[test]
fn a_full_inbox_refuses_for_all_shards_or_none() {
    let hub = Hub::new(HubOptions::inline().with_shards(2).with_inbox_bytes(200));
    let sinks = [Recorder::default(), Recorder::default()];
    let _connections = [0, 1].map(|n| subscribed(&hub, &sinks[n], &topic(0), Overflow::Disconnect));
    let only_first = Recorder::default();
    let _third = subscribed(&hub, &only_first, &topic(1), Overflow::Disconnect);
    send(&hub, &topic(1), vec![0; 130]);
    let kept = Bytes::from_static(b"to both");
    let mut batch = [Outgoing::new(topic(0), kept.clone())];
    hub.publish_batch(&mut batch);
    assert_eq!(batch[0].outcome, Some(Published::Refused));
    assert_eq!(batch[0].payload, kept);
    settle(&hub);
    hub.publish_batch(&mut batch);
    settle(&hub);
    assert!(sinks.iter().all(|sink| sink.payloads() == ["to both"]));
}

#[test]
fn a_refused_message_uses_no_position() {
    let hub = Hub::new(HubOptions::inline().with_inbox_bytes(100));
    let retained = hub.retain(&topic(0), RetainOptions::default()).unwrap();
    let sink = Recorder::default();
    let _connection = subscribed(&hub, &sink, &topic(0), Overflow::Disconnect);
    send(&hub, &topic(0), vec![0; 90]);
    assert_eq!(hub.publish(&topic(0), "x".into()), Published::Refused);
    assert_eq!(retained.top(), Position::new(retained.epoch(), 1));
    let again = hub.retain(&topic(0), RetainOptions::default());
    assert_eq!(again.unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn a_resumed_subscription_joins_the_history_without_a_hole() {
    let hub = inline();
    let retained = hub
        .retain(&topic(0), RetainOptions::default().with_messages(3))
        .unwrap();
    for number in 1..=5 {
        send(&hub, &topic(0), number.to_string());
    }
    let sinks = [3, 1].map(|seen| {
        let sink = Recorder::default();
        let connection = hub.connect(sink.clone(), &ConnectionOptions::default());
        let connection = connection.unwrap();
        let since = Position::new(retained.epoch(), seen);
        let options = SubscribeOptions::default().with_resume(since);
        connection.subscribe(&topic(0), &options).unwrap();
        (sink, connection)
    });
    send(&hub, &topic(0), "6");
    settle(&hub);
    assert_eq!(sinks[0].0.payloads(), ["4", "5", "6"]);
    assert_eq!(
        sinks[1].0.payloads(),
        ["gap of Some(1)", "3", "4", "5", "6"]
    );
    drop(sinks);
    drop(retained);
    assert_eq!(hub.stats().topics, 0);
}

#[test]
fn publishing_makes_progress_while_subscribers_catch_up() {
    let (hub, other) = (inline(), Recorder::default());
    let _other = subscribed(&hub, &other, &topic(0), Overflow::Disconnect);
    let sinks: Vec<_> = (0..100).map(|_| Recorder::default()).collect();
    let connections: Vec<_> = sinks
        .iter()
        .map(|sink| {
            hub.connect(sink.clone(), &ConnectionOptions::default())
                .unwrap()
        })
        .collect();
    let since = Position::new(Epoch::new(1), 0);
    let bounds = RecoveryOptions::default().with_buffered(10, 1_000);
    let _catching_up: Vec<_> = connections
        .iter()
        .map(|connection| {
            let options = SubscribeOptions::default();
            connection
                .catch_up(&topic(0), since, &options, bounds.clone())
                .unwrap()
        })
        .collect();
    for offset in 1..=1_000 {
        let _ = hub.publish_at(&topic(0), "x".into(), Position::new(Epoch::new(1), offset));
        settle(&hub);
    }
    assert_eq!(other.take().len(), 1_000);
    assert!(sinks.iter().all(|sink| sink.take().is_empty()));
}

#[test]
fn a_catch_up_that_is_abandoned_ends_the_subscription() {
    let (hub, sink) = (inline(), Recorder::default());
    let connection = hub.connect(sink, &ConnectionOptions::default()).unwrap();
    let since = Position::new(Epoch::new(1), 0);
    let options = SubscribeOptions::default();
    let catch_up = connection.catch_up(&topic(0), since, &options, RecoveryOptions::default());
    drop(catch_up.unwrap());
    assert_eq!(hub.stats().subscriptions, 0);
    assert_eq!(
        hub.publish(&topic(0), "x".into()),
        hub.publish(&topic(9), "x".into())
    );
}

#[test]
fn a_hole_behind_the_history_is_a_gap() {
    let (hub, sink) = (inline(), Recorder::default());
    let connection = hub
        .connect(sink.clone(), &ConnectionOptions::default())
        .unwrap();
    let at = |offset| Position::new(Epoch::new(1), offset);
    let options = SubscribeOptions::default();
    let mut catch_up = connection
        .catch_up(&topic(0), at(0), &options, RecoveryOptions::default())
        .unwrap();
    let page = HistoryPage::new(vec![Message::new(at(1), "1".into())], at(1));
    assert_eq!(catch_up.page(page), Progress::CaughtUp);
    for offset in [1, 4, 5] {
        let _ = hub.publish_at(&topic(0), offset.to_string().into(), at(offset));
    }
    settle(&hub);
    assert_eq!(sink.payloads(), ["1", "gap of Some(2)", "4", "5"]);
}

#[test]
fn a_drain_spreads_the_clients_and_waits_for_what_is_queued() {
    let hub = inline();
    let sinks: Vec<_> = (0..100).map(|_| Recorder::default()).collect();
    let _connections: Vec<_> = sinks
        .iter()
        .map(|sink| subscribed(&hub, sink, &topic(0), Overflow::Disconnect))
        .collect();
    let slow = Recorder::stalled();
    let slow_connection = subscribed(&hub, &slow, &topic(0), Overflow::Disconnect);
    send(&hub, &topic(0), "last");
    let window = Duration::from_secs(120);
    hub.drain(window);
    settle(&hub);
    let mut waits = BTreeSet::new();
    for sink in &sinks {
        assert_eq!(sink.payloads(), ["last"]);
        let [
            CloseReason::Draining {
                reconnect_after, ..
            },
        ] = sink.closed()[..]
        else {
            panic!("{:?}", sink.closed())
        };
        assert!(reconnect_after <= window);
        waits.insert(reconnect_after.as_secs() / 12);
    }
    assert_eq!(waits.len(), 10, "every tenth of the window");
    let refused = hub.connect(Recorder::default(), &ConnectionOptions::default());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(hub.stats().connections, 1);
    assert!(slow.closed().is_empty());
    slow.set_room(None);
    slow_connection.ready().ready();
    settle(&hub);
    assert_eq!(slow.payloads(), ["last"]);
    assert!(matches!(slow.closed()[..], [CloseReason::Draining { .. }]));
    assert_eq!(hub.stats().connections, 0);
}

#[test]
fn the_last_handle_closes_every_connection() {
    for options in [HubOptions::inline(), HubOptions::default().with_shards(2)] {
        let hub = Hub::new(options);
        let sinks = [Recorder::default(), Recorder::default()];
        let _connections =
            [0, 1].map(|n| subscribed(&hub, &sinks[n], &topic(0), Overflow::Disconnect));
        send(&hub, &topic(0), "last");
        drop(hub);
        for sink in &sinks {
            assert_eq!(sink.payloads(), ["last"]);
            assert_eq!(sink.closed(), [CloseReason::HubClosed]);
        }
    }
}

#[test]
fn bounds_are_typed_refusals_that_change_nothing() {
    let options = HubOptions::inline().with_max_topics(2);
    let hub = Hub::new(options.with_max_connections_per_shard(1));
    let options = ConnectionOptions::default().with_max_subscriptions(1);
    let connection = hub.connect(Recorder::default(), &options).unwrap();
    let full = hub.connect(Recorder::default(), &options);
    assert_eq!(full.unwrap_err().kind(), ErrorKind::Full);
    let options = SubscribeOptions::default();
    connection.subscribe(&topic(0), &options).unwrap();
    let full = connection.subscribe(&topic(1), &options);
    assert_eq!(full.unwrap_err().kind(), ErrorKind::Full);
    let _retained = hub.retain(&topic(2), RetainOptions::default()).unwrap();
    let full = hub.retain(&topic(3), RetainOptions::default());
    assert_eq!(full.unwrap_err().kind(), ErrorKind::Full);
    let stats = hub.stats();
    assert_eq!(
        (stats.connections, stats.subscriptions, stats.topics),
        (1, 1, 2)
    );
}

#[derive(Debug, Default)]
struct Edges(Mutex<Vec<(String, bool)>>);

impl Interest for Edges {
    fn first_subscribed(&self, topic: &Topic) {
        self.0.lock().push((topic.to_string(), true));
    }

    fn last_unsubscribed(&self, topic: &Topic) {
        self.0.lock().push((topic.to_string(), false));
    }
}

#[test]
fn interest_alternates_whatever_shards_the_subscribers_are_in() {
    let edges = Arc::new(Edges::default());
    let options = HubOptions::inline().with_shards(3);
    let hub = Hub::with_interest(options, Arc::<Edges>::clone(&edges));
    let sink = Recorder::default();
    for _ in 0..2 {
        let connections =
            [(); 5].map(|()| subscribed(&hub, &sink, &topic(0), Overflow::Disconnect));
        drop(connections);
    }
    let seen: Vec<_> = edges
        .0
        .lock()
        .iter()
        .map(|(_, subscribed)| *subscribed)
        .collect();
    assert_eq!(seen, [true, false, true, false]);
}

#[tokio::test]
async fn a_stream_loses_nothing_however_small_its_window() {
    let hub = Hub::new(HubOptions::default().with_shards(2));
    let options = ConnectionOptions::default().with_window(1);
    let (connection, mut deliveries) = hub.connect_stream(&options).unwrap();
    connection
        .subscribe(&topic(0), &SubscribeOptions::default())
        .unwrap();
    for number in 0..1_000 {
        send(&hub, &topic(0), number.to_string());
    }
    let mut held = Vec::new();
    for number in 0..1_000 {
        if number % 100 == 0 {
            // A `next` that was polled and dropped unfinished takes nothing along.
            while futures::poll!(deliveries.next())
                .map(|first| held.push(first))
                .is_pending()
            {
                tokio::task::yield_now().await;
            }
        }
        let delivery = match held.pop() {
            Some(delivery) => delivery.unwrap(),
            None => deliveries.next().await.unwrap(),
        };
        assert_eq!(payload(&delivery), number.to_string());
    }
    connection.close();
    assert_eq!(
        deliveries.next().await,
        Some(Delivery::Closed(CloseReason::Requested))
    );
    assert_eq!(deliveries.next().await, None);
}

#[tokio::test]
async fn dropping_the_stream_closes_the_connection() {
    let hub = inline();
    let (connection, deliveries) = hub.connect_stream(&ConnectionOptions::default()).unwrap();
    connection
        .subscribe(&topic(0), &SubscribeOptions::default())
        .unwrap();
    drop(deliveries);
    settle(&hub);
    assert!(connection.is_closed());
    assert_eq!(hub.stats().topics, 0);
}

/// Publishers race on the same topics; all connections, in all shards, see one order, in which each
/// publisher's messages keep theirs.
#[tokio::test]
async fn everybody_sees_one_order_of_a_topic() {
    const PUBLISHERS: usize = 3;
    const MESSAGES: usize = 2_000;
    let options = HubOptions::default()
        .with_shards(3)
        .with_drive(Drive::Threads);
    let hub = Hub::new(options);
    let connected: Vec<_> = (0..6)
        .map(|_| {
            let options = ConnectionOptions::default().with_budget(u32::MAX);
            let (connection, deliveries) = hub.connect_stream(&options).unwrap();
            connection
                .subscribe(&topic(0), &SubscribeOptions::default())
                .unwrap();
            (connection, deliveries)
        })
        .collect();
    let publishers = (0..PUBLISHERS).map(|publisher| {
        let hub = hub.clone();
        std::thread::spawn(move || {
            for number in 0..MESSAGES {
                send(&hub, &topic(0), format!("{publisher} {number}"));
            }
        })
    });
    let publishers: Vec<_> = publishers.collect();
    let mut orders = Vec::new();
    for (_connection, deliveries) in connected {
        let seen = deliveries
            .take(PUBLISHERS * MESSAGES)
            .collect::<Vec<_>>()
            .await;
        orders.push(seen.iter().map(payload).collect::<Vec<_>>());
    }
    for publisher in publishers {
        publisher.join().unwrap();
    }
    assert!(orders.windows(2).all(|pair| pair[0] == pair[1]));
    for publisher in 0..PUBLISHERS {
        let prefix = format!("{publisher} ");
        let own = orders[0]
            .iter()
            .filter_map(|text| text.strip_prefix(&prefix));
        assert!(
            own.eq((0..MESSAGES)
                .map(|number| number.to_string())
                .collect::<Vec<_>>()
                .iter())
        );
    }
}
