//! Room for values of a limited size and a limited life.

use std::{fmt, hash::Hash, time::Duration};

use hashbrown::DefaultHashBuilder;
use quick_cache::{
    OptionsBuilder, Weighter,
    unsync::{Cache, DefaultLifecycle},
};

/// A map bounded by bytes, whose values are gone at their deadline.
///
/// What has to go is chosen by the algorithm of `quick_cache`, a relative of S3-FIFO (Yang et al.,
/// SOSP 2023) and CLOCK-Pro (Jiang et al., USENIX 2005): a run over many keys that are used once does
/// not push out what is used often. Values past their deadline take up room until their key is
/// stored again or they have to go.
pub(crate) struct Shelf<K, V> {
    slots: Cache<K, Slot<V>, ByBytes, DefaultHashBuilder>,
}

struct Slot<V> {
    value: V,
    until: Duration,
    bytes: u32,
}

impl<K: Eq + Hash, V> Shelf<K, V> {
    /// What a value takes beside the bytes it owns: its slot, and what the map adds to it.
    pub(crate) const OVERHEAD: usize = (size_of::<K>() + size_of::<Slot<V>>() + 21) * 3 / 2;

    pub(crate) fn new(max_bytes: usize) -> Self {
        /// Only sizes the memory for keys that had to go: right within a factor of a hundred will do.
        const TYPICAL: usize = 512;
        let options = OptionsBuilder::new()
            .weight_capacity(max_bytes as u64)
            .estimated_items_capacity(max_bytes / TYPICAL)
            .build()
            .expect("both capacities are given");
        let hasher = DefaultHashBuilder::default();
        Self {
            slots: Cache::with_options(options, ByBytes, hasher, DefaultLifecycle::default()),
        }
    }

    pub(crate) fn get(&self, key: &K, now: Duration) -> Option<&V> {
        let slot = self.slots.get(key)?;
        (now < slot.until).then_some(&slot.value)
    }

    /// Stores a value that owns `bytes` bytes, and answers how many had to go for it: 1, if this
    /// one alone is too large.
    pub(crate) fn put(&mut self, key: K, value: V, bytes: usize, until: Duration) -> u64 {
        let bytes = u32::try_from(bytes + Self::OVERHEAD).unwrap_or(u32::MAX);
        let slot = Slot {
            value,
            until,
            bytes,
        };
        let before = self.len() + usize::from(!self.slots.contains_key(&key));
        self.slots.insert(key, slot);
        (before - self.len()) as u64
    }

    pub(crate) fn remove(&mut self, key: &K) {
        self.slots.remove(key);
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The bytes that the values take, with the overhead.
    pub(crate) fn bytes(&self) -> u64 {
        self.slots.weight()
    }
}

impl<K: Eq + Hash, V> fmt::Debug for Shelf<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf")
            .field("len", &self.len())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

struct ByBytes;

impl<K, V> Weighter<K, Slot<V>> for ByBytes {
    fn weight(&self, _: &K, slot: &Slot<V>) -> u64 {
        u64::from(slot.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);
    const LATER: Duration = Duration::from_secs(200);

    #[test]
    fn a_value_is_gone_at_its_deadline_and_not_before() {
        let mut shelf = Shelf::new(10_000);
        assert_eq!(shelf.put(1, 'a', 0, NOW), 0);
        assert_eq!(
            shelf.get(&1, NOW.saturating_sub(Duration::from_nanos(1))),
            Some(&'a')
        );
        assert_eq!(shelf.get(&1, NOW), None);
        assert_eq!(
            shelf.put(1, 'b', 0, LATER),
            0,
            "a new value takes the place of the old"
        );
        assert_eq!(shelf.get(&1, NOW), Some(&'b'));
        shelf.remove(&1);
        assert_eq!((shelf.get(&1, NOW), shelf.bytes()), (None, 0));
    }

    #[test]
    fn never_holds_more_than_its_bound_and_counts_what_went() {
        let bound = 100_000;
        let mut shelf = Shelf::new(bound);
        let mut evicted = 0;
        for key in 0..1_000_u64 {
            evicted += shelf.put(key, (), 400, LATER);
            assert!(shelf.bytes() <= bound as u64);
        }
        assert_eq!(shelf.len() as u64 + evicted, 1_000);
        assert!(shelf.bytes() > bound as u64 * 9 / 10, "{shelf:?}");
    }

    #[test]
    fn a_value_larger_than_the_shelf_is_not_kept() {
        let mut shelf = Shelf::new(1_000);
        shelf.put(1, (), 100, LATER);
        assert_eq!(shelf.put(2, (), 1_000, LATER), 1);
        assert_eq!(shelf.get(&2, NOW), None);
        assert_eq!(shelf.get(&1, NOW), Some(&()));
        shelf.put(1, (), 1_000, LATER);
        assert_eq!(shelf.get(&1, NOW), None, "the old value is not the answer");
    }

    #[test]
    fn what_is_used_often_outlasts_a_scan() {
        let mut shelf = Shelf::new(100_000);
        for key in 0..100_u64 {
            shelf.put(key, (), 400, LATER);
        }
        for key in 1_000..20_000 {
            shelf.put(key, (), 400, LATER);
            shelf.get(&(key % 100), NOW);
        }
        let kept = (0..100).filter(|key| shelf.get(key, NOW).is_some()).count();
        assert!(kept >= 90, "{kept} of 100");
    }
}
