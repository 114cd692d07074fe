mod answer;
mod gather;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use backplane::{
    Clock, Error, ErrorKind, Result, Signal, SystemClock,
    queue::{
        DeadLetter, Discarded, Enqueued, Extended, Lane, Lease, LeaseKey, NewTask, Priority,
        QueueOptions, QueueStats, Settled, Settlement, TaskId, TaskQueue, cut_reason,
    },
};
use redis::Value;

use self::{answer::Answer, gather::Gather};
use crate::{
    Redis,
    batches::BATCH,
    failure,
    script::{Arguments, Call, Script, script},
    times,
};

/// A [`TaskQueue`] on Redis, which all nodes share.
///
/// A call is one round trip and one script, but [`settle`](TaskQueue::settle),
/// [`extend`](TaskQueue::extend), [`redrive`](TaskQueue::redrive) and
/// [`discard`](TaskQueue::discard), which make one for each thousand, and
/// [`purge_lane`](TaskQueue::purge_lane), which looks through all tasks of the queue, a thousand at a time.
/// Of [`enqueue`](TaskQueue::enqueue) and [`settle`](TaskQueue::settle) a process has one script of each
/// under way, in a task of its own: what is called meanwhile goes in the next one, so that many callers cost
/// little more than one. A script tells Redis a few things, each about all of its tasks, but for one of each
/// lane, and first ends up to a thousand delays and as many leases that have passed.
/// [`lease`](TaskQueue::lease) hands out at most a thousand. A queue is in one slot of a Cluster: spread work over
/// several queues where one server is not enough.
///
/// [`ready`](TaskQueue::ready) wakes at once for what this process does, and looks every
/// [`poll_every`](Self::with_poll_every) for what others do.
///
/// # Panics
///
/// `enqueue` and `settle` do, outside of a tokio runtime. The one that they are called on has to go on until they
/// have answered, also where the caller has gone away.
#[derive(Clone, Debug)]
pub struct RedisQueue {
    redis: Redis,
    base: Arc<str>,
    options: Arc<QueueOptions>,
    after_loss: Option<Arc<NewTask>>,
    clock: Arc<dyn Clock>,
    poll_every: Duration,
    stirred: Arc<Signal>,
    enqueuing: Arc<Gather>,
    settling: Arc<Gather>,
}

/// A script of a queue: what all begin with, what it does itself, and what all end with. It goes on where memory
/// is full, since that is how it gets free.
macro_rules! queue_script {
    ($name:ident, $file:literal) => {
        script!(
            $name,
            "queue/queue.lua",
            "queue/full.lua",
            "queue/due.lua",
            $file,
            "queue/save.lua"
        );
    };
}

queue_script!(LEASE, "queue/lease.lua");
queue_script!(EXTEND, "queue/extend.lua");
queue_script!(SETTLE, "queue/settle.lua");
queue_script!(DEAD_LETTERS, "queue/dead_letters.lua");
queue_script!(REDRIVE, "queue/redrive.lua");
queue_script!(DISCARD, "queue/discard.lua");
queue_script!(PURGE, "queue/purge.lua");
queue_script!(STATS, "queue/stats.lua");

// The only one that fills it.
script!(
    ENQUEUE,
    "queue/queue.lua",
    "queue/due.lua",
    "queue/enqueue.lua",
    "queue/save.lua"
);

impl RedisQueue {
    /// The queue called `name`, whose keys begin with the prefix of `redis` and `{queue:name}`. All
    /// nodes give the same `options`.
    #[must_use]
    pub fn new(redis: Redis, name: &str, options: QueueOptions) -> Self {
        let base = format!("{}{{queue:{name}}}", redis.prefix());
        Self {
            redis,
            base: base.into(),
            options: Arc::new(options),
            after_loss: None,
            clock: Arc::new(SystemClock::new()),
            poll_every: Duration::from_millis(100),
            stirred: Arc::default(),
            enqueuing: enqueuing(),
            settling: settling(),
        }
    }

    /// Adds `task` when tasks that were accepted may be gone: when the queue is used on a server that was
    /// started since, or has taken over from a master that died; at the latest when it is used a tenth of a
    /// second after that. A queue that has lost everything looks like a new one, so that a new one begins
    /// with it. Its delay and its key do not count. All nodes give the same.
    #[must_use]
    pub fn with_after_loss(mut self, task: NewTask) -> Self {
        self.after_loss = Some(Arc::new(task));
        // Who goes together says the same.
        (self.enqueuing, self.settling) = (enqueuing(), settling());
        self
    }

    /// Looks every `interval` for what other processes have made due. Default 100 ms.
    #[must_use]
    pub fn with_poll_every(mut self, interval: Duration) -> Self {
        self.poll_every = interval.max(Duration::from_millis(1));
        self
    }

    /// Measures its naps by `clock`. Whatever else has a time goes by that of the server.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    fn call(&self, script: &'static Script) -> Call {
        self.about(Call::of(script))
    }

    /// What every script of a queue begins with.
    fn about(&self, call: Call) -> Call {
        let call = call
            .family(&*self.base)
            .number(self.options.max_attempts.max(1))
            .number(times::micros(self.options.key_retention))
            .number(self.options.settled_keys as u64);
        match &self.after_loss {
            Some(task) => call.all(&place(Arguments::new().bytes(&task.payload), task)),
            None => call.bytes("").bytes(""),
        }
    }

    fn call_of(&self, script: &'static Script, tasks: &[TaskId]) -> Call {
        let ids = tasks.iter().map(|task| task.get());
        ids.fold(self.call(script), Call::number)
    }

    /// How much there is, and how long until a task is due.
    async fn look(&self, op: &'static str) -> Result<(QueueStats, Option<Duration>)> {
        loop {
            let call = self.about(Call::reading(&STATS));
            let (stats, next_due, is_all) = self.redis.ask(op, &call, answer::stats).await?;
            if is_all {
                return Ok((stats, next_due));
            }
        }
    }
}

#[async_trait]
impl TaskQueue for RedisQueue {
    async fn enqueue(&self, tasks: &[NewTask]) -> Result<Enqueued> {
        self.options.check_tasks("enqueue", tasks)?;
        let answer = self.enqueuing.ask(self, part(tasks), tasks.len()).await?;
        let admitted = answer::admitted(&answer, tasks.len());
        let admitted = admitted.ok_or_else(|| failure::strange("enqueue", &answer))?;
        match admitted {
            Answer::Admitted(tasks) => {
                self.stirred.raise();
                Ok(Enqueued::Accepted(tasks))
            }
            Answer::Full => Ok(Enqueued::Full {
                retry_after: self.options.retry_after,
            }),
            Answer::Never => {
                let more = "more tasks than the queue holds";
                Err(Error::new(ErrorKind::Invalid, "enqueue", more))
            }
        }
    }

    async fn lease(&self, max: usize, ttl: Duration) -> Result<Vec<Lease>> {
        let call = self
            .call(&LEASE)
            .number(max.min(BATCH) as u64)
            .number(times::ttl("lease", ttl)?)
            .number(self.options.patience.max(1));
        self.redis.ask("lease", &call, answer::leases).await
    }

    async fn extend(&self, leases: &[LeaseKey], ttl: Duration) -> Result<Vec<Extended>> {
        let mut extended = Vec::with_capacity(leases.len());
        for leases in leases.chunks(BATCH) {
            let mut call = self.call(&EXTEND).number(times::micros(ttl));
            for lease in leases {
                call = call.number(lease.task.get()).number(lease.token.get());
            }
            let read = |it: &Value| answer::each(it, answer::extended);
            extended.extend(self.redis.ask("extend", &call, read).await?);
        }
        Ok(extended)
    }

    async fn settle(&self, settlements: &[(LeaseKey, Settlement)]) -> Result<Vec<Settled>> {
        for (_, settlement) in settlements {
            if let Settlement::Continue { payload, .. } = settlement {
                self.options.check_payload("settle", payload)?;
            }
        }
        let mut settled = Vec::with_capacity(settlements.len());
        for settlements in settlements.chunks(BATCH) {
            let mut part = Arguments::new().number(settlements.len() as u64);
            for (key, settlement) in settlements {
                part = settle(part, *key, settlement)?;
            }
            let answer = self.settling.ask(self, part, settlements.len()).await?;
            let some = answer::each(&answer, answer::settled);
            settled.extend(some.ok_or_else(|| failure::strange("settle", &answer))?);
        }
        self.stirred.raise();
        Ok(settled)
    }

    async fn dead_letters(&self, after: Option<TaskId>, limit: usize) -> Result<Vec<DeadLetter>> {
        let (mut letters, mut after) = (Vec::new(), after);
        while letters.len() < limit {
            let some = BATCH.min(limit - letters.len());
            let from = after.map_or_else(|| "-inf".into(), |after| format!("({after}"));
            let call = self
                .about(Call::reading(&DEAD_LETTERS))
                .bytes(from)
                .number(some as u64);
            let page = self
                .redis
                .ask("dead letters", &call, answer::dead_letters)
                .await?;
            let is_all = page.len() < some;
            letters.extend(page);
            after = letters.last().map(|letter| letter.task);
            if is_all {
                break;
            }
        }
        Ok(letters)
    }

    async fn redrive(&self, tasks: &[TaskId]) -> Result<usize> {
        let mut redriven = 0;
        for tasks in tasks.chunks(BATCH) {
            let call = self.call_of(&REDRIVE, tasks);
            redriven += self.redis.ask("redrive", &call, answer::count).await?;
        }
        self.stirred.raise();
        Ok(redriven)
    }

    async fn discard(&self, tasks: &[TaskId]) -> Result<Vec<Discarded>> {
        let mut discarded = Vec::with_capacity(tasks.len());
        for tasks in tasks.chunks(BATCH) {
            let call = self.call_of(&DISCARD, tasks);
            let read = |it: &Value| answer::each(it, answer::discarded);
            discarded.extend(self.redis.ask("discard", &call, read).await?);
        }
        Ok(discarded)
    }

    async fn purge_lane(&self, lane: Lane) -> Result<usize> {
        let (mut purged, mut rest) = (0, Some(answer::Rest::all()));
        while let Some(left) = rest {
            let call = self
                .call(&PURGE)
                .number(lane.get())
                .bytes(left.looked_through)
                .bytes(left.from)
                .bytes(left.server);
            let some;
            (some, rest) = self.redis.ask("purge", &call, answer::purged).await?;
            purged += some;
        }
        Ok(purged)
    }

    async fn stats(&self) -> Result<QueueStats> {
        Ok(self.look("stats").await?.0)
    }

    fn max_attempts(&self) -> u32 {
        self.options.max_attempts.max(1)
    }

    async fn ready(&self) -> Result<()> {
        loop {
            let stirred = self.stirred.listen();
            let (_, next_due) = self.look("ready").await?;
            if next_due == Some(Duration::ZERO) {
                return Ok(());
            }
            let nap = next_due.map_or(self.poll_every, |due| due.min(self.poll_every));
            stirred.or_after(Some(nap), &*self.clock).await;
        }
    }
}

fn enqueuing() -> Arc<Gather> {
    Arc::new(Gather::new("enqueue", |queue| {
        let options = &queue.options;
        queue
            .call(&ENQUEUE)
            .number(options.capacity as u64)
            .number(options.dead_letters as u64)
    }))
}

fn settling() -> Arc<Gather> {
    Arc::new(Gather::new("settle", |queue| queue.call(&SETTLE)))
}

/// What a script that adds tasks is told of them.
fn part(tasks: &[NewTask]) -> Arguments {
    let is_plain = |task: &&NewTask| task.key.is_none() && task.delay.is_zero();
    let plain = tasks.iter().filter(is_plain).count();
    let mut part = Arguments::new()
        .number(tasks.len() as u64)
        .number((tasks.len() - plain) as u64);
    for task in tasks {
        part = place(part, task).bytes(&task.payload);
    }
    for (which, task) in (1_u64..).zip(tasks) {
        if !is_plain(&task) {
            part = part.number(which).number(times::micros(task.delay));
            part = match &task.key {
                Some(key) => part.bytes([b"+", &key[..]].concat()),
                None => part.bytes(""),
            };
        }
    }
    part
}

/// Where a task stands in line: its class, of which the highest priority is 0, and its lane.
fn place(part: Arguments, task: &NewTask) -> Arguments {
    let class = match task.priority {
        Priority::High => 0,
        Priority::Normal => 1,
        Priority::Low => 2,
    };
    part.text(format_args!("{class}:{}", task.lane.get()))
}

/// What becomes of a task, and unless it is gone, after how long, and the new payload or the reason.
fn settle(part: Arguments, key: LeaseKey, settlement: &Settlement) -> Result<Arguments> {
    let (how, delay, extra): (_, _, &[u8]) = match settlement {
        Settlement::Ack => ("ack", Duration::ZERO, &[]),
        Settlement::Continue { payload, delay } => ("continue", *delay, payload),
        Settlement::Retry { delay, reason } => ("retry", *delay, cut_reason(reason).as_bytes()),
        Settlement::Release { delay } => ("release", *delay, &[]),
        Settlement::Bury { reason } => ("bury", Duration::ZERO, cut_reason(reason).as_bytes()),
        _ => {
            let unknown = "a settlement of a later release";
            return Err(Error::new(ErrorKind::Invalid, "settle", unknown));
        }
    };
    let part = part
        .bytes(how)
        .number(key.task.get())
        .number(key.token.get());
    Ok(match settlement {
        Settlement::Ack => part,
        _ => part.number(times::micros(delay)).bytes(extra),
    })
}
