//! The bus in memory against streams that are written down and never forgotten.
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

use std::{collections::HashMap, sync::Arc, time::Duration};

use backplane::{
    Clock, Epoch, ManualClock, Position, Topic,
    bus::{
        BusEvent, BusEvents, BusLimits, HistoryPage, HistoryRead, IdempotencyKey, Outgoing,
        Published,
    },
    memory::{MemoryBus, MemoryBusOptions, MemoryNode},
};
use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use proptest::{collection::vec, option, prelude::*};

const TOPICS: usize = 3;
const NODES: usize = 2;
const HISTORY: usize = 4;
const PAGE: usize = 3;
const KEYS: usize = 2;
const TTL: Duration = Duration::from_secs(10);
const WINDOW: Duration = Duration::from_secs(6);

#[derive(Clone, Debug)]
enum Op {
    /// By a node, to topics, each under a key or none.
    Publish(usize, Vec<(usize, Option<u8>)>),
    Subscribe(usize, usize),
    Unsubscribe(usize, usize),
    /// Reads all events of a node.
    Listen(usize),
    /// Of a topic, since an offset, so many.
    History(usize, Option<u64>, usize),
    Lose(usize),
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let (node, topic) = (|| 0..NODES, || 0..TOPICS);
    let messages = vec((topic(), option::of(0..3_u8)), 1..5);
    prop_oneof![
        6 => (node(), messages).prop_map(|(node, messages)| Op::Publish(node, messages)),
        3 => (node(), topic()).prop_map(|(node, topic)| Op::Subscribe(node, topic)),
        1 => (node(), topic()).prop_map(|(node, topic)| Op::Unsubscribe(node, topic)),
        3 => node().prop_map(Op::Listen),
        3 => (topic(), option::of(0..12_u64), 0..5_usize)
            .prop_map(|(topic, since, limit)| Op::History(topic, since, limit)),
        1 => topic().prop_map(Op::Lose),
        2 => (1..6_u64).prop_map(Op::Pass),
    ]
}

/// One topic, from its first message on.
#[derive(Default)]
struct Line {
    epoch: Option<Epoch>,
    messages: Vec<(Bytes, Duration)>,
    /// The key, its offset, and when it was used.
    keys: Vec<(u8, u64, Duration)>,
}

impl Line {
    fn top(&self) -> u64 {
        self.messages.len() as u64
    }

    /// Where the next message stands, or stood when its key was used.
    fn publish(&mut self, payload: Bytes, key: Option<u8>, now: Duration) -> (bool, u64) {
        self.keys.retain(|&(_, _, used)| used + WINDOW > now);
        let known = self.keys.iter().find(|&&(known, ..)| Some(known) == key);
        if let Some(&(_, offset, _)) = known {
            return (false, offset);
        }
        self.messages.push((payload, now));
        let offset = self.top();
        self.keys.extend(key.map(|key| (key, offset, now)));
        if self.keys.len() > KEYS {
            self.keys.remove(0);
        }
        (true, offset)
    }

    fn page(&self, since: u64, limit: usize, now: Duration) -> Vec<(u64, Bytes)> {
        let numbered = (1..).zip(&self.messages);
        let oldest = self.top().saturating_sub(HISTORY as u64);
        let kept = numbered.filter(|(offset, (_, at))| *offset > oldest && *at + TTL > now);
        let wanted = kept.filter(|(offset, _)| *offset > since);
        let page = wanted.take(limit.min(PAGE));
        page.map(|(offset, (payload, _))| (offset, payload.clone()))
            .collect()
    }
}

/// What a node has heard of its topics: the offset up to which nothing is missing.
struct Reader {
    node: MemoryNode,
    events: BusEvents,
    heard: HashMap<usize, u64>,
}

struct World {
    bus: MemoryBus,
    clock: ManualClock,
    lines: [Line; TOPICS],
    readers: [Reader; NODES],
    published: u64,
}

impl World {
    fn new() -> Self {
        let clock = ManualClock::default();
        let mut limits = BusLimits::new();
        limits.history = HISTORY;
        limits.history_ttl = TTL;
        limits.page = PAGE;
        limits.idempotency_keys = KEYS;
        limits.idempotency_window = WINDOW;
        limits.queue = 5;
        let options = MemoryBusOptions::default().with_limits(limits).with_seed(1);
        let bus = MemoryBus::new(options, Arc::new(clock.clone()));
        let reader = || {
            let node = bus.node();
            let events = node.events();
            Reader {
                node,
                events,
                heard: HashMap::new(),
            }
        };
        let readers = [reader(), reader()];
        Self {
            bus,
            clock,
            lines: Default::default(),
            readers,
            published: 0,
        }
    }

    fn play(&mut self, op: &Op) {
        match op {
            Op::Publish(node, messages) => self.publish(*node, messages),
            Op::Subscribe(node, topic) => self.subscribe(*node, *topic),
            Op::Unsubscribe(node, topic) => {
                // What is queued for the topic still arrives, and no word of what was not.
                self.readers[*node]
                    .node
                    .unsubscribe(&[name(*topic)])
                    .unwrap();
                self.listen(*node, Some(*topic));
                self.readers[*node].heard.remove(topic);
            }
            Op::Listen(node) => self.listen(*node, None),
            Op::History(topic, since, limit) => self.history(*topic, *since, *limit),
            Op::Lose(topic) => self.lose(*topic),
            Op::Pass(seconds) => self.clock.advance(Duration::from_secs(*seconds)),
        }
    }

    fn publish(&mut self, node: usize, messages: &[(usize, Option<u8>)]) {
        let now = self.clock.monotonic();
        let mut batch = Vec::new();
        let mut expected = Vec::new();
        for &(topic, key) in messages {
            self.published += 1;
            let payload = Bytes::from(self.published.to_string());
            let mut message = Outgoing::new(name(topic), payload.clone());
            message.key = key.map(|key| IdempotencyKey::new(u128::from(key)));
            batch.push(message);
            expected.push(self.lines[topic].publish(payload, key, now));
        }
        let published = self.readers[node].node.publish(&batch).unwrap();
        assert_eq!(published.len(), expected.len());
        for ((&(topic, _), (is_new, offset)), published) in
            messages.iter().zip(expected).zip(published)
        {
            let published = published.unwrap();
            assert_eq!(matches!(published, Published::New(_)), is_new);
            self.assert_at(topic, published.position(), offset);
        }
    }

    fn subscribe(&mut self, node: usize, topic: usize) {
        let top = self.lines[topic].top();
        let positions = self.readers[node].node.subscribe(&[name(topic)]).unwrap();
        let position = *positions[0].as_ref().unwrap();
        self.assert_at(topic, position, top);
        self.readers[node].heard.entry(topic).or_insert(top);
    }

    /// Reads every event of a node, and checks that nothing is missing without a gap, but at the end
    /// of a topic that was just `left`.
    fn listen(&mut self, node: usize, left: Option<usize>) {
        while let Some(event) = self.readers[node].events.next().now_or_never() {
            let event = event.expect("the node is not drained");
            let topic = number(event.topic());
            let heard = self.readers[node].heard[&topic];
            let now = match event {
                BusEvent::Message { message, .. } => {
                    self.assert_at(topic, message.position, heard + 1);
                    let at = usize::try_from(heard).unwrap();
                    assert_eq!(message.payload, self.lines[topic].messages[at].0);
                    heard + 1
                }
                BusEvent::Gap { gap, .. } => {
                    let after = gap.after.expect("what was dropped has a place");
                    self.assert_at(topic, after, heard);
                    assert!(gap.until.offset > heard, "{gap:?}");
                    self.assert_at(topic, gap.until, gap.until.offset);
                    gap.until.offset
                }
                other => panic!("no connection was lost: {other:?}"),
            };
            self.readers[node].heard.insert(topic, now);
        }
        for (&topic, &heard) in &self.readers[node].heard {
            let top = self.lines[topic].top();
            assert!(
                heard == top || (left == Some(topic) && heard < top),
                "heard {heard} of {top} in topic {topic}, left {left:?}"
            );
        }
    }

    fn page(&self, read: HistoryRead) -> HistoryPage {
        let pages = self.readers[0].node.history(&[read]).unwrap();
        pages.into_iter().next().unwrap().unwrap()
    }

    fn history(&mut self, topic: usize, since: Option<u64>, limit: usize) {
        let (now, top) = (self.clock.monotonic(), self.lines[topic].top());
        let mut read = HistoryRead::top(name(topic));
        let page = self.page(read.clone());
        self.assert_at(topic, page.top, top);
        assert_eq!(page.messages, []);

        read.limit = limit;
        read.since = since.map(|offset| Position::new(page.top.epoch, offset));
        let page = self.page(read);
        let expected = self.lines[topic].page(since.unwrap_or(0), limit, now);
        let found = page.messages.into_iter();
        let found: Vec<_> = found
            .map(|message| (message.position.offset, message.payload))
            .collect();
        assert_eq!(found, expected);
    }

    /// The readers have heard all by then, since nothing tells them of the loss but positions.
    fn lose(&mut self, topic: usize) {
        for node in 0..NODES {
            self.listen(node, None);
        }
        self.bus.lose(&name(topic));
        self.lines[topic] = Line::default();
        for reader in &mut self.readers {
            reader.heard.entry(topic).and_modify(|heard| *heard = 0);
        }
    }

    /// That a position is `offset` of the topic's one epoch. Of a topic to which nothing was published
    /// the epoch may be forgotten.
    fn assert_at(&mut self, topic: usize, position: Position, offset: u64) {
        assert_eq!(position.offset, offset, "topic {topic}");
        if self.lines[topic].messages.is_empty() {
            return;
        }
        let epoch = *self.lines[topic].epoch.get_or_insert(position.epoch);
        assert_eq!(position.epoch, epoch, "topic {topic}");
    }
}

fn name(topic: usize) -> Topic {
    format!("topic:{topic}").parse().unwrap()
}

fn number(topic: &Topic) -> usize {
    (0..TOPICS).find(|&number| name(number) == *topic).unwrap()
}

proptest! {
    #[test]
    fn behaves_as_streams_that_are_written_down(ops in vec(op(), 1..80)) {
        let mut world = World::new();
        for op in &ops {
            world.play(op);
        }
        for node in 0..NODES {
            world.listen(node, None);
        }
    }
}
