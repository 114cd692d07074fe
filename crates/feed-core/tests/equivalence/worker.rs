//! A worker's loop, and a queue that is away.

use std::{future::Future, pin::pin, sync::Arc, task::Poll, time::Duration};

use feed_core::PushAll;
use futures::{FutureExt as _, channel::oneshot, poll};

use crate::{
    flaky::{Fault, Strike},
    step::Op,
    world::World,
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
        world.step(&op.into());
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

/// A durable queue goes to its disk once for all of them.
#[tokio::test]
async fn pieces_are_settled_together_but_for_one_that_failed_before() {
    let mut world = World::new(Arc::new(PushAll));
    for author in 0..4 {
        world.step(&Op::Publish(author, false).into());
    }
    let calls = world.faults.queue_calls();
    assert_eq!(world.feed.work(16).await.unwrap(), 4);
    assert_eq!(world.faults.queue_calls() - calls, 2, "lease and settle");
    assert!(!world.is_work_left());

    for author in 0..4 {
        world.step(&Op::Publish(author, false).into());
    }
    world.faults.arm(1, Strike::Fault(Fault::DieBefore));
    assert!(world.feed.work(16).now_or_never().is_none());
    world.clock.advance(LONG);
    let calls = world.faults.queue_calls();
    assert_eq!(world.feed.work(16).await.unwrap(), 4);
    assert_eq!(
        world.faults.queue_calls() - calls,
        5,
        "each may be what was died of"
    );
}

/// One answer of the queue that is lost costs no other piece its turn.
#[tokio::test]
async fn a_batch_goes_on_when_it_cannot_be_settled() {
    let mut world = World::new(Arc::new(PushAll));
    for author in 0..4 {
        world.step(&Op::Publish(author, false).into());
    }
    world.faults.arm(1, Strike::Fault(Fault::DieBefore));
    assert!(world.feed.work(16).now_or_never().is_none());
    world.clock.advance(LONG);
    let store = Some("TaskQueue");
    world.faults.arm(2, Strike::Once { store });
    assert!(world.feed.work(16).await.is_err());
    assert!(
        !world.is_work_left(),
        "what failed is settled with the next"
    );
}
