//! The topics of one shard.

use super::subscribers::Subscribers;
use crate::Topic;

/// The topics that have, or lately had, subscribers in a shard, by slot.
#[derive(Debug)]
pub(super) struct Topics {
    places: Vec<Place>,
    /// Retired slots that may be vacated after the run.
    retired: Vec<u32>,
    /// Slots whose name nobody needs any more.
    vacated: Vec<u32>,
    /// The name of a slot that has none. A name is no `Option`, so that who passes on where it lies
    /// need not load it.
    nameless: Topic,
}

/// One cache line.
#[derive(Debug)]
#[repr(align(64))]
struct Place {
    name: Topic,
    subscribers: Subscribers,
    /// How many frames on the shelf carry this topic's name.
    shelved: u32,
    is_retired: bool,
}

impl Topics {
    /// Gives an unused slot to `topic`.
    pub(super) fn open(&mut self, slot: u32, topic: Topic) {
        let slot = slot as usize;
        if self.places.len() <= slot {
            let nameless = &self.nameless;
            self.places
                .resize_with(slot + 1, || Place::vacant(nameless));
        }
        self.places[slot].name = topic;
    }

    /// Vacates a slot that has no subscribers, once its last frame is gone.
    pub(super) fn retire(&mut self, slot: u32) {
        self.places[slot as usize].is_retired = true;
        self.retired.push(slot);
    }

    /// The name of a slot that has subscribers or frames.
    #[inline]
    pub(super) fn name(&self, slot: u32) -> &Topic {
        &self.places[slot as usize].name
    }

    pub(super) fn subscribers(&mut self, slot: u32) -> &mut Subscribers {
        &mut self.places[slot as usize].subscribers
    }

    /// What lies in a slot, for a caller that warms the cache.
    #[inline]
    pub(super) fn glance(&self, slot: u32) -> u32 {
        self.places
            .get(slot as usize)
            .map_or(0, |place| place.shelved)
    }

    /// Notes that one more frame on the shelf carries the topic's name.
    pub(super) fn shelve(&mut self, slot: u32) {
        self.places[slot as usize].shelved += 1;
    }

    /// Notes that one less does.
    pub(super) fn unshelve(&mut self, slot: u32) {
        let place = &mut self.places[slot as usize];
        place.shelved -= 1;
        if place.is_retired && place.shelved == 0 {
            self.retired.push(slot);
        }
    }

    /// Vacates the retired slots that no frame on the shelf needs, now that none is in flight.
    pub(super) fn sweep(&mut self) {
        while let Some(slot) = self.retired.pop() {
            let place = &mut self.places[slot as usize];
            if place.is_retired && place.shelved == 0 {
                debug_assert!(place.subscribers.is_empty(), "retired with subscribers");
                *place = Place::vacant(&self.nameless);
                self.vacated.push(slot);
            }
        }
    }

    /// The slots that became free since the last call.
    pub(super) fn vacated(&mut self) -> &mut Vec<u32> {
        &mut self.vacated
    }
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            retired: Vec::new(),
            vacated: Vec::new(),
            nameless: "-".parse().expect("a short name"),
        }
    }
}

impl Place {
    fn vacant(nameless: &Topic) -> Self {
        Self {
            name: nameless.clone(),
            subscribers: Subscribers::None,
            shelved: 0,
            is_retired: false,
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
        topics.shelve(1);
        topics.retire(1);
        topics.sweep();
        assert!(topics.vacated().is_empty());
        assert_eq!(topics.name(1).as_str(), "a");
        topics.unshelve(1);
        topics.sweep();
        assert_eq!(topics.vacated()[..], [1]);
    }
}
