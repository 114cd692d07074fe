//! Where a connection's deliveries go.

use std::{fmt, slice};

use super::{
    backlog::{Backlog, Head},
    delivery::{CloseReason, DeliveryRef},
    frame::{Body, Frame},
    shelf::Shelf,
    topics::Topics,
};

/// The far end of a connection: a socket's write buffer, a channel, a test's vector.
///
/// A shard calls it from its own thread, one call at a time, and every other connection of the shard
/// waits meanwhile. So a sink never blocks: it takes what it has room for and says
/// [`Flow::Full`] for the rest. It may publish, subscribe and close; it must not wait for the hub.
///
/// A sink that panics is closed with [`CloseReason::SinkPanicked`]; the shard goes on.
pub trait ConnectionSink: fmt::Debug + Send {
    /// Takes deliveries from `batch`, in order. What it does not take stays queued.
    ///
    /// After [`Flow::Full`] it is called again only when [`Ready::ready`](super::Ready::ready) says
    /// so. After [`Flow::Ready`] with deliveries left, it counts as full.
    fn flush(&mut self, batch: &mut Batch<'_>) -> Flow;

    /// The connection has ended; called once, and nothing is called after it.
    fn close(&mut self, reason: CloseReason);
}

/// What a sink says after a flush.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a sink has room, has none now, or never will"
)]
pub enum Flow {
    /// It has room for more.
    Ready,
    /// It has no room until it says that it is ready.
    Full,
    /// It will never take anything again: the hub closes the connection.
    Closed,
}

/// What is queued for a connection, in order.
#[derive(Debug)]
pub struct Batch<'a> {
    topics: &'a Topics,
    queue: Queue<'a>,
}

#[derive(Debug)]
enum Queue<'a> {
    Outbox {
        flight: &'a [Frame],
        queued: slice::Iter<'a, u32>,
    },
    Backlog {
        shelf: &'a Shelf,
        backlog: &'a mut Backlog,
        taken: &'a mut Vec<u32>,
    },
}

impl<'a> Batch<'a> {
    pub(super) fn of_outbox(topics: &'a Topics, flight: &'a [Frame], queued: &'a [u32]) -> Self {
        let queued = queued.iter();
        Self {
            topics,
            queue: Queue::Outbox { flight, queued },
        }
    }

    /// Frames that are taken go to `taken`.
    pub(super) fn of_backlog(
        topics: &'a Topics,
        shelf: &'a Shelf,
        backlog: &'a mut Backlog,
        taken: &'a mut Vec<u32>,
    ) -> Self {
        Self {
            topics,
            queue: Queue::Backlog {
                shelf,
                backlog,
                taken,
            },
        }
    }

    /// Takes the first delivery.
    #[expect(
        clippy::should_implement_trait,
        reason = "what it returns borrows from the batch"
    )]
    #[inline]
    pub fn next(&mut self) -> Option<DeliveryRef<'_>> {
        match &mut self.queue {
            Queue::Outbox { flight, queued } => {
                let frame = &flight[*queued.next()? as usize];
                Some(delivery(self.topics, frame, 0))
            }
            Queue::Backlog { .. } => self.next_of_backlog(),
        }
    }

    /// The first delivery, which stays where it is.
    #[must_use]
    #[inline]
    pub fn peek(&self) -> Option<DeliveryRef<'_>> {
        match &self.queue {
            Queue::Outbox { flight, queued } => {
                let frame = &flight[*queued.as_slice().first()? as usize];
                Some(delivery(self.topics, frame, 0))
            }
            Queue::Backlog { shelf, backlog, .. } => {
                Some(queued_delivery(self.topics, shelf, backlog.head()?))
            }
        }
    }

    /// Apart, so that the way through an outbox is short enough to be inlined into a sink.
    #[cold]
    fn next_of_backlog(&mut self) -> Option<DeliveryRef<'_>> {
        let Queue::Backlog {
            shelf,
            backlog,
            taken,
        } = &mut self.queue
        else {
            return None;
        };
        let head = backlog.head()?;
        taken.extend(backlog.pop());
        Some(queued_delivery(self.topics, shelf, head))
    }

    /// What is left of an outbox.
    pub(super) fn rest(&self) -> &'a [u32] {
        match &self.queue {
            Queue::Outbox { queued, .. } => queued.as_slice(),
            Queue::Backlog { .. } => &[],
        }
    }
}

#[cold]
fn queued_delivery<'a>(topics: &'a Topics, shelf: &'a Shelf, head: Head) -> DeliveryRef<'a> {
    match head {
        Head::Frame(queued) => delivery(topics, shelf.get(queued.frame), queued.skipped),
        Head::Gap { topic, missing } => DeliveryRef::Gap {
            topic: topics.name(topic),
            missed: missing.count,
            resume_from: missing.resume_from,
        },
    }
}

#[inline]
fn delivery<'a>(topics: &'a Topics, frame: &'a Frame, skipped: u64) -> DeliveryRef<'a> {
    let topic = topics.name(frame.topic);
    match &frame.body {
        Body::Payload(payload) => DeliveryRef::Message {
            topic,
            payload,
            position: frame.position(),
            skipped,
        },
        Body::Lost(missed) => DeliveryRef::Gap {
            topic,
            missed: *missed,
            resume_from: frame.position(),
        },
    }
}
