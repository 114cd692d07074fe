//! The second level: the shared cache, as one kind of content uses it.

use std::{pin::pin, sync::Arc, task::Poll, time::Duration};

use backplane::Clock;
use bytes::Bytes;
use futures::{
    future::{Either, select},
    poll,
};

use super::{
    answer::{Answer, Want},
    kind::Kind,
    stats::Counters,
};
use crate::{CacheItem, Error, ErrorKind, Result, SharedCache};

/// Written in place of what was forgotten, so that nothing older can be added behind it.
const HELD: u8 = 0;
/// Before content, in the form that this version writes.
const CONTENT: u8 = 1;

#[derive(Debug)]
pub(super) struct Far {
    pub(super) cache: Arc<dyn SharedCache>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) patience: Duration,
    pub(super) ttl: Duration,
    pub(super) hold: Duration,
}

/// What the shared cache has under the key of a want.
pub(super) enum Held<V> {
    Content(V),
    /// Too old, or not ours.
    Stale,
    /// Forgotten a moment ago.
    Forgotten,
    Nothing,
    /// The shared cache did not answer.
    Unknown,
}

impl Far {
    pub(super) async fn get<K: Kind>(
        &self,
        wants: &[Want],
        counters: &Counters,
    ) -> Vec<Held<K::Value>> {
        let keys: Vec<_> = wants.iter().map(|want| key::<K>(want.id)).collect();
        let found = self.call(self.cache.get_many(&keys), counters).await;
        let mut found = found.unwrap_or_default().into_iter();
        let held = |want: &Want| found.next().map_or(Held::Unknown, |v| read::<K>(*want, v));
        wants.iter().map(held).collect()
    }

    /// Stores what the source has answered where it was missing, and where it was too old.
    ///
    /// What is missing is added, not put: had it been forgotten meanwhile, it would be older than
    /// that.
    pub(super) async fn fill<K: Kind>(
        &self,
        brought: impl Iterator<Item = (Want, &Held<K::Value>, &Answer<K::Value>)>,
        counters: &Counters,
    ) {
        let (mut adds, mut puts) = (Vec::new(), Vec::new());
        for (want, held, answer) in brought {
            let Answer::Found(value) = answer else {
                continue;
            };
            let batch = match held {
                Held::Nothing => &mut adds,
                Held::Stale => &mut puts,
                Held::Content(_) | Held::Forgotten | Held::Unknown => continue,
            };
            if K::version(value) >= want.version {
                batch.extend(self.item::<K>(value));
            }
        }
        // What fails is counted, and not here the next time.
        if !adds.is_empty() {
            self.call(self.cache.add_many(&adds), counters).await.ok();
        }
        if !puts.is_empty() {
            self.call(self.cache.put_many(&puts), counters).await.ok();
        }
    }

    pub(super) async fn forget<K: Kind>(&self, ids: &[u64], counters: &Counters) -> Result<()> {
        let hold = |&id| CacheItem::new(key::<K>(id), &[HELD][..], self.hold);
        let holds = ids.iter().map(hold).collect::<Result<Vec<_>>>()?;
        self.call(self.cache.put_many(&holds), counters).await
    }

    /// `None` for what is longer than the shared cache takes.
    fn item<K: Kind>(&self, value: &K::Value) -> Option<CacheItem> {
        let mut bytes = vec![CONTENT];
        K::encode(value, &mut bytes);
        CacheItem::new(key::<K>(K::id(value)), bytes, self.ttl).ok()
    }

    async fn call<T>(
        &self,
        call: impl Future<Output = Result<T>>,
        counters: &Counters,
    ) -> Result<T> {
        let mut call = pin!(call);
        let answer = match poll!(call.as_mut()) {
            // What answers at once needs no timer, which costs more than a call in memory.
            Poll::Ready(answer) => answer,
            Poll::Pending => match select(call, self.clock.sleep(self.patience)).await {
                Either::Left((answer, _)) => answer,
                Either::Right(_) => Err(Error::bare(ErrorKind::Unavailable, "shared cache")),
            },
        };
        counters.shared_failures.add(u64::from(answer.is_err()));
        answer
    }
}

fn key<K: Kind>(id: u64) -> Bytes {
    let mut key = [K::LETTER; 9];
    key[1..].copy_from_slice(&id.to_be_bytes());
    Bytes::copy_from_slice(&key)
}

fn read<K: Kind>(want: Want, found: Option<Bytes>) -> Held<K::Value> {
    let Some(found) = found else {
        return Held::Nothing;
    };
    match found.split_first() {
        Some((&HELD, _)) => Held::Forgotten,
        Some((&CONTENT, content)) => match K::decode(want.id, content) {
            Some(value) if K::version(&value) >= want.version => Held::Content(value),
            _ => Held::Stale,
        },
        _ => Held::Stale,
    }
}
