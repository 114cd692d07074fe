//! The second level: the shared cache, as one kind of content uses it.
//!
//! What was fetched is stored later than it was read, and may have been forgotten in between. So who
//! is about to fetch first leaves a claim that is nobody else's, and stores what was fetched in place
//! of that claim alone: the leases of memcache (Nishtala et al., "Scaling Memcache at Facebook", NSDI
//! 2013). Whatever has become of the claim, be it that the content was forgotten, that the claim's
//! time has passed, or that the cache has lost it or the mark of the forget, nothing old is stored.

use std::{
    hash::{BuildHasher, RandomState},
    iter::zip,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use backplane::{Clock, Sleep};
use bytes::{BufMut, Bytes, BytesMut};
use futures::{
    future::{Either, select},
    join, poll,
};

use super::{answer::Want, kind::Kind, options::HydratorOptions, stats::Tally};
use crate::{CacheItem, Error, ErrorKind, Result, SharedCache};

/// Stands in place of what was forgotten, so that nobody claims it for a while.
const FORGOTTEN: u8 = 0;
/// Before content, in the form that this version writes. What stands after another mark is of another
/// version; 1 was before posts that name what they reply to.
const CONTENT: u8 = 3;
/// Before what identifies a claim.
const CLAIM: u8 = 2;
const CLAIM_LEN: usize = 17;

#[derive(Debug)]
pub(super) struct Far {
    cache: Arc<dyn SharedCache>,
    clock: Arc<dyn Clock>,
    patience: Duration,
    /// How long content is kept, and a claim to store it, and the mark of a forget.
    ttl: Duration,
    fetch_timeout: Duration,
    hold: Duration,
    /// In the claims of this node and of no other. Random, and not from a seed in the options,
    /// which may be the same everywhere.
    name: u64,
}

/// What a flight gets of the shared cache for a want.
pub(super) enum Sought<V> {
    Content(V),
    /// Nothing of use, but the right to store it.
    Claimed,
    /// Neither: it was forgotten a moment ago, or another has claimed it, or nobody answers.
    Barred,
}

/// What the shared cache has under the key of a want.
enum Found<V> {
    Content(V),
    /// Too old, or not ours.
    Stale(Bytes),
    /// The mark of a forget, or a claim.
    Barred,
    Nothing,
}

impl Far {
    pub(super) fn new(
        cache: Arc<dyn SharedCache>,
        clock: Arc<dyn Clock>,
        options: &HydratorOptions,
        ttl: Duration,
    ) -> Self {
        Self {
            cache,
            clock,
            patience: options.patience,
            ttl,
            fetch_timeout: options.fetch_timeout,
            hold: options.hold,
            name: RandomState::new().hash_one(()),
        }
    }

    /// What there is of the wants of a flight, and claims to the others.
    pub(super) async fn seek<K: Kind>(
        &self,
        wants: &[Want],
        flight: u64,
        tally: &Tally,
    ) -> Vec<Sought<K::Value>> {
        let keys: Vec<_> = wants.iter().map(|want| key::<K>(want.id)).collect();
        let found = self.call(self.cache.get_many(&keys), tally).await;
        let (mut adds, mut swaps) = (Vec::new(), Vec::new());
        let mut sought: Vec<_> = wants.iter().map(|_| Sought::Barred).collect();
        let claim = self.claim(flight);
        let claim = |key: &Bytes| {
            CacheItem::new(key.clone(), claim.clone(), self.fetch_timeout)
                .expect("keys and claims are short, and the options are workable")
        };
        for (place, (want, found)) in zip(wants, found.unwrap_or_default()).enumerate() {
            match read::<K>(*want, found) {
                Found::Content(value) => sought[place] = Sought::Content(value),
                Found::Stale(old) => swaps.push((place, (old, claim(&keys[place])))),
                Found::Nothing => adds.push((place, claim(&keys[place]))),
                Found::Barred => {}
            }
        }
        let (added, swapped) = join!(self.add(adds, tally), self.replace(swaps, tally));
        for place in added.into_iter().chain(swapped) {
            sought[place] = Sought::Claimed;
        }
        sought
    }

    /// Stores what a flight has brought of what it had claimed, if it still has.
    pub(super) async fn fill<'a, K: Kind>(
        &self,
        brought: impl Iterator<Item = &'a K::Value>,
        flight: u64,
        tally: &Tally,
    ) {
        let claim = self.claim(flight);
        let fill = |value| Some((claim.clone(), self.item::<K>(value)?));
        let fills = brought.filter_map(fill).enumerate().collect();
        // What fails is counted, and not here the next time.
        self.replace(fills, tally).await;
    }

    pub(super) async fn forget<K: Kind>(&self, ids: &[u64], tally: &Tally) -> Result<()> {
        let hold = |&id| CacheItem::new(key::<K>(id), &[FORGOTTEN][..], self.hold);
        let holds = ids.iter().map(hold).collect::<Result<Vec<_>>>()?;
        self.call(self.cache.put_many(&holds), tally).await
    }

    /// What nobody but this flight writes. It may be the same under all its keys.
    fn claim(&self, flight: u64) -> Bytes {
        let mut claim = BytesMut::with_capacity(CLAIM_LEN);
        claim.put_u8(CLAIM);
        claim.put_u64(self.name);
        claim.put_u64(flight);
        claim.freeze()
    }

    /// `None` for what is longer than the shared cache takes.
    fn item<K: Kind>(&self, value: &K::Value) -> Option<CacheItem> {
        let mut bytes = vec![CONTENT];
        K::encode(value, &mut bytes);
        CacheItem::new(key::<K>(K::id(value)), bytes, self.ttl).ok()
    }

    /// The places of those that were stored, as nothing was there.
    async fn add(&self, items: Vec<(usize, CacheItem)>, tally: &Tally) -> Vec<usize> {
        if items.is_empty() {
            return Vec::new();
        }
        let (places, items): (Vec<_>, Vec<_>) = items.into_iter().unzip();
        let added = self.call(self.cache.add_many(&items), tally).await;
        stored(&places, &added.unwrap_or_default())
    }

    /// The places of those that were stored, as what goes with them was there.
    async fn replace(&self, items: Vec<(usize, (Bytes, CacheItem))>, tally: &Tally) -> Vec<usize> {
        if items.is_empty() {
            return Vec::new();
        }
        let (places, items): (Vec<_>, Vec<_>) = items.into_iter().unzip();
        let replaced = self.call(self.cache.replace_many(&items), tally).await;
        stored(&places, &replaced.unwrap_or_default())
    }

    async fn call<T>(&self, call: impl Future<Output = Result<T>>, tally: &Tally) -> Result<T> {
        let mut call = pin!(call);
        let answer = match poll!(call.as_mut()) {
            // What answers at once needs no timer, which costs more than a call in memory.
            Poll::Ready(answer) => answer,
            Poll::Pending => {
                match select(call, self.clock.sleep(self.patience.min(Sleep::LONGEST))).await {
                    Either::Left((answer, _)) => answer,
                    Either::Right(_) => Err(Error::bare(ErrorKind::Unavailable, "shared cache")),
                }
            }
        };
        tally.shared_failures.add(u64::from(answer.is_err()));
        answer
    }
}

fn key<K: Kind>(id: u64) -> Bytes {
    let mut key = [K::LETTER; 9];
    key[1..].copy_from_slice(&id.to_be_bytes());
    Bytes::copy_from_slice(&key)
}

fn read<K: Kind>(want: Want, found: Option<Bytes>) -> Found<K::Value> {
    let Some(found) = found else {
        return Found::Nothing;
    };
    match found.split_first() {
        Some((&FORGOTTEN, _)) => Found::Barred,
        Some((&CLAIM, _)) if found.len() == CLAIM_LEN => Found::Barred,
        Some((&CONTENT, content)) => match K::decode(want.id, content) {
            Some(value) if K::version(&value) >= want.version => Found::Content(value),
            _ => Found::Stale(found),
        },
        _ => Found::Stale(found),
    }
}

fn stored(places: &[usize], stored: &[bool]) -> Vec<usize> {
    let pairs = zip(places, stored);
    pairs
        .filter_map(|(&place, &stored)| stored.then_some(place))
        .collect()
}
