//! The worker: leases, retries, and what becomes of a task in the queue.

mod batch;

use std::{convert::Infallible, pin::pin, time::Duration};

use backplane::{
    Sleep,
    queue::{Lease, Settlement},
};
use fastrand::Rng;
use futures::future::{Either, select};

use self::batch::Batch;
use crate::{
    Error, ErrorKind, Feed, Result,
    fanout::task::{Errand, FanoutTask, Unreadable},
    telemetry,
};

impl Feed {
    /// Does up to `most` pieces of fanout that are due, a chunk of followers each, and says how many
    /// there were.
    ///
    /// A piece that fails is tried again after a delay. When it has been tried
    /// [`FeedOptions::attempts`](crate::FeedOptions::attempts) times, the author's posts so far are
    /// left for readers to pull, so that none is missed. If only events could not be delivered, the
    /// fanout goes on without them instead. If neither is possible, because something stored does not
    /// decode, the piece becomes a dead letter of the queue. When a process dies in the middle, another
    /// worker takes over its pieces once their leases have run out.
    ///
    /// A piece that takes half of its [`lease_ttl`](crate::FeedOptions::lease_ttl) has failed. So a store
    /// that never answers delays the next pieces, and the end of [`run`](Self::run), by that much a piece.
    /// Only to turn all timelines cold, after a [loss](Self::task_after_loss), may take a
    /// [`call_timeout`](crate::FeedOptions::call_timeout).
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
        let leases = parts.queue.lease(most, parts.options.lease_ttl).await?;
        let mut batch = Batch::new(&*parts.queue, parts.clock.monotonic());
        let mut rest = leases.iter();
        while let Some(lease) = rest.next() {
            let settlement = self.attempt(lease, &leases).await;
            let now = parts.clock.monotonic();
            // What takes the process along with it must not take along what is done.
            let may_die = rest.as_slice().first().is_some_and(|next| next.attempt > 1);
            let is_due = batch.add(lease.key, settlement, now);
            if is_due || may_die || rest.len() == 0 {
                batch.settle(now).await;
            }
            batch
                .renew(rest.as_slice(), parts.options.lease_ttl, now)
                .await;
        }
        batch.end()?;
        Ok(leases.len())
    }

    /// Does every piece of fanout that is due, and says how many there were. For tests and examples: a
    /// server [runs](Self::run) its workers.
    ///
    /// # Errors
    ///
    /// As for [`work`](Self::work).
    ///
    /// # Cancel safety
    ///
    /// As for [`work`](Self::work).
    pub async fn work_all(&self) -> Result<usize> {
        let mut pieces = 0;
        loop {
            match self.work(BATCH).await? {
                0 => return Ok(pieces),
                some => pieces += some,
            }
        }
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
        let mut stop = pin!(stop);
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

    /// Tries a piece, of a batch under `leases`.
    async fn attempt(&self, lease: &Lease, leases: &[Lease]) -> Settlement {
        let task = match FanoutTask::decode(&lease.payload) {
            Ok(task) => task,
            // Workers of that release are on their way.
            Err(Unreadable::Newer) => return Settlement::Release { delay: ROLLOUT },
            Err(Unreadable::Garbage) => return bury("not a task of a feed"),
        };
        let spent = lease.attempt > self.attempts();
        let advanced = async {
            if spent {
                self.give_up(&task, lease).await
            } else {
                self.advance(&task, lease).await
            }
        };
        let half = self.parts.options.lease_ttl / 2;
        let done = if task.errand == Errand::Mend {
            let limit = self.parts.options.call_timeout.max(half);
            self.in_time(limit, self.holding(leases, advanced)).await
        } else {
            self.in_time(half, advanced).await
        };
        match done {
            Ok(settlement @ (Settlement::Ack | Settlement::Continue { .. })) if !spent => {
                let now = self.parts.clock.now();
                telemetry::worked(now.saturating_since(lease.enqueued_at));
                settlement
            }
            Ok(settlement) => settlement,
            Err(error) => self.again(lease, spent, &error),
        }
    }

    /// Fails what takes so long.
    async fn in_time<T>(
        &self,
        limit: Duration,
        piece: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        // A piece that does not wait sets no timer.
        let limit = async { self.parts.clock.sleep(limit.min(Sleep::LONGEST)).await };
        match select(pin!(piece), pin!(limit)).await {
            Either::Left((done, _)) => done,
            Either::Right(_) => Err(Error::bare(ErrorKind::Unavailable, "fanout in time")),
        }
    }

    /// Does what takes longer than leases last, and extends all of the batch meanwhile: also of pieces that
    /// are done, which may not be settled yet.
    async fn holding<T>(&self, leases: &[Lease], piece: impl Future<Output = T> + Send) -> T {
        match select(pin!(piece), pin!(self.hold(leases))).await {
            Either::Left((done, _)) => done,
            Either::Right((never, _)) => match never {},
        }
    }

    async fn hold(&self, leases: &[Lease]) -> Infallible {
        let ttl = self.parts.options.lease_ttl;
        let leases: Vec<_> = leases.iter().map(|lease| lease.key).collect();
        loop {
            self.parts.clock.sleep((ttl / 4).min(Sleep::LONGEST)).await;
            let extended = self.parts.queue.extend(&leases, ttl).await;
            telemetry::tolerate(extended.map_err(Error::from), "leases not extended");
        }
    }

    /// How often a piece is tried. What fails at the queue's own limit is buried, and nobody would pull
    /// it, so the last lease that the queue allows is for giving up.
    pub(super) fn attempts(&self) -> u32 {
        let most = self.parts.queue.max_attempts().saturating_sub(1);
        self.parts.options.attempts.min(most).max(1)
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
        if spent || lease.attempt >= self.parts.queue.max_attempts() {
            return Settlement::Release { delay };
        }
        Settlement::Retry {
            delay,
            reason: error.to_string(),
        }
    }
}

pub(super) fn bury(reason: &'static str) -> Settlement {
    telemetry::gave_up(reason);
    Settlement::Bury {
        reason: String::from(reason),
    }
}

/// How long a task of a later release is left to others.
const ROLLOUT: Duration = Duration::from_secs(60);

/// How many tasks a worker takes at once.
const BATCH: usize = 16;
