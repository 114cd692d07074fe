//! A worker's loop, and a queue that is away.

use std::{future::Future, pin::pin, sync::Arc, task::Poll, time::Duration};

use feed_core::PushAll;
use futures::{FutureExt as _, channel::oneshot, poll};

use crate::{
    flaky::Strike,
    world::{Op, Step, World},
};

/// Longer than any delay between two tries.
const LONG: Duration = Duration::from_secs(61);

/// One post that waits to be delivered to one follower.
fn a_post_is_due() -> World {
    let mut world = World::new(Arc::new(PushAll));
    for op in [
        Op::Follow(1, 0, false),
        Op::Read(1, 1),
        Op::Publish(0, false),
    ] {
        let (interruption, persistent) = (None, true);
        world.step(&Step {
            op,
            interruption,
            persistent,
        });
    }
    world
}

async fn still_runs(run: &mut (impl Future<Output = feed_core::Result<()>> + Unpin)) -> bool {
    poll!(run).is_pending()
}

#[tokio::test]
async fn a_queue_that_is_away_is_waited_for() {
    let world = a_post_is_due();
    let (stop, stopped) = oneshot::channel::<()>();
    let mut run = pin!(world.feed.run(stopped.map(drop)));
    let store = Some("TaskQueue");
    world.faults.arm(0, Strike::Outage { store });
    for tries in 1..=10 {
        for _ in 0..3 {
            assert!(still_runs(&mut run).await);
            assert_eq!(world.faults.refused(), tries, "tries at one moment");
        }
        world.clock.advance(LONG);
    }
    assert!(world.is_work_left());

    world.faults.disarm();
    assert!(still_runs(&mut run).await);
    assert!(!world.is_work_left());
    world.assert_agrees(1);

    stop.send(()).unwrap();
    assert!(matches!(poll!(&mut run), Poll::Ready(Ok(()))));
}

#[tokio::test]
async fn a_worker_that_waits_for_its_queue_stops_at_once() {
    let world = a_post_is_due();
    let (stop, stopped) = oneshot::channel::<()>();
    let mut run = pin!(world.feed.run(stopped.map(drop)));
    let store = Some("TaskQueue");
    world.faults.arm(0, Strike::Outage { store });
    assert!(still_runs(&mut run).await);
    stop.send(()).unwrap();
    assert!(matches!(poll!(&mut run), Poll::Ready(Ok(()))));
    assert!(world.is_work_left());
}
