//! A ledger that outlives its process.

use std::{mem, time::Duration};

use super::{Ledger, Moment, State, Task, chain::Slot};
use crate::{
    Error, ErrorKind, Result,
    queue::{Cause, QueueOptions, Standing, TaskId, TaskRecord},
};

impl Ledger {
    /// A queue that holds what `records` say, and notes its changes from now on.
    ///
    /// `incarnation` must be larger than at any earlier restore from the same store, and be stored
    /// before the first operation: task ids and fencing tokens start at 2⁴⁰ times it. Leases do not
    /// outlive a ledger: their tasks become due `now`, or dead if they are out of attempts. A task
    /// that was due is due, also if `now` is earlier than the time of the ledger that held it. Of the
    /// keys of settled tasks it forgets those that are more than `options` lets it remember.
    ///
    /// # Errors
    ///
    /// `Invalid` if `incarnation` is 2²⁴ or more.
    pub fn restore(
        options: QueueOptions,
        incarnation: u32,
        mut records: Vec<TaskRecord>,
        now: Moment,
    ) -> Result<Self> {
        if incarnation >= 1 << 24 {
            let source = "incarnations used up";
            return Err(Error::new(ErrorKind::Invalid, "restore", source));
        }
        let mut ledger = Self::new(options);
        ledger.now = now.elapsed;
        ledger.last_task = u64::from(incarnation) << 40;
        ledger.last_token = ledger.last_task;
        records.sort_by_key(|record| (record.standing.time(now), record.task));
        let mut interrupted = Vec::new();
        for record in records {
            let was_leased = record.standing == Standing::Leased;
            let task = (record.task, ledger.take_up(record, now));
            interrupted.extend(was_leased.then_some(task));
        }
        ledger.journal = Some(interrupted);
        ledger.forget_settled();
        Ok(ledger)
    }

    /// The tasks that changed since the last call, by ascending id: with what to store of each, or
    /// `None` if it is gone.
    ///
    /// Always empty unless the ledger was [restored](Self::restore).
    pub fn take_changes(&mut self) -> Vec<(TaskId, Option<TaskRecord>)> {
        let Some(journal) = &mut self.journal else {
            return Vec::new();
        };
        let mut changed = mem::take(journal);
        changed.sort_unstable();
        changed.dedup();
        let record = |(id, slot)| {
            let task = self.tasks.get(slot).filter(|task| task.id == id);
            (id, task.map(|task| self.record(task)))
        };
        changed.into_iter().map(record).collect()
    }
}

impl Ledger {
    pub(super) fn note(&mut self, id: TaskId, slot: Slot) {
        if let Some(journal) = &mut self.journal {
            journal.push((id, slot));
        }
    }

    fn record(&self, task: &Task) -> TaskRecord {
        TaskRecord {
            task: task.id,
            lane: self.lanes.lane(task.lane),
            priority: task.priority,
            payload: task.payload.clone(),
            key: task.key.clone(),
            attempts: task.attempts,
            enqueued_at: task.enqueued_at,
            standing: match &task.state {
                State::Ready { since } => Standing::Ready { since: *since },
                State::Delayed { until } => Standing::Waiting { due: *until },
                State::Leased { .. } => Standing::Leased,
                State::Dead { cause, died_at } => Standing::Dead {
                    cause: cause.clone(),
                    died_at: *died_at,
                },
                State::Settled { until } => Standing::Settled { until: *until },
            },
        }
    }

    fn take_up(&mut self, record: TaskRecord, now: Moment) -> Slot {
        let standing = record.standing.clone();
        let slot = self.add(record);
        let is_out_of_attempts = self.tasks[slot].attempts >= self.options.max_attempts;
        match standing {
            Standing::Leased if is_out_of_attempts => self.bury(slot, Cause::Expired, now.wall),
            Standing::Leased => self.attach(slot, State::Ready { since: self.now }),
            Standing::Ready { since } => {
                // A wall clock that was set back may have taken the ledger's time along.
                let since = since.min(self.now);
                self.attach(slot, State::Ready { since });
            }
            Standing::Waiting { due } if due <= self.now => {
                self.attach(slot, State::Ready { since: due });
            }
            Standing::Waiting { due: until } => self.attach(slot, State::Delayed { until }),
            Standing::Dead { cause, died_at } => self.bury(slot, cause, died_at),
            Standing::Settled { until } => self.attach(slot, State::Settled { until }),
        }
        slot
    }
}

impl Standing {
    /// Restored tasks line up by this.
    fn time(&self, now: Moment) -> Duration {
        match self {
            Self::Ready { since: time }
            | Self::Waiting { due: time }
            | Self::Settled { until: time } => *time,
            Self::Leased | Self::Dead { .. } => now.elapsed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Timestamp,
        queue::{Admission, Enqueued, NewTask, Settlement},
    };

    fn moment(millis: u64) -> Moment {
        Moment::new(
            Duration::from_millis(millis),
            Timestamp::from_millis(millis),
        )
    }

    #[test]
    fn keys_beyond_a_bound_that_was_lowered_are_forgotten_oldest_first() {
        let restore = |keys, incarnation, records| {
            let options = QueueOptions::default().with_settled_keys(keys);
            Ledger::restore(options, incarnation, records, moment(9)).unwrap()
        };
        let mut before = restore(10, 1, Vec::new());
        for n in 0..10 {
            let task = NewTask::new("work").with_key(vec![n]);
            before.enqueue(&[task], moment(9)).unwrap();
            let second = Duration::from_secs(1);
            let lease = before.lease(1, second, moment(9)).unwrap().remove(0);
            let at = moment(10 + u64::from(n));
            before.settle(&[(lease.key, Settlement::Ack)], at).unwrap();
        }
        let stored = before.take_changes();
        let ids: Vec<_> = stored.iter().map(|(id, _)| *id).collect();
        let records: Vec<_> = stored
            .into_iter()
            .filter_map(|(_, record)| record)
            .collect();
        assert_eq!(records.len(), 10);

        let mut after = restore(3, 2, records);
        let gone = after.take_changes();
        assert!(gone.iter().all(|(_, record)| record.is_none()));
        let gone: Vec<_> = gone.into_iter().map(|(id, _)| id).collect();
        assert_eq!(gone, ids[..7], "and are to be removed from the store");
        for (n, known) in [(6, false), (7, true), (9, true)] {
            let task = NewTask::new("again").with_key(vec![n]);
            let Enqueued::Accepted(admitted) = after.enqueue(&[task], moment(30)).unwrap() else {
                panic!("there is room");
            };
            let is_known = matches!(admitted[0], Admission::Known(_));
            assert_eq!(is_known, known, "{n}");
        }
    }

    #[test]
    fn what_was_due_is_due_in_a_ledger_whose_time_is_earlier() {
        let restore = |incarnation, records, at| {
            Ledger::restore(QueueOptions::default(), incarnation, records, moment(at)).unwrap()
        };
        let mut late = restore(1, Vec::new(), 1_000_000);
        let delayed = NewTask::new("delayed").with_delay(Duration::from_secs(1));
        let tasks = [NewTask::new("first"), NewTask::new("second"), delayed];
        late.enqueue(&tasks, moment(1_000_000)).unwrap();
        let stored = late.take_changes().into_iter();
        let stored = stored.filter_map(|(_, record)| record).collect();

        let mut early = restore(2, stored, 0);
        let stats = early.stats(moment(0));
        assert_eq!((stats.ready, stats.delayed), (2, 1));
        assert_eq!(stats.oldest_ready, Some(Duration::ZERO));
        let stats = early.stats(moment(5));
        assert_eq!(stats.oldest_ready, Some(Duration::from_millis(5)));
        let leases = early.lease(9, Duration::from_secs(1), moment(5)).unwrap();
        let payloads: Vec<_> = leases.into_iter().map(|lease| lease.payload).collect();
        assert_eq!(payloads, ["first", "second"]);
    }
}
