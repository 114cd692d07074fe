//! Random operations on a hub, against who should have received what.

use std::collections::{BTreeMap, BTreeSet};

use backplane::{
    Topic,
    hub::{
        CloseReason, Connection, ConnectionOptions, Delivery, Hub, HubOptions, Outgoing, Published,
        SubscribeOptions, Subscribed,
    },
};
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
