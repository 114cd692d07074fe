use std::{fmt, sync::Arc};

use backplane::ring::{HashRing, MemberName};
use futures::future::join_all;
use hashbrown::HashMap;

use crate::{Error, ErrorKind, Result, Seek, TimelineStore, UserId};

/// Named timeline stores, and the ring that says which of them keeps whose timeline.
///
/// An owner's key on the ring is the eight little-endian bytes of their id.
pub struct TimelineShards {
    ring: HashRing,
    /// Beside the members of the ring.
    stores: Box<[Arc<dyn TimelineStore>]>,
}

impl TimelineShards {
    /// The stores that `ring` names. Others among `stores` are left out, so that one list serves
    /// every ring.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if the ring names a store that is not there, two stores have one name,
    /// or no member of the ring has a weight.
    pub fn new(
        ring: HashRing,
        stores: impl IntoIterator<Item = (MemberName, Arc<dyn TimelineStore>)>,
    ) -> Result<Self> {
        let mut named = HashMap::new();
        for (name, store) in stores {
            if let Some((name, _)) = named.insert(name.clone(), store).map(|store| (name, store)) {
                return Err(invalid(format!("two stores are called {name}")));
            }
        }
        if ring.index_at(0).is_none() {
            return Err(invalid(String::from("no member of the ring has a weight")));
        }
        let stores: Result<_> = ring
            .members()
            .iter()
            .map(|member| {
                let store = named.remove(member.name());
                store.ok_or_else(|| invalid(format!("no store is called {}", member.name())))
            })
            .collect();
        Ok(Self {
            stores: stores?,
            ring,
        })
    }

    /// The ring.
    #[must_use]
    pub const fn ring(&self) -> &HashRing {
        &self.ring
    }

    /// The store that keeps the timeline of `owner`.
    #[must_use]
    pub fn store(&self, owner: UserId) -> &Arc<dyn TimelineStore> {
        &self.stores[self.index(owner)]
    }

    /// How many stores there are, also those without a weight.
    pub(super) const fn len(&self) -> usize {
        self.stores.len()
    }

    /// Where the store of `owner` stands.
    pub(super) fn index(&self, owner: UserId) -> usize {
        let index = self.ring.index_at(HashRing::point_of_u64(owner.get()));
        index.expect("a ring that owns one key owns all, and new() has tried")
    }

    pub(super) fn at(&self, index: usize) -> &Arc<dyn TimelineStore> {
        &self.stores[index]
    }

    pub(super) fn name(&self, index: usize) -> &MemberName {
        self.ring.members()[index].name()
    }

    /// Has the stores at `indices` drop the timelines that `keep` refuses at each, all at the same
    /// time, and says how many there were.
    pub(super) async fn retain(
        &self,
        indices: impl IntoIterator<Item = usize> + Send,
        keep: impl Fn(usize, UserId) -> bool + Send + Sync,
    ) -> Result<usize> {
        let keep = &keep;
        let judges: Vec<_> = indices
            .into_iter()
            .map(|index| (index, move |owner| keep(index, owner)))
            .collect();
        let calls = judges
            .iter()
            .map(|(index, judge)| self.stores[*index].retain(judge));
        join_all(calls).await.into_iter().sum()
    }

    /// Fails unless every store answers.
    pub(super) async fn answer(&self) -> Result<()> {
        let nobody = UserId::new(0);
        let stores = self.stores.iter();
        let calls = stores.map(|store| store.window(nobody, Seek::Newest, 1));
        join_all(calls)
            .await
            .into_iter()
            .try_for_each(|answer| answer.map(drop))
    }

    pub(super) fn index_of(&self, name: &MemberName) -> Option<usize> {
        let members = self.ring.members();
        members
            .binary_search_by(|member| member.name().cmp(name))
            .ok()
    }
}

impl fmt::Debug for TimelineShards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimelineShards")
            .field("ring", &self.ring)
            .finish_non_exhaustive()
    }
}

fn invalid(reason: String) -> Error {
    Error::new(ErrorKind::Invalid, "timeline shards", reason)
}

#[cfg(test)]
pub(super) mod tests {
    use backplane::ring::{Member, RingOptions};

    use super::*;
    use crate::{MemoryTimelines, MemoryTimelinesOptions};

    pub(in crate::sharded) type NamedStore = (MemberName, Arc<dyn TimelineStore>);

    /// Stores called `s0`, `s1`, … with room for eight entries in each timeline.
    pub(in crate::sharded) fn stores(count: usize) -> Vec<NamedStore> {
        let store = |n| {
            let eight = MemoryTimelinesOptions::default().with_capacity(8);
            let store: Arc<dyn TimelineStore> = Arc::new(MemoryTimelines::new(eight));
            (MemberName::new(format!("s{n}")).unwrap(), store)
        };
        (0..count).map(store).collect()
    }

    /// The ring of all of `stores`.
    pub(in crate::sharded) fn shards(stores: &[NamedStore]) -> TimelineShards {
        TimelineShards::new(ring(stores, 1), stores.iter().cloned()).unwrap()
    }

    fn ring(stores: &[NamedStore], weight: u32) -> HashRing {
        let members = stores.iter();
        let members = members.map(|(name, _)| Member::new(name).unwrap().with_weight(weight));
        HashRing::build(members, 0, &RingOptions::default()).unwrap()
    }

    #[test]
    fn the_ring_says_which_store() {
        let stores = stores(5);
        // In any order, and with one that the ring does not name.
        let shards = TimelineShards::new(ring(&stores[..4], 1), stores.iter().rev().cloned());
        let shards = shards.unwrap();
        for owner in 0..1_000 {
            let name = shards.ring().owner_of_u64(owner).unwrap().name();
            let (_, expected) = stores.iter().find(|(store, _)| store == name).unwrap();
            assert!(Arc::ptr_eq(shards.store(UserId::new(owner)), expected));
        }
    }

    #[test]
    fn every_owner_needs_one_store() {
        let stores = stores(3);
        let refuse = |ring, stores: &[&NamedStore]| {
            let stores = stores.iter().map(|&store| store.clone());
            let error = TimelineShards::new(ring, stores).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
        };
        let [a, b, c] = &stores[..] else {
            panic!("three stores")
        };
        refuse(ring(&stores, 1), &[a, b]);
        refuse(ring(&stores, 1), &[a, b, c, b]);
        refuse(ring(&stores, 0), &[a, b, c]);
        refuse(ring(&[], 1), &[a, b, c]);
    }
}
