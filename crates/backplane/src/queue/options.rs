use std::time::Duration;

use super::{MAX_KEY, NewTask};
use crate::{Error, ErrorKind, Result};

/// The bounds of a queue.
///
/// Every queue of this workspace takes them, so that a queue in memory and one in an engine refuse
/// and bury the same tasks.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct QueueOptions {
    /// How many tasks may wait or be leased; 100,000 by default.
    pub capacity: usize,
    /// How many dead letters are held besides; 10,000 by default. Further ones take the room of
    /// waiting tasks, so that none is lost and the queue is still bounded.
    pub dead_letters: usize,
    /// How many tasks one call may add; 1,000 by default. A call is one step of the engine, which does
    /// nothing else meanwhile.
    pub batch: usize,
    /// How many bytes a payload may have; 64 KiB by default.
    pub payload: usize,
    /// How often a task is leased before it is buried; 12 by default, at least 1.
    pub max_attempts: u32,
    /// After how many tasks of a higher priority in a row a due one of a lower priority is leased;
    /// 16 by default. A waiting task is passed over once more at most, when both lower priorities
    /// have waited as long.
    pub patience: u32,
    /// How long after its task was settled a deduplication key is remembered; 10 minutes by
    /// default.
    pub key_retention: Duration,
    /// How many keys of settled tasks are remembered; 100,000 by default. One more, and the one
    /// settled longest ago is forgotten before its time.
    pub settled_keys: usize,
    /// What a full queue tells callers to wait; 100 ms by default.
    pub retry_after: Duration,
}

impl QueueOptions {
    /// Lets at most `tasks` wait or be leased. More than 2³⁰ count as 2³⁰.
    #[must_use]
    pub fn with_capacity(mut self, tasks: usize) -> Self {
        self.capacity = tasks.min(MOST);
        self
    }

    /// Gives dead letters room for `tasks` of their own. More than 2³⁰ count as 2³⁰.
    #[must_use]
    pub fn with_dead_letters(mut self, tasks: usize) -> Self {
        self.dead_letters = tasks.min(MOST);
        self
    }

    /// Refuses calls that add more than `tasks`.
    #[must_use]
    pub fn with_batch(mut self, tasks: usize) -> Self {
        self.batch = tasks;
        self
    }

    /// Refuses payloads of more than `bytes`.
    #[must_use]
    pub fn with_payload(mut self, bytes: usize) -> Self {
        self.payload = bytes;
        self
    }

    /// Buries a task after `attempts`; 0 counts as 1.
    #[must_use]
    pub fn with_max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts.max(1);
        self
    }

    /// Lets lower priorities through after `tasks` of higher ones; 0 counts as 1.
    #[must_use]
    pub fn with_patience(mut self, tasks: u32) -> Self {
        self.patience = tasks;
        self
    }

    /// Remembers the keys of settled tasks for `retention`.
    #[must_use]
    pub fn with_key_retention(mut self, retention: Duration) -> Self {
        self.key_retention = retention;
        self
    }

    /// Remembers the keys of at most `keys` settled tasks. More than 2³⁰ count as 2³⁰.
    #[must_use]
    pub fn with_settled_keys(mut self, keys: usize) -> Self {
        self.settled_keys = keys.min(MOST);
        self
    }

    /// Tells callers of a full queue to wait for `delay`.
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = delay;
        self
    }

    /// Refuses tasks that break the limits. For implementations.
    ///
    /// # Errors
    ///
    /// `Invalid`, of the operation `op`.
    pub fn check_tasks(&self, op: &'static str, tasks: &[NewTask]) -> Result<()> {
        if tasks.len() > self.batch {
            return Err(Error::new(ErrorKind::Invalid, op, "too many tasks at once"));
        }
        for task in tasks {
            if task.key.as_ref().is_some_and(|key| key.len() > MAX_KEY) {
                return Err(Error::new(ErrorKind::Invalid, op, "key too long"));
            }
            self.check_payload(op, &task.payload)?;
        }
        Ok(())
    }

    /// Refuses a payload that breaks the limits. For implementations.
    ///
    /// # Errors
    ///
    /// `Invalid`, of the operation `op`.
    pub fn check_payload(&self, op: &'static str, payload: &[u8]) -> Result<()> {
        if payload.len() > self.payload {
            return Err(Error::new(ErrorKind::Invalid, op, "payload too long"));
        }
        Ok(())
    }
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self {
            capacity: 100_000,
            dead_letters: 10_000,
            batch: 1_000,
            payload: 64 * 1024,
            max_attempts: 12,
            patience: 16,
            key_retention: Duration::from_secs(600),
            settled_keys: 100_000,
            retry_after: Duration::from_millis(100),
        }
    }
}

/// Three bounds of this size fit the 32-bit links of a queue's lists.
const MOST: usize = 1 << 30;
