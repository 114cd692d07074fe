use std::{fmt, sync::Arc, time::Duration};

use super::Id;

/// Issues message, post and user identifiers: unique, and greater with every call.
///
/// No identifier is issued twice, and none is zero. Of two calls of which one returned before the other began, the
/// later one's identifiers are greater. What else they are depends on the design: there are
/// [three](super#three-designs), and the cores take any.
///
/// Calls neither wait nor block: what cannot be had now is an [`IdError`] that says when.
pub trait IdGenerator: fmt::Debug + Send + Sync {
    /// The next identifier.
    ///
    /// # Errors
    ///
    /// See [`IdError`]. A refused call issues nothing.
    fn next_id(&self) -> Result<Id, IdError>;

    /// Fills `ids` with the next identifiers, in order, as one step: no other caller's lies between
    /// two of them.
    ///
    /// # Errors
    ///
    /// See [`IdError`]. A refused call issues nothing and leaves `ids` as it was.
    fn fill(&self, ids: &mut [Id]) -> Result<(), IdError>;
}

impl<T: IdGenerator + ?Sized> IdGenerator for Arc<T> {
    fn next_id(&self) -> Result<Id, IdError> {
        (**self).next_id()
    }

    fn fill(&self, ids: &mut [Id]) -> Result<(), IdError> {
        (**self).fill(ids)
    }
}

/// Why no identifier was issued.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// The identifiers up to the furthest allowed time are used up.
    #[error("identifiers exhausted for {retry_after:?}")]
    Exhausted {
        /// How long until as many as asked for can be issued, if nobody else takes them.
        retry_after: Duration,
    },
    /// The wall clock stands before identifiers that were issued already, by more than the
    /// generator may run ahead: it was stepped back, now or since an earlier life of this node.
    #[error("clock behind for {retry_after:?}")]
    ClockBehind {
        /// How far the clock has to advance.
        retry_after: Duration,
    },
    /// The mark that must be durable before further identifiers are issued is not yet: that of the
    /// node's time, or the last number that was taken from the database's counter.
    #[error("high-water mark not raised in time")]
    AwaitingMark,
    /// The lease on the node was not renewed in time. It may still be.
    #[error("node lease expired")]
    LeaseExpired,
    /// The node went to another holder or was given back. This generator never issues again.
    #[error("node given up")]
    Closed,
    /// There are no greater identifiers.
    #[error("no identifiers left")]
    Ended,
    /// The layout has no later time.
    #[error("end of the layout's time")]
    TimeOverflow,
    /// More were asked for than can ever be issued at one time.
    #[error("batch larger than {max}")]
    BatchTooLarge {
        /// The most that one call can take.
        max: u64,
    },
}

impl IdError {
    /// How long to wait before the same call may succeed, where the clock alone decides it.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Exhausted { retry_after } | Self::ClockBehind { retry_after } => {
                Some(*retry_after)
            }
            _ => None,
        }
    }
}
