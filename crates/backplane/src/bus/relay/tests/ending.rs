use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Wake, Waker},
};

use futures::FutureExt;

use super::{
    failing::Fault,
    world::{World, crowded, settle, topic},
};
use crate::{
    ErrorKind,
    bus::{Bus, BusLimits},
};

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
async fn a_relay_that_was_never_polled_may_still_run() {
    let world = World::healthy();
    let a = topic("a");
    drop(world.relay.run(&world.recorder));
    world.relay.want(&a);
    let joined = world.run(world.relay.joined(&a)).await;
    assert!(joined.is_ok());
}

#[test]
fn nobody_waits_for_a_relay_whose_last_call_hangs() {
    let world = World::healthy();
    let [a, late] = ["a", "late"].map(topic);
    let mut cx = Context::from_waker(Waker::noop());
    let mut run = std::pin::pin!(world.relay.run(&world.recorder));
    world.relay.want(&a);
    assert!(run.as_mut().poll(&mut cx).is_pending());
    world.failing.fail(Fault::Hang);
    world.relay.want(&late);
    let mut joined = std::pin::pin!(world.relay.joined(&late));
    assert!(joined.as_mut().now_or_never().is_none());
    drop(world.flaky.events());
    assert!(run.as_mut().poll(&mut cx).is_pending());
    let refused = joined.now_or_never().expect("the events have ended");
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Closed);
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

#[tokio::test]
async fn what_did_not_fit_the_queue_when_the_node_is_drained_is_a_gap() {
    let mut limits = BusLimits::new();
    limits.queue = 1;
    let world = World::new(1, limits);
    world.flaky.heal();
    let a = topic("a");
    let script = async {
        world.relay.want(&a);
        let start = world.relay.joined(&a).await.unwrap();
        for _ in 0..4 {
            world.say(&a);
        }
        world.flaky.drain().await.unwrap();
        start
    };
    let (start, ended) = futures::join!(script, world.relay.run(&world.recorder));
    assert!(ended.is_ok());
    assert_eq!(world.recorder.check(&a, start), (world.top(&a), 1));
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
