use std::fmt;

use async_trait::async_trait;
use backplane::{Epoch, Position};

use crate::{Advance, ConversationId, Event, Result, Told};

/// Is told what happens in a chat, to bring it to people: live [sessions](crate::session), or a service
/// that notifies those who are away.
#[async_trait]
pub trait ChatEvents: fmt::Debug + Send + Sync {
    /// Events were stored, and put into the inboxes of those whom they concern.
    ///
    /// They may be told of again, and late, and in another order than they happened.
    ///
    /// # Errors
    ///
    /// If it fails, they are told of again by [`redeliver`](crate::Chat::redeliver).
    async fn happened(&self, news: &News<'_>) -> Result<()>;

    /// A cursor has moved.
    ///
    /// # Errors
    ///
    /// If it fails, nothing is told of again.
    async fn acknowledged(&self, advance: &Advance) -> Result<()>;
}

/// A stretch of a conversation of which somebody is to be told.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct News<'a> {
    /// Which.
    pub conversation: ConversationId,
    /// In which epoch.
    pub epoch: Epoch,
    /// Where it begins.
    pub first: u64,
    /// Where it ends, included.
    pub last: u64,
    /// What happened there, as far as it was not trimmed since.
    pub events: &'a [Event],
    /// How many members there are.
    pub members: u32,
}

impl<'a> News<'a> {
    /// What happened from the first to the last of a stretch, both included.
    #[must_use]
    pub const fn new(
        conversation: ConversationId,
        epoch: Epoch,
        (first, last): (u64, u64),
        events: &'a [Event],
    ) -> Self {
        Self {
            conversation,
            epoch,
            first,
            last,
            events,
            members: 0,
        }
    }

    /// The same, in a conversation of so many members.
    #[must_use]
    pub const fn with_members(mut self, members: u32) -> Self {
        self.members = members;
        self
    }
    /// Where the stretch ends.
    #[must_use]
    pub const fn top(&self) -> Position {
        Position::new(self.epoch, self.last)
    }

    pub(crate) const fn told(&self) -> Told {
        Told {
            conversation: self.conversation,
            after: self.first - 1,
            until: self.top(),
        }
    }
}
