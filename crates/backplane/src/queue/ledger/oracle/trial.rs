//! The ledger beside the oracle: whatever happens to both, they answer alike.

use std::{collections::BTreeMap, time::Duration};

use proptest::{collection::vec, prelude::*, sample::Index};

use super::Oracle;
use crate::{
    ErrorKind, Timestamp,
    conformance::histories::queue::{self as histories, Op, op},
    queue::{
        Admission, Enqueued, LeaseKey, NewTask, QueueOptions, Settlement, TaskId,
        ledger::{Ledger, Moment},
    },
};

/// What happens to a queue, and to its time and its process.
#[derive(Clone, Debug)]
enum Event {
    Call(Op),
    Pass(u64),
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        24 => op(delay(), ttl()).prop_map(Event::Call),
        4 => (0..40_u64).prop_map(Event::Pass),
        1 => Just(Event::Restart),
    ]
}

fn delay() -> impl Strategy<Value = Duration> + Clone {
    prop_oneof![Just(0_u64), 1..60_u64].prop_map(Duration::from_millis)
}

fn ttl() -> impl Strategy<Value = Duration> + Clone {
    (1..60_u64).prop_map(Duration::from_millis)
}

fn options() -> QueueOptions {
    histories::options().with_key_retention(Duration::from_millis(50))
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

    fn apply(&mut self, event: &Event) -> Result<(), TestCaseError> {
        match event {
            Event::Call(op) => self.call(op)?,
            Event::Pass(millis) => self.oracle.pass(*millis),
            Event::Restart => self.restart(),
        }
        self.check()
    }

    fn call(&mut self, op: &Op) -> Result<(), TestCaseError> {
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
            Op::Extend(..) | Op::Settle(..) | Op::Redrive(..) | Op::Discard(..) => {}
        }
        Ok(())
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
    fn a_ledger_does_what_plain_lists_would(events in vec(event(), 0..120)) {
        let mut trial = Trial::new();
        for event in &events {
            trial.apply(event)?;
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
