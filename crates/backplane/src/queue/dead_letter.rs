use bytes::Bytes;

use super::{Lane, Priority, TaskId};
use crate::Timestamp;

/// A task that is not attempted any more, kept until somebody redrives or discards it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeadLetter {
    /// The task.
    pub task: TaskId,
    /// What the worker got to see last.
    pub payload: Bytes,
    /// Whose work it was.
    pub lane: Lane,
    /// How urgent it was.
    pub priority: Priority,
    /// How many attempts it had.
    pub attempts: u32,
    /// When the queue accepted it.
    pub enqueued_at: Timestamp,
    /// When it died.
    pub died_at: Timestamp,
    /// What it died of.
    pub cause: Cause,
}

/// What a dead letter died of.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Cause {
    /// A worker buried it, for this reason.
    Buried(String),
    /// Its last attempt failed, for this reason.
    Failed(String),
    /// The lease of its last attempt ran out: the worker crashed, hung or was too slow.
    Expired,
}

/// What became of one task that was to be discarded.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Discarded {
    /// It was waiting or dead, and is gone: no worker will get it.
    Gone,
    /// A worker has it, so it is too late. Nothing changed.
    Leased,
    /// The queue does not hold it.
    Unknown,
}
