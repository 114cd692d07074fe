//! The ledger beside the oracle: whatever happens to both, they answer alike.

use std::{collections::BTreeMap, time::Duration};

use proptest::{collection::vec, prelude::*, sample::Index};

use super::Oracle;
use crate::{
    ErrorKind, Timestamp,
    queue::{
        Admission, Enqueued, Lane, LeaseKey, NewTask, Priority, QueueOptions, Settlement, TaskId,
        ledger::{Ledger, Moment},
    },
};

/// What happens to a queue. Leases and tasks are named by where they lie in the list of all that
/// there have been.
#[derive(Clone, Debug)]
enum Op {
    Enqueue(Vec<NewTask>),
    Lease(usize, Duration),
    Extend(Index, Duration),
    Settle(Vec<(Index, Settlement)>),
    Redrive(Index),
    Discard(Index),
    Purge(Lane),
    Pass(u64),
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    let index = any::<Index>;
    prop_oneof![
        6 => vec(new_task(), 0..4).prop_map(Op::Enqueue),
        6 => (0..4_usize, ttl()).prop_map(|(max, ttl)| Op::Lease(max, ttl)),
        2 => (index(), ttl()).prop_map(|(lease, ttl)| Op::Extend(lease, ttl)),
        6 => vec((index(), settlement()), 1..4).prop_map(Op::Settle),
        2 => index().prop_map(Op::Redrive),
        1 => index().prop_map(Op::Discard),
        1 => (0..4_u64).prop_map(|lane| Op::Purge(Lane::new(lane))),
        4 => (0..40_u64).prop_map(Op::Pass),
        1 => Just(Op::Restart),
    ]
}

fn new_task() -> impl Strategy<Value = NewTask> {
    let priority = prop_oneof![
        Just(Priority::Low),
        Just(Priority::Normal),
        Just(Priority::High)
    ];
    let key = proptest::option::weighted(0.4, 0..6_u8);
    let task = (any::<u8>(), 0..4_u64, priority, delay(), key);
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

fn settlement() -> impl Strategy<Value = Settlement> {
    let reason = || "[a-c]".prop_map(String::from);
    prop_oneof![
        Just(Settlement::Ack),
        (any::<u8>(), delay()).prop_map(|(payload, delay)| Settlement::Continue {
            payload: vec![payload].into(),
            delay
        }),
        (delay(), reason()).prop_map(|(delay, reason)| Settlement::Retry { delay, reason }),
        delay().prop_map(|delay| Settlement::Release { delay }),
        reason().prop_map(|reason| Settlement::Bury { reason }),
    ]
}

fn delay() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(0_u64), 1..60_u64].prop_map(Duration::from_millis)
}

fn ttl() -> impl Strategy<Value = Duration> {
    (1..60_u64).prop_map(Duration::from_millis)
}

fn options() -> QueueOptions {
    QueueOptions::default()
        .with_capacity(8)
        .with_dead_letters(2)
        .with_max_attempts(2)
        .with_patience(2)
        .with_key_retention(Duration::from_millis(50))
        .with_settled_keys(2)
}

/// The ledger, what an engine beside it would have stored, and the oracle.
struct Trial {
    ledger: Ledger,
    stored: BTreeMap<TaskId, crate::queue::TaskRecord>,
    oracle: Oracle,
    incarnation: u32,
    leases: Vec<LeaseKey>,
    tasks: Vec<TaskId>,
}

impl Trial {
    fn new() -> Self {
        Self {
            ledger: Ledger::restore(options(), 0, Vec::new(), moment(0)).unwrap(),
            stored: BTreeMap::new(),
            oracle: Oracle::new(options()),
            incarnation: 0,
            leases: Vec::new(),
            tasks: Vec::new(),
        }
    }

    fn apply(&mut self, op: &Op) -> Result<(), TestCaseError> {
        let now = moment(self.oracle.now);
        let (ledger, oracle) = (&mut self.ledger, &mut self.oracle);
        match op {
            Op::Enqueue(new) => {
                let enqueued = ledger.enqueue(new, now).unwrap();
                if let Enqueued::Accepted(admitted) = &enqueued {
                    self.tasks
                        .extend(admitted.iter().map(|admission| admission.task()));
                }
                prop_assert_eq!(enqueued, oracle.enqueue(new));
            }
            Op::Lease(max, ttl) => {
                let leases = ledger.lease(*max, *ttl, now).unwrap();
                self.leases.extend(leases.iter().map(|lease| lease.key));
                prop_assert_eq!(leases, oracle.lease(*max, *ttl));
            }
            Op::Extend(lease, ttl) if !self.leases.is_empty() => {
                let key = *lease.get(&self.leases);
                let extended = ledger.extend(&[key], *ttl, now);
                prop_assert_eq!(extended, [oracle.extend(key, *ttl)]);
            }
            Op::Settle(batch) if !self.leases.is_empty() => {
                let named = |(lease, settlement): &(Index, Settlement)| {
                    (*lease.get(&self.leases), settlement.clone())
                };
                let batch: Vec<_> = batch.iter().map(named).collect();
                let settle = |(key, settlement): &_| oracle.settle(*key, settlement);
                let expected: Vec<_> = batch.iter().map(settle).collect();
                prop_assert_eq!(ledger.settle(&batch, now).unwrap(), expected);
            }
            Op::Redrive(task) if !self.tasks.is_empty() => {
                let task = *task.get(&self.tasks);
                prop_assert_eq!(ledger.redrive(&[task], now), oracle.redrive(task));
            }
            Op::Discard(task) if !self.tasks.is_empty() => {
                let task = *task.get(&self.tasks);
                prop_assert_eq!(ledger.discard(&[task], now), [oracle.discard(task)]);
            }
            Op::Purge(lane) => {
                prop_assert_eq!(ledger.purge_lane(*lane, now), oracle.purge(*lane));
            }
            Op::Pass(millis) => oracle.pass(*millis),
            Op::Restart => self.restart(),
            Op::Extend(..) | Op::Settle(..) | Op::Redrive(..) | Op::Discard(..) => {}
        }
        self.check()
    }

    fn restart(&mut self) {
        self.incarnation += 1;
        let records = self.stored.values().cloned().collect();
        let now = moment(self.oracle.now);
        self.ledger = Ledger::restore(options(), self.incarnation, records, now).unwrap();
        self.oracle.restart(self.incarnation);
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        let Self { ledger, oracle, .. } = self;
        let now = moment(oracle.now);
        prop_assert_eq!(ledger.stats(now), oracle.stats());
        prop_assert_eq!(ledger.next_due(now), oracle.next_due());
        let letters = ledger.dead_letters(None, usize::MAX, now);
        prop_assert_eq!(letters, oracle.dead_letters());

        let mut lanes: Vec<_> = oracle.tasks.iter().map(|task| task.lane).collect();
        lanes.sort_unstable();
        lanes.dedup();
        prop_assert_eq!(ledger.lanes.len(), lanes.len());
        let held = oracle.options.capacity + oracle.options.dead_letters;
        prop_assert!(oracle.tasks.len() <= held + oracle.options.settled_keys);

        for (task, record) in ledger.take_changes() {
            match record {
                Some(record) => self.stored.insert(task, record),
                None => self.stored.remove(&task),
            };
        }
        prop_assert_eq!(self.stored.len(), oracle.tasks.len());
        Ok(())
    }
}

fn moment(millis: u64) -> Moment {
    Moment::new(
        Duration::from_millis(millis),
        Timestamp::from_millis(millis),
    )
}

proptest! {
    #[test]
    fn a_ledger_does_what_plain_lists_would(ops in vec(op(), 0..120)) {
        let mut trial = Trial::new();
        for op in &ops {
            trial.apply(op)?;
        }
    }
}

#[test]
fn cancelled_alarms_take_bounded_room() {
    let mut ledger = Ledger::new(QueueOptions::default());
    let now = moment(0);
    for _ in 0..10_000 {
        ledger.enqueue(&[NewTask::new("a")], now).unwrap();
        let leases = ledger.lease(1, Duration::from_secs(60), now).unwrap();
        ledger
            .settle(&[(leases[0].key, Settlement::Ack)], now)
            .unwrap();
        assert!(ledger.alarms.len() < 300);
    }
}

#[test]
fn only_a_change_that_lets_a_sleeper_miss_something_stirs() {
    let mut ledger = Ledger::new(QueueOptions::default());
    let (now, ttl) = (moment(0), Duration::from_secs(60));
    ledger
        .enqueue(&[NewTask::new("a"), NewTask::new("b")], now)
        .unwrap();
    assert!(ledger.take_stirred(), "due at once");
    let first = ledger.lease(1, ttl, now).unwrap();
    assert!(ledger.take_stirred(), "nobody knew of a lease to wait for");
    ledger.lease(1, ttl, now).unwrap();
    assert!(!ledger.take_stirred(), "the first lease ends no later");
    ledger
        .settle(&[(first[0].key, Settlement::Ack)], now)
        .unwrap();
    assert!(!ledger.take_stirred(), "nothing became due");
    let sooner = NewTask::new("c").with_delay(ttl / 2);
    ledger.enqueue(&[sooner], now).unwrap();
    assert!(ledger.take_stirred(), "due before the lease ends");
}

#[test]
fn ids_of_one_incarnation_never_reach_those_of_the_next() {
    let restore = |incarnation| Ledger::restore(options(), incarnation, Vec::new(), moment(0));
    let mut last = restore((1 << 24) - 1).unwrap();
    let enqueued = last.enqueue(&[NewTask::new("a")], moment(0)).unwrap();
    let first = TaskId::new(((1 << 24) - 1) << 40 | 1);
    assert_eq!(enqueued, Enqueued::Accepted(vec![Admission::New(first)]));
    assert_eq!(restore(1 << 24).unwrap_err().kind(), ErrorKind::Invalid);
}
