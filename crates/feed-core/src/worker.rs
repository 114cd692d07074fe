use std::time::Duration;

use backplane::{
    Sleep,
    queue::{Lease, LeaseKey, Settled, Settlement},
};
use fastrand::Rng;
use futures::future::{Either, select};

use crate::{
    Error, ErrorKind, Feed, PostState, Result,
    task::{Errand, FanoutTask, Stage, Unreadable},
    telemetry,
};

impl Feed {
    /// Does up to `most` pieces of fanout that are due, a chunk of followers each, and says how many
    /// there were.
    ///
    /// A piece that fails is tried again after a delay. When it has been tried
    /// [`FeedOptions::attempts`](crate::FeedOptions::attempts) times, the author's posts so far are
    /// left for readers to pull, so that none is missed. If that cannot be, because something stored
    /// does not decode, the piece is a dead letter of the queue. A process that dies in the middle
    /// leaves its pieces to whoever works next, once their leases have run out.
    ///
    /// # Errors
    ///
    /// Fails if the queue does.
    ///
    /// # Cancel safety
    ///
    /// As if the process had died.
    pub async fn work(&self, most: usize) -> Result<usize> {
        let parts = &self.parts;
        let leases = parts.queue.lease(most, parts.options.lease).await?;
        let mut renewed = parts.clock.monotonic();
        let mut done = Vec::with_capacity(leases.len());
        for (at, lease) in leases.iter().enumerate() {
            let now = parts.clock.monotonic();
            let is_late = now.saturating_sub(renewed) > parts.options.lease / 2;
            // What takes the process along with it must not take what is done too.
            if is_late || lease.attempt > 1 {
                self.settle(&mut done).await?;
            }
            if is_late {
                // The pieces before took long, and those that wait must not run out meanwhile.
                let rest: Vec<_> = leases[at..].iter().map(|lease| lease.key).collect();
                parts.queue.extend(&rest, parts.options.lease).await?;
                renewed = now;
            }
            done.push((lease.key, self.attempt(lease).await));
        }
        self.settle(&mut done).await?;
        Ok(leases.len())
    }

    /// Settles pieces together, for which a durable queue goes to its disk once.
    async fn settle(&self, done: &mut Vec<(LeaseKey, Settlement)>) -> Result<()> {
        if done.is_empty() {
            return Ok(());
        }
        let queue = &self.parts.queue;
        let settled = queue.settle(done).await?;
        let outcomes = done.drain(..).zip(settled);
        let buried: Vec<_> = outcomes
            .filter(|(_, settled)| *settled == Settled::Buried)
            .map(|((key, _), _)| key.task)
            .collect();
        if !buried.is_empty() {
            // The queue allows fewer attempts than the feed, and what it buries nobody would pull.
            queue.redrive(&buried).await?;
        }
        Ok(())
    }

    /// Works until `stop` completes; what is being done then is finished first. While the queue is
    /// unavailable, it waits and tries again.
    ///
    /// Run it as often as there is work for, in one process or several.
    ///
    /// # Errors
    ///
    /// Fails if the queue does for a reason that waiting cannot change.
    pub async fn run(&self, stop: impl Future<Output = ()> + Send) -> Result<()> {
        let mut stop = std::pin::pin!(stop);
        let mut jitter = Rng::new();
        let mut failures = 0;
        loop {
            let done = self.work(BATCH).await;
            if futures::poll!(stop.as_mut()).is_ready() {
                return Ok(());
            }
            let failed = match done {
                Ok(0) => match select(stop.as_mut(), self.parts.queue.ready()).await {
                    Either::Left(_) => return Ok(()),
                    Either::Right((ready, _)) => ready.err().map(Error::from),
                },
                Ok(_) => None,
                Err(error) => Some(error),
            };
            let Some(error) = failed else {
                failures = 0;
                continue;
            };
            if !error.is_retryable() {
                return Err(error);
            }
            telemetry::tolerate::<()>(Err(error), "queue unavailable");
            let backoff = &self.parts.options.backoff;
            let delay = backoff.delay(failures, None, &mut jitter);
            failures = failures.saturating_add(1);
            let pause = self.parts.clock.sleep(delay.min(Sleep::LONGEST));
            if let Either::Left(_) = select(stop.as_mut(), pause).await {
                return Ok(());
            }
        }
    }

    async fn attempt(&self, lease: &Lease) -> Settlement {
        let task = match FanoutTask::decode(&lease.payload) {
            Ok(task) => task,
            // Workers of that release are on their way.
            Err(Unreadable::Newer) => return Settlement::Release { delay: ROLLOUT },
            Err(Unreadable::Garbage) => return bury("not a task of a feed"),
        };
        let spent = lease.attempt > self.parts.options.attempts;
        let advanced = if spent {
            self.give_up(&task, lease).await
        } else {
            self.advance(&task, lease).await
        };
        match advanced {
            Ok(settlement @ (Settlement::Ack | Settlement::Continue { .. })) if !spent => {
                let now = self.parts.clock.now();
                telemetry::worked(now.saturating_since(lease.enqueued_at));
                settlement
            }
            Ok(settlement) => settlement,
            Err(error) => self.again(lease, spent, &error),
        }
    }

    /// A piece is tried as often as the options say; giving it up, until that succeeds or cannot.
    fn again(&self, lease: &Lease, spent: bool, error: &Error) -> Settlement {
        telemetry::failed(error, lease.attempt);
        if spent && error.kind() == ErrorKind::Corrupt {
            return bury("what it needs does not decode");
        }
        // The token differs from lease to lease, so tasks that fail together do not return together.
        let mut jitter = Rng::with_seed(lease.key.token.get());
        let retries = lease.attempt.saturating_sub(1);
        let delay = self.parts.options.backoff.delay(retries, None, &mut jitter);
        if spent {
            return Settlement::Release { delay };
        }
        Settlement::Retry {
            delay,
            reason: error.to_string(),
        }
    }

    /// Does one piece and says what becomes of its task.
    async fn advance(&self, task: &FanoutTask, lease: &Lease) -> Result<Settlement> {
        match task.errand {
            Errand::Deliver { .. } => self.deliver(task, lease).await,
            Errand::Revise { above } => self.spread_revision(task, above, lease).await,
            Errand::Retract => self.withdraw_from_timelines(task, lease).await,
            Errand::Drop => {
                self.parts.timelines.drop_many(&[task.entry.author]).await?;
                Ok(Settlement::Ack)
            }
        }
    }

    /// What is done instead of a piece that has failed too often.
    ///
    /// Readers find a post that was not delivered by pulling it, and know of revisions and
    /// retractions by themselves. A timeline that misses a post must not stay, nor what was done to a
    /// post that is gone.
    async fn give_up(&self, task: &FanoutTask, lease: &Lease) -> Result<Settlement> {
        let reason = match task.errand {
            Errand::Deliver { .. } => {
                match self.state(task.entry.post).await? {
                    PostState::Absent => return self.await_post(task, lease).await,
                    PostState::Retracted => {}
                    PostState::Live { .. } => {
                        // Authors do not pull from themselves.
                        let author = task.entry.author;
                        self.parts.timelines.drop_many(&[author]).await?;
                        self.leave_to_readers(task.entry).await?;
                        telemetry::gave_up("left to readers");
                    }
                }
                return Ok(Settlement::Ack);
            }
            Errand::Drop => {
                self.parts.timelines.drop_many(&[task.entry.author]).await?;
                return Ok(Settlement::Ack);
            }
            Errand::Revise { .. } => "followers not told of a revision",
            Errand::Retract if task.stage == Stage::Forget => {
                return self.withdraw_from_timelines(task, lease).await;
            }
            Errand::Retract => {
                let delay = self.before_forgetting(task.entry);
                let forget = task.forgetting().queued().with_delay(delay);
                self.enqueue(&[forget], "fanout").await?;
                "timelines not rid of a post"
            }
        };
        Ok(bury(reason))
    }
}

fn bury(reason: &'static str) -> Settlement {
    telemetry::gave_up(reason);
    Settlement::Bury {
        reason: String::from(reason),
    }
}

/// How long a task of a later release is left to others.
const ROLLOUT: Duration = Duration::from_secs(60);

/// How many tasks a worker takes at once.
const BATCH: usize = 16;
