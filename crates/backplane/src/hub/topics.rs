//! The topics of one shard.

use super::subscribers::Subscribers;
use crate::Topic;

/// The topics that have subscribers in a shard, by slot.
#[derive(Debug)]
pub(super) struct Topics {
    places: Vec<Place>,
    /// Slots that became free since the last run.
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

    /// Vacates a slot that has no subscribers. Nothing of the topic is queued, since what is queued
    /// for a connection goes with its subscription.
    pub(super) fn retire(&mut self, slot: u32) {
        let place = &mut self.places[slot as usize];
        debug_assert!(place.subscribers.is_empty(), "retired with subscribers");
        *place = Place::vacant(&self.nameless);
        self.vacated.push(slot);
    }

    /// The name of a slot that has subscribers.
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
        let place = self.places.get(slot as usize);
        place.map_or(0, |place| u32::from(place.subscribers.is_empty()))
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
    fn a_retired_slot_is_vacated_and_loses_its_name() {
        let mut topics = Topics::default();
        let name: Topic = "a".parse().unwrap();
        topics.open(1, name.clone());
        assert_eq!(topics.name(1), &name);
        topics.retire(1);
        assert_eq!(topics.vacated()[..], [1]);
        assert_ne!(topics.name(1), &name);
    }
}
