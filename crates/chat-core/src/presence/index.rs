use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};

/// Finds the dense number of a key. The keys themselves lie with what is numbered, so that an entry is four bytes, and
/// a table of a million stays in the cache.
#[derive(Debug, Default)]
pub(super) struct Index {
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Index {
    /// The number of `key`, where `has_key` says whose number is whose.
    #[inline]
    pub(super) fn find(&self, key: impl Hash, has_key: impl Fn(u32) -> bool) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        self.numbers.find(hash, |&number| has_key(number)).copied()
    }

    /// Notes that `key`, which has no number, has this one; `key_of` says the key of every number noted so far.
    pub(super) fn insert<K: Hash>(&mut self, key: K, number: u32, key_of: impl Fn(u32) -> K) {
        let hasher = &self.hasher;
        let hash = hasher.hash_one(key);
        let rehash = |&number: &u32| hasher.hash_one(key_of(number));
        self.numbers.insert_unique(hash, number, rehash);
    }

    /// Forgets that `key` has this number.
    pub(super) fn remove(&mut self, key: impl Hash, number: u32) {
        let hash = self.hasher.hash_one(key);
        if let Ok(entry) = self.numbers.find_entry(hash, |&noted| noted == number) {
            entry.remove();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }
}
