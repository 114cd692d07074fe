//! Messages that wait for full sinks, held once for all of them.

use super::frame::{Body, Frame};

/// The frames that are in a backlog. A place is used again once nobody holds its frame.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    places: Vec<Shelved>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Shelved {
    frame: Frame,
    holders: u32,
}

impl Shelf {
    /// Stores `frame`, held once by the caller.
    pub(super) fn insert(&mut self, frame: Frame) -> u32 {
        let shelved = Shelved { frame, holders: 1 };
        if let Some(place) = self.free.pop() {
            self.places[place as usize] = shelved;
            return place;
        }
        self.places.push(shelved);
        u32::try_from(self.places.len() - 1).expect("budgets keep frames far below 2^32")
    }

    pub(super) fn get(&self, place: u32) -> &Frame {
        &self.places[place as usize].frame
    }

    /// Notes that one more holds the frame.
    pub(super) fn hold(&mut self, place: u32) {
        self.places[place as usize].holders += 1;
    }

    /// Notes that one holder less holds the frame. Returns its topic if it was the last.
    pub(super) fn release(&mut self, place: u32) -> Option<u32> {
        let shelved = &mut self.places[place as usize];
        shelved.holders -= 1;
        if shelved.holders > 0 {
            return None;
        }
        shelved.frame.body = Body::Lost(None);
        let topic = shelved.frame.topic;
        self.free.push(place);
        Some(topic)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn the_last_holder_frees_the_place_and_the_payload() {
        let mut shelf = Shelf::default();
        let payload = Bytes::from(vec![7; 100]);
        let place = shelf.insert(Frame::message(3, payload.clone(), None));
        shelf.hold(place);
        assert_eq!(shelf.release(place), None);
        assert!(!payload.is_unique());
        assert_eq!(shelf.release(place), Some(3));
        assert!(payload.is_unique());
        assert_eq!(shelf.insert(Frame::message(4, payload, None)), place);
    }
}
