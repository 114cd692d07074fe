use std::{fmt, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Error, ErrorKind, Result};

/// A cache that the nodes of an application share: bytes under byte keys, each for a time.
///
/// It may lose any item at any time, and it may fail: its users go on as if the item were
/// not there. What it answers was put under that key, is whole, and is not older than its time to
/// live. What was replaced or removed never comes back: calls are seen by every call that starts
/// after they returned, on whichever node. An engine whose replicas lag behind reads from the primary;
/// one that may lose acknowledged writes when a replica takes over says so, since what was forgotten
/// may then be found again until its time has passed.
///
/// The items of a batch take effect one by one, in order; there is no promise over several keys. A
/// call that failed or was dropped may take effect later, each item still in one step.
///
/// Who stores what they have read elsewhere does so late: it may have been forgotten meanwhile. With
/// [`add_many`](Self::add_many) they claim the key by a value that nobody else uses *before* they
/// read, and with [`replace_many`](Self::replace_many) they store what they have read where that claim
/// still is. Whoever forgets [puts](Self::put_many) something in its place or
/// [removes](Self::remove_many) it. A claim that the cache has lost costs a fetch, and brings nothing
/// old back.
///
/// The feed keeps hydrated content here, under keys of nine bytes that start with `p` or `u`, and
/// ranked orders, under keys of 17 bytes that start with `r`.
#[async_trait]
pub trait SharedCache: fmt::Debug + Send + Sync {
    /// The value under each key, in the order asked.
    ///
    /// Reading does not make an item live longer.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    async fn get_many(&self, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>>;

    /// Stores each item, in place of what is under its key.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; some items may have been stored.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves each item stored whole or not at all.
    async fn put_many(&self, items: &[CacheItem]) -> Result<()>;

    /// Stores each item whose key has nothing under it, and says for each whether it was stored.
    ///
    /// Looking and storing is one atomic step for each item: of several calls that race for a key,
    /// one stores.
    ///
    /// # Errors
    ///
    /// As for [`put_many`](Self::put_many).
    ///
    /// # Cancel safety
    ///
    /// As for [`put_many`](Self::put_many).
    async fn add_many(&self, items: &[CacheItem]) -> Result<Vec<bool>>;

    /// Stores each item whose key has exactly the bytes under it that go with it, and says for each
    /// whether it was stored. An item past its time is not there, and nothing is not a value of no
    /// bytes.
    ///
    /// Comparing and storing is one atomic step for each item: of several calls that race to replace a
    /// value, one stores, and none stores over what another call has put or removed meanwhile. It is
    /// `gets` and `cas` in memcached, and a script in Redis.
    ///
    /// # Errors
    ///
    /// As for [`put_many`](Self::put_many).
    ///
    /// # Cancel safety
    ///
    /// As for [`put_many`](Self::put_many).
    async fn replace_many(&self, items: &[(Bytes, CacheItem)]) -> Result<Vec<bool>>;

    /// Removes what is under the keys.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave some items removed.
    async fn remove_many(&self, keys: &[Bytes]) -> Result<()>;
}

/// What a [`SharedCache`] stores: a value under a key, for a time.
///
/// ```
/// use std::time::Duration;
/// use feed_core::{CacheItem, ErrorKind};
///
/// let item = CacheItem::new("rank/7", "snapshot", Duration::from_secs(600))?;
/// assert_eq!(item.key(), "rank/7");
///
/// let refused = CacheItem::new("rank/7", "snapshot", Duration::ZERO).unwrap_err();
/// assert_eq!(refused.kind(), ErrorKind::Invalid);
/// # Ok::<_, feed_core::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CacheItem {
    key: Bytes,
    value: Bytes,
    ttl: Duration,
}

impl CacheItem {
    /// The longest key, in bytes.
    pub const MAX_KEY: usize = 250;

    /// The longest value, in bytes.
    pub const MAX_VALUE: usize = 1 << 20;

    /// `value` under `key`, until `ttl` has passed since it was stored.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] for a key of no bytes or of more than [`MAX_KEY`](Self::MAX_KEY), for a
    /// value of more than [`MAX_VALUE`](Self::MAX_VALUE) bytes, and for a time below a millisecond.
    pub fn new(key: impl Into<Bytes>, value: impl Into<Bytes>, ttl: Duration) -> Result<Self> {
        let (key, value) = (key.into(), value.into());
        let keyed = (1..=Self::MAX_KEY).contains(&key.len());
        if !keyed || value.len() > Self::MAX_VALUE || ttl < Duration::from_millis(1) {
            return Err(Error::bare(ErrorKind::Invalid, "cache item"));
        }
        Ok(Self { key, value, ttl })
    }

    /// Where it is found.
    #[must_use]
    pub const fn key(&self) -> &Bytes {
        &self.key
    }

    /// What is found.
    #[must_use]
    pub const fn value(&self) -> &Bytes {
        &self.value
    }

    /// For how long.
    #[must_use]
    pub const fn ttl(&self) -> Duration {
        self.ttl
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_outside_the_limits_cannot_be_made() {
        let second = Duration::from_secs(1);
        let refused = |key: usize, value: usize, ttl| {
            let item = CacheItem::new(vec![7; key], vec![7; value], ttl);
            item.is_err_and(|error| error.kind() == ErrorKind::Invalid)
        };
        assert!(!refused(1, 0, Duration::from_millis(1)));
        assert!(!refused(CacheItem::MAX_KEY, CacheItem::MAX_VALUE, second));
        assert!(refused(0, 0, second));
        assert!(refused(CacheItem::MAX_KEY + 1, 0, second));
        assert!(refused(1, CacheItem::MAX_VALUE + 1, second));
        assert!(refused(1, 0, Duration::from_micros(999)));
    }
}
