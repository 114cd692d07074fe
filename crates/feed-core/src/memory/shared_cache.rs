use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use backplane::{
    Clock,
    memory::{SHARDS, Shards},
};
use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use crate::{CacheItem, Result, SharedCache, shelf::Shelf};

/// A [`SharedCache`] in process memory, for one node: what it holds goes with the process.
///
/// The trait's methods are here without `async` too.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use backplane::ManualClock;
/// use feed_core::{CacheItem, MemorySharedCache, MemorySharedCacheOptions};
///
/// let clock = ManualClock::default();
/// let cache = MemorySharedCache::new(Arc::new(clock.clone()), MemorySharedCacheOptions::default());
/// cache.put_many(&[CacheItem::new("a", "1", Duration::from_secs(5))?]);
/// assert_eq!(cache.get_many(&["a".into(), "b".into()]), [Some("1".into()), None]);
///
/// clock.advance(Duration::from_secs(5));
/// assert_eq!(cache.get_many(&["a".into()]), [None]);
/// # Ok::<_, feed_core::Error>(())
/// ```
pub struct MemorySharedCache {
    clock: Arc<dyn Clock>,
    options: MemorySharedCacheOptions,
    shards: Shards<Shelf<Bytes, Bytes>>,
}

/// The bounds of a [`MemorySharedCache`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MemorySharedCacheOptions {
    /// How many bytes the items may take, with about 160 for each besides key and value. 64 MiB by
    /// default. An item larger than a sixteenth of it is not kept.
    pub max_bytes: usize,
}

impl MemorySharedCache {
    /// An empty cache within the bounds of `options`, whose items age by `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, options: MemorySharedCacheOptions) -> Self {
        let share = options.max_bytes / SHARDS;
        Self {
            clock,
            options,
            shards: Shards::from_fn(|| Shelf::new(share)),
        }
    }

    /// See [`SharedCache::get_many`].
    #[must_use]
    pub fn get_many(&self, keys: &[Bytes]) -> Vec<Option<Bytes>> {
        let now = self.clock.monotonic();
        let value = |key: &Bytes| self.shards.read(xxh3_64(key)).get(key, now).cloned();
        keys.iter().map(value).collect()
    }

    /// See [`SharedCache::put_many`].
    pub fn put_many(&self, items: &[CacheItem]) {
        let now = self.clock.monotonic();
        for item in items {
            store(&mut self.shards.write(xxh3_64(item.key())), item, now);
        }
    }

    /// See [`SharedCache::add_many`].
    #[must_use = "what was there already was not stored"]
    pub fn add_many(&self, items: &[CacheItem]) -> Vec<bool> {
        let now = self.clock.monotonic();
        let add = |item: &CacheItem| {
            let mut shelf = self.shards.write(xxh3_64(item.key()));
            let absent = shelf.get(item.key(), now).is_none();
            if absent {
                store(&mut shelf, item, now);
            }
            absent
        };
        items.iter().map(add).collect()
    }

    /// See [`SharedCache::replace_many`].
    #[must_use = "where something else was, nothing was stored"]
    pub fn replace_many(&self, items: &[(Bytes, CacheItem)]) -> Vec<bool> {
        let now = self.clock.monotonic();
        let replace = |(expected, item): &(Bytes, CacheItem)| {
            let mut shelf = self.shards.write(xxh3_64(item.key()));
            let found = shelf.get(item.key(), now) == Some(expected);
            if found {
                store(&mut shelf, item, now);
            }
            found
        };
        items.iter().map(replace).collect()
    }

    /// See [`SharedCache::remove_many`].
    pub fn remove_many(&self, keys: &[Bytes]) {
        for key in keys {
            self.shards.write(xxh3_64(key)).remove(key);
        }
    }
}

/// Copies the item: a slice would keep the buffer alive of which it is a part.
fn store(shelf: &mut Shelf<Bytes, Bytes>, item: &CacheItem, now: Duration) {
    let key = Bytes::copy_from_slice(item.key());
    let value = Bytes::copy_from_slice(item.value());
    let bytes = key.len() + value.len();
    shelf.put(key, value, bytes, now.saturating_add(item.ttl()));
}

impl fmt::Debug for MemorySharedCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySharedCache")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl SharedCache for MemorySharedCache {
    async fn get_many(&self, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>> {
        Ok(Self::get_many(self, keys))
    }

    async fn put_many(&self, items: &[CacheItem]) -> Result<()> {
        Self::put_many(self, items);
        Ok(())
    }

    async fn add_many(&self, items: &[CacheItem]) -> Result<Vec<bool>> {
        Ok(Self::add_many(self, items))
    }

    async fn replace_many(&self, items: &[(Bytes, CacheItem)]) -> Result<Vec<bool>> {
        Ok(Self::replace_many(self, items))
    }

    async fn remove_many(&self, keys: &[Bytes]) -> Result<()> {
        Self::remove_many(self, keys);
        Ok(())
    }
}

impl MemorySharedCacheOptions {
    /// Room for `bytes` bytes.
    #[must_use]
    pub const fn with_max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }
}

impl Default for MemorySharedCacheOptions {
    fn default() -> Self {
        Self {
            max_bytes: 64 << 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use backplane::ManualClock;
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::conformance::{Fresh, TestTime};

    fn cache(options: MemorySharedCacheOptions) -> (MemorySharedCache, ManualClock) {
        let clock = ManualClock::default();
        let cache = MemorySharedCache::new(Arc::new(clock.clone()), options);
        (cache, clock)
    }

    fn fresh() -> Fresh<dyn SharedCache> {
        let (cache, clock) = cache(MemorySharedCacheOptions::default());
        Fresh {
            store: Arc::new(cache),
            time: TestTime::Manual(clock),
        }
    }

    crate::shared_cache_conformance!(async { fresh() });

    #[test]
    fn holds_no_more_than_its_bound() {
        let bound = 1 << 20;
        let (cache, _) = cache(MemorySharedCacheOptions::default().with_max_bytes(bound));
        let key = |n: u32| Bytes::copy_from_slice(&n.to_be_bytes());
        for n in 0..10_000 {
            let item = CacheItem::new(key(n), vec![0; 1_000], Duration::from_secs(1));
            cache.put_many(&[item.unwrap()]);
        }
        let keys: Vec<_> = (0..10_000).map(key).collect();
        let kept = cache.get_many(&keys).into_iter().flatten().count();
        let each = 1_000 + 4 + Shelf::<Bytes, Bytes>::OVERHEAD;
        assert!((bound * 8 / 10..=bound).contains(&(kept * each)), "{kept}");
    }

    #[test]
    fn an_item_takes_what_the_options_say() {
        assert!((150..=170).contains(&Shelf::<Bytes, Bytes>::OVERHEAD));
    }

    #[derive(Clone, Debug)]
    enum Op {
        Put(u8, u8, u64),
        Add(u8, u8, u64),
        Replace(u8, u8, u8, u64),
        Remove(u8),
        Pass(u64),
    }

    fn op() -> impl Strategy<Value = Op> {
        let (key, ttl, value) = (0_u8..5, 1_u64..20, || 0_u8..4);
        prop_oneof![
            (key.clone(), value(), ttl.clone())
                .prop_map(|(key, value, ttl)| Op::Put(key, value, ttl)),
            (key.clone(), value(), ttl.clone())
                .prop_map(|(key, value, ttl)| Op::Add(key, value, ttl)),
            (key.clone(), value(), value(), ttl)
                .prop_map(|(key, old, value, ttl)| Op::Replace(key, old, value, ttl)),
            key.prop_map(Op::Remove),
            (0_u64..12).prop_map(Op::Pass),
        ]
    }

    proptest! {
        #[test]
        fn agrees_with_the_model(ops in vec(op(), 0..80)) {
            let (cache, clock) = cache(MemorySharedCacheOptions::default());
            let mut model: BTreeMap<u8, (u8, u64)> = BTreeMap::new();
            let mut now = 0;
            let item = |key: u8, value: u8, ttl| {
                CacheItem::new(vec![key], vec![value], Duration::from_secs(ttl)).unwrap()
            };
            for op in ops {
                model.retain(|_, (_, until)| *until > now);
                match op {
                    Op::Put(key, value, ttl) => {
                        cache.put_many(&[item(key, value, ttl)]);
                        model.insert(key, (value, now + ttl));
                    }
                    Op::Add(key, value, ttl) => {
                        let added = cache.add_many(&[item(key, value, ttl)]);
                        prop_assert_eq!(added, [!model.contains_key(&key)]);
                        model.entry(key).or_insert((value, now + ttl));
                    }
                    Op::Replace(key, old, value, ttl) => {
                        let replaced = cache.replace_many(&[(vec![old].into(), item(key, value, ttl))]);
                        let found = model.get(&key).is_some_and(|(found, _)| *found == old);
                        prop_assert_eq!(replaced, [found]);
                        if found {
                            model.insert(key, (value, now + ttl));
                        }
                    }
                    Op::Remove(key) => {
                        cache.remove_many(&[vec![key].into()]);
                        model.remove(&key);
                    }
                    Op::Pass(seconds) => {
                        clock.advance(Duration::from_secs(seconds));
                        now += seconds;
                    }
                }
                for key in 0..5 {
                    let found = cache.get_many(&[vec![key].into()]).remove(0);
                    let live = model.get(&key).filter(|(_, until)| *until > now);
                    prop_assert_eq!(found, live.map(|(value, _)| vec![*value].into()));
                }
            }
        }
    }
}
