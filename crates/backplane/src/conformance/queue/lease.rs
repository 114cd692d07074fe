use super::{
    Arc, BTreeSet, Bytes, Duration, Extended, Fresh, MINUTE, NO_DELAY, NewTask, OVER_A_SECOND,
    QueueStats, ROUNDS, SECOND, Settled, Settlement, TaskQueue, bury, enqueue, lease, payloads,
    retry, settle, stats,
};

/// A lease tells how many times its task has been leased, and when it was enqueued.
pub async fn counts_attempts(fresh: &Fresh<dyn TaskQueue>) {
    let before = fresh.time.now();
    enqueue(fresh, [NewTask::new("a")]).await;
    for attempt in 1..=3 {
        let leased = lease(fresh, 1).await;
        assert_eq!(leased[0].attempt, attempt);
        let age = leased[0].enqueued_at.saturating_since(before);
        assert!(leased[0].enqueued_at >= before.saturating_sub(SECOND) && age < MINUTE);
        settle(fresh, &leased[0], retry(NO_DELAY)).await;
    }
}

/// A leased task is not leased again while its lease lasts, however many workers ask at once.
pub async fn a_lease_excludes_other_workers(fresh: &Fresh<dyn TaskQueue>) {
    for _ in 0..ROUNDS {
        let tasks = enqueue(fresh, vec![NewTask::new("a"); 5]).await;
        let worker =
            |queue: Arc<dyn TaskQueue>, _| async move { queue.lease(1, MINUTE).await.unwrap() };
        let mut leased = fresh.at_once(4, worker).await.concat();
        leased.extend(lease(fresh, 9).await);
        let distinct: BTreeSet<_> = leased.iter().map(|lease| lease.key.task).collect();
        assert_eq!(distinct, tasks.into_iter().collect());
        assert_eq!(leased.len(), distinct.len());
        for lease in leased {
            settle(fresh, &lease, Settlement::Ack).await;
        }
    }
}

/// A task whose lease has passed is due again, at the end of its lane's line.
pub async fn a_crashed_worker_loses_its_lease(fresh: &Fresh<dyn TaskQueue>) {
    enqueue(fresh, [NewTask::new("a"), NewTask::new("b")]).await;
    fresh.store.lease(1, SECOND).await.unwrap();
    fresh.time.pass(OVER_A_SECOND).await;
    let leased = lease(fresh, 2).await;
    assert_eq!(payloads(&leased), ["b", "a"]);
    assert_eq!(leased[1].attempt, 2);
}

/// A worker whose lease has passed can neither settle nor extend it, before and after another
/// worker has the task.
pub async fn a_stalled_worker_can_change_nothing(fresh: &Fresh<dyn TaskQueue>) {
    enqueue(fresh, [NewTask::new("a")]).await;
    let stalled = fresh.store.lease(1, SECOND).await.unwrap().remove(0);
    fresh.time.pass(OVER_A_SECOND).await;
    let extended = fresh.store.extend(&[stalled.key], MINUTE).await.unwrap();
    assert_eq!(extended, [Extended::Lost]);
    assert_eq!(
        settle(fresh, &stalled, Settlement::Ack).await,
        Settled::Lost
    );
    let current = lease(fresh, 1).await.remove(0);
    let settlements = [
        Settlement::Ack,
        retry(NO_DELAY),
        bury("no"),
        Settlement::Release { delay: NO_DELAY },
    ];
    for settlement in settlements {
        assert_eq!(settle(fresh, &stalled, settlement).await, Settled::Lost);
    }
    let extended = fresh.store.extend(&[stalled.key], MINUTE).await.unwrap();
    assert_eq!(extended, [Extended::Lost]);
    assert_eq!(
        settle(fresh, &current, Settlement::Ack).await,
        Settled::Done
    );
    assert_eq!(stats(fresh).await, QueueStats::default());
}

/// Each lease of a task has a larger fencing token than those before, however they ended.
pub async fn tokens_grow_with_every_lease(fresh: &Fresh<dyn TaskQueue>) {
    enqueue(fresh, [NewTask::new("a")]).await;
    let mut last = None;
    let settlements = [
        Settlement::Continue {
            payload: Bytes::new(),
            delay: NO_DELAY,
        },
        Settlement::Release { delay: NO_DELAY },
        retry(NO_DELAY),
        bury("no"),
        Settlement::Ack,
    ];
    for settlement in settlements {
        let leased = lease(fresh, 1).await.remove(0);
        assert!(Some(leased.key.token) > last);
        last = Some(leased.key.token);
        settle(fresh, &leased, settlement).await;
        fresh.store.redrive(&[leased.key.task]).await.unwrap();
    }
}

/// An extended lease lasts for the new time, and extending never shortens it.
pub async fn extending_keeps_a_lease(fresh: &Fresh<dyn TaskQueue>) {
    enqueue(fresh, [NewTask::new("a")]).await;
    let leased = fresh.store.lease(1, SECOND).await.unwrap().remove(0);
    for ttl in [MINUTE, Duration::from_millis(1)] {
        let extended = fresh.store.extend(&[leased.key], ttl).await.unwrap();
        assert_eq!(extended, [Extended::Held]);
    }
    fresh.time.pass(OVER_A_SECOND).await;
    assert_eq!(lease(fresh, 1).await, []);
    assert_eq!(settle(fresh, &leased, Settlement::Ack).await, Settled::Done);
}

/// A lost lease in a batch that is extended does not keep the others from lasting for the new time.
pub async fn extends_each_lease_by_itself(fresh: &Fresh<dyn TaskQueue>) {
    enqueue(fresh, ["a", "b", "c"].map(NewTask::new)).await;
    let leased = fresh.store.lease(3, SECOND).await.unwrap();
    settle(fresh, &leased[1], Settlement::Ack).await;
    let batch = [0, 1, 0, 2].map(|at: usize| leased[at].key);
    let extended = fresh.store.extend(&batch, MINUTE).await.unwrap();
    let expected = [
        Extended::Held,
        Extended::Lost,
        Extended::Held,
        Extended::Held,
    ];
    assert_eq!(extended, expected);
    assert_eq!(fresh.store.extend(&[], MINUTE).await.unwrap(), []);
    fresh.time.pass(OVER_A_SECOND).await;
    assert_eq!(lease(fresh, 1).await, []);
    for held in [&leased[0], &leased[2]] {
        assert_eq!(settle(fresh, held, Settlement::Ack).await, Settled::Done);
    }
}

/// A lost lease in a batch of settlements does not keep the others from being settled, and the
/// second settlement of one lease is lost.
pub async fn settles_each_lease_by_itself(fresh: &Fresh<dyn TaskQueue>) {
    enqueue(fresh, ["a", "b", "c"].map(NewTask::new)).await;
    let leased = lease(fresh, 3).await;
    settle(fresh, &leased[1], Settlement::Ack).await;
    let batch = [0, 1, 0, 2].map(|at: usize| (leased[at].key, Settlement::Ack));
    let settled = fresh.store.settle(&batch).await.unwrap();
    let expected = [Settled::Done, Settled::Lost, Settled::Lost, Settled::Done];
    assert_eq!(settled, expected);
    assert_eq!(stats(fresh).await, QueueStats::default());
}
