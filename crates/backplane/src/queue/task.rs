use std::{fmt, num::ParseIntError, str::FromStr, time::Duration};

use bytes::Bytes;

/// A task of one queue. Ids grow in the order in which the queue accepted the tasks.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TaskId(u64);

impl TaskId {
    /// Wraps a raw id.
    #[must_use]
    pub const fn new(raw: u64) -> Self {
        Self(raw)
    }

    /// The raw id.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for TaskId {
    type Err = ParseTaskIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(ParseTaskIdError)
    }
}

/// The text is not a decimal task id.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a decimal task id")]
pub struct ParseTaskIdError(#[source] ParseIntError);

/// Whose work a task is: lanes that have due tasks take turns.
///
/// Use the id of whatever must not be starved by another of its kind: the author of a post, a
/// tenant, a host. A lane costs nothing while it holds no task.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Lane(u64);

impl Lane {
    /// Wraps the id of whoever the lane belongs to.
    #[must_use]
    pub const fn new(raw: u64) -> Self {
        Self(raw)
    }

    /// The raw id.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl From<u64> for Lane {
    fn from(raw: u64) -> Self {
        Self(raw)
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How urgent a task is: of the due tasks, those of a higher priority are leased first.
///
/// A queue has to let the lower ones through now and then; how often is an option of the queue.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(
    clippy::exhaustive_enums,
    reason = "every queue keeps one line per priority"
)]
pub enum Priority {
    /// Work nobody waits for.
    Low,
    /// The default.
    #[default]
    Normal,
    /// Work somebody waits for.
    High,
}

/// A task to be enqueued.
///
/// ```
/// use std::time::Duration;
/// use backplane::queue::{NewTask, Priority};
/// let task = NewTask::new("post 7, followers from 0")
///     .with_lane(42)
///     .with_priority(Priority::High)
///     .with_key("post 7")
///     .with_delay(Duration::from_secs(1));
/// assert_eq!(task.lane.get(), 42);
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct NewTask {
    /// What the worker gets to see.
    pub payload: Bytes,
    /// Whose work it is; 0 unless set.
    pub lane: Lane,
    /// How urgent it is; [`Priority::Normal`] unless set.
    pub priority: Priority,
    /// How long it is held back before it is due; zero unless set.
    pub delay: Duration,
    /// The key under which the queue knows the task already, if it does; none unless set.
    pub key: Option<Bytes>,
}

impl NewTask {
    /// A task of lane 0 and normal priority that is due at once.
    #[must_use]
    pub fn new(payload: impl Into<Bytes>) -> Self {
        Self {
            payload: payload.into(),
            ..Self::default()
        }
    }

    /// Puts the task into `lane`.
    #[must_use]
    pub fn with_lane(mut self, lane: impl Into<Lane>) -> Self {
        self.lane = lane.into();
        self
    }

    /// Gives the task `priority`.
    #[must_use]
    pub fn with_priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Holds the task back for `delay`.
    #[must_use]
    pub fn with_delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Makes the task a duplicate of one the queue knows under the same key.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }
}

/// What became of one call of [`enqueue`](super::TaskQueue::enqueue).
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "all or nothing has two outcomes")]
pub enum Enqueued {
    /// Every task of the call is in the queue; one entry per task, in the order of the call.
    Accepted(Vec<Admission>),
    /// There is no room for all of them, so none was added.
    Full {
        /// When to ask again.
        retry_after: Duration,
    },
}

/// How one task of an accepted call stands.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a key is either known or it is not"
)]
pub enum Admission {
    /// It was added.
    New(TaskId),
    /// The queue knew its key, as that of this task; nothing was added.
    Known(TaskId),
}

impl Admission {
    /// The task, added now or before.
    #[must_use]
    pub const fn task(self) -> TaskId {
        match self {
            Self::New(task) | Self::Known(task) => task,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn a_task_id_reads_back_what_it_prints() {
        for raw in [0, 1, u64::MAX] {
            let id = TaskId::new(raw);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        let error = "12a".parse::<TaskId>().unwrap_err();
        assert!(error.source().is_some());
    }
}
