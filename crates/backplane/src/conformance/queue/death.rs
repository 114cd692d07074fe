use super::{
    Bytes, Cause, Discarded, Fresh, Lane, NO_DELAY, NewTask, OVER_A_SECOND, Priority, QueueStats,
    SECOND, Settled, Settlement, TaskId, TaskQueue, bury, bury_all, enqueue,
    in_lane_of_its_first_digit, lease, payloads, retry, settle, stats,
};

/// A failed task is not leased again before the delay of its retry has passed.
pub async fn retries_after_the_delay(fresh: &Fresh<dyn TaskQueue>) {
    enqueue(fresh, [NewTask::new("a")]).await;
    let leased = lease(fresh, 1).await.remove(0);
    assert_eq!(settle(fresh, &leased, retry(SECOND)).await, Settled::Done);
    assert_eq!(lease(fresh, 1).await, []);
    fresh.time.pass(OVER_A_SECOND).await;
    assert_eq!(payloads(&lease(fresh, 1).await), ["a"]);
}

/// A released task comes back after the delay, as often as it likes, without an attempt counted.
pub async fn a_release_is_no_attempt(fresh: &Fresh<dyn TaskQueue>) {
    enqueue(fresh, [NewTask::new("a")]).await;
    for _ in 0..5 {
        let leased = lease(fresh, 1).await.remove(0);
        assert_eq!(leased.attempt, 1);
        settle(fresh, &leased, Settlement::Release { delay: NO_DELAY }).await;
    }
    let leased = lease(fresh, 1).await.remove(0);
    settle(fresh, &leased, Settlement::Release { delay: SECOND }).await;
    assert_eq!(lease(fresh, 1).await, []);
    fresh.time.pass(OVER_A_SECOND).await;
    assert_eq!(lease(fresh, 1).await[0].attempt, 1);
}

/// A continued task is the same task with its new payload, after the delay, and its attempts count
/// from 1.
pub async fn a_continued_task_starts_afresh(fresh: &Fresh<dyn TaskQueue>) {
    enqueue(fresh, [NewTask::new("0"), NewTask::new("other")]).await;
    let first = lease(fresh, 1).await.remove(0);
    let step = |payload: &'static str, delay| Settlement::Continue {
        payload: Bytes::from_static(payload.as_bytes()),
        delay,
    };
    settle(fresh, &first, step("1", NO_DELAY)).await;
    let leased = lease(fresh, 2).await;
    assert_eq!(payloads(&leased), ["other", "1"], "at the end of the line");
    assert_eq!(leased[1].key.task, first.key.task);
    assert_eq!(leased[1].attempt, 1);
    settle(fresh, &leased[1], step("2", SECOND)).await;
    assert_eq!(lease(fresh, 1).await, []);
    fresh.time.pass(OVER_A_SECOND).await;
    assert_eq!(payloads(&lease(fresh, 1).await), ["2"]);
}

/// A task that comes back, however it does, is leased before those of a lower priority.
pub async fn a_task_that_comes_back_keeps_its_priority(fresh: &Fresh<dyn TaskQueue>) {
    let high = NewTask::new("high").with_priority(Priority::High);
    let again = Settlement::Continue {
        payload: Bytes::from_static(b"high"),
        delay: NO_DELAY,
    };
    let released = Settlement::Release { delay: NO_DELAY };
    for settlement in [retry(NO_DELAY), released, again, bury("no")] {
        enqueue(fresh, std::slice::from_ref(&high)).await;
        let leased = lease(fresh, 1).await.remove(0);
        enqueue(fresh, [NewTask::new("normal")]).await;
        settle(fresh, &leased, settlement.clone()).await;
        fresh.store.redrive(&[leased.key.task]).await.unwrap();
        let leased = lease(fresh, 2).await;
        assert_eq!(payloads(&leased), ["high", "normal"], "{settlement:?}");
        for leased in leased {
            settle(fresh, &leased, Settlement::Ack).await;
        }
    }
    enqueue(fresh, [high]).await;
    fresh.store.lease(1, SECOND).await.unwrap();
    enqueue(fresh, [NewTask::new("normal")]).await;
    fresh.time.pass(OVER_A_SECOND).await;
    assert_eq!(payloads(&lease(fresh, 2).await), ["high", "normal"]);
}

/// A buried task is a dead letter with its reason and is not leased again.
pub async fn buries_on_request(fresh: &Fresh<dyn TaskQueue>) {
    enqueue(fresh, [in_lane_of_its_first_digit("7 bad")]).await;
    let leased = lease(fresh, 1).await.remove(0);
    assert_eq!(
        settle(fresh, &leased, bury("no such user")).await,
        Settled::Done
    );
    assert_eq!(lease(fresh, 1).await, []);
    let dead = fresh.store.dead_letters(None, 10).await.unwrap().remove(0);
    assert_eq!(dead.task, leased.key.task);
    assert_eq!(dead.payload, "7 bad");
    assert_eq!(dead.lane, Lane::new(7));
    assert_eq!(dead.attempts, 1);
    assert_eq!(dead.enqueued_at, leased.enqueued_at);
    assert!(dead.died_at >= dead.enqueued_at);
    assert_eq!(dead.cause, Cause::Buried("no such user".to_owned()));
}

/// A task whose last attempt failed is a dead letter, and its worker is told. Which attempt is the last
/// the queue says.
pub async fn buries_after_the_last_retry(fresh: &Fresh<dyn TaskQueue>) {
    assert_eq!(fresh.store.max_attempts(), 3);
    enqueue(fresh, [NewTask::new("a")]).await;
    for expected in [Settled::Done, Settled::Done, Settled::Buried] {
        let leased = lease(fresh, 1).await.remove(0);
        assert_eq!(settle(fresh, &leased, retry(NO_DELAY)).await, expected);
    }
    assert_eq!(lease(fresh, 1).await, []);
    let dead = fresh.store.dead_letters(None, 10).await.unwrap();
    assert_eq!((dead.len(), dead[0].attempts), (1, 3));
    assert_eq!(dead[0].cause, Cause::Failed("later".to_owned()));
}

/// A task that crashes its workers is a dead letter after its last attempt.
pub async fn buries_after_the_last_crash(fresh: &Fresh<dyn TaskQueue>) {
    enqueue(fresh, [NewTask::new("poison")]).await;
    for _ in 0..3 {
        assert_eq!(fresh.store.lease(1, SECOND).await.unwrap().len(), 1);
        fresh.time.pass(OVER_A_SECOND).await;
    }
    assert_eq!(lease(fresh, 1).await, []);
    let dead = fresh.store.dead_letters(None, 10).await.unwrap();
    assert_eq!((dead.len(), dead[0].attempts), (1, 3));
    assert_eq!(dead[0].cause, Cause::Expired);
}

/// Dead letters are read in pages of ascending id, each after the last one of the page before.
pub async fn dead_letters_are_paged_by_id(fresh: &Fresh<dyn TaskQueue>) {
    let mut buried = bury_all(fresh, 5).await;
    buried.sort_unstable();
    let mut read = Vec::new();
    loop {
        let page = fresh.store.dead_letters(read.last().copied(), 2).await;
        let page = page.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 2);
        read.extend(page.iter().map(|dead| dead.task));
    }
    assert_eq!(read, buried);
    let end = fresh.store.dead_letters(Some(TaskId::new(u64::MAX)), 1);
    assert_eq!(end.await.unwrap(), []);
}

/// A redriven dead letter is due again with its attempts counted from 1; what is not dead is left
/// alone.
pub async fn redriven_tasks_are_due_again(fresh: &Fresh<dyn TaskQueue>) {
    let buried = bury_all(fresh, 2).await;
    enqueue(fresh, [NewTask::new("alive")]).await;
    let alive = lease(fresh, 1).await.remove(0);
    let tasks = [buried[1], alive.key.task, buried[1], TaskId::new(u64::MAX)];
    assert_eq!(fresh.store.redrive(&tasks).await.unwrap(), 1);
    let leased = lease(fresh, 3).await;
    assert_eq!((leased.len(), leased[0].attempt), (1, 1));
    assert_eq!(leased[0].key.task, buried[1]);
    let dead = fresh.store.dead_letters(None, 10).await.unwrap();
    assert_eq!((dead.len(), dead[0].task), (1, buried[0]));
    assert_eq!(settle(fresh, &alive, Settlement::Ack).await, Settled::Done);
}

/// A discarded task is gone whether it waited or was dead; one that a worker has stays.
pub async fn discards_what_no_worker_has(fresh: &Fresh<dyn TaskQueue>) {
    let dead = bury_all(fresh, 1).await[0];
    enqueue(fresh, [NewTask::new("leased")]).await;
    let leased = lease(fresh, 1).await.remove(0);
    let waiting = [
        NewTask::new("ready"),
        NewTask::new("late").with_delay(SECOND),
    ];
    let waiting = enqueue(fresh, waiting).await;
    let tasks = [dead, leased.key.task, waiting[0], waiting[1], dead];
    let discarded = fresh.store.discard(&tasks).await.unwrap();
    let (gone, unknown) = (Discarded::Gone, Discarded::Unknown);
    assert_eq!(discarded, [gone, Discarded::Leased, gone, gone, unknown]);
    assert_eq!(settle(fresh, &leased, Settlement::Ack).await, Settled::Done);
    fresh.time.pass(OVER_A_SECOND).await;
    assert_eq!(lease(fresh, 1).await, []);
    assert_eq!(stats(fresh).await, QueueStats::default());
}
