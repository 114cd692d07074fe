use backplane::{Epoch, Position};
use bytes::Bytes;

use crate::{Event, Result, codec, sync::Carried};

/// An event on its way to a device: as it came over the wire, or as it was read from the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    position: Position,
    content: Content,
}

#[derive(Clone, Debug, PartialEq)]
enum Content {
    /// Shared by all who are sent it.
    Coded {
        event: Bytes,
        is_of_members: bool,
    },
    Read(Box<Event>),
}

impl Frame {
    pub(super) const fn pushed(position: Position, event: Bytes, is_of_members: bool) -> Self {
        let content = Content::Coded {
            event,
            is_of_members,
        };
        Self { position, content }
    }

    /// Where the event is.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// The event.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) if a node of another release sent what this one
    /// cannot read.
    pub fn event(&self) -> Result<Event> {
        match &self.content {
            Content::Coded { event, .. } => codec::decode(event.clone()),
            Content::Read(event) => Ok((**event).clone()),
        }
    }

    /// The bytes of the event, if it was pushed: the very same for every session of the node, so whoever makes
    /// something of them for a client need not make it again for the next.
    #[must_use]
    pub const fn bytes(&self) -> Option<&Bytes> {
        match &self.content {
            Content::Coded { event, .. } => Some(event),
            Content::Read(_) => None,
        }
    }

    /// Whether it came by itself.
    pub(super) const fn is_pushed(&self) -> bool {
        matches!(self.content, Content::Coded { .. })
    }

    /// Whether it may be about who is in the conversation.
    pub(super) const fn is_of_members(&self) -> bool {
        match &self.content {
            Content::Coded { is_of_members, .. } => *is_of_members,
            Content::Read(_) => true,
        }
    }

    /// The event, if it may be about who is in the conversation.
    pub(super) fn of_members(&self) -> Option<Event> {
        match &self.content {
            Content::Coded {
                is_of_members: true,
                event,
            } => codec::decode(event.clone()).ok(),
            Content::Coded { .. } => None,
            Content::Read(event) => Some((**event).clone()),
        }
    }
}

impl Carried for Frame {
    fn seq(&self) -> u64 {
        self.position.offset
    }

    fn read(epoch: Epoch, event: Event) -> Self {
        Self {
            position: Position::new(epoch, event.seq),
            content: Content::Read(Box::new(event)),
        }
    }
}
