use super::{
    Admission, Arc, Cause, Duration, Enqueued, ErrorKind, Fresh, Lane, MAX_KEY, MAX_REASON, MINUTE,
    NO_DELAY, NewTask, OVER_A_SECOND, Priority, QueueStats, ROUNDS, SECOND, Settled, Settlement,
    TaskQueue, admit, bury, bury_all, enqueue, lease, payloads, settle, stats,
};

/// A call that does not fit as a whole adds nothing, and says when to ask again.
pub async fn refuses_what_does_not_fit(fresh: &Fresh<dyn TaskQueue>) {
    enqueue(fresh, vec![NewTask::new("a"); 14]).await;
    let three = vec![NewTask::new("b"); 3];
    let refused = fresh.store.enqueue(&three).await.unwrap();
    let retry_after = Duration::from_millis(50);
    assert_eq!(refused, Enqueued::Full { retry_after });
    assert_eq!(stats(fresh).await.ready, 14);
    enqueue(fresh, vec![NewTask::new("b"); 2]).await;
    let leased = lease(fresh, 1).await.remove(0);
    settle(fresh, &leased, Settlement::Ack).await;
    enqueue(fresh, [NewTask::new("c")]).await;
}

/// Delayed and leased tasks take room as ready ones do.
pub async fn counts_leased_and_delayed_tasks_against_the_capacity(fresh: &Fresh<dyn TaskQueue>) {
    enqueue(fresh, vec![NewTask::new("a"); 8]).await;
    lease(fresh, 8).await;
    enqueue(fresh, vec![NewTask::new("b").with_delay(MINUTE); 8]).await;
    let refused = fresh.store.enqueue(&[NewTask::new("c")]).await.unwrap();
    assert!(matches!(refused, Enqueued::Full { .. }));
    assert_eq!(
        fresh.store.enqueue(&[]).await.unwrap(),
        Enqueued::Accepted(vec![])
    );
}

/// A task is buried even if the room for dead letters is used up: it takes the room of a waiting
/// task instead, until it is discarded.
pub async fn loses_no_dead_letter_for_lack_of_room(fresh: &Fresh<dyn TaskQueue>) {
    let buried = bury_all(fresh, 12).await;
    assert_eq!(fresh.store.dead_letters(None, 100).await.unwrap().len(), 12);
    let seven = vec![NewTask::new("a"); 7];
    let refused = fresh.store.enqueue(&seven).await.unwrap();
    assert!(matches!(refused, Enqueued::Full { .. }), "10 of 16 taken");
    enqueue(fresh, &seven[..6]).await;
    fresh.store.discard(&buried[..1]).await.unwrap();
    enqueue(fresh, &seven[..1]).await;
    assert_eq!(fresh.store.redrive(&buried).await.unwrap(), 11);
    assert_eq!(stats(fresh).await.ready, 18);
}

/// A task with the key of one that waits, is leased, is dead or was just settled is not added
/// again; that one's id is returned.
pub async fn knows_a_key_again(fresh: &Fresh<dyn TaskQueue>) {
    let tasks = ["k", "k", "other"].map(|key| NewTask::new("first").with_key(key));
    let admitted = admit(fresh, &tasks).await;
    let task = admitted[0].task();
    assert_eq!(
        admitted[..2],
        [Admission::New(task), Admission::Known(task)]
    );
    assert_ne!(admitted[2].task(), task);
    let again = [NewTask::new("again").with_key("k")];
    assert_eq!(admit(fresh, &again).await, [Admission::Known(task)]);
    let leased = lease(fresh, 2).await;
    assert_eq!(payloads(&leased), ["first", "first"]);
    assert_eq!(admit(fresh, &again).await, [Admission::Known(task)]);
    settle(fresh, &leased[0], bury("no")).await;
    assert_eq!(admit(fresh, &again).await, [Admission::Known(task)]);
    fresh.store.redrive(&[task]).await.unwrap();
    let leased = lease(fresh, 1).await;
    settle(fresh, &leased[0], Settlement::Ack).await;
    assert_eq!(admit(fresh, &again).await, [Admission::Known(task)]);
    assert_eq!(lease(fresh, 1).await, []);
}

/// The key of a settled or discarded task is free again after the retention.
pub async fn forgets_a_key_in_time(fresh: &Fresh<dyn TaskQueue>) {
    let tasks = ["settled", "discarded"].map(|key| NewTask::new(key).with_key(key));
    let first = enqueue(fresh, tasks.clone()).await;
    let leased = lease(fresh, 1).await.remove(0);
    settle(fresh, &leased, Settlement::Ack).await;
    fresh.store.discard(&first[1..]).await.unwrap();
    assert_eq!(enqueue(fresh, tasks.clone()).await, first);
    fresh.time.pass(OVER_A_SECOND).await;
    let second = admit(fresh, &tasks).await;
    assert!(
        second
            .iter()
            .all(|admission| matches!(admission, Admission::New(_)))
    );
}

/// A call that was refused leaves its keys free, and duplicates need no room.
pub async fn a_refused_call_takes_no_key(fresh: &Fresh<dyn TaskQueue>) {
    enqueue(fresh, vec![NewTask::new("a"); 15]).await;
    let keyed = ["x", "y"].map(|key| NewTask::new("b").with_key(key));
    let refused = fresh.store.enqueue(&keyed).await.unwrap();
    assert!(matches!(refused, Enqueued::Full { .. }));
    let admitted = admit(fresh, &keyed[..1]).await;
    assert_eq!(admitted, [Admission::New(admitted[0].task())]);
    let full_of_duplicates = [&keyed[..1], &keyed[..1]].concat();
    let known = Admission::Known(admitted[0].task());
    assert_eq!(admit(fresh, &full_of_duplicates).await, [known; 2]);
}

/// Of calls under one key at the same time one adds its task, and the others name it.
pub async fn concurrent_calls_under_one_key_add_one_task(fresh: &Fresh<dyn TaskQueue>) {
    for round in 0..ROUNDS {
        let add = move |queue: Arc<dyn TaskQueue>, n: usize| async move {
            let task = NewTask::new(n.to_string()).with_key(round.to_string());
            match queue.enqueue(&[task]).await.unwrap() {
                Enqueued::Accepted(admitted) => admitted[0],
                Enqueued::Full { .. } => panic!("there is room"),
            }
        };
        let admitted = fresh.at_once(4, add).await;
        let leased = lease(fresh, 9).await;
        assert_eq!(leased.len(), 1);
        let task = leased[0].key.task;
        let (new, known) = (Admission::New(task), Admission::Known(task));
        assert_eq!(admitted.iter().filter(|one| **one == new).count(), 1);
        assert_eq!(admitted.iter().filter(|one| **one == known).count(), 3);
        settle(fresh, &leased[0], Settlement::Ack).await;
    }
}

/// Calls at the same time never get more room between them than there is.
pub async fn concurrent_calls_share_the_room(fresh: &Fresh<dyn TaskQueue>) {
    enqueue(fresh, vec![NewTask::new("a"); 13]).await;
    for _ in 0..ROUNDS {
        let add = |queue: Arc<dyn TaskQueue>, _| async move {
            let two = vec![NewTask::new("b"); 2];
            queue.enqueue(&two).await.unwrap()
        };
        let mut added = fresh.at_once(4, add).await;
        added.retain(|answer| matches!(answer, Enqueued::Accepted(_)));
        assert_eq!(added.len(), 1, "there is room for three");
        assert_eq!(stats(fresh).await.ready, 15);
        let Enqueued::Accepted(admitted) = added.remove(0) else {
            unreachable!("the others were taken out");
        };
        let tasks: Vec<_> = admitted.into_iter().map(Admission::task).collect();
        fresh.store.discard(&tasks).await.unwrap();
    }
}

/// Purging a lane leaves nothing of it: no task, lease, dead letter or key; other lanes stay.
pub async fn purges_everything_about_a_lane(fresh: &Fresh<dyn TaskQueue>) {
    let task = |payload: &'static str| NewTask::new(payload).with_lane(7).with_key(payload);
    for payload in ["dead", "settled", "leased"] {
        enqueue(fresh, [task(payload)]).await;
    }
    let leased = lease(fresh, 3).await;
    settle(fresh, &leased[0], bury("no")).await;
    settle(fresh, &leased[1], Settlement::Ack).await;
    enqueue(
        fresh,
        [task("ready"), task("low").with_priority(Priority::Low)],
    )
    .await;
    enqueue(fresh, [task("late").with_delay(SECOND)]).await;
    enqueue(fresh, [NewTask::new("other").with_lane(8)]).await;

    assert_eq!(fresh.store.purge_lane(Lane::new(7)).await.unwrap(), 5);
    assert_eq!(fresh.store.purge_lane(Lane::new(7)).await.unwrap(), 0);
    assert_eq!(
        settle(fresh, &leased[2], Settlement::Ack).await,
        Settled::Lost
    );
    assert_eq!(fresh.store.dead_letters(None, 10).await.unwrap(), []);
    fresh.time.pass(OVER_A_SECOND).await;
    assert_eq!(payloads(&lease(fresh, 10).await), ["other"]);
    let again = ["dead", "settled", "leased", "ready"].map(task);
    let admitted = admit(fresh, &again).await;
    assert!(
        admitted
            .iter()
            .all(|admission| matches!(admission, Admission::New(_)))
    );
}

/// What breaks a limit is refused as invalid, and nothing of the call happens.
pub async fn rejects_what_breaks_the_limits(fresh: &Fresh<dyn TaskQueue>) {
    let ok = NewTask::new(vec![b'p'; 256]).with_key(vec![b'k'; MAX_KEY]);
    let too_long = NewTask::new(vec![b'p'; 257]);
    let key_too_long = NewTask::new("a").with_key(vec![b'k'; MAX_KEY + 1]);
    for bad in [too_long, key_too_long] {
        let refused = fresh.store.enqueue(&[ok.clone(), bad]).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    }
    let too_many = vec![NewTask::new("a").with_key("one and the same"); 17];
    let refused = fresh.store.enqueue(&too_many).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(stats(fresh).await, QueueStats::default());

    enqueue(fresh, [ok]).await;
    let no_time = fresh.store.lease(1, NO_DELAY).await;
    assert_eq!(no_time.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(lease(fresh, 0).await, []);
    let leased = lease(fresh, 1).await.remove(0);
    let too_long = Settlement::Continue {
        payload: vec![b'p'; 257].into(),
        delay: NO_DELAY,
    };
    let batch = [(leased.key, Settlement::Ack), (leased.key, too_long)];
    let refused = fresh.store.settle(&batch).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(settle(fresh, &leased, Settlement::Ack).await, Settled::Done);
}

/// A reason is kept up to its limit, in whole characters.
pub async fn cuts_long_reasons(fresh: &Fresh<dyn TaskQueue>) {
    enqueue(fresh, [NewTask::new("a")]).await;
    let leased = lease(fresh, 1).await.remove(0);
    let reason = format!("x{}", "é".repeat(MAX_REASON));
    settle(fresh, &leased, bury(&reason)).await;
    let dead = fresh.store.dead_letters(None, 1).await.unwrap().remove(0);
    let Cause::Buried(kept) = dead.cause else {
        panic!("buried on request, not {:?}", dead.cause);
    };
    assert_eq!(kept.len(), MAX_REASON - 1);
    assert!(reason.starts_with(&kept));
}
