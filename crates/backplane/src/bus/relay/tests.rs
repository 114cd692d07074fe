use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Wake, Waker},
    time::Duration,
};

use fastrand::Rng;
use futures::{FutureExt, future::select};
use parking_lot::Mutex;

use super::*;
use crate::{
    ManualClock,
    bus::{BusLimits, GapReason, HistoryRead, Outgoing},
    conformance::flaky_bus::FlakyBus,
    memory::{MemoryBus, MemoryBusOptions, MemoryNode},
};

#[derive(Clone, Debug, Eq, PartialEq)]
enum Heard {
    Message(Message),
    Gap(Gap),
}

/// Remembers what it heard, per topic.
#[derive(Debug, Default)]
struct Recorder(Mutex<HashMap<Topic, Vec<Heard>>>);

impl Recorder {
    fn heard(&self, topic: &Topic) -> Vec<Heard> {
        self.0.lock().get(topic).cloned().unwrap_or_default()
    }

    fn push(&self, topic: &Topic, heard: Heard) {
        self.0.lock().entry(topic.clone()).or_default().push(heard);
    }

    /// Asserts that what was heard after `start` is an unbroken run, and returns where it ends and
    /// how many gaps it has.
    fn check(&self, topic: &Topic, start: Position) -> (Position, usize) {
        let mut at = start;
        let mut gaps = 0;
        for heard in self.heard(topic) {
            match heard {
                Heard::Message(message) => {
                    assert_eq!(message.position, at.next(), "{topic}");
                    at = message.position;
                }
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

struct World {
    bus: MemoryBus,
    publisher: MemoryNode,
    flaky: Arc<FlakyBus>,
    clock: ManualClock,
    recorder: Recorder,
    relay: Relay,
}

impl World {
    fn new(seed: u64, limits: BusLimits) -> Self {
        Self::over(seed, MemoryBusOptions::default().with_limits(limits))
    }

    fn over(seed: u64, options: MemoryBusOptions) -> Self {
        let clock = ManualClock::default();
        let options = options.with_seed(seed);
        let bus = MemoryBus::new(options, Arc::new(clock.clone()));
        let flaky = Arc::new(FlakyBus::new(Arc::new(bus.node()), seed));
        let recorder = Recorder::default();
        let node: Arc<dyn Bus> = Arc::<FlakyBus>::clone(&flaky);
        let time = Arc::new(clock.clone());
        Self {
            publisher: bus.node(),
            relay: Relay::new(node, time, RelayOptions::default()),
            bus,
            flaky,
            clock,
            recorder,
        }
    }

    fn healthy() -> Self {
        let world = Self::new(1, BusLimits::new());
        world.flaky.heal();
        world
    }

    /// Runs the relay beside `script`, until the script ends.
    async fn run<T>(&self, script: impl Future<Output = T>) -> T {
        let relay = std::pin::pin!(self.relay.run(&self.recorder));
        match select(relay, std::pin::pin!(script)).await {
            futures::future::Either::Left((ended, _)) => panic!("the relay ended: {ended:?}"),
            futures::future::Either::Right((result, _)) => result,
        }
    }

    fn say(&self, topic: &Topic) -> Position {
        let message = Outgoing::new(topic.clone(), "x");
        self.publisher.publish_one(&message).unwrap().position()
    }

    fn top(&self, topic: &Topic) -> Position {
        let read = HistoryRead::top(topic.clone());
        self.publisher.history(&[read]).unwrap()[0].top
    }

    /// Lets time pass in steps short enough for every timer in between.
    async fn pass(&self, seconds: u64) {
        for _ in 0..seconds {
            self.clock.advance(Duration::from_secs(1));
            settle().await;
        }
    }
}

/// Lets the relay do all it can without time passing.
async fn settle() {
    for _ in 0..30 {
        tokio::task::yield_now().await;
    }
}

fn topic(name: &str) -> Topic {
    name.parse().unwrap()
}

#[tokio::test]
async fn messages_after_the_joined_position_arrive() {
    let world = World::healthy();
    let a = topic("a");
    world.say(&a);
    let start = world
        .run(async {
            world.relay.want(&a);
            let start = world.relay.joined(&a).await.unwrap();
            world.say(&a);
            world.say(&a);
            settle().await;
            start
        })
        .await;
    assert_eq!(start.offset, 1);
    assert_eq!(world.recorder.check(&a, start), (world.top(&a), 0));
    assert_eq!(world.recorder.heard(&a).len(), 2);
}

#[tokio::test]
async fn a_flap_causes_no_unsubscription_and_a_departure_one() {
    let world = World::healthy();
    let a = topic("a");
    world
        .run(async {
            world.relay.want(&a);
            world.relay.joined(&a).await.unwrap();
            for _ in 0..5 {
                world.relay.release(&a);
                world.clock.advance(Duration::from_millis(900));
                settle().await;
                world.relay.want(&a);
                settle().await;
            }
            world.pass(5).await;
            assert_eq!(world.flaky.unsubscribed(), 0);
            world.relay.release(&a);
            world.pass(2).await;
            assert_eq!(world.flaky.unsubscribed(), 1);
            assert_eq!(world.relay.topics(), 0);
        })
        .await;
}

#[tokio::test]
async fn a_topic_released_before_it_is_joined_is_left() {
    let world = World::healthy();
    let a = topic("a");
    world.relay.want(&a);
    world.relay.release(&a);
    assert_eq!(world.relay.topics(), 1);
    world
        .run(async {
            world.pass(3).await;
            assert_eq!(world.relay.topics(), 0);
        })
        .await;
}

#[tokio::test]
async fn a_topic_wanted_again_while_it_is_left_is_joined_anew() {
    let world = World::healthy();
    let a = topic("a");
    let start = world
        .run(async {
            world.relay.want(&a);
            world.relay.joined(&a).await.unwrap();
            world.relay.release(&a);
            settle().await;
            world.clock.advance(Duration::from_secs(1));
            world.relay.want(&a);
            world.pass(1).await;
            let start = world.relay.joined(&a).await.unwrap();
            world.say(&a);
            settle().await;
            start
        })
        .await;
    assert_eq!(world.recorder.check(&a, start), (world.top(&a), 0));
    assert_eq!(world.recorder.heard(&a).len(), 1);
}

/// A bus with room for `max_topics`, of which some exist.
fn crowded(max_topics: usize, existing: &[&str]) -> World {
    let options = MemoryBusOptions::default().with_max_topics(max_topics);
    let world = World::over(1, options);
    world.flaky.heal();
    for name in existing {
        world.say(&topic(name));
    }
    world
}

#[tokio::test]
async fn a_full_bus_is_left_all_the_same() {
    let world = crowded(2, &["a", "b"]);
    let [a, b, c] = ["a", "b", "c"].map(topic);
    world
        .run(async {
            for topic in [&a, &b] {
                world.relay.want(topic);
                world.relay.joined(topic).await.unwrap();
            }
            world.relay.want(&c);
            world.relay.release(&a);
            world.pass(60).await;
            assert_eq!(world.relay.topics(), 2, "b, and c that has no room");
        })
        .await;
    assert_eq!(world.flaky.unsubscribed(), 1);
}

#[tokio::test]
async fn a_topic_without_room_keeps_no_other_from_joining_and_joins_when_there_is_room() {
    let names: Vec<_> = (0..100).map(|i| format!("known:{i}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let day = MemoryBusOptions::default().topic_ttl;
    let world = crowded(100, &names);
    let late = topic("late");
    for name in &names[..50] {
        world.relay.want(&topic(name));
    }
    world.relay.want(&late);
    for name in &names[50..99] {
        world.relay.want(&topic(name));
    }
    world
        .run(async {
            world.pass(1).await;
            for name in &names[..99] {
                let joined = world.relay.joined(&topic(name)).now_or_never();
                assert!(joined.is_some_and(|joined| joined.is_ok()), "{name}");
            }
            assert!(world.relay.joined(&late).now_or_never().is_none());
            world.clock.advance(day);
            world.pass(60).await;
            assert_eq!(world.relay.joined(&late).await.unwrap().offset, 0);
        })
        .await;
}

#[tokio::test]
async fn a_topic_without_room_that_nobody_wants_any_more_is_given_up() {
    let world = crowded(1, &["a"]);
    let late = topic("late");
    world.relay.want(&late);
    world
        .run(async {
            settle().await;
            assert_eq!(world.relay.topics(), 1);
            world.relay.release(&late);
            world.pass(60).await;
            assert_eq!(world.relay.topics(), 0);
        })
        .await;
}

#[tokio::test]
async fn a_topic_that_cannot_be_decoded_is_told_to_who_waits_and_keeps_no_other_out() {
    let world = World::healthy();
    let topics: Vec<_> = (0..20).map(|i| topic(&format!("t:{i}"))).collect();
    world.flaky.corrupt(&topics[7]);
    for topic in &topics {
        world.relay.want(topic);
    }
    let mut early = std::pin::pin!(world.relay.joined(&topics[7]));
    assert!(early.as_mut().now_or_never().is_none());
    world
        .run(async {
            assert_eq!(early.await.unwrap_err().kind(), ErrorKind::Corrupt);
            let outcomes = topics.iter().map(|topic| world.relay.joined(topic));
            let outcomes = futures::future::join_all(outcomes).await;
            for (i, outcome) in outcomes.into_iter().enumerate() {
                let kind = outcome.map_err(|error| error.kind()).err();
                assert_eq!(kind, (i == 7).then_some(ErrorKind::Corrupt), "{i}");
            }
            world.flaky.repair();
            world.pass(1).await;
            assert!(world.relay.joined(&topics[7]).await.is_ok());
        })
        .await;
}

#[tokio::test]
async fn a_history_that_cannot_be_decoded_is_a_gap_and_heals_every_other() {
    let mut limits = BusLimits::new();
    limits.queue = 1;
    let world = World::new(1, limits);
    world.flaky.heal();
    let topics: Vec<_> = (0..20).map(|i| topic(&format!("t:{i}"))).collect();
    let starts = world
        .run(async {
            let mut starts = Vec::new();
            for topic in &topics {
                world.relay.want(topic);
                starts.push(world.relay.joined(topic).await.unwrap());
            }
            world.flaky.corrupt(&topics[7]);
            // One event fits; all that follow are dropped and told as gaps.
            for topic in topics.iter().flat_map(|topic| [topic; 4]) {
                world.say(topic);
            }
            settle().await;
            world.say(&topics[7]);
            settle().await;
            starts
        })
        .await;
    for (i, (topic, start)) in topics.iter().zip(starts).enumerate() {
        let gaps = usize::from(i == 7);
        let expected = (world.top(topic), gaps);
        assert_eq!(world.recorder.check(topic, start), expected, "{topic}");
    }
}

#[tokio::test]
async fn a_topic_that_nobody_wants_cannot_be_awaited() {
    let world = World::healthy();
    let refused = world.relay.joined(&topic("a")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn a_release_ends_the_waiting() {
    let world = crowded(1, &["a"]);
    let late = topic("late");
    world.relay.want(&late);
    world
        .run(async {
            let mut joined = std::pin::pin!(world.relay.joined(&late));
            assert!(joined.as_mut().now_or_never().is_none());
            settle().await;
            world.relay.release(&late);
            let refused = joined.now_or_never().expect("nobody wants it").unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Invalid);
            let refused = world.relay.joined(&late).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Invalid);
        })
        .await;
}

#[tokio::test]
async fn a_relay_that_was_dropped_is_stopped_for_good() {
    let world = World::healthy();
    let (a, b) = (topic("a"), topic("b"));
    world.relay.want(&a);
    world.run(world.relay.joined(&a)).await.unwrap();
    for topic in [&a, &b] {
        world.relay.want(topic);
        let joined = world.relay.joined(topic).now_or_never();
        let refused = joined.expect("nothing is to be waited for").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Closed);
    }
    assert_eq!(world.relay.topics(), 0);
    let again = world.relay.run(&world.recorder).now_or_never();
    let refused = again.expect("refused at once").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn who_waits_for_a_relay_that_is_dropped_is_told() {
    let world = crowded(1, &["a"]);
    let late = topic("late");
    world.relay.want(&late);
    let mut joined = std::pin::pin!(world.relay.joined(&late));
    world.run(settle()).await;
    let refused = joined.as_mut().now_or_never().expect("the relay is gone");
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn a_relay_that_runs_cannot_be_run_beside_itself() {
    let world = World::healthy();
    let a = topic("a");
    world.relay.want(&a);
    world
        .run(async {
            let start = world.relay.joined(&a).await.unwrap();
            let again = world.relay.run(&world.recorder).now_or_never();
            let refused = again.expect("refused at once").unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Closed);
            let said = world.say(&a);
            settle().await;
            assert_eq!(world.recorder.check(&a, start), (said, 0));
        })
        .await;
}

#[tokio::test]
async fn the_relay_ends_with_its_node_and_so_does_waiting_for_it() {
    let world = World::healthy();
    let a = topic("a");
    world.relay.want(&a);
    world.flaky.drain().await.unwrap();
    let (joined, ended) = futures::join!(world.relay.joined(&a), world.relay.run(&world.recorder));
    assert_eq!(joined.unwrap_err().kind(), ErrorKind::Closed);
    assert!(ended.is_ok());
    let late = world.relay.joined(&a).now_or_never();
    let refused = late.expect("nothing is to be waited for").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn what_is_queued_when_the_node_is_drained_still_arrives() {
    let world = World::healthy();
    let (a, b) = (topic("a"), topic("b"));
    let script = async {
        world.relay.want(&a);
        let start = world.relay.joined(&a).await.unwrap();
        for _ in 0..600 {
            world.say(&a);
        }
        // The relay learns of the drain by a call, before it has read what is queued.
        world.relay.want(&b);
        world.flaky.drain().await.unwrap();
        start
    };
    let (start, ended) = futures::join!(script, world.relay.run(&world.recorder));
    assert!(ended.is_ok());
    assert_eq!(world.recorder.check(&a, start), (world.top(&a), 0));
    assert_eq!(world.recorder.heard(&a).len(), 600);
}

/// Counts how often it is woken.
#[derive(Debug, Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_long_queue_of_events_is_read_in_parts_that_let_others_run() {
    const EVENTS: usize = 20_000;
    let world = World::healthy();
    let a = topic("a");
    world.relay.want(&a);
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut cx = Context::from_waker(&waker);
    let mut run = std::pin::pin!(world.relay.run(&world.recorder));
    assert!(run.as_mut().poll(&mut cx).is_pending());
    for _ in 0..EVENTS {
        world.say(&a);
    }
    let mut polls = 0;
    while world.recorder.heard(&a).len() < EVENTS {
        assert!(wakes.0.swap(0, Ordering::Relaxed) > 0, "nobody would poll");
        assert!(run.as_mut().poll(&mut cx).is_pending());
        polls += 1;
    }
    assert!(polls > 1);
}

#[tokio::test]
async fn a_relay_whose_events_another_takes_says_so() {
    let world = World::healthy();
    let a = topic("a");
    world.relay.want(&a);
    let script = async {
        world.relay.joined(&a).await.unwrap();
        drop(world.flaky.events());
    };
    let ((), ended) = futures::join!(script, world.relay.run(&world.recorder));
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::Invalid);
}

/// Lets a queue of 10 events overflow, and returns how many gaps the audience is told of.
async fn overflow(history: usize) -> usize {
    let mut limits = BusLimits::new();
    (limits.queue, limits.history) = (10, history);
    let world = World::new(1, limits);
    world.flaky.heal();
    let a = topic("a");
    let start = world
        .run(async {
            world.relay.want(&a);
            let start = world.relay.joined(&a).await.unwrap();
            for _ in 0..50 {
                world.say(&a);
            }
            settle().await;
            start
        })
        .await;
    let (end, gaps) = world.recorder.check(&a, start);
    assert_eq!(end, world.top(&a));
    gaps
}

#[tokio::test]
async fn an_overflow_reaches_the_audience_as_a_gap_only_if_the_history_lost_it_too() {
    assert_eq!(overflow(100).await, 0);
    assert_eq!(overflow(5).await, 1);
}

#[tokio::test]
async fn a_lost_stream_is_a_gap_even_if_nothing_is_published_to_it() {
    let world = World::healthy();
    let a = topic("a");
    world.say(&a);
    let start = world
        .run(async {
            world.relay.want(&a);
            let start = world.relay.joined(&a).await.unwrap();
            world.bus.lose(&a);
            world.pass(41).await;
            start
        })
        .await;
    assert_eq!(world.recorder.check(&a, start), (world.top(&a), 1));
    let Heard::Gap(gap) = &world.recorder.heard(&a)[0] else {
        panic!("no gap");
    };
    assert_eq!(gap.reason, GapReason::EpochChanged);
}

/// Publishes, loses and corrupts streams and lets time pass at random while the bus misbehaves; then the bus
/// heals, and one check of the positions later every topic must stand at its top without a silent
/// hole.
async fn storm(seed: u64, limits: BusLimits, lose: bool) -> usize {
    let world = World::new(seed, limits);
    let mut rng = Rng::with_seed(seed);
    let topics = ["a", "b", "c"].map(topic);
    let starts = world
        .run(async {
            let mut starts = Vec::new();
            for topic in &topics {
                world.relay.want(topic);
            }
            for topic in &topics {
                let mut joined = std::pin::pin!(world.relay.joined(topic));
                starts.push(loop {
                    match joined.as_mut().now_or_never() {
                        Some(start) => break start.unwrap(),
                        None => world.pass(1).await,
                    }
                });
            }
            for _ in 0..200 {
                let topic = &topics[rng.usize(..3)];
                match rng.u8(..20) {
                    0..=13 => {
                        world.say(topic);
                    }
                    14..=17 => settle().await,
                    18 => world.pass(2).await,
                    _ if lose => match rng.u8(..3) {
                        0 => world.bus.lose(topic),
                        1 => world.flaky.corrupt(topic),
                        _ => world.flaky.repair(),
                    },
                    _ => {}
                }
            }
            world.flaky.heal();
            world.flaky.repair();
            world.pass(85).await;
            starts
        })
        .await;
    let mut gaps = 0;
    for (topic, start) in topics.iter().zip(starts) {
        let (end, told) = world.recorder.check(topic, start);
        assert_eq!(end, world.top(topic), "seed {seed}, topic {topic}");
        gaps += told;
    }
    gaps
}

#[tokio::test]
async fn whatever_the_bus_does_a_complete_history_heals_it() {
    for seed in 0..60 {
        assert_eq!(storm(seed, BusLimits::new(), false).await, 0, "seed {seed}");
    }
}

#[tokio::test]
async fn whatever_the_bus_does_nothing_is_missing_silently() {
    let mut limits = BusLimits::new();
    (limits.history, limits.queue, limits.page) = (6, 8, 4);
    let mut gaps = 0;
    for seed in 0..60 {
        gaps += storm(seed, limits.clone(), true).await;
    }
    assert!(gaps > 60, "the storms are too weak to lose anything");
}

/// Publishes while topics come and go on a bus that misbehaves and loses nothing for good; then all
/// are wanted, the bus heals, and what is published arrives.
async fn come_and_go(seed: u64) {
    let mut limits = BusLimits::new();
    limits.queue = 4;
    let world = World::new(seed, limits);
    let mut rng = Rng::with_seed(seed);
    let topics = ["a", "b", "c"].map(topic);
    world
        .run(async {
            for _ in 0..300 {
                let topic = &topics[rng.usize(..3)];
                match rng.u8(..12) {
                    0..=5 => {
                        world.say(topic);
                    }
                    6 => world.relay.release(topic),
                    7..=8 => world.relay.want(topic),
                    9..=10 => settle().await,
                    _ => world.pass(1).await,
                }
            }
            world.flaky.heal();
            for topic in &topics {
                world.relay.want(topic);
            }
            world.pass(85).await;
            for topic in &topics {
                let last = world.say(topic);
                settle().await;
                let joined = world.relay.joined(topic).await;
                assert_eq!(joined.unwrap(), last, "seed {seed}, {topic}");
            }
        })
        .await;
    for topic in &topics {
        let heard = world.recorder.heard(topic).into_iter();
        let positions: Vec<_> = heard
            .map(|heard| match heard {
                Heard::Message(message) => message.position.offset,
                Heard::Gap(gap) => panic!("seed {seed}, {topic}: {gap:?}"),
            })
            .collect();
        assert!(positions.is_sorted_by(|earlier, later| earlier < later));
    }
}

#[tokio::test]
async fn topics_that_come_and_go_are_told_of_no_gap_where_nothing_is_lost() {
    for seed in 0..30 {
        come_and_go(seed).await;
    }
}
