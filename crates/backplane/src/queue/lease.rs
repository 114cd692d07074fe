use std::time::Duration;

use bytes::Bytes;

use super::{Lane, TaskId};
use crate::{FencingToken, Timestamp};

/// A task in the hands of one worker, until the lease ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lease {
    /// What to settle or extend it with.
    pub key: LeaseKey,
    /// What was enqueued, or what the last [`Settlement::Continue`] left.
    pub payload: Bytes,
    /// How many times the task has been leased, this time included: 1 at first. Counts from 1
    /// again after a [`Settlement::Continue`] or a redrive.
    pub attempt: u32,
    /// When the queue accepted the task.
    pub enqueued_at: Timestamp,
    /// Whose work it is.
    pub lane: Lane,
}

/// Names one lease of one task.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct LeaseKey {
    /// The leased task.
    pub task: TaskId,
    /// Larger for each later lease of the task.
    pub token: FencingToken,
}

/// How a worker is done with a lease.
///
/// A delay counts from the moment of the call. A task that waits again goes to the end of its
/// lane's line once it is due.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Settlement {
    /// The work is done; the task leaves the queue.
    Ack,
    /// A part of the work is done: the same task waits again with what is left of it, and its
    /// attempts count from 1. One step of a long task, so that other lanes get a turn between two.
    Continue {
        /// What is left to do.
        payload: Bytes,
        /// How long to wait before the next step.
        delay: Duration,
    },
    /// The work failed and may succeed later. A task out of attempts is buried instead.
    Retry {
        /// How long to wait before the next attempt.
        delay: Duration,
        /// Why it failed; kept if this was the last attempt.
        reason: String,
    },
    /// The work was not attempted (the worker stops, a circuit is open, a quota is used up): the
    /// task waits again, and this lease does not count as an attempt.
    Release {
        /// How long to wait before the next lease.
        delay: Duration,
    },
    /// The work can never succeed; the task becomes a dead letter.
    Bury {
        /// Why, for whoever reads the dead letters.
        reason: String,
    },
}

/// What became of one settlement.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Settled {
    /// As asked.
    Done,
    /// A retry was asked for, but the task is out of attempts: it is a dead letter now.
    Buried,
    /// The lease had ended, or the task is gone. Nothing changed.
    Lost,
}

/// What became of one lease that was to be extended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a lease is either held or it is not"
)]
pub enum Extended {
    /// It is held for the new time.
    Held,
    /// It had ended, or the task is gone: another worker may be at it.
    Lost,
}
