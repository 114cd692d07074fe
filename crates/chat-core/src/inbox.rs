//! What a user's devices need to know of all conversations of the user: where something happened, and
//! how far they have read.

mod row;

use std::fmt;

use async_trait::async_trait;
use backplane::Position;

use crate::{ConversationId, Device, Event, Result, UserId};

pub use row::{InboxMark, InboxRow};

/// The conversations of each user: in which of them something happened, and how far it was received and
/// read.
///
/// The [log](crate::MessageLog) is the truth, and an inbox tells where in it to look. Word comes in two
/// forms, which amount to the same: a [mark](Self::mark) for all members of a conversation at once, and
/// [copies](Self::deliver) of events in the queue of each. Of a mark, every member's next look goes to
/// the log; with copies it need not. A mark costs the same however many members there are, or nearly;
/// copies cost each of them a write, and save each a read.
///
/// # Positions
///
/// A position says what its reader knows of a user's inbox: whoever asks for the
/// [changes](Self::changes) since then learns all that changed. Positions of another epoch, and those
/// beyond the end, are those of a reader who knows nothing.
///
/// # Order
///
/// Marks and cursors only move forward within an epoch of their conversation. A position of another epoch
/// takes the place of what was there: the log has lost its old numbers.
///
/// # Cancel safety
///
/// Dropping the future of any call leaves the change of each user done whole or not at all.
#[async_trait]
pub trait Inbox: fmt::Debug + Send + Sync {
    /// Puts `conversation` into the inbox of each user, who came `at` that position. From now on marks are
    /// for them too. It is a mark for them itself.
    ///
    /// Of enrollments and [withdrawals](Self::withdraw) of a user the one at the furthest position counts,
    /// in whatever order they are told.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    async fn enroll(
        &self,
        conversation: ConversationId,
        users: &[UserId],
        at: Position,
    ) -> Result<()>;

    /// Lets marks be for these users no more, who went `at` that position. They are told of that too, and
    /// the conversation stays in their inboxes.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    async fn withdraw(
        &self,
        conversation: ConversationId,
        users: &[UserId],
        at: Position,
    ) -> Result<()>;

    /// Notes that each conversation has reached a position, for all who are enrolled.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    async fn mark(&self, marks: &[(ConversationId, Position)]) -> Result<()>;

    /// Puts copies of `events`, which end at `top`, into the queue of each user.
    ///
    /// A queue is bounded, and loses its oldest copies for new ones. The change stays.
    ///
    /// # Errors
    ///
    /// Fails if the engine does, and some users may have their copies; retrying is safe, and leaves one
    /// copy of each event.
    async fn deliver(
        &self,
        conversation: ConversationId,
        users: &[UserId],
        top: Position,
        events: &[Event],
    ) -> Result<()>;

    /// Takes what was deleted out of the queue of each user: copies of the messages that are at `seqs`, and
    /// of edits of them.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    async fn erase(
        &self,
        conversation: ConversationId,
        users: &[UserId],
        seqs: &[u64],
    ) -> Result<()>;

    /// The `limit` conversations next after `since` in the order of their last changes, each once.
    /// An implementation may name more, in which nothing changed.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    async fn changes(&self, user: UserId, since: Position, limit: usize) -> Result<InboxPage>;

    /// What each inbox knows of a conversation, in the order asked; `None` where it is not in it.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    async fn entries(&self, asks: &[(UserId, ConversationId)]) -> Result<Vec<Option<InboxEntry>>>;

    /// Moves cursors forward. What a device has read it has received. Reading is the user's, and a change
    /// of the inbox; receiving is the device's, and none.
    ///
    /// Whether there is anything at the position is for the caller to look.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    async fn advance(&self, moves: &[Advance]) -> Result<Vec<Advanced>>;

    /// How far each device has received each conversation, in the order asked; [`START`](crate::START)
    /// where nothing is known.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    async fn received(&self, asks: &[(Device, ConversationId)]) -> Result<Vec<Position>>;

    /// Forgets how far a device has received anything.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    async fn forget(&self, device: Device) -> Result<()>;
}

/// Changes of an inbox.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct InboxPage {
    /// The conversations that changed, in the order of their last changes.
    pub entries: Vec<InboxEntry>,
    /// Where a reader stands who knows them.
    pub through: Position,
    /// Whether others follow.
    pub more: bool,
}

impl InboxPage {
    /// A page. For stores.
    #[must_use]
    pub const fn new(entries: Vec<InboxEntry>, through: Position, more: bool) -> Self {
        Self {
            entries,
            through,
            more,
        }
    }
}

/// What an inbox knows of a conversation.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct InboxEntry {
    /// Which.
    pub conversation: ConversationId,
    /// Up to where something has happened.
    pub top: Position,
    /// Up to where the user has read.
    pub read: Position,
    /// Up to where any device of the user has received.
    pub received: Position,
    /// Copies of events that are in the queue since the position asked for, from the oldest on. Only in
    /// [`changes`](Inbox::changes).
    pub copies: Vec<Event>,
}

impl InboxEntry {
    /// An entry without copies. For stores.
    #[must_use]
    pub const fn new(
        conversation: ConversationId,
        top: Position,
        read: Position,
        received: Position,
    ) -> Self {
        Self {
            conversation,
            top,
            read,
            received,
            copies: Vec::new(),
        }
    }
}

/// A cursor to be moved forward.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "whose, where, which, and how far"
)]
pub struct Advance {
    /// The device that says so.
    pub device: Device,
    /// Where.
    pub conversation: ConversationId,
    /// Which cursor.
    pub cursor: Cursor,
    /// How far.
    pub to: Position,
}

/// What a device has done with what it was sent.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(
    clippy::exhaustive_enums,
    reason = "what a device has is received or read"
)]
pub enum Cursor {
    /// It has it.
    Received,
    /// The user has seen it there.
    Read,
}

/// What became of an [`Advance`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "it moved, it had moved, or there is none"
)]
pub enum Advanced {
    /// The cursor has moved.
    Moved,
    /// It was there already, or further on. Nothing changed.
    Behind,
    /// The conversation is not in the user's inbox. Nothing changed.
    Unknown,
}
