//! The truth of every conversation: what happened, in order, and who may read it.

pub mod rules;

use std::fmt;

use async_trait::async_trait;
use backplane::{Epoch, Position, Timestamp};
use bytes::Bytes;

use crate::{
    ConversationId, Error, ErrorKind, Event, GroupId, HistoryStart, MessageId, NewEvent, NewGroup,
    Result, Role, UserId, Windows,
};

/// What happens in each conversation, in order, stored before it is acknowledged.
///
/// The events of a conversation are numbered 1, 2, 3, … without holes, so a device that has seen
/// one number knows that another is missing. What was said, edited, deleted, reacted to, and who came
/// and went, are events of the same log: whoever reads to its end knows how the conversation is.
///
/// # Atomicity and order
///
/// An event is decided upon, numbered, deduplicated and stored in one step; a founding too. Whatever
/// was answered is seen by every call that starts afterwards, and is durable to the degree that the
/// implementation documents. Who reads event `n` of a conversation reads all before it, too.
///
/// # Epochs
///
/// Positions of a conversation hold as long as its epoch. An implementation that may have lost
/// what it acknowledged gives the conversation another one, and refuses positions of the old one as
/// [`Stale`](Answer::Stale). Offset 0, where nothing has been read, is in every epoch.
///
/// # What is still to be told
///
/// Storing an event and telling those whom it concerns are two steps, and a process may die between
/// them. So the log remembers of each conversation how far others were told
/// ([`settle`](Self::settle)), and lists those where somebody is not ([`owed`](Self::owed)).
///
/// # Cancel safety
///
/// Dropping the future of any call leaves each single change done whole or not at all.
#[async_trait]
pub trait MessageLog: fmt::Debug + Send + Sync {
    /// Founds groups, each by an [event](crate::What::Found) of its own. Founding the same group again
    /// changes nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if a group breaks the limits of [`NewGroup`]; none was founded. On
    /// [`ErrorKind::Unavailable`] and [`ErrorKind::Full`] some may have been: retrying is safe.
    async fn found(&self, groups: &[(NewGroup, Stamp)]) -> Result<Vec<Founded>>;

    /// Appends each event, or says why not; in the order given where they are of one conversation.
    ///
    /// An event whose device has used its key before in the conversation is not stored again: the same
    /// act answers the first receipt, whatever has become of it since, and another is a
    /// [`Conflict`](Appended::Conflict). A key is known as long as its event is retained. Only what is
    /// stored takes its key.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if an event is longer than allowed; none was stored. On
    /// [`ErrorKind::Unavailable`] and [`ErrorKind::Full`] some may have been: those with a key may be
    /// sent again.
    async fn append(&self, events: &[NewEvent]) -> Result<Vec<Appended>>;

    /// Reads a stretch of each conversation, at one instant each.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    async fn read(&self, reads: &[LogRead]) -> Result<Vec<Answer>>;

    /// How many messages each reader has not read.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    async fn unread(&self, asks: &[UnreadAsk]) -> Result<Vec<Unread>>;

    /// Those of `conversation` who may read anything from `since` on, who are more than its members
    /// where somebody has left meanwhile: the `limit` next after `after`, in the order of their ids.
    /// Fewer mean that there are no more. From `u64::MAX` on only members read.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    async fn members(
        &self,
        conversation: ConversationId,
        since: u64,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<Member>>;

    /// What each user is to a conversation, in the order asked; `None` for who never was in it.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    async fn lookup(&self, asks: &[(ConversationId, UserId)]) -> Result<Vec<Option<Member>>>;

    /// What each group is now, in the order asked; `None` for one that was never founded.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    async fn groups(&self, groups: &[GroupId]) -> Result<Vec<Option<Group>>>;

    /// Forgets all events before `seq`, with their keys, and says which is the oldest now. Repeating
    /// it, or asking for less than was forgotten, changes nothing; what has not happened yet is not
    /// forgotten before it does.
    ///
    /// Keys are forgotten too, so do not trim what clients may still send again.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    async fn trim(&self, conversation: ConversationId, seq: u64) -> Result<u64>;

    /// Notes of stretches that all whom their events concern have been told. A stretch counts if all
    /// before it was noted; else it stays owed, to be told again together with what lies before it.
    /// Stretches of another epoch change nothing.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    async fn settle(&self, told: &[Told]) -> Result<()>;

    /// Up to `limit` conversations with events that were stored `until` then and of which somebody
    /// may not have been told.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    async fn owed(&self, until: Timestamp, limit: usize) -> Result<Vec<Owed>>;
}

/// Under which id something is stored, and when it happened.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "which and when")]
pub struct Stamp {
    /// The id.
    pub id: MessageId,
    /// When, by the clock of the server.
    pub at: Timestamp,
}

/// What became of a [`NewGroup`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "it is new, or it is not")]
pub enum Founded {
    /// The group is there since now.
    New(Receipt),
    /// There is a group of that id. Nothing changed.
    Existing,
}

/// What became of a [`NewEvent`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "stored now, before, or not")]
#[must_use = "an event that was refused was not stored"]
pub enum Appended {
    /// It is stored.
    Stored {
        /// Where.
        receipt: Receipt,
        /// How many members the conversation has since then.
        members: u32,
    },
    /// It was stored before, with this receipt. Nothing changed.
    Duplicate(Receipt),
    /// The device has used the key for something else, with this receipt. Nothing changed.
    Conflict(Receipt),
    /// It cannot be. Nothing changed.
    Refused(Refusal),
}

impl Appended {
    /// The receipt of the event, if it is stored: by this call, or by an earlier one.
    #[must_use]
    pub const fn receipt(self) -> Option<Receipt> {
        match self {
            Self::Stored { receipt, .. } | Self::Duplicate(receipt) => Some(receipt),
            Self::Conflict(_) | Self::Refused(_) => None,
        }
    }
}

/// Where a stored event is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "what a retry answers again")]
pub struct Receipt {
    /// Its id.
    pub id: MessageId,
    /// Its place.
    pub position: Position,
    /// When it was taken.
    pub at: Timestamp,
}

/// Why an event cannot be stored, or a stretch not be read.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No such group was founded.
    #[error("no such conversation")]
    UnknownConversation,
    /// The user is not, or not any more, a member.
    #[error("not a member of the conversation")]
    NotMember,
    /// Only admins may.
    #[error("only an admin may do this")]
    NotAdmin,
    /// Only who said it may.
    #[error("only the author may do this")]
    NotAuthor,
    /// There is no such message, it was deleted or trimmed, or the event is none.
    #[error("no such message")]
    UnknownMessage,
    /// Who is to go, or to be appointed, is no member.
    #[error("no such member")]
    UnknownMember,
    /// It is so already.
    #[error("it is so already")]
    Already,
    /// The group has as many members as it may.
    #[error("the group has as many members as it may")]
    GroupFull,
    /// The message has as many different reactions as it may.
    #[error("the message has as many different reactions as it may")]
    TooManyReactions,
    /// In a direct conversation nobody comes, goes or is appointed, and there is nothing to describe.
    #[error("not in a direct conversation")]
    Direct,
}

/// A stretch of a conversation to be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LogRead {
    /// Which.
    pub conversation: ConversationId,
    /// For whom.
    pub viewer: Viewer,
    /// Where.
    pub seek: Seek,
    /// At most so many events.
    pub limit: usize,
    /// No further event once the bodies are so many bytes together.
    pub bytes: usize,
}

impl LogRead {
    /// The `limit` events at `seek`, of whatever length.
    #[must_use]
    pub const fn new(
        conversation: ConversationId,
        viewer: Viewer,
        seek: Seek,
        limit: usize,
    ) -> Self {
        Self {
            conversation,
            viewer,
            seek,
            limit,
            bytes: usize::MAX,
        }
    }

    /// The same, but no further event once the bodies are so many bytes together.
    #[must_use]
    pub const fn with_bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }
}

/// For whom a conversation is read.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a user, or the application")]
pub enum Viewer {
    /// This user, who reads what there was while they were a member.
    User(UserId),
    /// The application, which reads everything.
    Application,
}

/// Where to read.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "an end, or a side of a place")]
pub enum Seek {
    /// The newest events.
    Latest,
    /// Those next after a position: what a device misses.
    After(Position),
    /// Those next before a position, which is not among them: scrolling back.
    Before(Position),
    /// Those on both sides of a position, which is among them: a jump to a message. Half of them, or
    /// one less, lie before it, fewer if there are no more.
    Around(Position),
}

impl Seek {
    /// The position that is sought, which must be of the conversation's epoch.
    #[must_use]
    pub const fn position(self) -> Option<Position> {
        match self {
            Self::Latest => None,
            Self::After(position) | Self::Before(position) | Self::Around(position) => {
                Some(position)
            }
        }
    }

    /// Whether nobody can have seen what is sought, in a conversation that ends at `top`: who scrolls back
    /// may begin behind its end. For stores.
    #[must_use]
    pub const fn is_beyond(self, top: u64) -> bool {
        match self {
            Self::Latest => false,
            Self::After(position) | Self::Around(position) => position.offset > top,
            Self::Before(position) => position.offset > top.saturating_add(1),
        }
    }
}

/// What a [`LogRead`] brings.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a stretch, or the reason for none")]
pub enum Answer {
    /// The stretch.
    Page(Page),
    /// The position is of another epoch, or beyond the end: the log lost what the reader has seen.
    /// Whatever the reader holds of the conversation is in doubt; it begins again.
    Stale {
        /// Where the conversation ends now.
        top: Position,
    },
    /// The user may read nothing of it.
    Refused(Refusal),
}

/// A stretch of a conversation, and where it lies.
///
/// It covers what lies `from` there `until` there, both included: every event there that the viewer may
/// see is in `events`, and nothing else. A reader who goes on from its ends misses nothing and sees
/// nothing twice.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Page {
    /// The conversation's epoch.
    pub epoch: Epoch,
    /// The oldest event that is retained; one more than `top` if none is.
    pub first: u64,
    /// The newest event that the viewer may see.
    pub top: u64,
    /// The first place that the page covers.
    pub from: u64,
    /// The last; one less than the first where there is nothing.
    pub until: u64,
    /// The events, from the oldest on.
    pub events: Vec<Event>,
}

impl Page {
    /// A page. For stores.
    #[must_use]
    pub const fn new(
        epoch: Epoch,
        first: u64,
        top: u64,
        (from, until): (u64, u64),
        events: Vec<Event>,
    ) -> Self {
        Self {
            epoch,
            first,
            top,
            from,
            until,
            events,
        }
    }

    /// Where a reader stands who has read the page and all before it.
    #[must_use]
    pub const fn through(&self) -> Position {
        Position::new(self.epoch, self.until)
    }

    /// Whether there is more after it.
    #[must_use]
    pub const fn has_after(&self) -> bool {
        self.until < self.top
    }

    /// Whether there may be more before it.
    #[must_use]
    pub const fn has_before(&self) -> bool {
        self.from > self.first
    }

    /// Whether events that followed `since` are gone: the page begins behind them.
    #[must_use]
    pub const fn is_truncated(&self, since: Position) -> bool {
        self.from > since.offset + 1
    }
}

/// What a user is to a conversation.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// As what; `None` for who has left.
    pub role: Option<Role>,
    /// What they may read.
    pub windows: Windows,
}

impl Member {
    /// A member, or who was one. For stores.
    #[must_use]
    pub const fn new(user: UserId, role: Option<Role>, windows: Windows) -> Self {
        Self {
            user,
            role,
            windows,
        }
    }
}

/// A group as it is now.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Group {
    /// How many members it has.
    pub members: u32,
    /// How many it may have.
    pub limit: u32,
    /// What members who join later may read.
    pub history: HistoryStart,
    /// What the application said of it last.
    pub about: Bytes,
}

impl Group {
    /// A group. For stores.
    #[must_use]
    pub const fn new(members: u32, limit: u32, history: HistoryStart, about: Bytes) -> Self {
        Self {
            members,
            limit,
            history,
            about,
        }
    }
}

/// Whose unread messages are to be counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "where, who, since when, how far")]
pub struct UnreadAsk {
    /// Where.
    pub conversation: ConversationId,
    /// Who reads.
    pub user: UserId,
    /// What they have read last.
    pub read: Position,
    /// How far to count.
    pub cap: u32,
}

/// How many messages by others a user may read, were not deleted, and lie after what they have read
/// last. All that they may read, where that is of another epoch.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a number and where it is from")]
pub struct Unread {
    /// How many, counted up to the cap.
    pub count: u32,
    /// Where the conversation ended for them when it was counted.
    pub top: Position,
}

impl Unread {
    /// Of who may read nothing.
    pub const NONE: Self = Self {
        count: 0,
        top: START,
    };
}

/// A stretch of a conversation of which all whom it concerns have been told.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a conversation and a stretch of it"
)]
pub struct Told {
    /// Which.
    pub conversation: ConversationId,
    /// After which place it begins.
    pub after: u64,
    /// Where it ends.
    pub until: Position,
}

/// A conversation with events of which somebody may not have been told.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a conversation and a stretch of it"
)]
pub struct Owed {
    /// Which.
    pub conversation: ConversationId,
    /// Up to where all were told.
    pub settled: u64,
    /// Where it ends.
    pub top: Position,
}

/// Where a conversation begins: what a device holds that has read nothing. Right in every epoch.
pub const START: Position = Position::new(Epoch::new(0), 0);

/// Moves a position forward, or into another epoch. Returns whether it moved.
pub(crate) fn forward(at: &mut Position, to: Position) -> bool {
    let moves = if at.epoch == to.epoch {
        to.offset > at.offset
    } else {
        to.offset > 0 // the start is in every epoch
    };
    if moves {
        *at = to;
    }
    moves
}

/// For stores: fails on behalf of `op` if any of `events` is longer than allowed.
///
/// # Errors
///
/// [`ErrorKind::Invalid`].
pub fn check_events(events: &[NewEvent], op: &'static str) -> Result<()> {
    events.iter().try_for_each(|event| event.check(op))
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::new(ErrorKind::Refused, "chat", refusal)
    }
}
