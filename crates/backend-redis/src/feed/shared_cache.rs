use std::collections::HashSet;

use async_trait::async_trait;
use bytes::Bytes;
use feed_core::{CacheItem, Result, SharedCache};
use redis::{Cmd, Value, cmd};

use crate::{
    Redis, failure,
    script::{Call, script},
    times::FOREVER,
};

/// A [`SharedCache`] on Redis, for the nodes of an application.
///
/// An item is a key, and its time is the server's to measure. A call sends all its commands at once,
/// one for each item: one round trip to a server for each thousand items. In a Cluster those to one master
/// are one pipeline, and 32 pipelines are under way at a time, or 32 commands over a `ClusterConnection`.
/// [`put_many`](SharedCache::put_many), [`add_many`](SharedCache::add_many) and
/// [`replace_many`](SharedCache::replace_many) make one more for a key that is in the batch again.
///
/// ```no_run
/// use std::time::Duration;
/// use backend_redis::{Redis, RedisSharedCache};
/// use feed_core::{CacheItem, SharedCache};
/// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
/// let client = redis::Client::open("redis://127.0.0.1/")?;
/// let cache = RedisSharedCache::new(client.get_connection_manager().await?.into());
/// cache.put_many(&[CacheItem::new("greeting", "hello", Duration::from_secs(60))?]).await?;
/// # Ok(()) }
/// ```
///
/// # Room
///
/// The cache has no bound of its own but the server's `maxmemory`. Give it a server of its own, which may
/// evict by any policy: what it drops is fetched again, and a claim that it drops lets nothing old in. On a
/// server that holds other stores too let nothing be evicted (`noeviction`): it refuses items then as
/// [`ErrorKind::Full`](feed_core::ErrorKind::Full) while it is full. With a policy such as `volatile-lru`,
/// which drops only keys with a time to live, it would also drop what other stores keep for a while, such as
/// what is left to a rate limit: `docs/redis.md` says what.
///
/// # What Redis may lose
///
/// A replica that takes over lacks what the dead server wrote last. What was forgotten or replaced
/// in that moment may then be found again until its time has passed, so keep that time short. For the
/// same reason a client that reads from replicas must not be used.
#[derive(Clone, Debug)]
pub struct RedisSharedCache {
    redis: Redis,
}

script!(REPLACE, "shared_cache/replace.lua");

impl RedisSharedCache {
    /// A cache whose keys begin with the prefix of `redis` and `cache:`.
    #[must_use]
    pub const fn new(redis: Redis) -> Self {
        Self { redis }
    }

    fn key(&self, key: &[u8]) -> Vec<u8> {
        [self.redis.prefix().as_bytes(), b"cache:", key].concat()
    }

    fn set(&self, item: &CacheItem) -> Cmd {
        let mut set = cmd("SET");
        set.arg(self.key(item.key()))
            .arg(&item.value()[..])
            .arg("PX")
            .arg(millis(item));
        set
    }
}

#[async_trait]
impl SharedCache for RedisSharedCache {
    async fn get_many(&self, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>> {
        let get = |key: &Bytes| {
            let mut get = cmd("GET");
            get.arg(self.key(key));
            get
        };
        let commands: Vec<_> = keys.iter().map(get).collect();
        let found = self.redis.read_all("get", &commands, |found| match found {
            Value::BulkString(value) => Some(Some(Bytes::copy_from_slice(value))),
            Value::Nil => Some(None),
            _ => None,
        });
        Ok(found.await.into_iter().collect::<Result<_, _>>()?)
    }

    async fn put_many(&self, items: &[CacheItem]) -> Result<()> {
        for items in runs(items, CacheItem::key) {
            let commands: Vec<_> = items.iter().map(|item| self.set(item)).collect();
            for answer in self.redis.send_all(&commands).await {
                answer.map_err(|error| failure::of("put", error))?;
            }
        }
        Ok(())
    }

    async fn add_many(&self, items: &[CacheItem]) -> Result<Vec<bool>> {
        let mut added = Vec::with_capacity(items.len());
        for items in runs(items, CacheItem::key) {
            let add = |item: &CacheItem| {
                let mut add = self.set(item);
                add.arg("NX");
                add
            };
            let commands: Vec<_> = items.iter().map(add).collect();
            for answer in self.redis.send_all(&commands).await {
                let answer = answer.map_err(|error| failure::of("add", error))?;
                added.push(answer != Value::Nil);
            }
        }
        Ok(added)
    }

    async fn replace_many(&self, items: &[(Bytes, CacheItem)]) -> Result<Vec<bool>> {
        let mut replaced = Vec::with_capacity(items.len());
        for items in runs(items, |(_, item)| item.key()) {
            let replace = |(expected, item): &(Bytes, CacheItem)| {
                Call::passing(&REPLACE)
                    .key(self.key(item.key()))
                    .bytes(&expected[..])
                    .bytes(&item.value()[..])
                    .number(millis(item))
            };
            let calls: Vec<_> = items.iter().map(replace).collect();
            let read = |answer: &Value| match answer {
                Value::Int(stored) => Some(*stored == 1),
                _ => None,
            };
            for answer in self.redis.ask_all("replace", &calls, read).await {
                replaced.push(answer?);
            }
        }
        Ok(replaced)
    }

    async fn remove_many(&self, keys: &[Bytes]) -> Result<()> {
        let unlink = |key: &Bytes| {
            let mut unlink = cmd("UNLINK");
            unlink.arg(self.key(key));
            unlink
        };
        let commands: Vec<_> = keys.iter().map(unlink).collect();
        for answer in self.redis.send_all(&commands).await {
            answer.map_err(|error| failure::of("remove", error))?;
        }
        Ok(())
    }
}

/// Rounded down, so that no item lives too long.
fn millis(item: &CacheItem) -> u64 {
    u64::try_from(item.ttl().min(FOREVER).as_millis()).unwrap_or(u64::MAX)
}

/// The items in runs that have no key twice: what a Cluster is sent at once takes effect in any order.
fn runs<T>(items: &[T], key: impl Fn(&T) -> &Bytes) -> Vec<&[T]> {
    let mut seen = HashSet::new();
    let mut runs = Vec::with_capacity(1);
    let mut start = 0;
    for (at, item) in items.iter().enumerate() {
        if !seen.insert(key(item)) {
            runs.push(&items[start..at]);
            start = at;
            seen.clear();
            seen.insert(key(item));
        }
    }
    runs.push(&items[start..]);
    runs
}
