//! How tasks move through a queue.

use std::time::Duration;

use bytes::Bytes;

use super::{
    Ledger, Moment, State, Task,
    alarms::{Alarm, Stamp},
    chain::{Slab, Slot},
};
use crate::{
    Timestamp,
    queue::{Cause, QueueOptions, TaskRecord},
};

/// What time does.
impl Ledger {
    /// Makes delayed tasks due, ends leases and forgets keys whose time has come.
    pub(super) fn advance(&mut self, now: Moment) {
        self.now = self.now.max(now.elapsed);
        while let Some(alarm) = self.alarms.pop_due(self.now) {
            if is_live(&self.tasks, &alarm) {
                self.fire(alarm, now);
            }
        }
        while let Some(slot) = self.settled.chain.front()
            && let State::Settled { until } = self.tasks[slot].state
            && until <= self.now
        {
            self.detach(slot);
            self.forget(slot);
        }
    }

    fn fire(&mut self, Alarm { at, slot, .. }: Alarm, now: Moment) {
        let task = &self.tasks[slot];
        let was_leased = matches!(task.state, State::Leased { .. });
        let is_out_of_attempts = task.attempts >= self.options.max_attempts;
        self.detach(slot);
        if was_leased && is_out_of_attempts {
            let ago = self.now.saturating_sub(at);
            self.bury(slot, Cause::Expired, now.wall.saturating_sub(ago));
        } else {
            self.attach(slot, State::Ready { since: at });
        }
    }

    pub(super) fn set_alarm(&mut self, slot: Slot, at: Duration) {
        let (stamp, is_first) = self.alarms.set(at, slot);
        self.tasks[slot].alarm = stamp;
        self.stirred |= is_first;
        let live = self.delayed + self.leased;
        self.alarms.sweep(live, |alarm| is_live(&self.tasks, alarm));
    }
}

/// How a task moves: it is detached from where it stands, then attached to where it goes.
impl Ledger {
    /// Holds a task, which is attached to nothing yet.
    pub(super) fn add(&mut self, record: TaskRecord) -> Slot {
        let (id, key) = (record.task, record.key.clone());
        let slot = self.tasks.insert(Task {
            id,
            lane: self.lanes.enter(record.lane),
            priority: record.priority,
            attempts: record.attempts,
            payload: record.payload,
            key: record.key,
            enqueued_at: record.enqueued_at,
            state: State::Ready { since: self.now },
            alarm: Stamp::NONE,
            links: Default::default(),
        });
        self.by_id.insert(id, slot);
        if let Some(key) = key {
            self.by_key.insert(key, slot);
        }
        slot
    }

    pub(super) fn wait(&mut self, slot: Slot, delay: Duration) {
        let now = self.now;
        let state = if delay.is_zero() {
            State::Ready { since: now }
        } else {
            let until = now.saturating_add(delay);
            State::Delayed { until }
        };
        self.attach(slot, state);
    }

    pub(super) fn bury(&mut self, slot: Slot, cause: Cause, died_at: Timestamp) {
        self.attach(slot, State::Dead { cause, died_at });
    }

    /// Keeps only the key of a task, if it has one.
    pub(super) fn finish(&mut self, slot: Slot) {
        let QueueOptions {
            key_retention,
            settled_keys,
            ..
        } = self.options;
        if self.tasks[slot].key.is_none() || key_retention.is_zero() || settled_keys == 0 {
            return self.forget(slot);
        }
        let until = self.now.saturating_add(key_retention);
        self.attach(slot, State::Settled { until });
        self.forget_settled();
    }

    /// Forgets the keys of settled tasks beyond what may be remembered, the oldest first.
    pub(super) fn forget_settled(&mut self) {
        while self.settled.len > self.options.settled_keys
            && let Some(oldest) = self.settled.chain.front()
        {
            self.detach(oldest);
            self.forget(oldest);
        }
    }

    /// Removes a detached task.
    pub(super) fn forget(&mut self, slot: Slot) {
        let task = self.tasks.remove(slot);
        self.lanes.leave(task.lane);
        self.by_id.remove(&task.id);
        if let Some(key) = &task.key {
            self.by_key.remove(key);
        }
        self.note(task.id, slot);
    }

    pub(super) fn attach(&mut self, slot: Slot, state: State) {
        let id = self.tasks[slot].id;
        self.note(id, slot);
        match state {
            State::Ready { .. } => {
                self.lanes.line_up(&mut self.tasks, slot);
                self.ready.push_back(&mut self.tasks, slot);
                self.stirred = true;
            }
            State::Delayed { until } => {
                self.delayed += 1;
                self.set_alarm(slot, until);
            }
            State::Leased { until, .. } => {
                self.leased += 1;
                self.set_alarm(slot, until);
            }
            State::Dead { .. } => {
                self.dead.insert(id, slot);
            }
            State::Settled { .. } => {
                self.settled.push_back(&mut self.tasks, slot);
                self.by_id.remove(&id);
                self.tasks[slot].payload = Bytes::new();
            }
        }
        if !matches!(state, State::Ready { .. }) {
            self.lanes.set_aside(&mut self.tasks, slot);
        }
        self.tasks[slot].state = state;
    }

    pub(super) fn detach(&mut self, slot: Slot) {
        let task = &mut self.tasks[slot];
        task.alarm = Stamp::NONE;
        match task.state {
            State::Ready { .. } => {
                self.ready.remove(&mut self.tasks, slot);
                return self.lanes.step_out(&mut self.tasks, slot);
            }
            State::Delayed { .. } => self.delayed -= 1,
            State::Leased { .. } => self.leased -= 1,
            State::Dead { .. } => {
                self.dead.remove(&task.id);
            }
            State::Settled { .. } => self.settled.remove(&mut self.tasks, slot),
        }
        self.lanes.take_back(&mut self.tasks, slot);
    }
}

pub(super) fn is_live(tasks: &Slab<Task>, alarm: &Alarm) -> bool {
    let task = tasks.get(alarm.slot);
    task.is_some_and(|task| task.alarm == alarm.stamp)
}
