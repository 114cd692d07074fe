//! Cases that every [`TaskQueue`] must pass.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics to fail"
)]

/// One test per guarantee of [`TaskQueue`](crate::queue::TaskQueue), over the empty queue that
/// `$fresh` makes with the bounds of [`options`](crate::conformance::queue::options).
#[macro_export]
macro_rules! task_queue_conformance {
    ($fresh:expr) => {
        $crate::conformance_cases!(task_queue_conformance, [$crate::conformance::queue], $fresh =>
            serves_a_lane_in_order,
            serves_higher_priorities_first,
            lets_lower_priorities_through,
            takes_turns_between_lanes,
            a_long_task_delays_others_by_one_step,
            holds_delayed_tasks_back,
            counts_attempts,
            a_lease_excludes_other_workers,
            a_crashed_worker_loses_its_lease,
            a_stalled_worker_can_change_nothing,
            tokens_grow_with_every_lease,
            extending_keeps_a_lease,
            settles_each_lease_by_itself,
            retries_after_the_delay,
            a_release_is_no_attempt,
            a_continued_task_starts_afresh,
            buries_on_request,
            buries_after_the_last_retry,
            buries_after_the_last_crash,
            dead_letters_are_paged_by_id,
            redriven_tasks_are_due_again,
            discards_what_no_worker_has,
            refuses_what_does_not_fit,
            counts_leased_and_delayed_tasks_against_the_capacity,
            loses_no_dead_letter_for_lack_of_room,
            knows_a_key_again,
            forgets_a_key_in_time,
            a_refused_call_takes_no_key,
            purges_everything_about_a_lane,
            rejects_what_breaks_the_limits,
            cuts_long_reasons,
            counts_its_tasks,
            accepted_tasks_end_exactly_once,
            wakes_for_a_new_task,
            wakes_when_a_delay_has_passed,
            wakes_when_a_lease_has_passed,
            wakes_everybody_who_waits,
        );
    };
}

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, join};

use super::Fresh;
use crate::{
    ErrorKind,
    queue::{
        Admission, Cause, Discarded, Enqueued, Extended, Lane, Lease, MAX_KEY, MAX_REASON, NewTask,
        Priority, QueueOptions, QueueStats, Settled, Settlement, TaskId, TaskQueue,
    },
};

/// The bounds of the queue that a case gets: small, and with times that an engine can wait for.
#[must_use]
pub fn options() -> QueueOptions {
    QueueOptions::default()
        .with_capacity(16)
        .with_dead_letters(2)
        .with_payload(256)
        .with_max_attempts(3)
        .with_patience(2)
        .with_key_retention(SECOND)
        .with_settled_keys(64)
        .with_retry_after(Duration::from_millis(50))
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// Longer than a second, by more than an engine's clock is coarse.
const OVER_A_SECOND: Duration = Duration::from_millis(1_100);
const NO_DELAY: Duration = Duration::ZERO;

/// Due tasks of one lane are leased in the order in which they were enqueued.
pub async fn serves_a_lane_in_order(fresh: &Fresh<dyn TaskQueue>) {
    for name in ["a", "b", "c"] {
        enqueue(fresh, [NewTask::new(name)]).await;
    }
    let leased = [lease(fresh, 2).await, lease(fresh, 2).await].concat();
    assert_eq!(payloads(&leased), ["a", "b", "c"]);
}

/// A due task of a higher priority is leased before one of a lower priority.
pub async fn serves_higher_priorities_first(fresh: &Fresh<dyn TaskQueue>) {
    for priority in [Priority::Low, Priority::High, Priority::Normal] {
        let task = NewTask::new(format!("{priority:?}")).with_priority(priority);
        enqueue(fresh, [task]).await;
    }
    let leased = lease(fresh, 3).await;
    assert_eq!(payloads(&leased), ["High", "Normal", "Low"]);
}

/// A due task of a lower priority is passed over at most `patience` + 1 times in a row.
pub async fn lets_lower_priorities_through(fresh: &Fresh<dyn TaskQueue>) {
    let high = || NewTask::new("high").with_priority(Priority::High);
    enqueue(fresh, vec![high(); 10]).await;
    let low = [Priority::Normal, Priority::Low]
        .map(|priority| NewTask::new(format!("{priority:?}")).with_priority(priority));
    enqueue(fresh, low).await;
    let leased = lease(fresh, 12).await;
    let first = payloads(&leased)[..4].to_vec();
    assert_eq!(first, ["high", "high", "Normal", "Low"]);
}

/// Lanes that have due tasks are served one task each in turn, however many one of them has.
pub async fn takes_turns_between_lanes(fresh: &Fresh<dyn TaskQueue>) {
    let tasks = ["1a", "1b", "1c", "1d", "2a", "2b", "3a"].map(in_lane_of_its_first_digit);
    enqueue(fresh, tasks).await;
    let leased = lease(fresh, 7).await;
    assert_eq!(
        payloads(&leased),
        ["1a", "2a", "3a", "1b", "2b", "1c", "1d"]
    );
}

/// With one lane that always continues and m small lanes, a small task waits for one step of the
/// long task and for one task of each other small lane at most.
pub async fn a_long_task_delays_others_by_one_step(fresh: &Fresh<dyn TaskQueue>) {
    enqueue(fresh, [in_lane_of_its_first_digit("1 long")]).await;
    for round in 0..20 {
        let small = ["2 small", "3 small", "4 small"].map(in_lane_of_its_first_digit);
        enqueue(fresh, small).await;
        let mut served = Vec::new();
        for _ in 0..4 {
            let leased = lease(fresh, 1).await;
            let settlement = if leased[0].lane == Lane::new(1) {
                Settlement::Continue {
                    payload: format!("1 long, step {round}").into(),
                    delay: NO_DELAY,
                }
            } else {
                Settlement::Ack
            };
            settle(fresh, &leased[0], settlement).await;
            served.push(leased[0].lane.get());
        }
        served.sort_unstable();
        assert_eq!(served, [1, 2, 3, 4], "each lane once in four leases");
    }
}

/// A task is not leased before its delay has passed, and then comes behind those due before.
pub async fn holds_delayed_tasks_back(fresh: &Fresh<dyn TaskQueue>) {
    enqueue(fresh, [NewTask::new("late").with_delay(SECOND)]).await;
    enqueue(fresh, [NewTask::new("early")]).await;
    assert_eq!(payloads(&lease(fresh, 2).await), ["early"]);
    enqueue(fresh, [NewTask::new("between")]).await;
    fresh.time.pass(OVER_A_SECOND).await;
    assert_eq!(payloads(&lease(fresh, 2).await), ["between", "late"]);
}

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

/// A leased task is not leased again while its lease lasts.
pub async fn a_lease_excludes_other_workers(fresh: &Fresh<dyn TaskQueue>) {
    enqueue(fresh, [NewTask::new("a"), NewTask::new("b")]).await;
    let (one, two) = join!(lease(fresh, 1), lease(fresh, 1));
    assert_ne!(one[0].key.task, two[0].key.task);
    assert_eq!(lease(fresh, 1).await, []);
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

/// A task whose last attempt failed is a dead letter, and its worker is told.
pub async fn buries_after_the_last_retry(fresh: &Fresh<dyn TaskQueue>) {
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
    let never_fits = fresh.store.enqueue(&vec![NewTask::new("a"); 17]).await;
    assert_eq!(never_fits.unwrap_err().kind(), ErrorKind::Invalid);
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

/// The statistics count each task once, by where it stands, and tell the age of the oldest that is
/// due.
pub async fn counts_its_tasks(fresh: &Fresh<dyn TaskQueue>) {
    assert_eq!(stats(fresh).await, QueueStats::default());
    bury_all(fresh, 1).await;
    enqueue(fresh, [NewTask::new("leased")]).await;
    lease(fresh, 1).await;
    enqueue(fresh, [NewTask::new("oldest")]).await;
    fresh.time.pass(OVER_A_SECOND).await;
    let newer = [
        NewTask::new("ready").with_lane(1),
        NewTask::new("late").with_delay(MINUTE),
    ];
    enqueue(fresh, newer).await;
    let stats = stats(fresh).await;
    assert_eq!((stats.ready, stats.delayed), (2, 1));
    assert_eq!((stats.leased, stats.dead), (1, 1));
    let age = stats.oldest_ready.unwrap();
    assert!(age >= SECOND && age < MINUTE, "{age:?}");
}

/// Whatever crashes, every accepted task is acknowledged or dead in the end, and no task is
/// acknowledged twice.
pub async fn accepted_tasks_end_exactly_once(fresh: &Fresh<dyn TaskQueue>) {
    let accepted = enqueue(fresh, vec![NewTask::new("a"); 16]).await;
    let accepted = BTreeSet::from_iter(accepted);
    let mut acknowledged = Vec::new();
    for round in 0_u64.. {
        let leased = fresh.store.lease(5, SECOND).await.unwrap();
        if leased.is_empty() {
            break;
        }
        for lease in &leased {
            if !(lease.key.task.get() + round).is_multiple_of(3) {
                settle(fresh, lease, Settlement::Ack).await;
                acknowledged.push(lease.key.task);
            }
        }
        fresh.time.pass(OVER_A_SECOND).await;
    }
    let dead = fresh.store.dead_letters(None, 100).await.unwrap();
    acknowledged.extend(dead.iter().map(|dead| dead.task));
    assert_eq!(acknowledged.len(), accepted.len());
    assert_eq!(BTreeSet::from_iter(acknowledged), accepted);
}

/// Whoever waits for work is woken by a task that is enqueued; with a task due, nobody waits.
pub async fn wakes_for_a_new_task(fresh: &Fresh<dyn TaskQueue>) {
    let add = async {
        enqueue(fresh, [NewTask::new("a")]).await;
    };
    let (ready, ()) = join!(fresh.store.ready(), add);
    ready.unwrap();
    fresh.store.ready().await.unwrap();
    assert_eq!(payloads(&lease(fresh, 1).await), ["a"]);
}

/// Whoever waits for work is woken when a delay has passed, also if the delay began later.
pub async fn wakes_when_a_delay_has_passed(fresh: &Fresh<dyn TaskQueue>) {
    enqueue(fresh, [NewTask::new("later").with_delay(MINUTE)]).await;
    let worker = async {
        loop {
            fresh.store.ready().await.unwrap();
            let leased = lease(fresh, 1).await;
            if !leased.is_empty() {
                return payloads(&leased);
            }
        }
    };
    let add = async {
        enqueue(fresh, [NewTask::new("sooner").with_delay(SECOND)]).await;
        fresh.time.pass(OVER_A_SECOND).await;
    };
    assert_eq!(join!(worker, add).0, ["sooner"]);
}

/// Whoever waits for work is woken when the lease of another worker has passed.
pub async fn wakes_when_a_lease_has_passed(fresh: &Fresh<dyn TaskQueue>) {
    enqueue(fresh, [NewTask::new("a")]).await;
    let worker = async {
        loop {
            let leased = lease(fresh, 1).await;
            if !leased.is_empty() {
                return leased[0].attempt;
            }
            fresh.store.ready().await.unwrap();
        }
    };
    fresh.store.lease(1, SECOND).await.unwrap();
    let crash = fresh.time.pass(OVER_A_SECOND);
    assert_eq!(join!(worker, crash).0, 2);
}

/// A task wakes everybody who waits for work, also if one of them goes away at that moment.
pub async fn wakes_everybody_who_waits(fresh: &Fresh<dyn TaskQueue>) {
    let gone = fresh.store.ready();
    assert!(gone.now_or_never().is_none(), "no task, no wake-up");
    let add = async {
        enqueue(fresh, [NewTask::new("a")]).await;
    };
    let (one, two, ()) = join!(fresh.store.ready(), fresh.store.ready(), add);
    one.and(two).unwrap();
}

async fn admit(fresh: &Fresh<dyn TaskQueue>, tasks: &[NewTask]) -> Vec<Admission> {
    match fresh.store.enqueue(tasks).await.unwrap() {
        Enqueued::Accepted(admitted) => admitted,
        Enqueued::Full { .. } => panic!("no room for {} tasks", tasks.len()),
    }
}

async fn enqueue(fresh: &Fresh<dyn TaskQueue>, tasks: impl AsRef<[NewTask]>) -> Vec<TaskId> {
    let admitted = admit(fresh, tasks.as_ref()).await;
    admitted.into_iter().map(Admission::task).collect()
}

async fn lease(fresh: &Fresh<dyn TaskQueue>, max: usize) -> Vec<Lease> {
    fresh.store.lease(max, MINUTE).await.unwrap()
}

async fn settle(fresh: &Fresh<dyn TaskQueue>, lease: &Lease, settlement: Settlement) -> Settled {
    let batch = [(lease.key, settlement)];
    fresh.store.settle(&batch).await.unwrap().remove(0)
}

async fn stats(fresh: &Fresh<dyn TaskQueue>) -> QueueStats {
    fresh.store.stats().await.unwrap()
}

/// Enqueues and buries so many tasks.
async fn bury_all(fresh: &Fresh<dyn TaskQueue>, count: usize) -> Vec<TaskId> {
    let buried = enqueue(fresh, vec![NewTask::new("buried"); count]).await;
    for leased in lease(fresh, count).await {
        settle(fresh, &leased, bury("no")).await;
    }
    buried
}

fn payloads(leases: &[Lease]) -> Vec<String> {
    let text = |lease: &Lease| String::from_utf8(lease.payload.to_vec()).unwrap();
    leases.iter().map(text).collect()
}

fn in_lane_of_its_first_digit(payload: &'static str) -> NewTask {
    let digit = payload.as_bytes()[0] - b'0';
    NewTask::new(payload).with_lane(u64::from(digit))
}

fn retry(delay: Duration) -> Settlement {
    let reason = "later".to_owned();
    Settlement::Retry { delay, reason }
}

fn bury(reason: &str) -> Settlement {
    let reason = reason.to_owned();
    Settlement::Bury { reason }
}
