use std::{
    pin::pin,
    task::{Context, Waker},
    time::Duration,
};

use futures::FutureExt;

use super::{
    failing::Fault,
    world::{World, crowded, crowded_for, topic},
};
use crate::{BackoffOptions, ErrorKind, bus::RelayOptions, memory::MemoryBusOptions};

fn impatient() -> RelayOptions {
    let at_once = BackoffOptions::default()
        .with_base(Duration::ZERO)
        .with_max_delay(Duration::ZERO);
    RelayOptions::default().with_backoff(at_once)
}

/// Joins "a", makes `trouble`, and returns how much of what is then said is heard within a few polls.
fn heard_beside(world: &World, trouble: impl FnOnce()) -> usize {
    let a = topic("a");
    let mut cx = Context::from_waker(Waker::noop());
    let mut run = pin!(world.relay.run(&world.recorder));
    world.relay.want(&a);
    assert!(run.as_mut().poll(&mut cx).is_pending());
    let joined = world.relay.joined(&a).now_or_never();
    assert!(joined.is_some_and(|joined| joined.is_ok()));
    trouble();
    assert!(run.as_mut().poll(&mut cx).is_pending());
    world.say(&a);
    for _ in 0..3 {
        assert!(run.as_mut().poll(&mut cx).is_pending());
    }
    world.recorder.heard(&a).len()
}

#[test]
fn a_topic_that_is_refused_again_at_once_keeps_no_event_back() {
    let world = crowded_for(impatient(), 1, &["a"]);
    let refused = || world.relay.want(&topic("late"));
    assert_eq!(heard_beside(&world, refused), 1);
}

#[test]
fn a_call_that_fails_again_at_once_keeps_no_event_back() {
    let world = World::over(1, MemoryBusOptions::default(), impatient());
    world.flaky.heal();
    let failing = || {
        world.failing.fail(Fault::Refuse(ErrorKind::Unavailable));
        world.relay.want(&topic("late"));
    };
    assert_eq!(heard_beside(&world, failing), 1);
}

#[test]
fn many_calls_that_end_at_once_keep_no_event_back() {
    let world = crowded(1, &["a"]);
    let refused = || {
        for i in 0..500 {
            world.relay.want(&topic(&format!("late:{i}")));
        }
    };
    assert_eq!(heard_beside(&world, refused), 1);
}
