use super::{
    failing::Fault,
    world::{Heard, World, settle, topic},
};
use crate::{
    ErrorKind,
    bus::{BusLimits, GapReason},
};

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
async fn a_history_that_has_no_room_or_answers_too_little_is_a_gap() {
    let mut limits = BusLimits::new();
    limits.queue = 1;
    for fault in [Fault::Refuse(ErrorKind::Full), Fault::Omit] {
        let world = World::new(1, limits.clone());
        world.flaky.heal();
        let a = topic("a");
        let start = world
            .join_and(&a, async || {
                world.failing.fail(fault);
                for _ in 0..4 {
                    world.say(&a);
                }
            })
            .await;
        assert_eq!(world.recorder.check(&a, start), (world.top(&a), 1));
    }
}

/// Lets a queue of 10 events overflow, and returns how many gaps the audience is told of.
async fn overflow(history: usize) -> usize {
    let mut limits = BusLimits::new();
    (limits.queue, limits.history) = (10, history);
    let world = World::new(1, limits);
    world.flaky.heal();
    let a = topic("a");
    let start = world
        .join_and(&a, async || {
            for _ in 0..50 {
                world.say(&a);
            }
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
        .join_and(&a, async || {
            world.bus.lose(&a);
            world.pass(41).await;
        })
        .await;
    assert_eq!(world.recorder.check(&a, start), (world.top(&a), 1));
    let Heard::Gap(gap) = &world.recorder.heard(&a)[0] else {
        panic!("no gap");
    };
    assert_eq!(gap.reason, GapReason::EpochChanged);
}
