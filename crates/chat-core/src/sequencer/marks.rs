use std::fmt;

use async_trait::async_trait;
use backplane::Epoch;

use super::Sequencer;
use crate::{ConversationId, Result};

/// The durable marks up to which the numbers of conversations may have been reserved.
///
/// A keeper gives numbers only after the mark that it found and up to the mark that it left, so no
/// number is given twice, whoever crashes. One write of the mark covers a block of numbers, which is
/// what `WeChat`'s sequence server does with its `max_seq`, in steps of 10,000. On `Cassandra` and
/// `ScyllaDB` a mark is a row that is changed by a lightweight transaction.
#[async_trait]
pub trait SequenceMarks: fmt::Debug + Send + Sync {
    /// The mark of `conversation`, if there has ever been one.
    ///
    /// # Errors
    ///
    /// If the store fails, or holds something that is not a mark
    /// ([`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt)).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    async fn load(&self, conversation: ConversationId) -> Result<Option<SequenceMark>>;

    /// Replaces the mark of `conversation` if it is `expected`, as one atomic step, forward or back.
    /// When this returns, the new mark is durable, and so is one that was found instead.
    ///
    /// # Errors
    ///
    /// On [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) the mark may have been replaced or
    /// not; the next call tells.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the old mark or the new one, never a torn one.
    async fn replace(
        &self,
        conversation: ConversationId,
        expected: Option<SequenceMark>,
        mark: SequenceMark,
    ) -> Result<MarkReplaced>;
}

/// How far the numbers of a conversation may have been reserved, and by which of its keepers.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a row, which stores take apart")]
pub struct SequenceMark {
    /// Which incarnation of the conversation the numbers belong to.
    pub epoch: Epoch,
    /// The last number that may have been reserved.
    pub until: u64,
    /// Up to where all numbers are known to be committed or tombstones. Between here and `until`, the
    /// store of rows has to be asked.
    pub settled: u64,
    /// Grows by one with each keeper that is opened, and so tells an earlier one that it has been
    /// succeeded.
    pub holder: u64,
}

impl SequenceMark {
    /// Nothing is reserved in `epoch`.
    pub(super) const fn begun(epoch: Epoch) -> Self {
        Self {
            epoch,
            until: 0,
            settled: 0,
            holder: 0,
        }
    }

    /// As the keeper holds it that comes after the one of `found`.
    pub(super) fn succeeding(self, found: Option<Self>) -> Self {
        let holder = found.map_or(1, |found| found.holder.wrapping_add(1));
        Self { holder, ..self }
    }

    /// Whether a keeper can have left it.
    pub(super) const fn is_sound(&self) -> bool {
        self.settled <= self.until && self.until <= Sequencer::LAST
    }
}

/// What became of a [`replace`](SequenceMarks::replace).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a compare-and-swap has two outcomes"
)]
pub enum MarkReplaced {
    /// The mark is the new one.
    Done,
    /// The mark was not the expected one and has been left alone.
    Moved {
        /// What it was instead.
        mark: Option<SequenceMark>,
    },
}
