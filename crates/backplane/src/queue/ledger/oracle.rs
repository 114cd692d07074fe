//! The rules of a queue as plain lists. The ledger is held against them in [`trial`].

mod trial;

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;

use crate::{
    FencingToken, Timestamp,
    queue::{
        Admission, Cause, DeadLetter, Discarded, Enqueued, Extended, Lane, Lease, LeaseKey,
        NewTask, Priority, QueueOptions, QueueStats, Settled, Settlement, TaskId,
    },
};

/// Every task in a list; each question is answered by looking at all of them.
#[derive(Debug)]
struct Oracle {
    options: QueueOptions,
    tasks: Vec<Task>,
    now: u64,
    /// Orders events that happen at the same time.
    last_event: u64,
    last_task: u64,
    last_token: u64,
    /// When each lane that has a ready task of a priority was last served or joined the others.
    turns: BTreeMap<(Priority, Lane), u64>,
    passed_over: BTreeMap<Priority, u32>,
}

#[derive(Clone, Debug)]
struct Task {
    id: TaskId,
    lane: Lane,
    priority: Priority,
    payload: Bytes,
    key: Option<Bytes>,
    attempts: u32,
    enqueued_at: u64,
    state: State,
    /// When it came into its state.
    event: u64,
}

/// Times are milliseconds.
#[derive(Clone, Debug, PartialEq)]
enum State {
    Ready { since: u64 },
    Delayed { until: u64 },
    Leased { token: FencingToken, until: u64 },
    Dead { cause: Cause, died_at: u64 },
    Settled { until: u64 },
}

impl Oracle {
    fn new(options: QueueOptions) -> Self {
        Self {
            options,
            tasks: Vec::new(),
            now: 0,
            last_event: 0,
            last_task: 0,
            last_token: 0,
            turns: BTreeMap::new(),
            passed_over: BTreeMap::new(),
        }
    }

    fn enqueue(&mut self, new: &[NewTask]) -> Enqueued {
        let before = (self.tasks.clone(), self.turns.clone());
        let admitted = new.iter().map(|task| self.admit(task)).collect();
        let added = self.tasks.len() - before.0.len();
        let dead = self.count(|state| matches!(state, State::Dead { .. }));
        let settled = self.count(|state| matches!(state, State::Settled { .. }));
        let live = self.tasks.len() - dead - settled;
        if added > 0
            && live + dead.saturating_sub(self.options.dead_letters) > self.options.capacity
        {
            (self.tasks, self.turns) = before;
            self.last_task -= added as u64;
            return Enqueued::Full {
                retry_after: self.options.retry_after,
            };
        }
        Enqueued::Accepted(admitted)
    }

    fn admit(&mut self, new: &NewTask) -> Admission {
        let known = |task: &&Task| task.key.is_some() && task.key == new.key;
        if let Some(task) = self.tasks.iter().find(known) {
            return Admission::Known(task.id);
        }
        self.last_task += 1;
        let id = TaskId::new(self.last_task);
        self.tasks.push(Task {
            id,
            lane: new.lane,
            priority: new.priority,
            payload: new.payload.clone(),
            key: new.key.clone(),
            attempts: 0,
            enqueued_at: self.now,
            state: State::Settled { until: 0 },
            event: 0,
        });
        self.wait(self.tasks.len() - 1, new.delay);
        Admission::New(id)
    }

    fn lease(&mut self, max: usize, ttl: Duration) -> Vec<Lease> {
        let until = self.now + millis(ttl);
        let mut leases = Vec::new();
        while leases.len() < max
            && let Some(at) = self.next()
        {
            self.last_token += 1;
            let token = FencingToken::new(self.last_token);
            self.tasks[at].attempts += 1;
            self.put(at, State::Leased { token, until });
            let task = &self.tasks[at];
            leases.push(Lease {
                key: LeaseKey {
                    task: task.id,
                    token,
                },
                payload: task.payload.clone(),
                attempt: task.attempts,
                enqueued_at: Timestamp::from_millis(task.enqueued_at),
                lane: task.lane,
            });
        }
        leases
    }

    fn next(&mut self) -> Option<usize> {
        let mut ready: Vec<Priority> = self.turns.keys().map(|&(priority, _)| priority).collect();
        ready.sort_unstable();
        ready.dedup();
        let highest = ready.pop()?;
        let starved =
            |priority: &&Priority| self.passed_over.get(*priority) >= Some(&self.options.patience);
        let chosen = *ready.iter().rev().find(starved).unwrap_or(&highest);
        self.passed_over.remove(&chosen);
        for &lower in ready.iter().filter(|&&priority| priority < chosen) {
            *self.passed_over.entry(lower).or_default() += 1;
        }
        let turns = self.turns.iter().filter(|((class, _), _)| *class == chosen);
        let (&(_, lane), _) = turns.min_by_key(|&(_, turn)| *turn)?;
        self.last_event += 1;
        self.turns.insert((chosen, lane), self.last_event);
        let line = (0..self.tasks.len()).filter(|&at| {
            let task = &self.tasks[at];
            let is_ready = matches!(task.state, State::Ready { .. });
            is_ready && task.lane == lane && task.priority == chosen
        });
        line.min_by_key(|&at| self.tasks[at].event)
    }

    fn extend(&mut self, key: LeaseKey, ttl: Duration) -> Extended {
        let later = self.now + millis(ttl);
        let Some(at) = self.held(key) else {
            return Extended::Lost;
        };
        if let State::Leased { token, until } = self.tasks[at].state
            && until < later
        {
            let until = later;
            self.put(at, State::Leased { token, until });
        }
        Extended::Held
    }

    fn settle(&mut self, key: LeaseKey, settlement: &Settlement) -> Settled {
        let Some(at) = self.held(key) else {
            return Settled::Lost;
        };
        match settlement.clone() {
            Settlement::Ack => self.finish(at),
            Settlement::Continue { payload, delay } => {
                self.tasks[at].payload = payload;
                self.tasks[at].attempts = 0;
                self.wait(at, delay);
            }
            Settlement::Release { delay } => {
                self.tasks[at].attempts -= 1;
                self.wait(at, delay);
            }
            Settlement::Retry { reason, .. }
                if self.tasks[at].attempts >= self.options.max_attempts =>
            {
                self.bury(at, Cause::Failed(reason), self.now);
                return Settled::Buried;
            }
            Settlement::Retry { delay, .. } => self.wait(at, delay),
            Settlement::Bury { reason } => self.bury(at, Cause::Buried(reason), self.now),
        }
        Settled::Done
    }

    fn dead_letters(&self) -> Vec<DeadLetter> {
        let dead = |task: &Task| {
            let State::Dead { cause, died_at } = task.state.clone() else {
                return None;
            };
            Some(DeadLetter {
                task: task.id,
                payload: task.payload.clone(),
                lane: task.lane,
                priority: task.priority,
                attempts: task.attempts,
                enqueued_at: Timestamp::from_millis(task.enqueued_at),
                died_at: Timestamp::from_millis(died_at),
                cause,
            })
        };
        let mut letters: Vec<_> = self.tasks.iter().filter_map(dead).collect();
        letters.sort_by_key(|letter| letter.task);
        letters
    }

    fn redrive(&mut self, task: TaskId) -> usize {
        let is_dead = |held: &Task| held.id == task && matches!(held.state, State::Dead { .. });
        let Some(at) = self.tasks.iter().position(is_dead) else {
            return 0;
        };
        self.tasks[at].attempts = 0;
        self.put(at, State::Ready { since: self.now });
        1
    }

    fn discard(&mut self, task: TaskId) -> Discarded {
        let Some(at) = self.tasks.iter().position(|held| held.id == task) else {
            return Discarded::Unknown;
        };
        match self.tasks[at].state {
            State::Leased { .. } => Discarded::Leased,
            State::Settled { .. } => Discarded::Unknown,
            _ => {
                self.finish(at);
                Discarded::Gone
            }
        }
    }

    fn purge(&mut self, lane: Lane) -> usize {
        let before = self.count(|state| !matches!(state, State::Settled { .. }));
        self.tasks.retain(|task| task.lane != lane);
        self.close_ranks();
        before - self.count(|state| !matches!(state, State::Settled { .. }))
    }

    fn stats(&self) -> QueueStats {
        let since = |task: &Task| match task.state {
            State::Ready { since } => Some(Duration::from_millis(self.now - since)),
            _ => None,
        };
        QueueStats {
            ready: self.count(|state| matches!(state, State::Ready { .. })),
            delayed: self.count(|state| matches!(state, State::Delayed { .. })),
            leased: self.count(|state| matches!(state, State::Leased { .. })),
            dead: self.count(|state| matches!(state, State::Dead { .. })),
            oldest_ready: self.tasks.iter().filter_map(since).max(),
        }
    }

    fn next_due(&self) -> Option<Duration> {
        let due = |task: &Task| match task.state {
            State::Ready { .. } => Some(0),
            State::Delayed { until } | State::Leased { until, .. } => Some(until - self.now),
            _ => None,
        };
        let soonest = self.tasks.iter().filter_map(due).min();
        soonest.map(Duration::from_millis)
    }

    fn pass(&mut self, millis: u64) {
        self.now += millis;
        let alarm = |task: &Task| match task.state {
            State::Delayed { until } | State::Leased { until, .. } => Some((until, task.event)),
            _ => None,
        };
        while let Some((at, (until, _))) = (0..self.tasks.len())
            .filter_map(|at| Some((at, alarm(&self.tasks[at])?)))
            .min_by_key(|&(_, alarm)| alarm)
            && until <= self.now
        {
            let was_leased = matches!(self.tasks[at].state, State::Leased { .. });
            if was_leased && self.tasks[at].attempts >= self.options.max_attempts {
                self.bury(at, Cause::Expired, until);
            } else {
                self.put(at, State::Ready { since: until });
            }
        }
        let now = self.now;
        self.tasks
            .retain(|task| !matches!(task.state, State::Settled { until } if until <= now));
    }

    /// The process ends and another takes over: leases end, and whatever is due lines up again.
    fn restart(&mut self, incarnation: u32) {
        self.last_task = u64::from(incarnation) << 40;
        self.last_token = self.last_task;
        self.turns.clear();
        self.passed_over.clear();
        let mut tasks = std::mem::take(&mut self.tasks);
        tasks.sort_by_key(|task| match task.state {
            State::Ready { since: time }
            | State::Delayed { until: time }
            | State::Settled { until: time } => (time, task.id),
            State::Leased { .. } | State::Dead { .. } => (self.now, task.id),
        });
        for task in tasks {
            let state = task.state.clone();
            let is_out_of_attempts = task.attempts >= self.options.max_attempts;
            self.tasks.push(task);
            let at = self.tasks.len() - 1;
            match state {
                State::Leased { .. } if is_out_of_attempts => {
                    self.bury(at, Cause::Expired, self.now);
                }
                State::Leased { .. } => self.put(at, State::Ready { since: self.now }),
                state => self.put(at, state),
            }
        }
    }

    fn held(&self, key: LeaseKey) -> Option<usize> {
        self.tasks.iter().position(|task| {
            let leased = matches!(task.state, State::Leased { token, .. } if token == key.token);
            leased && task.id == key.task
        })
    }

    fn wait(&mut self, at: usize, delay: Duration) {
        let until = self.now + millis(delay);
        let state = if until == self.now {
            State::Ready { since: until }
        } else {
            State::Delayed { until }
        };
        self.put(at, state);
    }

    fn bury(&mut self, at: usize, cause: Cause, died_at: u64) {
        self.put(at, State::Dead { cause, died_at });
    }

    fn finish(&mut self, at: usize) {
        if self.tasks[at].key.is_none() {
            self.tasks.remove(at);
            return self.close_ranks();
        }
        let until = self.now + millis(self.options.key_retention);
        self.put(at, State::Settled { until });
        let is_settled = |task: &Task| matches!(task.state, State::Settled { .. });
        let mut settled: Vec<_> = self.tasks.iter().filter(|task| is_settled(task)).collect();
        settled.sort_by_key(|task| task.event);
        if settled.len() > self.options.settled_keys {
            let oldest = settled[0].id;
            self.tasks.retain(|task| task.id != oldest);
        }
    }

    fn put(&mut self, at: usize, state: State) {
        self.last_event += 1;
        let task = &mut self.tasks[at];
        task.event = self.last_event;
        task.state = state;
        if let State::Ready { .. } = task.state {
            let turn = self.turns.entry((task.priority, task.lane));
            turn.or_insert(self.last_event);
        }
        self.close_ranks();
    }

    /// Lanes without a ready task give up their turns.
    fn close_ranks(&mut self) {
        let is_ready = |task: &&Task| matches!(task.state, State::Ready { .. });
        let ready = || self.tasks.iter().filter(is_ready);
        self.turns.retain(|&(priority, lane), _| {
            ready().any(|task| task.lane == lane && task.priority == priority)
        });
        self.passed_over
            .retain(|&priority, _| ready().any(|task| task.priority == priority));
    }

    fn count(&self, is: impl Fn(&State) -> bool) -> usize {
        self.tasks.iter().filter(|task| is(&task.state)).count()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).expect("oracle times are small")
}
