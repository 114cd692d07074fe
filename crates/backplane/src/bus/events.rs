use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures::Stream;

use super::message::{Gap, Message};
use crate::Topic;

/// What a node learns from its bus.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum BusEvent {
    /// A message of a subscribed topic.
    Message {
        /// The topic.
        topic: Topic,
        /// The message and its position.
        message: Message,
    },
    /// Messages of a topic were dropped here. The history may still have them.
    Gap {
        /// The topic.
        topic: Topic,
        /// What was dropped.
        gap: Gap,
    },
    /// The subscription to a topic was renewed; anything published while it was down is missing here.
    Resubscribed {
        /// The topic.
        topic: Topic,
    },
}

impl BusEvent {
    /// The topic that the event is about.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        match self {
            Self::Message { topic, .. }
            | Self::Gap { topic, .. }
            | Self::Resubscribed { topic } => topic,
        }
    }
}

/// A node's stream of events, bounded by [`BusLimits::queue`](super::BusLimits::queue).
///
/// It ends when the node drains, or when the events are asked for again.
///
/// # Cancel safety
///
/// Dropping a future that awaits the next event loses none.
pub struct BusEvents(Pin<Box<dyn Stream<Item = BusEvent> + Send>>);

impl BusEvents {
    /// For implementations: wraps the stream.
    pub fn new(events: impl Stream<Item = BusEvent> + Send + 'static) -> Self {
        Self(Box::pin(events))
    }
}

impl Stream for BusEvents {
    type Item = BusEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<BusEvent>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for BusEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusEvents").finish_non_exhaustive()
    }
}
