//! From a hash to the places of entries that may have it.

/// An open-addressed table of places, 8 bytes a bucket.
///
/// A bucket holds 32 bits of the hash beside the place, so that a lookup costs one cache miss here
/// and one at the entry, and a caller with many lookups can take all misses of the first kind before
/// the second. A general hash table hides that seam.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Vacant, or the low half of a hash above a place plus one. As many as a power of two.
    buckets: Vec<u64>,
    len: usize,
}

const VACANT: u64 = 0;

impl Index {
    /// The first place that may belong to `hash`, without a look at the entry.
    #[inline]
    pub(super) fn candidate(&self, hash: u64) -> Option<u32> {
        self.find(hash, |_| true)
    }

    /// What lies where the search for `hash` begins, for a caller that warms the cache. Nothing
    /// branches on it, so that loads of several hashes overlap.
    #[inline]
    pub(super) fn glance(&self, hash: u64) -> u64 {
        let home = self.home(tag(hash << 32));
        self.buckets.get(home).copied().unwrap_or(VACANT)
    }

    /// The place of `hash` for which `is_it` holds.
    #[inline]
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let bucket = self.bucket(hash, is_it)?;
        Some(place(self.buckets[bucket]))
    }

    /// Adds a place, which must not be there.
    pub(super) fn insert(&mut self, hash: u64, place: u32) {
        if (self.len + 1) * 4 > self.buckets.len() * 3 {
            self.grow();
        }
        self.len += 1;
        self.put(hash << 32 | u64::from(place + 1));
    }

    /// Removes a place.
    pub(super) fn remove(&mut self, hash: u64, gone: u32) {
        let Some(mut hole) = self.bucket(hash, |place| place == gone) else {
            return;
        };
        self.len -= 1;
        // What follows moves up, so that no lookup stops at the hole.
        let mut next = self.after(hole);
        while self.buckets[next] != VACANT {
            let home = self.home(tag(self.buckets[next]));
            if self.distance(home, next) >= self.distance(hole, next) {
                self.buckets[hole] = self.buckets[next];
                hole = next;
            }
            next = self.after(next);
        }
        self.buckets[hole] = VACANT;
    }

    #[inline]
    fn bucket(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<usize> {
        if self.buckets.is_empty() {
            return None;
        }
        let mut at = self.home(tag(hash << 32));
        loop {
            let bucket = self.buckets[at];
            if bucket == VACANT {
                return None;
            }
            if tag(bucket) == tag(hash << 32) && is_it(place(bucket)) {
                return Some(at);
            }
            at = self.after(at);
        }
    }

    fn put(&mut self, bucket: u64) {
        let mut at = self.home(tag(bucket));
        while self.buckets[at] != VACANT {
            at = self.after(at);
        }
        self.buckets[at] = bucket;
    }

    fn grow(&mut self) {
        let larger = vec![VACANT; (self.buckets.len() * 2).max(8)];
        let buckets = std::mem::replace(&mut self.buckets, larger);
        let taken = buckets.into_iter().filter(|&bucket| bucket != VACANT);
        taken.for_each(|bucket| self.put(bucket));
    }

    #[inline]
    fn home(&self, tag: u32) -> usize {
        tag as usize & self.buckets.len().wrapping_sub(1)
    }

    #[inline]
    fn after(&self, bucket: usize) -> usize {
        (bucket + 1) & (self.buckets.len() - 1)
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.buckets.len() - 1)
    }
}

#[inline]
const fn tag(bucket: u64) -> u32 {
    (bucket >> 32) as u32
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
const fn place(bucket: u64) -> u32 {
    bucket as u32 - 1
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Few hashes, so that probes run into each other and around the end.
        #[test]
        fn finds_what_was_put_and_not_removed(
            ops in proptest::collection::vec((0_u32..200, 0_u64..12, any::<bool>()), 0..600),
        ) {
            let mut index = Index::default();
            let mut model: BTreeMap<u32, u64> = BTreeMap::new();
            for (place, hash, insert) in ops {
                if insert {
                    model.entry(place).or_insert_with(|| {
                        index.insert(hash, place);
                        hash
                    });
                } else if let Some(hash) = model.remove(&place) {
                    index.remove(hash, place);
                }
                for (&place, &hash) in &model {
                    prop_assert_eq!(index.find(hash, |found| found == place), Some(place));
                }
                for hash in 0..12 {
                    let is_there = model.values().any(|&present| present == hash);
                    prop_assert_eq!(index.candidate(hash).is_some(), is_there);
                }
                prop_assert_eq!(index.len, model.len());
            }
        }
    }
}
