//! The memory bus and the relay under random schedules of their threads.
//!
//! `RUSTFLAGS="--cfg shuttle" cargo test -p backplane --test shuttle_bus`
#![cfg(shuttle)]
#![expect(clippy::unwrap_used, reason = "a schedule panics to fail")]

use std::{sync::Arc, time::Duration};

use backplane::{
    ErrorKind, ManualClock, Position, Topic,
    bus::{
        Audience, Bus, BusEvent, BusLimits, Gap, GapReason, HistoryRead, Message, Outgoing, Relay,
        RelayOptions,
    },
    memory::{MemoryBus, MemoryBusOptions, MemoryNode},
};
use futures::{FutureExt, StreamExt};
use shuttle::{sync::Mutex, thread};

const SCHEDULES: usize = 2_000;
const PUBLISHERS: u64 = 2;
const EACH: u64 = 3;

fn topic() -> Topic {
    "a".parse().unwrap()
}

fn bus(queue: usize) -> MemoryBus {
    let mut limits = BusLimits::new();
    limits.queue = queue;
    let options = MemoryBusOptions::default().with_limits(limits).with_seed(1);
    MemoryBus::new(options, Arc::new(ManualClock::default()))
}

fn publishers(bus: &MemoryBus) -> Vec<thread::JoinHandle<()>> {
    let publisher = |_| {
        let node = bus.node();
        thread::spawn(move || {
            for _ in 0..EACH {
                node.publish_one(&Outgoing::new(topic(), "x")).unwrap();
            }
        })
    };
    (0..PUBLISHERS).map(publisher).collect()
}

fn join_all(threads: Vec<thread::JoinHandle<()>>) {
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Reads what is queued, asserting that it follows `at` without a silent hole.
fn read_on(node: &MemoryNode, mut at: Position) -> Position {
    let mut events = node.events();
    while let Some(Some(event)) = events.next().now_or_never() {
        match event {
            BusEvent::Message { message, .. } => {
                assert_eq!(message.position, at.next());
                at = message.position;
            }
            BusEvent::Gap { gap, .. } => {
                assert_eq!(gap.reason, GapReason::Overflow);
                assert_eq!(gap.after, Some(at));
                at = gap.until;
            }
            other => panic!("{other:?}"),
        }
    }
    at
}

fn top(node: &MemoryNode) -> Position {
    let pages = node.history(&[HistoryRead::top(topic())]).unwrap();
    pages[0].as_ref().unwrap().top
}

#[test]
fn a_subscription_made_among_publishes_misses_nothing_after_its_position() {
    shuttle::check_random(
        || {
            let bus = bus(100);
            let node = bus.node();
            let threads = publishers(&bus);
            let start = node.subscribe(&[topic()]).unwrap().remove(0).unwrap();
            join_all(threads);
            let top = top(&node);
            assert_eq!(top.offset, PUBLISHERS * EACH);
            assert_eq!(read_on(&node, start), top);
        },
        SCHEDULES,
    );
}

#[test]
fn a_queue_read_while_it_overflows_says_what_it_dropped() {
    shuttle::check_random(
        || {
            let bus = bus(2);
            let node = bus.node();
            let start = node.subscribe(&[topic()]).unwrap().remove(0).unwrap();
            let threads = publishers(&bus);
            let at = read_on(&node, start);
            join_all(threads);
            assert_eq!(read_on(&node, at), top(&node));
        },
        SCHEDULES,
    );
}

#[test]
fn a_node_drained_among_subscriptions_leaves_none_behind() {
    shuttle::check_random(
        || {
            let clock = ManualClock::default();
            let options = MemoryBusOptions::default().with_max_topics(1).with_seed(1);
            let day = options.topic_ttl;
            let bus = MemoryBus::new(options, Arc::new(clock.clone()));
            let node = Arc::new(bus.node());
            let subscriber = {
                let node = Arc::clone(&node);
                thread::spawn(move || {
                    let _ = node.subscribe(&[topic()]);
                })
            };
            node.drain();
            subscriber.join().unwrap();
            clock.advance(day);
            // There is room only if nothing holds the first topic.
            let other = Outgoing::new("b".parse().unwrap(), "x");
            bus.node().publish_one(&other).unwrap();
        },
        SCHEDULES,
    );
}

#[derive(Debug, Default)]
struct Recorder(Mutex<Vec<Position>>);

impl Audience for Recorder {
    fn message(&self, _: &Topic, message: Message) {
        self.0.lock().unwrap().push(message.position);
    }

    fn gap(&self, _: &Topic, gap: Gap) {
        panic!("the history is complete, and yet {gap:?}");
    }
}

#[test]
fn a_relay_misses_nothing_while_wishes_and_messages_race() {
    shuttle::check_random(
        || {
            let bus = bus(3);
            let node: Arc<dyn Bus> = Arc::new(bus.node());
            let recorder = Recorder::default();
            let options = RelayOptions::default().with_linger(Duration::from_secs(60));
            let clock = Arc::new(ManualClock::default());
            let relay = Arc::new(Relay::new(node, clock, options));
            let mut threads = publishers(&bus);
            threads.push({
                let relay = Arc::clone(&relay);
                thread::spawn(move || {
                    relay.want(&topic());
                    relay.release(&topic());
                    relay.want(&topic());
                })
            });
            let mut running = Box::pin(relay.run(&recorder));
            assert!(running.as_mut().now_or_never().is_none());
            join_all(threads);
            for _ in 0..9 {
                assert!(running.as_mut().now_or_never().is_none());
            }
            let seen = recorder.0.lock().unwrap();
            assert!(seen.is_sorted_by(|earlier, later| earlier.next() == *later));
            if let Some(last) = seen.last() {
                assert_eq!(*last, top(&bus.node()));
            }
        },
        SCHEDULES,
    );
}

#[test]
fn a_topic_that_is_left_and_joined_again_among_messages_is_told_of_no_gap() {
    shuttle::check_random(
        || {
            let bus = bus(3);
            let node: Arc<dyn Bus> = Arc::new(bus.node());
            let recorder = Recorder::default();
            let options = RelayOptions::default().with_linger(Duration::ZERO);
            let clock = Arc::new(ManualClock::default());
            let relay = Arc::new(Relay::new(node, clock, options));
            relay.want(&topic());
            let mut threads = publishers(&bus);
            threads.push({
                let relay = Arc::clone(&relay);
                thread::spawn(move || {
                    for _ in 0..2 {
                        relay.release(&topic());
                        thread::yield_now();
                        relay.want(&topic());
                    }
                })
            });
            let mut running = Box::pin(relay.run(&recorder));
            for _ in 0..3 {
                assert!(running.as_mut().now_or_never().is_none());
                thread::yield_now();
            }
            join_all(threads);
            for _ in 0..9 {
                assert!(running.as_mut().now_or_never().is_none());
            }
            let seen = recorder.0.lock().unwrap();
            assert!(seen.is_sorted_by(|earlier, later| earlier.offset < later.offset));
            let joined = relay.joined(&topic()).now_or_never();
            assert_eq!(joined.unwrap().unwrap(), top(&bus.node()));
        },
        SCHEDULES,
    );
}

#[test]
fn whoever_waits_for_a_relay_learns_of_its_end_and_of_a_release() {
    shuttle::check_random(
        || {
            let node: Arc<dyn Bus> = Arc::new(bus(3).node());
            let clock = Arc::new(ManualClock::default());
            let relay = Arc::new(Relay::new(node, clock, RelayOptions::default()));
            let recorder = Recorder::default();
            relay.want(&topic());
            let waiter = {
                let relay = Arc::clone(&relay);
                thread::spawn(move || {
                    let mut joined = Box::pin(async move { relay.joined(&topic()).await });
                    let outcome = joined.as_mut().now_or_never();
                    (outcome.is_none()).then_some(joined)
                })
            };
            let releaser = {
                let relay = Arc::clone(&relay);
                thread::spawn(move || relay.release(&topic()))
            };
            let mut running = Box::pin(relay.run(&recorder));
            assert!(running.as_mut().now_or_never().is_none());
            drop(running);
            releaser.join().unwrap();
            if let Some(joined) = waiter.join().unwrap() {
                match joined.now_or_never().expect("the relay has ended") {
                    Ok(position) => assert_eq!(position.offset, 0),
                    Err(error) => {
                        assert!(matches!(
                            error.kind(),
                            ErrorKind::Closed | ErrorKind::Invalid
                        ));
                    }
                }
            }
            assert_eq!(relay.topics(), 0);
        },
        SCHEDULES,
    );
}
