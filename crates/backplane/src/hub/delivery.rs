//! What a connection receives.

use std::time::Duration;

use bytes::Bytes;

use super::{frame::cost_of, options::ConnectionOptions};
use crate::{Position, Topic, bus::Gap};

/// What a connection receives, borrowed from the hub.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum DeliveryRef<'a> {
    /// A message of a topic the connection subscribes to.
    #[non_exhaustive]
    Message {
        /// The topic.
        topic: &'a Topic,
        /// The payload: the very bytes that were published, encoded once for all subscribers.
        payload: &'a Bytes,
        /// Where it stands in the topic's stream, if it was published with a position.
        position: Option<Position>,
        /// How many older messages it replaced under [`Overflow::Conflate`](super::Overflow).
        skipped: u64,
    },
    /// Messages of a topic that the connection will not receive.
    #[non_exhaustive]
    Gap {
        /// The topic.
        topic: &'a Topic,
        /// How many; `None` if nobody can know.
        missed: Option<u64>,
        /// The last position before the gap, from which a history can be read on; `None` if the
        /// missing messages had no position.
        resume_from: Option<Position>,
    },
}

/// What a connection receives, owned.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Delivery {
    /// A message of a topic the connection subscribes to. See [`DeliveryRef::Message`].
    #[non_exhaustive]
    Message {
        /// The topic.
        topic: Topic,
        /// The payload.
        payload: Bytes,
        /// Where it stands in the topic's stream, if it was published with a position.
        position: Option<Position>,
        /// How many older messages it replaced.
        skipped: u64,
    },
    /// Messages of a topic that the connection will not receive. See [`DeliveryRef::Gap`].
    #[non_exhaustive]
    Gap {
        /// The topic.
        topic: Topic,
        /// How many; `None` if nobody can know.
        missed: Option<u64>,
        /// The last position before the gap.
        resume_from: Option<Position>,
    },
    /// The connection is closed. Nothing comes after it.
    Closed(CloseReason),
}

/// Why a connection ended. Its sink learns it exactly once.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The [`Connection`](super::Connection) was closed or dropped.
    Requested,
    /// A message of a subscription with [`Overflow::Disconnect`](super::Overflow::Disconnect) did
    /// not fit the budget.
    SlowConsumer,
    /// The sink said that it is closed.
    SinkClosed,
    /// The sink panicked.
    SinkPanicked,
    /// The hub drains. The client should connect elsewhere, after a time that differs from client to
    /// client so that they do not all come at once.
    #[non_exhaustive]
    Draining {
        /// How long the client should wait.
        reconnect_after: Duration,
    },
    /// The hub is gone.
    HubClosed,
}

impl DeliveryRef<'_> {
    /// Takes shares of the topic and the payload.
    #[must_use]
    pub fn to_owned(self) -> Delivery {
        match self {
            Self::Message {
                topic,
                payload,
                position,
                skipped,
            } => Delivery::Message {
                topic: topic.clone(),
                payload: payload.clone(),
                position,
                skipped,
            },
            Self::Gap {
                topic,
                missed,
                resume_from,
            } => Delivery::Gap {
                topic: topic.clone(),
                missed,
                resume_from,
            },
        }
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        match self {
            Self::Message { topic, .. } | Self::Gap { topic, .. } => topic,
        }
    }

    pub(super) fn cost(&self) -> usize {
        match self {
            Self::Message { payload, .. } => cost_of(payload),
            Self::Gap { .. } => ConnectionOptions::MESSAGE_OVERHEAD as usize,
        }
    }
}

/// Messages that were lost in front of something: how many, and after which position.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Missing {
    pub(super) count: Option<u64>,
    pub(super) resume_from: Option<Position>,
}

impl Missing {
    /// The one message that stood at `position`.
    pub(super) fn one(position: Option<Position>) -> Self {
        Self {
            count: Some(1),
            resume_from: position.map(|at| Position::new(at.epoch, at.offset.saturating_sub(1))),
        }
    }

    /// The loss that `gap` describes.
    pub(super) fn of(gap: Gap) -> Self {
        Self {
            count: gap.missed(),
            resume_from: gap.after,
        }
    }

    /// This loss and a later one.
    pub(super) fn then(self, later: Self) -> Self {
        Self {
            count: self
                .count
                .zip(later.count)
                .map(|(sooner, later)| sooner.saturating_add(later)),
            resume_from: self.resume_from.or(later.resume_from),
        }
    }

    /// Appends `later` to what may be lost already.
    pub(super) fn append(sooner: &mut Option<Self>, later: Self) {
        *sooner = Some(sooner.map_or(later, |sooner| sooner.then(later)));
    }
}
