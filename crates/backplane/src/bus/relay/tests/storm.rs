use fastrand::Rng;
use futures::FutureExt;

use super::world::{Heard, World, settle, topic};
use crate::bus::BusLimits;

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
                starts.push(loop {
                    match world.relay.joined(topic).now_or_never() {
                        Some(Ok(start)) => break start,
                        Some(Err(error)) if !error.is_retryable() => panic!("{error}"),
                        _ => world.pass(1).await,
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
