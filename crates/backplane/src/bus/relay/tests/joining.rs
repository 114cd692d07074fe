use std::{sync::Arc, time::Duration};

use futures::FutureExt;

use super::{
    failing::Fault,
    world::{Recorder, World, crowded, settle, topic},
};
use crate::{
    Clock, ErrorKind, ManualClock, Sleep, Timestamp,
    bus::{Bus, Relay, RelayOptions},
    memory::{MemoryBus, MemoryBusOptions},
};

#[tokio::test]
async fn messages_after_the_joined_position_arrive() {
    let world = World::healthy();
    let a = topic("a");
    world.say(&a);
    let start = world
        .join_and(&a, async || {
            world.say(&a);
            world.say(&a);
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
    let unavailable = Fault::Refuse(ErrorKind::Unavailable);
    world.failing.fail(unavailable);
    world.relay.want(&a);
    world
        .run(async {
            settle().await;
            world.relay.release(&a);
            world.pass(3).await;
            assert_eq!(world.relay.topics(), 0);
        })
        .await;
    assert_eq!(world.flaky.unsubscribed(), 1, "it may have been joined");
}

#[tokio::test]
async fn too_few_positions_are_told_to_who_waits_until_all_come() {
    let world = World::healthy();
    let [a, b] = ["a", "b"].map(topic);
    world.failing.fail(Fault::Omit);
    for topic in [&a, &b] {
        world.relay.want(topic);
    }
    world
        .run(async {
            settle().await;
            for topic in [&a, &b] {
                let joined = world.relay.joined(topic).now_or_never();
                let refused = joined.expect("the answer has come").unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::Corrupt);
            }
            world.failing.repair();
            world.pass(1).await;
            for topic in [&a, &b] {
                assert!(world.relay.joined(topic).await.is_ok());
            }
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
            let refused = world.relay.joined(&late).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Full);
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
    world.failing.fail(Fault::Hang);
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

/// A clock whose timers cannot count far.
#[derive(Debug, Default)]
struct ShortSighted(ManualClock);

impl Clock for ShortSighted {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        assert!(duration <= Duration::from_secs(24 * 60 * 60));
        self.0.sleep(duration)
    }
}

#[test]
fn what_is_never_due_is_no_sleep_beyond_what_a_timer_can_count() {
    let node: Arc<dyn Bus> = Arc::new(MemoryBus::default().node());
    let options = RelayOptions::default().with_check_every(Duration::MAX);
    let relay = Relay::new(node, Arc::new(ShortSighted::default()), options);
    relay.want(&topic("a"));
    let recorder = Recorder::default();
    let mut run = std::pin::pin!(relay.run(&recorder));
    assert!(run.as_mut().now_or_never().is_none());
    let joined = relay.joined(&topic("a")).now_or_never();
    assert!(joined.is_some_and(|joined| joined.is_ok()));
}
