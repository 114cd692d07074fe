//! The topics of one shard.

use super::subscribers::Subscribers;
use crate::Topic;

/// The topics that have, or lately had, subscribers in a shard, by slot.
#[derive(Debug, Default)]
pub(super) struct Topics {
    places: Vec<Place>,
    /// Slots whose name nobody needs any more.
    vacated: Vec<u32>,
}

/// One cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Place {
    name: Option<Topic>,
    subscribers: Subscribers,
    /// How many frames in flight carry this topic's name.
    frames: u32,
    retired: bool,
}

impl Topics {
    /// Gives an unused slot to `topic`.
    pub(super) fn open(&mut self, slot: u32, topic: Topic) {
        let slot = slot as usize;
        if self.places.len() <= slot {
            self.places.resize_with(slot + 1, Place::default);
        }
        self.places[slot].name = Some(topic);
    }

    /// Vacates a slot that has no subscribers, once its last frame is gone.
    pub(super) fn retire(&mut self, slot: u32) {
        self.places[slot as usize].retired = true;
        self.vacate_if_unused(slot);
    }

    #[inline]
    pub(super) fn name(&self, slot: u32) -> &Topic {
        let name = self.places[slot as usize].name.as_ref();
        name.expect("a slot keeps its name while a frame carries it")
    }

    pub(super) fn subscribers(&mut self, slot: u32) -> &mut Subscribers {
        &mut self.places[slot as usize].subscribers
    }

    /// What lies in a slot, for a caller that warms the cache.
    #[inline]
    pub(super) fn glance(&self, slot: u32) -> u32 {
        self.places
            .get(slot as usize)
            .map_or(0, |place| place.frames)
    }

    pub(super) fn add_frame(&mut self, slot: u32) {
        self.places[slot as usize].frames += 1;
    }

    pub(super) fn remove_frame(&mut self, slot: u32) {
        self.places[slot as usize].frames -= 1;
        self.vacate_if_unused(slot);
    }

    /// The slots that became free since the last call.
    pub(super) fn vacated(&mut self) -> &mut Vec<u32> {
        &mut self.vacated
    }

    fn vacate_if_unused(&mut self, slot: u32) {
        let place = &mut self.places[slot as usize];
        if place.retired && place.frames == 0 {
            debug_assert!(place.subscribers.is_empty(), "retired with subscribers");
            *place = Place::default();
            self.vacated.push(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_one_cache_line() {
        assert_eq!(size_of::<Place>(), 64);
    }

    #[test]
    fn a_slot_is_vacated_when_it_is_retired_and_its_last_frame_is_gone() {
        let mut topics = Topics::default();
        topics.open(1, "a".parse().unwrap());
        topics.add_frame(1);
        topics.retire(1);
        assert!(topics.vacated().is_empty());
        assert_eq!(topics.name(1).as_str(), "a");
        topics.remove_frame(1);
        assert_eq!(topics.vacated()[..], [1]);
    }
}
