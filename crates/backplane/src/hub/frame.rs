//! Messages on their way through a shard, held once for all the connections that get them.

use bytes::Bytes;

use super::{delivery::Missing, options::ConnectionOptions, subscribers::Member};
use crate::{Epoch, Position};

/// What a message costs of a budget, in bytes.
#[inline]
pub(super) fn cost_of(payload: &Bytes) -> usize {
    payload.len() + ConnectionOptions::MESSAGE_OVERHEAD as usize
}

/// A message in flight: written by its publisher into the shard's inbox, and read there by the sinks.
/// One cache line.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) body: Body,
    epoch: Epoch,
    /// 0 for a message without a position: offsets start at 1.
    offset: u64,
    /// The topic's slot in the shard.
    pub(super) topic: u32,
    /// The topic's only subscriber, if the publisher knew it.
    pub(super) sole: Option<Member>,
    /// Its place on the shelf, if it has to wait for somebody.
    pub(super) shelved: Option<u32>,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    Payload(Bytes),
    /// The topic lost messages before they reached the hub; `None` if nobody knows how many. The
    /// frame's position is the last one before the loss.
    Lost(Option<u64>),
}

impl Frame {
    #[inline]
    pub(super) fn message(topic: u32, payload: Bytes, position: Option<Position>) -> Self {
        Self::new(topic, Body::Payload(payload), position)
    }

    pub(super) fn lost(topic: u32, missing: Missing) -> Self {
        Self::new(topic, Body::Lost(missing.count), missing.resume_from)
    }

    /// Names the only subscriber of the topic.
    #[inline]
    #[must_use]
    pub(super) fn with_sole(mut self, sole: Option<Member>) -> Self {
        self.sole = sole;
        self
    }

    #[inline]
    fn new(topic: u32, body: Body, position: Option<Position>) -> Self {
        let position = position.unwrap_or(Position::new(Epoch::new(0), 0));
        Self {
            body,
            epoch: position.epoch,
            offset: position.offset,
            topic,
            sole: None,
            shelved: None,
        }
    }

    #[inline]
    pub(super) fn position(&self) -> Option<Position> {
        (self.offset != 0 || self.epoch != Epoch::new(0))
            .then(|| Position::new(self.epoch, self.offset))
    }

    /// What it takes of a connection's budget, in bytes.
    #[inline]
    pub(super) fn cost(&self) -> u32 {
        match &self.body {
            Body::Payload(payload) => u32::try_from(cost_of(payload)).unwrap_or(u32::MAX),
            Body::Lost(_) => ConnectionOptions::MESSAGE_OVERHEAD,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_one_cache_line() {
        assert_eq!(size_of::<Frame>(), 64);
    }
}
