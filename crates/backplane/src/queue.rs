//! Work that is done at least once.
//!
//! A [`TaskQueue`] holds tasks until a worker settles them. A worker takes a task under a lease;
//! when it crashes, the lease ends by itself and the task is due again. Each lease has a fencing
//! token, so that a worker which stalled past its lease can change nothing any more.
//!
//! ```
//! use std::time::Duration;
//! use backplane::{memory::MemoryQueue, queue::{NewTask, Settled, Settlement, TaskQueue}};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> backplane::Result<()> {
//! let queue = MemoryQueue::default();
//! TaskQueue::enqueue(&queue, &[NewTask::new("fan out post 7").with_lane(42)]).await?;
//!
//! TaskQueue::ready(&queue).await?;
//! for lease in TaskQueue::lease(&queue, 16, Duration::from_secs(30)).await? {
//!     assert_eq!(lease.payload, "fan out post 7");
//!     let settled = TaskQueue::settle(&queue, &[(lease.key, Settlement::Ack)]).await?;
//!     assert_eq!(settled, [Settled::Done]);
//! }
//! # Ok(()) }
//! ```
//!
//! # Time
//!
//! Only durations cross this interface. Each queue measures them by a time of its own that never
//! runs backwards, so that neither a step of the wall clock nor the difference between a worker's
//! clock and an engine's makes a lease end early.
//!
//! # What it is not
//!
//! No log: a settled task is gone. No transaction across two queues. No exactly-once: a worker that
//! crashes after its side effect and before its `Ack` is followed by another that does it again.

use std::{fmt, time::Duration};

use async_trait::async_trait;

pub use self::{
    dead_letter::{Cause, DeadLetter, Discarded},
    lease::{Extended, Lease, LeaseKey, Settled, Settlement},
    ledger::{Ledger, Moment},
    options::QueueOptions,
    record::{Standing, TaskRecord},
    task::{Admission, Enqueued, Lane, NewTask, ParseTaskIdError, Priority, TaskId},
};
use crate::Result;

mod dead_letter;
mod lease;
mod ledger;
mod options;
mod record;
mod task;

/// One named queue of tasks. Whatever shares its name shares its tasks.
///
/// # Order
///
/// [`lease`](Self::lease) takes due tasks of the highest priority first. Within a priority, the
/// lanes that have a due task take turns, one task a turn; a lane that was empty takes its place
/// behind the others. Within a lane and priority, tasks come in the order in which they became due.
/// Tasks of a lower priority are passed over a bounded number of times in a row
/// ([`QueueOptions::patience`]), so that none starves.
///
/// # Leases
///
/// A lease ends when it is settled, when its time has passed, or when its task is purged; from
/// then on its key is lost, whether or not another worker has the task. A task whose lease passed
/// is due again, unless it is out of attempts ([`QueueOptions::max_attempts`]): then it is a dead
/// letter.
///
/// # Atomicity
///
/// Each method but [`purge_lane`](Self::purge_lane) is atomic with respect to every other, on all nodes.
/// Where a method takes several tasks, its documentation says whether it takes effect for all or none of
/// them.
///
/// # What an engine loses
///
/// Some engines answer before what they have done is safe from the death of a machine. What such a queue
/// has accepted may be gone then, and what was settled may be back; its documentation says so, and how it
/// tells. But a number that was handed out, of a task or of a token, is never handed out for another: a
/// worker that comes late settles nobody else's work.
///
/// # Limits
///
/// A call adds at most [`QueueOptions::batch`] tasks. A payload has at most [`QueueOptions::payload`] bytes
/// and a key at most [`MAX_KEY`]; a reason is cut to [`MAX_REASON`] bytes.
#[async_trait]
pub trait TaskQueue: fmt::Debug + Send + Sync {
    /// Adds all of `tasks`, or none.
    ///
    /// A task whose key belongs to a task that waits, is leased, is dead, or was settled within
    /// [`QueueOptions::key_retention`] is not added again, and needs no room; nor is the second of
    /// two in one call. Without a key, calling twice adds twice.
    ///
    /// # Errors
    ///
    /// `Invalid` if a payload or key is too long, or if there are more tasks than a call may add or the
    /// queue could ever hold; nothing was added. On `Unavailable` all or none were added: retry with keys.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves all of the tasks added, or none.
    async fn enqueue(&self, tasks: &[NewTask]) -> Result<Enqueued>;

    /// Takes up to `max` due tasks, each under a lease of `ttl`, in the order stated above. A lease of
    /// [`Duration::MAX`] never ends by itself: if its worker dies, its task is never due again.
    ///
    /// Never waits: an empty answer means that no task is due. A queue may hand out fewer than it
    /// could.
    ///
    /// # Errors
    ///
    /// `Invalid` if `ttl` is zero. On `Unavailable` tasks may have been leased to nobody: they are
    /// due again after `ttl`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave tasks leased to nobody, as above.
    async fn lease(&self, max: usize, ttl: Duration) -> Result<Vec<Lease>>;

    /// Makes leases end `ttl` from now, or when they would have ended if that is later.
    ///
    /// One outcome per lease, in the order of the call; one that is lost does not affect the
    /// others.
    ///
    /// # Errors
    ///
    /// On `Unavailable` some of the leases may have been extended.
    ///
    /// # Cancel safety
    ///
    /// As for an error: each lease is extended or is not.
    async fn extend(&self, leases: &[LeaseKey], ttl: Duration) -> Result<Vec<Extended>>;

    /// Ends leases, each as its settlement says.
    ///
    /// One outcome per lease, in the order of the call; one that is lost does not affect the
    /// others, and the second settlement of a lease is lost.
    ///
    /// # Errors
    ///
    /// `Invalid` if a new payload is too long; nothing was settled. On `Unavailable` some may have
    /// been settled: when retried, those answer [`Settled::Lost`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves each lease settled or held.
    async fn settle(&self, settlements: &[(LeaseKey, Settlement)]) -> Result<Vec<Settled>>;

    /// Up to `limit` dead letters with ids greater than `after`, by ascending id.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    async fn dead_letters(&self, after: Option<TaskId>, limit: usize) -> Result<Vec<DeadLetter>>;

    /// Makes dead letters due again, each at the end of its lane's line, their attempts counted
    /// from 1. Returns how many of `tasks` were dead.
    ///
    /// It needs no room, because the queue holds the tasks already.
    ///
    /// # Errors
    ///
    /// On `Unavailable` some may have been redriven, so retrying is safe.
    async fn redrive(&self, tasks: &[TaskId]) -> Result<usize>;

    /// Forgets waiting tasks and dead letters; their keys are remembered as though they had been
    /// settled. One outcome per task, in the order of the call.
    ///
    /// # Errors
    ///
    /// On `Unavailable` some may be gone, so retrying is safe.
    async fn discard(&self, tasks: &[TaskId]) -> Result<Vec<Discarded>>;

    /// Forgets everything about `lane`: waiting and leased tasks, dead letters and remembered keys.
    /// Leases of its tasks are lost. Returns how many tasks that were not settled it held.
    ///
    /// This is how a user is erased whose id is a lane. The next task of the lane is new to the
    /// queue. A large lane may go in parts, with other calls in between; what the lane held when the call
    /// began is gone when it ends.
    ///
    /// # Errors
    ///
    /// On `Unavailable` a part may be gone, so retrying is safe.
    async fn purge_lane(&self, lane: Lane) -> Result<usize>;

    /// How much work there is.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    async fn stats(&self) -> Result<QueueStats>;

    /// After how many leases a task that fails, or whose lease passes, is a dead letter
    /// ([`QueueOptions::max_attempts`]).
    fn max_attempts(&self) -> u32;

    /// Completes when a task may be due: at once if one is, else after one was added, became due
    /// or lost its lease. May complete when none is, and completes for every caller that waits, so
    /// call [`lease`](Self::lease) next and expect nothing.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the next call completes at once if a task is due.
    async fn ready(&self) -> Result<()>;
}

/// The most bytes of a deduplication key.
pub const MAX_KEY: usize = 256;

/// The most bytes of a reason that are kept.
pub const MAX_REASON: usize = 1024;

/// The start of `reason`, at most [`MAX_REASON`] bytes of whole characters. For implementations.
#[must_use]
pub fn cut_reason(reason: &str) -> &str {
    let fits = (0..=reason.len().min(MAX_REASON)).rev();
    let end = fits.into_iter().find(|&end| reason.is_char_boundary(end));
    &reason[..end.unwrap_or(0)]
}

/// How much work a queue holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct QueueStats {
    /// Tasks that are due.
    pub ready: usize,
    /// Tasks that wait for their delay to pass.
    pub delayed: usize,
    /// Tasks that a worker has.
    pub leased: usize,
    /// Dead letters.
    pub dead: usize,
    /// How long the task that has been due longest has been; `None` if none is due.
    pub oldest_ready: Option<Duration>,
}
