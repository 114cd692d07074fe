use std::fmt;

use async_trait::async_trait;

use crate::{Result, Timestamp};

/// The durable mark below which a node's identifiers may all have been issued.
///
/// A generator issues only what lies past the mark it found and up to the mark it left, so no
/// restart repeats an identifier, whatever the clock did in between. A [`MarkKeeper`] moves the
/// mark ahead of need, which keeps the store out of the generator's path.
///
/// One store holds the mark of one node. [`LeaseKeeper`] is for nodes that are handed out.
///
/// [`MarkKeeper`]: super::MarkKeeper
/// [`LeaseKeeper`]: super::LeaseKeeper
#[async_trait]
pub trait HighWater: fmt::Debug + Send + Sync {
    /// The mark, if there has ever been one.
    ///
    /// # Errors
    ///
    /// If the store fails, or holds something that is not a mark
    /// ([`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt)).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    async fn load(&self) -> Result<Option<Mark>>;

    /// Replaces the mark if it is `expected`, as one atomic step, forward or back. When this returns,
    /// the new mark is durable, and so is one that was found instead: identifiers are issued up to it,
    /// be it the outcome of a call that failed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) if what is stored is not a mark. On [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) the mark may have been replaced
    /// or not; the next call tells.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the old mark or the new one, never a torn one.
    async fn replace(&self, expected: Option<Mark>, mark: Mark) -> Result<Replaced>;
}

/// How far a node's identifiers may have been issued, and by which of its generators.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Mark {
    /// The last point of time that an identifier may carry.
    pub until: Timestamp,
    /// Which generator left it: grows by one with each that is opened, and so tells an earlier one
    /// that it has been succeeded.
    pub holder: u64,
}

/// What became of a [`replace`](HighWater::replace).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a compare-and-swap has two outcomes"
)]
pub enum Replaced {
    /// The mark is the new one.
    Done,
    /// The mark was not the expected one and has been left alone.
    Moved {
        /// What it was instead.
        mark: Option<Mark>,
    },
}
