use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::future::select;
use parking_lot::Mutex;

use super::failing::FailingBus;
use crate::{
    ManualClock, Position, Topic,
    bus::{
        Audience, Bus, BusLimits, Gap, GapReason, HistoryRead, Message, Outgoing, Relay,
        RelayOptions,
    },
    conformance::flaky_bus::FlakyBus,
    memory::{MemoryBus, MemoryBusOptions, MemoryNode},
};

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Heard {
    Message(Message),
    Gap(Gap),
}

/// Remembers what it heard, per topic.
#[derive(Debug, Default)]
pub(super) struct Recorder(Mutex<HashMap<Topic, Vec<Heard>>>);

impl Recorder {
    pub(super) fn heard(&self, topic: &Topic) -> Vec<Heard> {
        self.0.lock().get(topic).cloned().unwrap_or_default()
    }

    fn push(&self, topic: &Topic, heard: Heard) {
        self.0.lock().entry(topic.clone()).or_default().push(heard);
    }

    /// Asserts that what was heard after `start` is an unbroken run, and returns where it ends and
    /// how many gaps it has.
    pub(super) fn check(&self, topic: &Topic, start: Position) -> (Position, usize) {
        let mut at = start;
        let mut gaps = 0;
        for heard in self.heard(topic) {
            match heard {
                Heard::Message(message) => {
                    assert_eq!(message.position, at.next(), "{topic}");
                    at = message.position;
                }
                // Of which only who did not wait knew nothing.
                Heard::Gap(gap) if gap.reason == GapReason::Late => at = gap.until,
                Heard::Gap(gap) => {
                    assert_eq!(gap.after, Some(at), "{topic}");
                    assert_ne!(gap.until, at, "{topic}");
                    at = gap.until;
                    gaps += 1;
                }
            }
        }
        (at, gaps)
    }
}

impl Audience for Recorder {
    fn message(&self, topic: &Topic, message: Message) {
        self.push(topic, Heard::Message(message));
    }

    fn gap(&self, topic: &Topic, gap: Gap) {
        self.push(topic, Heard::Gap(gap));
    }
}

pub(super) struct World {
    pub(super) bus: MemoryBus,
    pub(super) publisher: MemoryNode,
    pub(super) flaky: Arc<FlakyBus>,
    /// What the relay calls, around the one that is flaky.
    pub(super) failing: Arc<FailingBus>,
    pub(super) clock: ManualClock,
    pub(super) recorder: Recorder,
    pub(super) relay: Relay,
}

impl World {
    pub(super) fn new(seed: u64, limits: BusLimits) -> Self {
        let options = MemoryBusOptions::default().with_limits(limits);
        Self::over(seed, options, RelayOptions::default())
    }

    pub(super) fn over(seed: u64, options: MemoryBusOptions, relay: RelayOptions) -> Self {
        let clock = ManualClock::default();
        let options = options.with_seed(seed);
        let bus = MemoryBus::new(options, Arc::new(clock.clone()));
        let flaky = Arc::new(FlakyBus::new(Arc::new(bus.node()), seed));
        let recorder = Recorder::default();
        let node: Arc<dyn Bus> = Arc::<FlakyBus>::clone(&flaky);
        let failing = Arc::new(FailingBus::new(node));
        let node: Arc<dyn Bus> = Arc::<FailingBus>::clone(&failing);
        let time = Arc::new(clock.clone());
        Self {
            publisher: bus.node(),
            relay: Relay::new(node, time, relay.with_seed(seed)),
            bus,
            flaky,
            failing,
            clock,
            recorder,
        }
    }

    pub(super) fn healthy() -> Self {
        let world = Self::new(1, BusLimits::new());
        world.flaky.heal();
        world
    }

    /// Runs the relay beside `script`, until the script ends.
    pub(super) async fn run<T>(&self, script: impl Future<Output = T>) -> T {
        let relay = std::pin::pin!(self.relay.run(&self.recorder));
        match select(relay, std::pin::pin!(script)).await {
            futures::future::Either::Left((ended, _)) => panic!("the relay ended: {ended:?}"),
            futures::future::Either::Right((result, _)) => result,
        }
    }

    /// Joins a topic, and lets `script` happen and the relay do all it can. Answers where it joined.
    pub(super) async fn join_and(&self, topic: &Topic, script: impl AsyncFnOnce()) -> Position {
        let joined = async {
            self.relay.want(topic);
            let start = self.relay.joined(topic).await.unwrap();
            script().await;
            settle().await;
            start
        };
        self.run(joined).await
    }

    pub(super) fn say(&self, topic: &Topic) -> Position {
        let message = Outgoing::new(topic.clone(), "x");
        self.publisher.publish_one(&message).unwrap().position()
    }

    pub(super) fn top(&self, topic: &Topic) -> Position {
        let read = HistoryRead::top(topic.clone());
        self.publisher.history(&[read]).unwrap()[0]
            .as_ref()
            .unwrap()
            .top
    }

    /// Lets time pass in steps short enough for every timer in between.
    pub(super) async fn pass(&self, seconds: u64) {
        for _ in 0..seconds {
            self.clock.advance(Duration::from_secs(1));
            settle().await;
        }
    }
}

/// Lets the relay do all it can without time passing.
pub(super) async fn settle() {
    for _ in 0..30 {
        tokio::task::yield_now().await;
    }
}

pub(super) fn topic(name: &str) -> Topic {
    name.parse().unwrap()
}

/// A bus with room for `max_topics`, of which some exist.
pub(super) fn crowded(max_topics: usize, existing: &[&str]) -> World {
    crowded_for(RelayOptions::default(), max_topics, existing)
}

pub(super) fn crowded_for(relay: RelayOptions, max_topics: usize, existing: &[&str]) -> World {
    let options = MemoryBusOptions::default().with_max_topics(max_topics);
    let world = World::over(1, options, relay);
    world.flaky.heal();
    for name in existing {
        world.say(&topic(name));
    }
    world
}
