use std::array;

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use smallvec::SmallVec;

/// How many parts there are: a power of two, so that the high bits of a hash name a shard. Few enough that a reader of many
/// keys locks every shard once for less than it would pay to lock once a key.
pub const SHARDS: usize = 16;

/// A value split by key, so that a writer stops the readers of one part only. For stores in memory.
///
/// Several shards are always locked in ascending order, and never while another is held.
#[derive(Debug, Default)]
pub struct Shards<T>([RwLock<T>; SHARDS]);

impl<T> Shards<T> {
    /// As many parts as there are shards.
    pub fn from_fn(mut part: impl FnMut() -> T) -> Self {
        Self(array::from_fn(|_| RwLock::new(part())))
    }

    /// The shards one after the other.
    pub fn iter(&self) -> impl Iterator<Item = RwLockReadGuard<'_, T>> {
        self.0.iter().map(RwLock::read)
    }

    /// The shards one after the other, to change.
    pub fn iter_write(&self) -> impl Iterator<Item = RwLockWriteGuard<'_, T>> {
        self.0.iter().map(RwLock::write)
    }

    /// The shard of `key`, to read.
    #[inline]
    pub fn read(&self, key: u64) -> RwLockReadGuard<'_, T> {
        self.0[shard(key)].read()
    }

    /// The shard of `key`, to change.
    #[inline]
    pub fn write(&self, key: u64) -> RwLockWriteGuard<'_, T> {
        self.0[shard(key)].write()
    }

    /// The shards of all `keys` at one instant.
    pub fn read_many(&self, keys: impl IntoIterator<Item = u64>) -> ReadMany<'_, T> {
        let mut read = ReadMany {
            guards: SmallVec::new(),
            places: [usize::MAX; SHARDS],
        };
        let mut wanted = wanted(keys);
        while wanted != 0 {
            let shard = wanted.trailing_zeros() as usize;
            wanted &= wanted - 1;
            read.places[shard] = read.guards.len();
            read.guards.push(self.0[shard].read());
        }
        read
    }

    /// All shards at one instant, to change.
    pub fn write_all(&self) -> WriteMany<'_, T> {
        WriteMany(array::from_fn(|n| Some(self.0[n].write())))
    }

    /// The shards of all `keys` at one instant, to change.
    pub fn write_many(&self, keys: impl IntoIterator<Item = u64>) -> WriteMany<'_, T> {
        let wanted = wanted(keys);
        WriteMany(array::from_fn(|n| {
            (wanted >> n & 1 == 1).then(|| self.0[n].write())
        }))
    }
}

/// Some shards at one instant. Only what is locked, so that nothing has to ask what is.
#[derive(Debug)]
pub struct ReadMany<'a, T> {
    guards: SmallVec<[RwLockReadGuard<'a, T>; SHARDS]>,
    /// Where the guard of each shard is; past the end for one that is not locked.
    places: [usize; SHARDS],
}

impl<T> ReadMany<'_, T> {
    /// The shard of one of the keys that were asked for.
    ///
    /// # Panics
    ///
    /// If it was not asked for.
    #[must_use]
    pub fn of(&self, key: u64) -> &T {
        &self.guards[self.places[shard(key)]]
    }
}

/// Some shards at one instant, to change.
#[derive(Debug)]
pub struct WriteMany<'a, T>([Option<RwLockWriteGuard<'a, T>>; SHARDS]);

impl<T> WriteMany<'_, T> {
    /// The shard of one of the keys that were asked for.
    ///
    /// # Panics
    ///
    /// If it was not asked for.
    pub fn of(&mut self, key: u64) -> &mut T {
        self.0[shard(key)].as_mut().expect(LOCKED)
    }
}

const LOCKED: &str = "the shard of every key that was asked for is locked";

/// A bit for each shard.
fn wanted(keys: impl IntoIterator<Item = u64>) -> u32 {
    keys.into_iter()
        .fold(0, |wanted, key| wanted | 1 << shard(key))
}

/// Multiplicative hashing: the golden ratio spreads runs of consecutive ids evenly.
#[inline]
fn shard(key: u64) -> usize {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let [high, ..] = key.wrapping_mul(GOLDEN).to_be_bytes();
    usize::from(high >> (u8::BITS - SHARDS.ilog2()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_keys_spread_over_all_shards() {
        let mut keys = [0; SHARDS];
        for key in 0..1_600 {
            keys[shard((1_790_000_000_000 << 16) + key)] += 1;
        }
        assert!(
            keys.iter().all(|&keys| (80..=120).contains(&keys)),
            "{keys:?}"
        );
    }

    #[test]
    fn many_keys_of_one_shard_lock_it_once() {
        let shards = Shards::<u64>::default();
        *shards.write_many([7, 7]).of(7) += 1;
        assert_eq!(*shards.read_many([7, 8, 7]).of(7), 1);
    }
}
