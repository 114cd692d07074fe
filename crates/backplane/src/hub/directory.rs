//! Which topics have subscribers, and in which shards.

use std::hint;

use super::{index::Index, retention::History, slots::Slots, subscribers::Member};
use crate::{
    Topic,
    sync::{Mutex, MutexGuard},
};

/// Every topic with a subscriber or a history, in stripes that are locked one by one.
///
/// The lock of a topic's stripe is held while a message goes to all shards that have subscribers,
/// which is what makes the order of a topic's messages the same for everybody.
#[derive(Debug)]
pub(super) struct Directory {
    stripes: Box<[Mutex<Stripe>]>,
}

/// Where a topic's entry lies: its stripe in the low bits, its place there above.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct TopicKey(u32);

#[derive(Debug, Default)]
pub(super) struct Stripe {
    index: Index,
    entries: Vec<Option<Entry>>,
    slots: Slots,
}

/// One cache line.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Entry {
    pub(super) topic: Topic,
    pub(super) homes: Homes,
    pub(super) history: Option<Box<History>>,
}

/// A shard in which a topic has subscribers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Home {
    pub(super) shard: u32,
    /// The topic's slot there.
    pub(super) slot: u32,
    pub(super) subscribers: u32,
    /// The only subscriber, if it was the first and takes no detour. Most topics have no other: a
    /// message takes it along, and the shard need not look it up.
    pub(super) sole: Option<Member>,
}

/// The homes of a topic. Most topics have one, which takes no allocation of its own.
#[derive(Debug)]
pub(super) enum Homes {
    One(Home),
    /// None, or several.
    Many(Vec<Home>),
}

impl Directory {
    pub(super) const STRIPES: usize = 1 << Self::STRIPE_BITS;
    const STRIPE_BITS: u32 = 6;
    const MAX_ENTRIES: u32 = 1 << (32 - Self::STRIPE_BITS);

    pub(super) fn new() -> Self {
        Self {
            stripes: (0..Self::STRIPES).map(|_| Mutex::default()).collect(),
        }
    }

    /// The number of the stripe that `topic` belongs to.
    #[inline]
    pub(super) fn stripe_of(topic: &Topic) -> usize {
        // The table inside the stripe uses the lowest and the highest bits.
        (topic.hash64() >> 40) as usize % Self::STRIPES
    }

    pub(super) fn lock(&self, stripe: usize) -> MutexGuard<'_, Stripe> {
        self.stripes[stripe].lock()
    }

    pub(super) fn lock_topic(&self, topic: &Topic) -> MutexGuard<'_, Stripe> {
        self.lock(Self::stripe_of(topic))
    }

    pub(super) fn lock_key(&self, key: TopicKey) -> MutexGuard<'_, Stripe> {
        self.lock(key.0 as usize % Self::STRIPES)
    }
}

impl TopicKey {
    fn new(topic: &Topic, place: u32) -> Self {
        let stripe = u32::try_from(Directory::stripe_of(topic)).unwrap_or_default();
        Self(place << Directory::STRIPE_BITS | stripe)
    }

    const fn place(self) -> u32 {
        self.0 >> Directory::STRIPE_BITS
    }
}

impl Stripe {
    /// The place of `topic`, if it has an entry.
    #[inline]
    pub(super) fn place(&self, topic: &Topic) -> Option<u32> {
        self.index.find(topic.hash64(), |place| {
            let entry = self.entries[place as usize].as_ref();
            entry.is_some_and(|entry| entry.topic == *topic)
        })
    }

    /// The places of `topics`, in order, as [`place`](Self::place) finds them one by one.
    ///
    /// It takes four passes: over all buckets, all entries, the names that have to be compared, and
    /// what had to wait for that. The loads of one pass do not depend on each other, so the processor
    /// waits for their cache misses at the same time.
    pub(super) fn places<'a>(
        &self,
        topics: impl Iterator<Item = &'a Topic> + Clone,
        places: &mut [Option<u32>],
    ) {
        let buckets = topics
            .clone()
            .map(|topic| self.index.glance(topic.hash64()));
        hint::black_box(buckets.fold(0, |sum, bucket| sum ^ bucket));
        let mut entries = 0;
        for (topic, place) in topics.clone().zip(&mut *places) {
            *place = self.index.candidate(topic.hash64());
            entries ^= self.hash_at(*place);
        }
        hint::black_box(entries);
        let mut names = 0;
        for (topic, place) in topics.clone().zip(&*places) {
            if let Some(entry) = self.other_text(*place, topic) {
                names ^= entry.topic.as_str().as_bytes()[0];
            }
        }
        hint::black_box(names);
        for (topic, place) in topics.zip(places) {
            if self.other_text(*place, topic).is_some() {
                *place = self.place(topic);
            }
        }
    }

    fn hash_at(&self, place: Option<u32>) -> u64 {
        let entry = place.and_then(|place| self.entries[place as usize].as_ref());
        entry.map_or(0, |entry| entry.topic.hash64())
    }

    /// The entry at `place`, unless its name is known to be that of `topic` without a look at it.
    #[inline]
    fn other_text(&self, place: Option<u32>, topic: &Topic) -> Option<&Entry> {
        let entry = self.entries[place? as usize].as_ref()?;
        (!entry.topic.shares_text(topic)).then_some(entry)
    }

    pub(super) fn key(&self, topic: &Topic) -> Option<TopicKey> {
        Some(TopicKey::new(topic, self.place(topic)?))
    }

    #[inline]
    pub(super) fn entry_at(&mut self, place: u32) -> Option<&mut Entry> {
        self.entries.get_mut(place as usize)?.as_mut()
    }

    pub(super) fn entry(&mut self, key: TopicKey) -> Option<&mut Entry> {
        self.entries.get_mut(key.place() as usize)?.as_mut()
    }

    pub(super) fn find(&mut self, topic: &Topic) -> Option<&mut Entry> {
        let place = self.place(topic)?;
        self.entry_at(place)
    }

    /// Makes an entry for a topic that has none. `None` if the stripe has no place left.
    pub(super) fn open(&mut self, topic: &Topic) -> Option<TopicKey> {
        let place = self.slots.take(Directory::MAX_ENTRIES)?;
        let entry = Entry {
            topic: topic.clone(),
            homes: Homes::Many(Vec::new()),
            history: None,
        };
        match self.entries.get_mut(place as usize) {
            Some(vacant) => *vacant = Some(entry),
            None => self.entries.push(Some(entry)),
        }
        self.index.insert(topic.hash64(), place);
        Some(TopicKey::new(topic, place))
    }

    /// Removes an entry that nobody needs. Returns whether it did.
    pub(super) fn remove_if_unused(&mut self, key: TopicKey) -> bool {
        let Some(entry) = self.entries[key.place() as usize].take_if(|entry| entry.is_unused())
        else {
            return false;
        };
        let place = key.place();
        self.index.remove(entry.topic.hash64(), place);
        self.slots.give_back([place]);
        true
    }
}

impl Entry {
    pub(super) fn is_unused(&self) -> bool {
        self.homes.as_slice().is_empty() && self.history.is_none()
    }
}

impl Homes {
    #[inline]
    pub(super) fn as_slice(&self) -> &[Home] {
        match self {
            Self::One(home) => std::slice::from_ref(home),
            Self::Many(homes) => homes,
        }
    }

    /// The shards, one bit for each.
    #[inline]
    pub(super) fn mask(&self) -> u64 {
        let homes = self.as_slice().iter();
        homes.fold(0, |mask, home| mask | 1 << home.shard)
    }

    pub(super) fn find(&mut self, shard: u32) -> Option<&mut Home> {
        let homes = match self {
            Self::One(home) => std::slice::from_mut(home),
            Self::Many(homes) => homes,
        };
        homes.iter_mut().find(|home| home.shard == shard)
    }

    pub(super) fn add(&mut self, home: Home) {
        match self {
            Self::One(first) => *self = Self::Many(vec![*first, home]),
            Self::Many(homes) if homes.is_empty() => *self = Self::One(home),
            Self::Many(homes) => homes.push(home),
        }
    }

    pub(super) fn remove(&mut self, shard: u32) {
        match self {
            Self::One(home) if home.shard == shard => *self = Self::Many(Vec::new()),
            Self::One(_) => {}
            Self::Many(homes) => {
                homes.retain(|home| home.shard != shard);
                if let [home] = homes[..] {
                    *self = Self::One(home);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(shard: u32) -> Home {
        Home {
            shard,
            slot: 0,
            subscribers: 1,
            sole: None,
        }
    }

    #[test]
    fn an_entry_is_one_cache_line() {
        assert_eq!(size_of::<Option<Entry>>(), 64);
    }

    #[test]
    fn homes_come_and_go() {
        let mut homes = Homes::Many(Vec::new());
        for shard in [2, 0, 5] {
            homes.add(home(shard));
        }
        assert_eq!(homes.mask(), 0b10_0101);
        homes.remove(0);
        homes.remove(2);
        assert!(matches!(homes, Homes::One(Home { shard: 5, .. })));
        homes.remove(1);
        homes.remove(5);
        assert_eq!(homes.mask(), 0);
    }

    #[test]
    fn an_entry_is_found_until_nobody_needs_it() {
        let mut stripe = Stripe::default();
        let topics: Vec<Topic> = (0..1_000)
            .map(|n| format!("t{n}").parse().unwrap())
            .collect();
        let keys: Vec<_> = topics
            .iter()
            .map(|topic| stripe.open(topic).unwrap())
            .collect();
        stripe.entry(keys[7]).unwrap().homes.add(home(0));
        for &key in &keys {
            stripe.remove_if_unused(key);
        }
        assert_eq!(stripe.find(&topics[7]).unwrap().topic, topics[7]);
        assert!(stripe.find(&topics[8]).is_none());
    }
}
