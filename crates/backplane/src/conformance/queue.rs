//! Cases that every [`TaskQueue`] must pass.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics to fail"
)]

mod bound;
mod death;
mod lease;

pub use bound::*;
pub use death::*;
pub use lease::*;

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
            extends_each_lease_by_itself,
            settles_each_lease_by_itself,
            retries_after_the_delay,
            a_release_is_no_attempt,
            a_continued_task_starts_afresh,
            a_task_that_comes_back_keeps_its_priority,
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
            concurrent_calls_under_one_key_add_one_task,
            concurrent_calls_share_the_room,
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

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::join;

use super::{Fresh, ROUNDS};
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
        .with_batch(16)
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
    assert!(fresh.keeps_waiting(gone).await, "no task, no wake-up");
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
