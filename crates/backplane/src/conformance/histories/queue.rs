//! Histories of [`TaskQueue`].
//!
//! A case shows one guarantee; a history looks for what no case thought of. No time passes in one, so that
//! an engine whose clock goes on answers as a clock that stands still does.

use std::{sync::Arc, time::Duration};

use proptest::{collection::vec, prelude::*, sample::Index};

use crate::{
    ManualClock,
    memory::MemoryQueue,
    queue::{
        Admission, Enqueued, Lane, LeaseKey, NewTask, Priority, QueueOptions, Settlement, TaskId,
        TaskQueue,
    },
};

/// A call. Leases and tasks are named by where they lie in the list of all that there have been.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Op {
    /// [`TaskQueue::enqueue`].
    Enqueue(Vec<NewTask>),
    /// [`TaskQueue::lease`].
    Lease(usize, Duration),
    /// [`TaskQueue::extend`] of one lease.
    Extend(Index, Duration),
    /// [`TaskQueue::settle`].
    Settle(Vec<(Index, Settlement)>),
    /// [`TaskQueue::redrive`] of one task.
    Redrive(Index),
    /// [`TaskQueue::discard`] of one task.
    Discard(Index),
    /// [`TaskQueue::purge_lane`].
    Purge(Lane),
}

/// The bounds of the queues: small, so that calls meet them.
#[must_use]
pub fn options() -> QueueOptions {
    QueueOptions::default()
        .with_capacity(8)
        .with_dead_letters(2)
        .with_max_attempts(2)
        .with_patience(2)
        .with_settled_keys(2)
}

/// Any history, in which nothing becomes due by itself.
pub fn histories() -> impl Strategy<Value = Vec<Op>> {
    let delay = prop_oneof![3 => Just(Duration::ZERO), 1 => Just(HOUR)];
    vec(op(delay, Just(HOUR)), 1..100)
}

const HOUR: Duration = Duration::from_secs(3_600);

/// Any call, with such delays and lengths of leases.
pub(crate) fn op<S: Strategy<Value = Duration> + Clone + 'static>(
    delay: S,
    ttl: impl Strategy<Value = Duration> + Clone,
) -> impl Strategy<Value = Op> {
    let index = any::<Index>;
    prop_oneof![
        6 => vec(new_task(delay.clone()), 0..4).prop_map(Op::Enqueue),
        6 => (0..4_usize, ttl.clone()).prop_map(|(max, ttl)| Op::Lease(max, ttl)),
        2 => (index(), ttl).prop_map(|(lease, ttl)| Op::Extend(lease, ttl)),
        6 => vec((index(), settlement(delay)), 1..4).prop_map(Op::Settle),
        2 => index().prop_map(Op::Redrive),
        1 => index().prop_map(Op::Discard),
        1 => (0..4_u64).prop_map(|lane| Op::Purge(Lane::new(lane))),
    ]
}

fn new_task(delay: impl Strategy<Value = Duration>) -> impl Strategy<Value = NewTask> {
    let priority = prop_oneof![
        Just(Priority::Low),
        Just(Priority::Normal),
        Just(Priority::High)
    ];
    let key = proptest::option::weighted(0.4, 0..6_u8);
    let task = (any::<u8>(), 0..4_u64, priority, delay, key);
    task.prop_map(|(payload, lane, priority, delay, key)| {
        let task = NewTask::new(vec![payload])
            .with_lane(lane)
            .with_priority(priority)
            .with_delay(delay);
        match key {
            Some(key) => task.with_key(vec![key]),
            None => task,
        }
    })
}

fn settlement<S>(delay: S) -> impl Strategy<Value = Settlement>
where
    S: Strategy<Value = Duration> + Clone + 'static,
{
    let reason = || "[a-c]".prop_map(String::from);
    prop_oneof![
        Just(Settlement::Ack),
        (any::<u8>(), delay.clone()).prop_map(|(payload, delay)| Settlement::Continue {
            payload: vec![payload].into(),
            delay
        }),
        (delay.clone(), reason()).prop_map(|(delay, reason)| Settlement::Retry { delay, reason }),
        delay.prop_map(|delay| Settlement::Release { delay }),
        reason().prop_map(|reason| Settlement::Bury { reason }),
    ]
}

/// Plays `history` on a queue in memory and on `subject`, which is empty and has the bounds of [`options`].
pub async fn play(history: &[Op], subject: &dyn TaskQueue) {
    let clock = ManualClock::default();
    let mut pair = Pair {
        reference: &MemoryQueue::new(Arc::new(clock), options()),
        subject,
        tasks: Vec::new(),
        leases: Vec::new(),
    };
    for op in history {
        pair.apply(op).await;
        pair.compare().await;
    }
}

/// Two queues, and what either calls the tasks and leases that there have been.
struct Pair<'a> {
    reference: &'a dyn TaskQueue,
    subject: &'a dyn TaskQueue,
    tasks: Vec<(TaskId, TaskId)>,
    leases: Vec<(LeaseKey, LeaseKey)>,
}

impl Pair<'_> {
    async fn apply(&mut self, op: &Op) {
        let (reference, subject) = (self.reference, self.subject);
        match op {
            Op::Enqueue(tasks) => {
                let expected = reference.enqueue(tasks).await.unwrap();
                let enqueued = subject.enqueue(tasks).await.unwrap();
                match (expected, enqueued) {
                    (Enqueued::Accepted(expected), Enqueued::Accepted(admitted)) => {
                        self.admit(&expected, &admitted);
                    }
                    (expected, enqueued) => assert_eq!(enqueued, expected),
                }
            }
            Op::Lease(max, ttl) => {
                let expected = reference.lease(*max, *ttl).await.unwrap();
                let leased = subject.lease(*max, *ttl).await.unwrap();
                assert_eq!(leased.len(), expected.len());
                for (expected, lease) in expected.into_iter().zip(leased) {
                    self.leases.push((expected.key, lease.key));
                    assert_eq!(self.known(lease.key.task), expected.key.task);
                    assert_eq!(
                        (lease.payload, lease.attempt, lease.lane),
                        (expected.payload, expected.attempt, expected.lane)
                    );
                }
            }
            Op::Extend(lease, ttl) if !self.leases.is_empty() => {
                let (expected, key) = *lease.get(&self.leases);
                let expected = reference.extend(&[expected], *ttl).await;
                assert_eq!(
                    subject.extend(&[key], *ttl).await.unwrap(),
                    expected.unwrap()
                );
            }
            Op::Settle(batch) if !self.leases.is_empty() => {
                let named = |(lease, settlement): &(Index, Settlement)| {
                    let (expected, key) = *lease.get(&self.leases);
                    ((expected, settlement.clone()), (key, settlement.clone()))
                };
                let (expected, batch): (Vec<_>, Vec<_>) = batch.iter().map(named).unzip();
                let expected = reference.settle(&expected).await;
                assert_eq!(subject.settle(&batch).await.unwrap(), expected.unwrap());
            }
            Op::Redrive(task) if !self.tasks.is_empty() => {
                let (expected, task) = *task.get(&self.tasks);
                let expected = reference.redrive(&[expected]).await;
                assert_eq!(subject.redrive(&[task]).await.unwrap(), expected.unwrap());
            }
            Op::Discard(task) if !self.tasks.is_empty() => {
                let (expected, task) = *task.get(&self.tasks);
                let expected = reference.discard(&[expected]).await;
                assert_eq!(subject.discard(&[task]).await.unwrap(), expected.unwrap());
            }
            Op::Purge(lane) => {
                let expected = reference.purge_lane(*lane).await;
                assert_eq!(subject.purge_lane(*lane).await.unwrap(), expected.unwrap());
            }
            Op::Extend(..) | Op::Settle(..) | Op::Redrive(..) | Op::Discard(..) => {}
        }
    }

    fn admit(&mut self, expected: &[Admission], admitted: &[Admission]) {
        assert_eq!(admitted.len(), expected.len());
        for pair in expected.iter().zip(admitted) {
            match pair {
                (Admission::New(expected), Admission::New(task)) => {
                    self.tasks.push((*expected, *task));
                }
                (expected, admission) => {
                    let task = self.known(admission.task());
                    assert_eq!(*expected, Admission::Known(task), "{admission:?}");
                }
            }
        }
    }

    /// What the queue in memory calls a task of the other.
    fn known(&self, task: TaskId) -> TaskId {
        let known = self.tasks.iter().find(|known| known.1 == task);
        known.expect("a task that was added").0
    }

    async fn compare(&self) {
        let expected = self.reference.stats().await.unwrap();
        let mut stats = self.subject.stats().await.unwrap();
        assert_eq!(
            stats.oldest_ready.is_some(),
            expected.oldest_ready.is_some()
        );
        stats.oldest_ready = expected.oldest_ready;
        assert_eq!(stats, expected);

        let expected = self.reference.dead_letters(None, usize::MAX).await;
        let letters = self.subject.dead_letters(None, usize::MAX).await;
        let letters = letters.unwrap().into_iter().zip(expected.unwrap());
        for (mut letter, expected) in letters {
            letter.task = self.known(letter.task);
            letter.enqueued_at = expected.enqueued_at;
            letter.died_at = expected.died_at;
            assert_eq!(letter, expected);
        }
    }
}
