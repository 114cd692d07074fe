//! What goes into a hub, and what became of it.

use bytes::Bytes;

use crate::{Position, Topic};

/// What became of a message.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[must_use = "a refused message was not sent"]
#[non_exhaustive]
pub enum Published {
    /// Everybody who subscribed to the topic before receives it, or is told that it did not.
    #[non_exhaustive]
    Sent {
        /// Where it stands in the topic's stream.
        position: Option<Position>,
    },
    /// Nobody subscribes to the topic. If the topic is retained, its history has the message.
    #[non_exhaustive]
    Unheard {
        /// Where it stands in the topic's stream.
        position: Option<Position>,
    },
    /// A shard's inbox is full, or the hub is closed. Nobody receives it, and no position is used.
    Refused,
}

impl Published {
    /// The position the message took, if it has one.
    #[must_use]
    pub const fn position(self) -> Option<Position> {
        match self {
            Self::Sent { position } | Self::Unheard { position } => position,
            Self::Refused => None,
        }
    }
}

/// A message of a batch, and what became of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outgoing {
    /// The topic.
    pub topic: Topic,
    /// The payload. Moved out when the message is sent or kept.
    pub payload: Bytes,
    /// Where it stands in the topic's stream, if a bus has given it a position.
    pub position: Option<Position>,
    /// What became of it; `None` until it is published.
    pub outcome: Option<Published>,
}

impl Outgoing {
    /// A message without a position.
    #[must_use]
    pub const fn new(topic: Topic, payload: Bytes) -> Self {
        Self {
            topic,
            payload,
            position: None,
            outcome: None,
        }
    }

    /// Gives it a position.
    #[must_use]
    pub const fn with_position(mut self, position: Position) -> Self {
        self.position = Some(position);
        self
    }

    pub(super) const fn unheard(&self) -> Published {
        Published::Unheard {
            position: self.position,
        }
    }
}
