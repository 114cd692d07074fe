//! Messages in flight through a shard, held once for all the connections that wait for them.

use std::mem;

use bytes::Bytes;

use super::{delivery::Missing, options::ConnectionOptions};
use crate::{Epoch, Position};

/// What a message costs of a budget, in bytes.
pub(super) fn cost_of(payload: &Bytes) -> usize {
    payload.len() + ConnectionOptions::MESSAGE_OVERHEAD as usize
}

/// A message in flight. One cache line.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) body: Body,
    epoch: Epoch,
    /// 0 for a message without a position: offsets start at 1.
    offset: u64,
    /// The topic's slot in the shard.
    pub(super) topic: u32,
    /// What it takes of a connection's budget, in bytes.
    pub(super) cost: u32,
    /// How many outboxes hold it.
    refs: u32,
}

#[derive(Debug)]
pub(super) enum Body {
    Payload(Bytes),
    /// The topic lost messages before they reached the hub; `None` if nobody knows how many. The
    /// frame's position is the last one before the loss.
    Lost(Option<u64>),
}

impl Frame {
    pub(super) fn message(topic: u32, payload: Bytes, position: Option<Position>) -> Self {
        let cost = u32::try_from(cost_of(&payload)).unwrap_or(u32::MAX);
        Self::new(topic, Body::Payload(payload), position, cost)
    }

    pub(super) fn lost(topic: u32, missing: Missing) -> Self {
        let cost = ConnectionOptions::MESSAGE_OVERHEAD;
        Self::new(topic, Body::Lost(missing.count), missing.resume_from, cost)
    }

    fn new(topic: u32, body: Body, position: Option<Position>, cost: u32) -> Self {
        let position = position.unwrap_or(Position::new(Epoch::new(0), 0));
        Self {
            body,
            epoch: position.epoch,
            offset: position.offset,
            topic,
            cost,
            refs: 0,
        }
    }

    #[inline]
    pub(super) fn position(&self) -> Option<Position> {
        (self.offset != 0 || self.epoch != Epoch::new(0))
            .then(|| Position::new(self.epoch, self.offset))
    }
}

/// The frames of a shard. A frame's place is used again once nobody holds it.
#[derive(Debug, Default)]
pub(super) struct Frames {
    places: Vec<Frame>,
    free: Vec<u32>,
}

impl Frames {
    /// Stores `frame`, held once by the caller.
    pub(super) fn insert(&mut self, mut frame: Frame) -> u32 {
        frame.refs = 1;
        if let Some(place) = self.free.pop() {
            self.places[place as usize] = frame;
            return place;
        }
        self.places.push(frame);
        u32::try_from(self.places.len() - 1).expect("budgets keep frames far below 2^32")
    }

    #[inline]
    pub(super) fn get(&self, place: u32) -> &Frame {
        &self.places[place as usize]
    }

    /// Notes that `holders` more hold the frame.
    pub(super) fn hold(&mut self, place: u32, holders: u32) {
        self.places[place as usize].refs += holders;
    }

    /// Notes that one holder less holds the frame. Returns its topic if it was the last.
    #[inline]
    pub(super) fn release(&mut self, place: u32) -> Option<u32> {
        let frame = &mut self.places[place as usize];
        frame.refs -= 1;
        if frame.refs > 0 {
            return None;
        }
        drop(mem::replace(&mut frame.body, Body::Lost(None)));
        let topic = frame.topic;
        self.free.push(place);
        Some(topic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_one_cache_line() {
        assert!(size_of::<Frame>() <= 64, "{}", size_of::<Frame>());
    }

    #[test]
    fn the_last_holder_frees_the_place_and_the_payload() {
        let mut frames = Frames::default();
        let payload = Bytes::from(vec![7; 100]);
        let place = frames.insert(Frame::message(3, payload.clone(), None));
        frames.hold(place, 1);
        assert_eq!(frames.release(place), None);
        assert!(!payload.is_unique());
        assert_eq!(frames.release(place), Some(3));
        assert!(payload.is_unique());
        assert_eq!(frames.insert(Frame::message(4, payload, None)), place);
    }
}
