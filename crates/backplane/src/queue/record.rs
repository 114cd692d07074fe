use std::time::Duration;

use bytes::Bytes;

use super::{Cause, Lane, Priority, TaskId};
use crate::Timestamp;

/// Everything a [`Ledger`](super::Ledger) has to be told about a task to hold it again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TaskRecord {
    /// The task.
    pub task: TaskId,
    /// Whose work it is.
    pub lane: Lane,
    /// How urgent it is.
    pub priority: Priority,
    /// What the worker gets to see; empty once it is settled.
    pub payload: Bytes,
    /// Its deduplication key.
    pub key: Option<Bytes>,
    /// How many times it has been leased.
    pub attempts: u32,
    /// When the queue accepted it.
    pub enqueued_at: Timestamp,
    /// Where it stands.
    pub standing: Standing,
}

/// Where a task stands. Durations are readings of the ledger's time.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever stores it must store every case"
)]
pub enum Standing {
    /// It is due, whatever a later ledger's time is.
    Ready {
        /// Since when.
        since: Duration,
    },
    /// It waits until it is due.
    Waiting {
        /// Until when.
        due: Duration,
    },
    /// A worker has it.
    Leased,
    /// It is a dead letter.
    Dead {
        /// What it died of.
        cause: Cause,
        /// When.
        died_at: Timestamp,
    },
    /// It is done, and only its key is remembered.
    Settled {
        /// Until when the key is remembered.
        until: Duration,
    },
}
