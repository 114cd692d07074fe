use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::{
    Clock, Result, Signal, SystemClock,
    queue::{
        DeadLetter, Discarded, Enqueued, Extended, Lane, Lease, LeaseKey, Ledger, Moment, NewTask,
        QueueOptions, QueueStats, Settled, Settlement, TaskId, TaskQueue,
    },
};

/// A [`TaskQueue`] in process memory; share it in an `Arc`.
///
/// The methods are synchronous and hold one lock for the time of a [`Ledger`] operation; only
/// [`ready`](Self::ready) waits. Delays and leases go by the clock's monotonic time. Nothing runs
/// in the background: a lease that passed is noticed by the next call.
///
/// ```
/// use std::time::Duration;
/// use backplane::{memory::MemoryQueue, queue::{NewTask, Settlement}};
/// let queue = MemoryQueue::default();
/// queue.enqueue(&[NewTask::new("a").with_key("k"), NewTask::new("b").with_key("k")])?;
/// let leases = queue.lease(10, Duration::from_secs(30))?;
/// assert_eq!(leases.len(), 1, "one key, one task");
/// queue.settle(&[(leases[0].key, Settlement::Ack)])?;
/// assert_eq!(queue.stats(), Default::default());
/// # Ok::<(), backplane::Error>(())
/// ```
#[derive(Debug)]
pub struct MemoryQueue {
    clock: Arc<dyn Clock>,
    ledger: Mutex<Ledger>,
    stirred: Signal,
}

impl MemoryQueue {
    /// An empty queue that lives in the time of `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, options: QueueOptions) -> Self {
        Self {
            clock,
            ledger: Mutex::new(Ledger::new(options)),
            stirred: Signal::default(),
        }
    }

    /// See [`TaskQueue::enqueue`].
    ///
    /// # Errors
    ///
    /// `Invalid`, as stated there.
    pub fn enqueue(&self, tasks: &[NewTask]) -> Result<Enqueued> {
        self.apply(|ledger, now| ledger.enqueue(tasks, now))
    }

    /// See [`TaskQueue::lease`].
    ///
    /// # Errors
    ///
    /// `Invalid`, as stated there.
    pub fn lease(&self, max: usize, ttl: Duration) -> Result<Vec<Lease>> {
        self.apply(|ledger, now| ledger.lease(max, ttl, now))
    }

    /// See [`TaskQueue::extend`].
    pub fn extend(&self, leases: &[LeaseKey], ttl: Duration) -> Vec<Extended> {
        self.apply(|ledger, now| ledger.extend(leases, ttl, now))
    }

    /// See [`TaskQueue::settle`].
    ///
    /// # Errors
    ///
    /// `Invalid`, as stated there.
    pub fn settle(&self, settlements: &[(LeaseKey, Settlement)]) -> Result<Vec<Settled>> {
        self.apply(|ledger, now| ledger.settle(settlements, now))
    }

    /// See [`TaskQueue::dead_letters`].
    pub fn dead_letters(&self, after: Option<TaskId>, limit: usize) -> Vec<DeadLetter> {
        self.apply(|ledger, now| ledger.dead_letters(after, limit, now))
    }

    /// See [`TaskQueue::redrive`].
    pub fn redrive(&self, tasks: &[TaskId]) -> usize {
        self.apply(|ledger, now| ledger.redrive(tasks, now))
    }

    /// See [`TaskQueue::discard`].
    pub fn discard(&self, tasks: &[TaskId]) -> Vec<Discarded> {
        self.apply(|ledger, now| ledger.discard(tasks, now))
    }

    /// See [`TaskQueue::purge_lane`]. Takes time in proportion to what the lane holds.
    pub fn purge_lane(&self, lane: Lane) -> usize {
        self.apply(|ledger, now| ledger.purge_lane(lane, now))
    }

    /// See [`TaskQueue::stats`].
    pub fn stats(&self) -> QueueStats {
        self.apply(Ledger::stats)
    }

    /// See [`TaskQueue::ready`].
    pub async fn ready(&self) {
        loop {
            let stirred = self.stirred.listen();
            let wait = self.apply(Ledger::next_due);
            if wait == Some(Duration::ZERO) {
                return;
            }
            stirred.or_after(wait, &*self.clock).await;
        }
    }

    fn apply<R>(&self, operation: impl FnOnce(&mut Ledger, Moment) -> R) -> R {
        let now = self.clock.now();
        let mut ledger = self.ledger.lock();
        let result = operation(&mut ledger, Moment::new(self.clock.monotonic(), now));
        let stirred = ledger.take_stirred();
        drop(ledger);
        if stirred {
            self.stirred.raise();
        }
        result
    }
}

impl Default for MemoryQueue {
    /// An empty queue on the machine's clock, with the default bounds.
    fn default() -> Self {
        Self::new(Arc::new(SystemClock::new()), QueueOptions::default())
    }
}

#[async_trait]
impl TaskQueue for MemoryQueue {
    async fn enqueue(&self, tasks: &[NewTask]) -> Result<Enqueued> {
        self.enqueue(tasks)
    }

    async fn lease(&self, max: usize, ttl: Duration) -> Result<Vec<Lease>> {
        self.lease(max, ttl)
    }

    async fn extend(&self, leases: &[LeaseKey], ttl: Duration) -> Result<Vec<Extended>> {
        Ok(self.extend(leases, ttl))
    }

    async fn settle(&self, settlements: &[(LeaseKey, Settlement)]) -> Result<Vec<Settled>> {
        self.settle(settlements)
    }

    async fn dead_letters(&self, after: Option<TaskId>, limit: usize) -> Result<Vec<DeadLetter>> {
        Ok(self.dead_letters(after, limit))
    }

    async fn redrive(&self, tasks: &[TaskId]) -> Result<usize> {
        Ok(self.redrive(tasks))
    }

    async fn discard(&self, tasks: &[TaskId]) -> Result<Vec<Discarded>> {
        Ok(self.discard(tasks))
    }

    async fn purge_lane(&self, lane: Lane) -> Result<usize> {
        Ok(self.purge_lane(lane))
    }

    async fn stats(&self) -> Result<QueueStats> {
        Ok(self.stats())
    }

    fn max_attempts(&self) -> u32 {
        self.ledger.lock().max_attempts()
    }

    async fn ready(&self) -> Result<()> {
        self.ready().await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ManualClock,
        conformance::{Fresh, TestTime, queue::options},
        queue::Priority,
    };

    #[test]
    fn without_patience_the_highest_priority_still_has_a_turn() {
        let clock = Arc::new(ManualClock::default());
        let queue = MemoryQueue::new(clock, options().with_patience(0));
        let of = |name: &'static str, priority| NewTask::new(name).with_priority(priority);
        let tasks = ["normal", "more"].map(|name| of(name, Priority::Normal));
        queue.enqueue(&tasks).unwrap();
        queue.enqueue(&[of("high", Priority::High)]).unwrap();
        let leases = queue.lease(1, Duration::from_secs(1)).unwrap();
        assert_eq!(leases[0].payload, "high");
    }

    fn fresh() -> Fresh<dyn TaskQueue> {
        let clock = ManualClock::default();
        let store = MemoryQueue::new(Arc::new(clock.clone()), options());
        Fresh {
            store: Arc::new(store),
            time: TestTime::Manual(clock),
        }
    }

    crate::task_queue_conformance!(async { fresh() });
}
