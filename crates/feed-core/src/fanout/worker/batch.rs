use std::time::Duration;

use backplane::{
    Error, Result,
    queue::{Lease, LeaseKey, Settlement, TaskQueue},
};

/// The pieces of fanout that a worker has leased at once. Those that are done are settled together, for
/// which a durable queue goes to its disk once.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    queue: &'a dyn TaskQueue,
    done: Vec<(LeaseKey, Settlement)>,
    settled_at: Duration,
    renewed_at: Duration,
    /// The first.
    failure: Option<Error>,
}

impl<'a> Batch<'a> {
    pub(super) const fn new(queue: &'a dyn TaskQueue, now: Duration) -> Self {
        Self {
            queue,
            done: Vec::new(),
            settled_at: now,
            renewed_at: now,
            failure: None,
        }
    }

    /// Adds a piece that is done, and says whether others wait for it: for the rest of its task, or long.
    pub(super) fn add(&mut self, lease: LeaseKey, settlement: Settlement, now: Duration) -> bool {
        let goes_on = !matches!(settlement, Settlement::Ack);
        self.done.push((lease, settlement));
        goes_on || now.saturating_sub(self.settled_at) > TOGETHER
    }

    /// Settles what is done. What cannot be settled now may be with what follows.
    pub(super) async fn settle(&mut self, now: Duration) {
        match self.queue.settle(&self.done).await {
            Ok(_) => {
                self.done.clear();
                self.settled_at = now;
            }
            Err(error) => self.failed(error),
        }
    }

    /// Extends the leases that wait, which must not run out where pieces before them take long: the next
    /// one may take half of a lease.
    pub(super) async fn renew(&mut self, waiting: &[Lease], ttl: Duration, now: Duration) {
        if waiting.is_empty() || now.saturating_sub(self.renewed_at) <= ttl / 4 {
            return;
        }
        let waiting: Vec<_> = waiting.iter().map(|lease| lease.key).collect();
        match self.queue.extend(&waiting, ttl).await {
            Ok(_) => self.renewed_at = now,
            Err(error) => self.failed(error),
        }
    }

    /// What the queue failed with first, if it did.
    pub(super) fn end(self) -> Result<()> {
        self.failure.map_or(Ok(()), Err)
    }

    fn failed(&mut self, error: Error) {
        self.failure.get_or_insert(error);
    }
}

/// For how long a piece that is done waits for others, unless one of them takes longer.
const TOGETHER: Duration = Duration::from_millis(20);
