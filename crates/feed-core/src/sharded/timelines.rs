use std::sync::Arc;

use async_trait::async_trait;
use backplane::{Timestamp, ring::HashRing};
use futures::future::{OptionFuture, join};
use parking_lot::RwLock;

use crate::{
    BuildStart, BuildTicket, Entry, Placement, PostId, PushReport, Result, Seek, TimelineShards,
    TimelineState, TimelineStore, UserId, Window,
    sharded::{batch::Batch, placement::Keepers},
};

/// A [`TimelineStore`] over several: each owner's timeline is in the one that a
/// [`HashRing`] of their names says.
///
/// Batches are cut along the stores, which are called at the same time. A store that fails fails its
/// own owners: [`push_many`](TimelineStore::push_many), [`remove_many`](TimelineStore::remove_many)
/// and [`drop_many`](TimelineStore::drop_many) list them as failed, and fail themselves only if they
/// are all there are. Only [`retain`](TimelineStore::retain) fails, and turns no timeline cold, as long as
/// one of them does not answer.
///
/// # Adding and removing stores
///
/// Stores are added and removed while the feed is in use, by moving to other [`TimelineShards`] in
/// three steps: [`begin_move`](Self::begin_move), [`switch_reads`](Self::switch_reads),
/// [`finish_move`](Self::finish_move). If several processes use the stores, each takes every step, and
/// the next one only when all have completed the last; in between they may be one step apart for any
/// time. No page ever misses a post for it. What moves is built again out of the outboxes when it is
/// next read, which is the expected share of the stores that come or go, one Nth for one of N; all
/// else stays warm.
///
/// While a move is under way, a timeline that moves has two copies. Writes go to both, in either order
/// where they overlap, and fail if one of them fails; the counts of a [`PushReport`] are those of the
/// copy that is read.
///
/// A step may be repeated: after an error, or when its future was dropped, call it again. Where a store
/// is lost and will not come back, the steps are the same. Until reads are switched, reads of its
/// timelines fail.
///
/// Callers keep to one rule, as [`Feed`](crate::Feed) does: what they write to a timeline is in the
/// outbox or in the graph before.
///
/// ```
/// # use std::sync::Arc;
/// # use backplane::ring::{HashRing, Member, MemberName, RingOptions};
/// use feed_core::{
///     Feed, FeedParts, MemoryTimelines, Placement, ShardedTimelines, TimelineShards, TimelineStore,
/// };
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = || Arc::new(MemoryTimelines::default()) as Arc<dyn TimelineStore>;
/// let stores = ["a", "b", "c"].map(|name| (MemberName::new(name).unwrap(), store()));
/// let shards = |names: &[&str]| {
///     let members = names.iter().map(|name| Member::new(name).unwrap());
///     let ring = HashRing::build(members, 0, &RingOptions::default()).unwrap();
///     TimelineShards::new(ring, stores.clone())
/// };
/// let timelines = Arc::new(ShardedTimelines::new(Placement::settled(shards(&["a", "b"])?)));
/// let mut parts = FeedParts::in_memory();
/// parts.timelines = Arc::clone(&timelines) as _;
/// let feed = Feed::new(parts);
///
/// timelines.begin_move(shards(&["a", "b", "c"])?)?;
/// // Once every process has begun:
/// timelines.switch_reads().await?;
/// // Once every process has switched:
/// timelines.finish_move().await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct ShardedTimelines {
    placement: RwLock<Arc<Placement>>,
}

impl ShardedTimelines {
    /// Timelines where `placement` has them. A process that starts in the middle of a move starts with
    /// the last step that all processes have completed.
    #[must_use]
    pub fn new(placement: Placement) -> Self {
        Self {
            placement: RwLock::new(Arc::new(placement)),
        }
    }

    /// Where timelines are now.
    #[must_use]
    pub fn placement(&self) -> Arc<Placement> {
        Arc::clone(&self.placement.read())
    }

    /// Replaces the placement by what `next` makes of it, if anything.
    pub(super) fn replace(
        &self,
        next: impl FnOnce(&Placement) -> Result<Option<Placement>>,
    ) -> Result<()> {
        let mut placement = self.placement.write();
        if let Some(next) = next(&placement)? {
            *placement = Arc::new(next);
        }
        Ok(())
    }
}

#[async_trait]
impl TimelineStore for ShardedTimelines {
    async fn push_many(&self, owners: &[UserId], entry: Entry) -> Result<PushReport> {
        let placement = self.placement();
        Batch::new(&placement, owners).push(entry).await
    }

    async fn remove_many(&self, owners: &[UserId], post: PostId) -> Result<Vec<UserId>> {
        let placement = self.placement();
        Batch::new(&placement, owners).remove(post).await
    }

    async fn merge(&self, owner: UserId, entries: &[Entry]) -> Result<TimelineState> {
        let placement = self.placement();
        let Keepers { lead, copy } = placement.keepers(owner);
        let copy = OptionFuture::from(copy.map(|copy| copy.merge(owner, entries)));
        let (lead, copy) = join(lead.merge(owner, entries), copy).await;
        Ok(match copy {
            Some(copy) => least_certain(lead?, copy?),
            None => lead?,
        })
    }

    async fn purge_many(&self, owners: &[UserId], author: UserId) -> Result<()> {
        let placement = self.placement();
        Batch::new(&placement, owners).purge(author).await
    }

    async fn window(&self, owner: UserId, seek: Seek, limit: usize) -> Result<Window> {
        let placement = self.placement();
        let lead = placement.keepers(owner).lead;
        lead.window(owner, seek, limit).await
    }

    async fn begin_build(
        &self,
        owner: UserId,
        now: Timestamp,
        stale: Timestamp,
    ) -> Result<BuildStart> {
        let placement = self.placement();
        let shards = placement.reads();
        let index = shards.index(owner);
        let start = shards.at(index).begin_build(owner, now, stale).await?;
        Ok(match start {
            BuildStart::Started(ticket) => BuildStart::Started(BuildTicket::new(
                ticket.owner,
                ticket.generation.wrapping_add(mark(shards, index)),
            )),
            BuildStart::Underway | BuildStart::Warm => start,
        })
    }

    async fn commit_build(
        &self,
        ticket: BuildTicket,
        entries: &[Entry],
        floor: PostId,
    ) -> Result<bool> {
        let placement = self.placement();
        let shards = placement.reads();
        let index = shards.index(ticket.owner);
        let generation = ticket.generation.wrapping_sub(mark(shards, index));
        let ticket = BuildTicket::new(ticket.owner, generation);
        shards.at(index).commit_build(ticket, entries, floor).await
    }

    async fn drop_many(&self, owners: &[UserId]) -> Result<Vec<UserId>> {
        let placement = self.placement();
        Batch::new(&placement, owners).drop().await
    }

    async fn retain(&self, keep: &(dyn Fn(UserId) -> bool + Send + Sync)) -> Result<usize> {
        let placement = self.placement();
        // While one is down, retries would turn timelines of all others cold again and again.
        placement.reads().answer().await?;
        if let Some(other) = placement.other() {
            other.answer().await?;
        }
        let retain = async |shards: &TimelineShards| {
            let keep = |index, owner| shards.index(owner) != index || keep(owner);
            shards.retain(0..shards.len(), keep).await
        };
        let dropped = retain(placement.reads()).await?;
        if let Some(other) = placement.other() {
            retain(other).await?;
        }
        Ok(dropped)
    }
}

/// The state that promises a follower the least: what is right for it is right for the other.
fn least_certain(a: TimelineState, b: TimelineState) -> TimelineState {
    use TimelineState::{Building, Cold, Warm};
    match (a, b) {
        (Building, _) | (_, Building) => Building,
        (Warm { floor: a }, Warm { floor: b }) => Warm { floor: a.max(b) },
        (Cold, state) | (state, Cold) => state,
    }
}

/// What a store's generations are shifted by, so that a ticket of one store is none of another's, but
/// for a chance of one in 2⁶⁴.
fn mark(shards: &TimelineShards, index: usize) -> u64 {
    HashRing::point(shards.name(index).as_bytes())
}

#[cfg(test)]
mod tests {
    use backplane::ManualClock;
    use futures::FutureExt as _;
    use proptest::proptest;

    use super::*;
    use crate::{
        conformance::{
            Fresh, TestTime,
            histories::{few_cases, timelines},
        },
        sharded::shards::tests::{shards, stores},
    };

    fn fresh(placement: Placement) -> Fresh<dyn TimelineStore> {
        Fresh {
            store: Arc::new(ShardedTimelines::new(placement)),
            time: TestTime::Manual(ManualClock::default()),
        }
    }

    fn begun() -> Placement {
        let stores = stores(5);
        let settled = Placement::settled(shards(&stores[..3]));
        settled.begin(shards(&stores[2..])).unwrap()
    }

    proptest! {
        #![proptest_config(few_cases())]

        #[test]
        fn settled_shards_answer_as_one_store_does(history in timelines::histories()) {
            let store = Arc::new(ShardedTimelines::new(Placement::settled(shards(&stores(5)))));
            let played = timelines::play(&history, async || Arc::clone(&store));
            played.now_or_never().unwrap();
        }

        #[test]
        fn shards_on_the_move_answer_as_one_store_does(history in timelines::histories()) {
            let store = Arc::new(ShardedTimelines::new(begun()));
            let played = timelines::play(&history, async || Arc::clone(&store));
            played.now_or_never().unwrap();
        }
    }

    mod sharded {
        use super::*;

        crate::timeline_conformance!(async { fresh(Placement::settled(shards(&stores(5)))) });
    }

    mod sharded_begun {
        use super::*;

        crate::timeline_conformance!(async { fresh(begun()) });
    }

    mod sharded_switched {
        use super::*;

        crate::timeline_conformance!(async { fresh(begun().switch().unwrap()) });
    }
}
