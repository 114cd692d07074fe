//! The rules of a task queue, without a lock, a clock or an engine.

use std::{collections::BTreeMap, mem, time::Duration};

use bytes::Bytes;
use hashbrown::{HashMap, HashSet};

use self::{
    alarms::{Alarms, Stamp},
    chain::{Chain, Linked, Links, Slab, Slot},
    lanes::Lanes,
    movement::is_live,
};
use super::{
    Admission, Cause, DeadLetter, Discarded, Enqueued, Extended, Lane, Lease, LeaseKey, NewTask,
    Priority, QueueOptions, QueueStats, Settled, Settlement, Standing, TaskId, TaskRecord,
    cut_reason,
};
use crate::{Error, ErrorKind, FencingToken, Result, Timestamp};

mod alarms;
mod chain;
mod journal;
mod lanes;
mod movement;
#[cfg(test)]
mod oracle;

/// The state of one queue and what each operation does to it.
///
/// It is the whole of [`MemoryQueue`](crate::memory::MemoryQueue) but for the lock and the clock. An
/// embedded engine keeps one beside its tables: it applies an operation here, stores what
/// [`take_changes`](Self::take_changes) names in one transaction, and only then answers; after a
/// restart [`restore`](Self::restore) takes up where it left off.
///
/// Every operation takes constant time per task, amortised, plus the logarithm of the number of
/// tasks for one that is delayed, leased or dead; no operation depends on the number of lanes.
///
/// ```
/// use std::time::Duration;
/// use backplane::{Timestamp, queue::{Ledger, Moment, NewTask, QueueOptions}};
/// let mut ledger = Ledger::new(QueueOptions::default());
/// let start = Moment::new(Duration::ZERO, Timestamp::EPOCH);
/// ledger.enqueue(&[NewTask::new("work")], start)?;
/// let leases = ledger.lease(1, Duration::from_secs(30), start)?;
/// assert_eq!(leases[0].payload, "work");
/// # Ok::<(), backplane::Error>(())
/// ```
#[derive(Debug)]
pub struct Ledger {
    options: QueueOptions,
    tasks: Slab<Task>,
    by_id: HashMap<TaskId, Slot>,
    by_key: HashMap<Bytes, Slot>,
    lanes: Lanes,
    alarms: Alarms,
    /// Ready tasks, by when they became so.
    ready: List,
    /// Settled tasks whose keys are remembered, by when they were settled.
    settled: List,
    delayed: usize,
    leased: usize,
    dead: BTreeMap<TaskId, Slot>,
    now: Duration,
    last_task: u64,
    last_token: u64,
    stirred: bool,
    journal: Option<Vec<(TaskId, Slot)>>,
}

/// When an operation happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Moment {
    /// What decides delays and leases: the time since an origin that stays fixed for the life of
    /// the ledger and its records. A ledger takes a smaller reading than the last for the last.
    pub elapsed: Duration,
    /// What stamps tasks for people to read.
    pub wall: Timestamp,
}

impl Moment {
    /// The moment `elapsed` after the ledger's origin, when it was `wall`.
    #[must_use]
    pub const fn new(elapsed: Duration, wall: Timestamp) -> Self {
        Self { elapsed, wall }
    }
}

/// Tasks in one state, oldest first.
#[derive(Debug)]
struct List {
    chain: Chain,
    len: usize,
}

#[derive(Debug)]
struct Task {
    id: TaskId,
    lane: Slot,
    priority: Priority,
    attempts: u32,
    payload: Bytes,
    key: Option<Bytes>,
    enqueued_at: Timestamp,
    state: State,
    alarm: Stamp,
    links: [Links; 2],
}

#[derive(Debug)]
enum State {
    Ready {
        since: Duration,
    },
    Delayed {
        until: Duration,
    },
    Leased {
        token: FencingToken,
        until: Duration,
    },
    Dead {
        cause: Cause,
        died_at: Timestamp,
    },
    Settled {
        until: Duration,
    },
}

impl Task {
    const IN_LANE: usize = 0;
    const BY_AGE: usize = 1;
}

impl Linked for Task {
    fn links(&mut self, list: usize) -> &mut Links {
        &mut self.links[list]
    }
}

impl Ledger {
    /// A queue without tasks.
    #[must_use]
    pub fn new(options: QueueOptions) -> Self {
        Self {
            lanes: Lanes::new(options.patience),
            options,
            tasks: Slab::default(),
            by_id: HashMap::new(),
            by_key: HashMap::new(),
            alarms: Alarms::default(),
            ready: List::new(),
            settled: List::new(),
            delayed: 0,
            leased: 0,
            dead: BTreeMap::new(),
            now: Duration::ZERO,
            last_task: 0,
            last_token: 0,
            stirred: false,
            journal: None,
        }
    }

    /// See [`TaskQueue::enqueue`](super::TaskQueue::enqueue).
    ///
    /// # Errors
    ///
    /// As stated there.
    pub fn enqueue(&mut self, tasks: &[NewTask], now: Moment) -> Result<Enqueued> {
        self.advance(now);
        let room_needed = self.check_new(tasks)?;
        let live = self.ready.len + self.delayed + self.leased;
        let crowded_out = self.dead.len().saturating_sub(self.options.dead_letters);
        if live + crowded_out + room_needed > self.options.capacity && room_needed > 0 {
            return Ok(Enqueued::Full {
                retry_after: self.options.retry_after,
            });
        }
        let admit = |task| self.admit(task, now);
        Ok(Enqueued::Accepted(tasks.iter().map(admit).collect()))
    }

    /// See [`TaskQueue::lease`](super::TaskQueue::lease).
    ///
    /// # Errors
    ///
    /// As stated there.
    pub fn lease(&mut self, max: usize, ttl: Duration, now: Moment) -> Result<Vec<Lease>> {
        if ttl.is_zero() {
            return Err(Error::new(
                ErrorKind::Invalid,
                "lease",
                "a lease of no time",
            ));
        }
        self.advance(now);
        let until = self.now.saturating_add(ttl);
        let mut leases = Vec::with_capacity(max.min(self.ready.len));
        while leases.len() < max {
            let Some(slot) = self.lanes.next(&mut self.tasks) else {
                break;
            };
            self.ready.remove(&mut self.tasks, slot);
            leases.push(self.grant(slot, until));
        }
        Ok(leases)
    }

    /// See [`TaskQueue::extend`](super::TaskQueue::extend).
    pub fn extend(&mut self, leases: &[LeaseKey], ttl: Duration, now: Moment) -> Vec<Extended> {
        self.advance(now);
        let later = self.now.saturating_add(ttl);
        let extend = |key: &LeaseKey| {
            let Some(slot) = self.held(*key) else {
                return Extended::Lost;
            };
            if let State::Leased { until, .. } = &mut self.tasks[slot].state
                && *until < later
            {
                *until = later;
                self.set_alarm(slot, later);
            }
            Extended::Held
        };
        leases.iter().map(extend).collect()
    }

    /// See [`TaskQueue::settle`](super::TaskQueue::settle).
    ///
    /// # Errors
    ///
    /// As stated there.
    pub fn settle(
        &mut self,
        settlements: &[(LeaseKey, Settlement)],
        now: Moment,
    ) -> Result<Vec<Settled>> {
        for (_, settlement) in settlements {
            if let Settlement::Continue { payload, .. } = settlement {
                self.options.check_payload("settle", payload)?;
            }
        }
        self.advance(now);
        let settle = |(key, settlement): &(LeaseKey, Settlement)| match self.held(*key) {
            Some(slot) => self.end_lease(slot, settlement, now),
            None => Settled::Lost,
        };
        Ok(settlements.iter().map(settle).collect())
    }

    /// See [`TaskQueue::dead_letters`](super::TaskQueue::dead_letters).
    pub fn dead_letters(
        &mut self,
        after: Option<TaskId>,
        limit: usize,
        now: Moment,
    ) -> Vec<DeadLetter> {
        self.advance(now);
        let first = after.map_or(TaskId::new(0), |after| {
            TaskId::new(after.get().saturating_add(1))
        });
        let dead = self.dead.range(first..).take(limit);
        dead.filter_map(|(_, &slot)| self.dead_letter(slot))
            .collect()
    }

    /// See [`TaskQueue::redrive`](super::TaskQueue::redrive).
    pub fn redrive(&mut self, tasks: &[TaskId], now: Moment) -> usize {
        self.advance(now);
        let mut redriven = 0;
        for task in tasks {
            let Some(&slot) = self.dead.get(task) else {
                continue;
            };
            self.detach(slot);
            self.tasks[slot].attempts = 0;
            self.attach(slot, State::Ready { since: self.now });
            redriven += 1;
        }
        redriven
    }

    /// See [`TaskQueue::discard`](super::TaskQueue::discard).
    pub fn discard(&mut self, tasks: &[TaskId], now: Moment) -> Vec<Discarded> {
        self.advance(now);
        let discard = |task: &TaskId| {
            let Some(&slot) = self.by_id.get(task) else {
                return Discarded::Unknown;
            };
            if let State::Leased { .. } = self.tasks[slot].state {
                return Discarded::Leased;
            }
            self.detach(slot);
            self.finish(slot);
            Discarded::Gone
        };
        tasks.iter().map(discard).collect()
    }

    /// See [`TaskQueue::purge_lane`](super::TaskQueue::purge_lane).
    pub fn purge_lane(&mut self, lane: Lane, now: Moment) -> usize {
        self.advance(now);
        let mut purged = 0;
        while let Some(lane) = self.lanes.find(lane)
            && let Some(slot) = self.lanes.any(lane)
        {
            if !matches!(self.tasks[slot].state, State::Settled { .. }) {
                purged += 1;
            }
            self.detach(slot);
            self.forget(slot);
        }
        purged
    }

    /// After how many leases a task that fails is a dead letter.
    #[must_use]
    pub fn max_attempts(&self) -> u32 {
        self.options.max_attempts.max(1)
    }

    /// See [`TaskQueue::stats`](super::TaskQueue::stats).
    pub fn stats(&mut self, now: Moment) -> QueueStats {
        self.advance(now);
        let oldest = self.ready.chain.front().map(|slot| &self.tasks[slot].state);
        QueueStats {
            ready: self.ready.len,
            delayed: self.delayed,
            leased: self.leased,
            dead: self.dead.len(),
            oldest_ready: match oldest {
                Some(State::Ready { since }) => Some(self.now.saturating_sub(*since)),
                _ => None,
            },
        }
    }

    /// How long until a task is due, unless something is done before: zero if one is, `None` if
    /// none will be.
    pub fn next_due(&mut self, now: Moment) -> Option<Duration> {
        self.advance(now);
        if self.ready.len > 0 {
            return Some(Duration::ZERO);
        }
        let first = self.alarms.first(|alarm| is_live(&self.tasks, alarm))?;
        Some(first.saturating_sub(self.now))
    }

    /// Whether, since the last call, [`next_due`](Self::next_due) may have become earlier: then
    /// whoever sleeps until then must ask again.
    pub fn take_stirred(&mut self) -> bool {
        mem::take(&mut self.stirred)
    }
}

/// Admission, leases and settlements.
impl Ledger {
    /// How many of `tasks` are new to the queue.
    fn check_new(&self, tasks: &[NewTask]) -> Result<usize> {
        self.options.check_tasks("enqueue", tasks)?;
        let mut keys = HashSet::new();
        let mut new = 0;
        for task in tasks {
            let Some(key) = &task.key else {
                new += 1;
                continue;
            };
            new += usize::from(!self.by_key.contains_key(key) && keys.insert(key));
        }
        if new > self.options.capacity {
            let more = "more tasks than the queue holds";
            return Err(Error::new(ErrorKind::Invalid, "enqueue", more));
        }
        Ok(new)
    }

    fn admit(&mut self, new: &NewTask, now: Moment) -> Admission {
        if let Some(key) = &new.key
            && let Some(&slot) = self.by_key.get(key)
        {
            return Admission::Known(self.tasks[slot].id);
        }
        self.last_task += 1;
        let id = TaskId::new(self.last_task);
        let slot = self.add(TaskRecord {
            task: id,
            lane: new.lane,
            priority: new.priority,
            payload: new.payload.clone(),
            key: new.key.clone(),
            attempts: 0,
            enqueued_at: now.wall,
            standing: Standing::Leased,
        });
        self.wait(slot, new.delay);
        Admission::New(id)
    }

    fn grant(&mut self, slot: Slot, until: Duration) -> Lease {
        self.last_token += 1;
        let token = FencingToken::new(self.last_token);
        self.tasks[slot].attempts += 1;
        self.attach(slot, State::Leased { token, until });
        let task = &self.tasks[slot];
        Lease {
            key: LeaseKey {
                task: task.id,
                token,
            },
            payload: task.payload.clone(),
            attempt: task.attempts,
            enqueued_at: task.enqueued_at,
            lane: self.lanes.lane(task.lane),
        }
    }

    /// The task that is held under `key`.
    fn held(&self, key: LeaseKey) -> Option<Slot> {
        let &slot = self.by_id.get(&key.task)?;
        match self.tasks[slot].state {
            State::Leased { token, .. } if token == key.token => Some(slot),
            _ => None,
        }
    }

    fn end_lease(&mut self, slot: Slot, settlement: &Settlement, now: Moment) -> Settled {
        self.detach(slot);
        match settlement {
            Settlement::Ack => self.finish(slot),
            Settlement::Continue { payload, delay } => {
                let task = &mut self.tasks[slot];
                task.payload = payload.clone();
                task.attempts = 0;
                self.wait(slot, *delay);
            }
            Settlement::Retry { delay, reason } => {
                if self.tasks[slot].attempts >= self.options.max_attempts {
                    self.bury(slot, Cause::Failed(cut_reason(reason).into()), now.wall);
                    return Settled::Buried;
                }
                self.wait(slot, *delay);
            }
            Settlement::Release { delay } => {
                self.tasks[slot].attempts -= 1;
                self.wait(slot, *delay);
            }
            Settlement::Bury { reason } => {
                self.bury(slot, Cause::Buried(cut_reason(reason).into()), now.wall);
            }
        }
        Settled::Done
    }

    fn dead_letter(&self, slot: Slot) -> Option<DeadLetter> {
        let task = &self.tasks[slot];
        let State::Dead { cause, died_at } = &task.state else {
            return None;
        };
        Some(DeadLetter {
            task: task.id,
            payload: task.payload.clone(),
            lane: self.lanes.lane(task.lane),
            priority: task.priority,
            attempts: task.attempts,
            enqueued_at: task.enqueued_at,
            died_at: *died_at,
            cause: cause.clone(),
        })
    }
}

impl List {
    fn new() -> Self {
        Self {
            chain: Chain::new(Task::BY_AGE),
            len: 0,
        }
    }

    fn push_back(&mut self, tasks: &mut Slab<Task>, slot: Slot) {
        self.chain.push_back(tasks, slot);
        self.len += 1;
    }

    fn remove(&mut self, tasks: &mut Slab<Task>, slot: Slot) {
        self.chain.remove(tasks, slot);
        self.len -= 1;
    }
}
