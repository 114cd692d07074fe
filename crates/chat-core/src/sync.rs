//! Catching up: what a device asks for, what it gets, and the state machine that asks.

mod client;
mod follow;
mod options;

use backplane::Position;

pub use self::{
    client::ClientSync,
    follow::{Carried, Follow, Step},
    options::ClientSyncOptions,
};
use crate::{Answer, ConversationId};

/// What a device asks for when it may have missed something.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SyncRequest {
    /// Where the device stands in its user's inbox; [`START`](crate::START) for everything. `None` if it asks
    /// only about the conversations that it names.
    pub inbox: Option<Position>,
    /// Where it stands in conversations of which it misses something.
    pub have: Vec<(ConversationId, Position)>,
    /// The most events of one conversation in the answer.
    pub limit: usize,
    /// Of a conversation in which more has happened than this, only the newest comes: no device needs
    /// ten thousand messages before it shows the last.
    pub most: u64,
}

impl SyncRequest {
    /// What happened in the inbox since `inbox`, and in the conversations named: all of it, by and by.
    #[must_use]
    pub const fn new(
        inbox: Option<Position>,
        have: Vec<(ConversationId, Position)>,
        limit: usize,
    ) -> Self {
        Self {
            inbox,
            have,
            limit,
            most: u64::MAX,
        }
    }

    /// The same, but only the newest of a conversation in which more than `most` has happened.
    #[must_use]
    pub const fn with_most(mut self, most: u64) -> Self {
        self.most = most;
        self
    }
}

/// What a device has missed, or the beginning of it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SyncBatch {
    /// Conversations of the inbox in which something happened since the position asked for.
    pub heads: Vec<Head>,
    /// An answer for each conversation that was named, and for some of `heads`.
    pub deltas: Vec<Delta>,
    /// Where the device stands in the inbox with these; `None` if it was not asked for.
    pub inbox: Option<Position>,
    /// Whether the inbox goes on from there.
    pub more: bool,
}

impl SyncBatch {
    /// An answer to a [`SyncRequest`].
    #[must_use]
    pub const fn new(
        heads: Vec<Head>,
        deltas: Vec<Delta>,
        inbox: Option<Position>,
        more: bool,
    ) -> Self {
        Self {
            heads,
            deltas,
            inbox,
            more,
        }
    }
}

/// How a conversation stands.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "which, and how far")]
pub struct Head {
    /// Which.
    pub conversation: ConversationId,
    /// Up to where something has happened.
    pub top: Position,
    /// Up to where the user has read it, on any device.
    pub read: Position,
}

/// What happened in a conversation after a position.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "where, since when, and what")]
pub struct Delta {
    /// Which.
    pub conversation: ConversationId,
    /// After which position.
    pub since: Position,
    /// The stretch that follows, or the newest one if too much follows.
    pub answer: Answer,
}
