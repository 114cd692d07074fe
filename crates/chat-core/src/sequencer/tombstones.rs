use std::{fmt, ops::Range};

use async_trait::async_trait;
use backplane::Epoch;

use crate::{ConversationId, Result};

/// Decides numbers of which nobody knows whether they have a row, in the store that has the rows.
///
/// # What the store must keep to
///
/// A row of a message that is written late, by a call that was given up or by a process that was taken
/// for dead, must not appear where readers have passed. There are two ways:
///
/// - *Whoever comes first has the number.* Messages and tombstones are inserted only where there is no
///   row (`INSERT … IF NOT EXISTS`, a lightweight transaction). A writer that finds a tombstone knows
///   that its number is gone, and tries again with another. This holds whatever anybody does late, also
///   a former keeper that lives on. All inserts of the table must then be of this kind: on Cassandra a
///   plain write beside them is not ordered with them.
/// - *The tombstone wins.* Messages are written `USING TIMESTAMP 1` and tombstones `USING TIMESTAMP 2`,
///   so that a tombstone covers its message whichever arrives first; edits use greater ones, and only
///   on rows that are messages. That costs no transaction a message. But a former keeper that lives on
///   could acknowledge a message that the new one is covering: its process must have ended, or its
///   right to write have run out, before a new keeper is opened.
///
/// A tombstone is a row that says it is one, by a column that messages have too. It is not a deletion,
/// which Cassandra forgets in time, and which a late write would then undo. Number and row are decided
/// together: what has no row must not be committed.
#[async_trait]
pub trait Tombstones: fmt::Debug + Send + Sync {
    /// Decides each of `numbers` for good. One that has the row of a message keeps it; each other gets
    /// a tombstone that no write of a message replaces. Deciding again changes nothing.
    ///
    /// # Errors
    ///
    /// If the store fails. Some of the numbers may be decided; deciding them again is safe.
    ///
    /// # Cancel safety
    ///
    /// As after an error.
    async fn decide(
        &self,
        conversation: ConversationId,
        epoch: Epoch,
        numbers: Range<u64>,
    ) -> Result<()>;
}
