#[cfg(test)]
mod model;
mod owners;
mod ring;
mod shard;
mod viewer;

use std::fmt;

use async_trait::async_trait;
use backplane::Timestamp;
use parking_lot::Mutex;

use crate::{
    BuildStart, BuildTicket, Entry, PostId, PushReport, Result, Seek, TimelineState, TimelineStore,
    UserId, Window,
    memory::timeline::{
        owners::{SHARDS, by_shard, shard},
        shard::Shard,
    },
};

/// A [`TimelineStore`] in process memory.
///
/// The trait's methods are here without `async` too, and cannot fail. A timeline takes 16 bytes an
/// entry, 16 more if it is a repost, and 128 for itself; a cold one takes nothing. A batch locks
/// each of 16 parts once for every 1,024 owners.
///
/// Where the timelines would take more than [`max_bytes`](MemoryTimelinesOptions::max_bytes), those
/// that were read least recently turn cold.
///
/// ```
/// use backplane::Timestamp;
/// use feed_core::{BuildStart, Entry, MemoryTimelines, PostId, Seek, UserId};
///
/// let timelines = MemoryTimelines::default();
/// let (viewer, author, now) = (UserId::new(1), UserId::new(2), Timestamp::from_millis(9));
/// let BuildStart::Started(ticket) = timelines.begin_build(viewer, now, now) else {
///     panic!("nobody has built it");
/// };
/// timelines.commit_build(ticket, &[], PostId::MIN);
///
/// let entry = Entry::original(PostId::new(7), author);
/// let report = timelines.push_many(&[viewer, author], entry);
/// assert_eq!((report.reached, report.cold), (1, 1));
/// assert_eq!(timelines.window(viewer, Seek::Newest, 20).entries, [entry]);
/// ```
pub struct MemoryTimelines {
    options: MemoryTimelinesOptions,
    shards: [Mutex<Shard>; SHARDS],
}

/// The bounds of a [`MemoryTimelines`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MemoryTimelinesOptions {
    /// How many entries a timeline holds, the newest; at least 1. 800 by default, as many as
    /// [`FeedOptions::build_entries`](crate::FeedOptions::build_entries) fills it with.
    pub capacity: usize,
    /// How many bytes all timelines take, as [`MemoryTimelines::bytes`] counts them. 2 GiB by
    /// default. Each of 16 parts has an equal share. A part that exceeds it turns those of its
    /// timelines cold that were read least recently, until an eighth of the share is free: once
    /// in so many pushes as fill an eighth, and in a time that grows with the part.
    pub max_bytes: usize,
}

impl MemoryTimelines {
    /// A store within the bounds of `options`; all timelines are cold.
    #[must_use]
    pub fn new(options: MemoryTimelinesOptions) -> Self {
        let shard = || Shard::new(options.capacity.max(1), options.max_bytes / SHARDS);
        Self {
            shards: std::array::from_fn(|_| Mutex::new(shard())),
            options,
        }
    }

    /// How many bytes the timelines take: rings, tables and their free slots, but not what the
    /// allocator adds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().bytes()).sum()
    }

    /// See [`TimelineStore::push_many`].
    pub fn push_many(&self, owners: &[UserId], entry: Entry) -> PushReport {
        let mut report = PushReport::default();
        self.each(owners, |shard, owners| {
            shard.push(owners, entry, &mut report);
        });
        report
    }

    /// See [`TimelineStore::remove_many`].
    pub fn remove_many(&self, owners: &[UserId], post: PostId) {
        self.each(owners, |shard, owners| shard.remove(owners, post));
    }

    /// See [`TimelineStore::merge`].
    pub fn merge(&self, owner: UserId, entries: &[Entry]) -> TimelineState {
        self.one(owner, |shard| shard.merge(owner, entries))
    }

    /// See [`TimelineStore::purge_many`].
    pub fn purge_many(&self, owners: &[UserId], author: UserId) {
        self.each(owners, |shard, owners| shard.purge(owners, author));
    }

    /// See [`TimelineStore::window`].
    #[must_use]
    pub fn window(&self, owner: UserId, seek: Seek, limit: usize) -> Window {
        self.one(owner, |shard| shard.window(owner, seek, limit))
    }

    /// See [`TimelineStore::begin_build`].
    pub fn begin_build(&self, owner: UserId, now: Timestamp, stale: Timestamp) -> BuildStart {
        self.one(owner, |shard| shard.begin_build(owner, now, stale))
    }

    /// See [`TimelineStore::commit_build`].
    pub fn commit_build(&self, ticket: BuildTicket, entries: &[Entry], floor: PostId) -> bool {
        self.one(ticket.owner, |shard| {
            shard.commit_build(ticket, entries, floor)
        })
    }

    /// See [`TimelineStore::drop_many`].
    pub fn drop_many(&self, owners: &[UserId]) {
        self.each(owners, Shard::drop_many);
    }

    /// See [`TimelineStore::retain`]. Locks the parts one after the other.
    pub fn retain(&self, keep: impl Fn(UserId) -> bool) -> usize {
        let shards = self.shards.iter();
        shards.map(|shard| shard.lock().retain(&keep)).sum()
    }

    /// What [`bytes`](Self::bytes) should be.
    #[cfg(test)]
    fn recount(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().recount()).sum()
    }

    fn one<T>(&self, owner: UserId, visit: impl FnOnce(&mut Shard) -> T) -> T {
        visit(&mut self.shards[shard(owner)].lock())
    }

    fn each(&self, owners: &[UserId], mut visit: impl FnMut(&mut Shard, &[UserId])) {
        by_shard(owners, |shard, owners| {
            visit(&mut self.shards[shard].lock(), owners);
        });
    }
}

impl Default for MemoryTimelines {
    fn default() -> Self {
        Self::new(MemoryTimelinesOptions::default())
    }
}

impl fmt::Debug for MemoryTimelines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTimelines")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl TimelineStore for MemoryTimelines {
    async fn push_many(&self, owners: &[UserId], entry: Entry) -> Result<PushReport> {
        Ok(Self::push_many(self, owners, entry))
    }

    async fn remove_many(&self, owners: &[UserId], post: PostId) -> Result<Vec<UserId>> {
        Self::remove_many(self, owners, post);
        Ok(Vec::new())
    }

    async fn merge(&self, owner: UserId, entries: &[Entry]) -> Result<TimelineState> {
        Ok(Self::merge(self, owner, entries))
    }

    async fn purge_many(&self, owners: &[UserId], author: UserId) -> Result<()> {
        Self::purge_many(self, owners, author);
        Ok(())
    }

    async fn window(&self, owner: UserId, seek: Seek, limit: usize) -> Result<Window> {
        Ok(Self::window(self, owner, seek, limit))
    }

    async fn begin_build(
        &self,
        owner: UserId,
        now: Timestamp,
        stale: Timestamp,
    ) -> Result<BuildStart> {
        Ok(Self::begin_build(self, owner, now, stale))
    }

    async fn commit_build(
        &self,
        ticket: BuildTicket,
        entries: &[Entry],
        floor: PostId,
    ) -> Result<bool> {
        Ok(Self::commit_build(self, ticket, entries, floor))
    }

    async fn drop_many(&self, owners: &[UserId]) -> Result<Vec<UserId>> {
        Self::drop_many(self, owners);
        Ok(Vec::new())
    }

    async fn retain(&self, keep: &(dyn Fn(UserId) -> bool + Send + Sync)) -> Result<usize> {
        Ok(Self::retain(self, keep))
    }
}

impl MemoryTimelinesOptions {
    /// Hold `capacity` entries in each timeline.
    #[must_use]
    pub const fn with_capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// Take `bytes` bytes for all timelines.
    #[must_use]
    pub const fn with_max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }
}

impl Default for MemoryTimelinesOptions {
    fn default() -> Self {
        Self {
            capacity: 800,
            max_bytes: 2 << 30,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use backplane::ManualClock;

    use super::*;
    use crate::conformance::{Fresh, TestTime};

    const NOW: Timestamp = Timestamp::from_millis(1);

    fn fresh() -> Fresh<dyn TimelineStore> {
        let eight = MemoryTimelinesOptions::default().with_capacity(8);
        Fresh {
            store: Arc::new(MemoryTimelines::new(eight)),
            time: TestTime::Manual(ManualClock::default()),
        }
    }

    crate::timeline_conformance!(async { fresh() });

    fn entry(post: u64) -> Entry {
        Entry::original(PostId::new(post), UserId::new(9))
    }

    fn repost(post: u64) -> Entry {
        Entry::repost(PostId::new(post), UserId::new(9), PostId::MIN)
    }

    fn build(timelines: &MemoryTimelines, owner: UserId) {
        let BuildStart::Started(ticket) = timelines.begin_build(owner, NOW, NOW) else {
            panic!("{owner} is cold");
        };
        assert!(timelines.commit_build(ticket, &[], PostId::MIN));
    }

    fn is_cold(timelines: &MemoryTimelines, owner: UserId) -> bool {
        timelines.merge(owner, &[]) == TimelineState::Cold
    }

    /// Viewers whose timelines are in one part of the store.
    fn neighbours() -> impl Iterator<Item = UserId> {
        (0..).map(UserId::new).filter(|owner| shard(*owner) == 0)
    }

    #[test]
    fn a_cold_timeline_takes_no_memory() {
        let timelines = MemoryTimelines::default();
        let owners: Vec<_> = (0..1_000).map(UserId::new).collect();
        timelines.push_many(&owners, entry(7));
        for &owner in &owners {
            assert!(timelines.window(owner, Seek::Newest, 20).entries.is_empty());
        }
        assert_eq!(timelines.bytes(), 0);
    }

    #[test]
    fn dropping_all_gives_all_memory_back() {
        let timelines = MemoryTimelines::default();
        let owners: Vec<_> = (0..1_000).map(UserId::new).collect();
        for &owner in &owners {
            build(&timelines, owner);
        }
        for post in 0..40 {
            timelines.push_many(&owners, entry(2 * post));
            timelines.push_many(&owners, repost(2 * post + 1));
        }
        assert!(timelines.bytes() > 1_000 * (128 + 64) * 16);
        timelines.drop_many(&owners);
        assert_eq!(timelines.bytes(), 0);
    }

    #[test]
    fn a_capacity_of_none_is_one() {
        let none = MemoryTimelinesOptions::default().with_capacity(0);
        let timelines = MemoryTimelines::new(none);
        let owner = UserId::new(1);
        build(&timelines, owner);
        for post in [5, 7, 6] {
            timelines.push_many(&[owner], entry(post));
        }
        let window = timelines.window(owner, Seek::Newest, 9);
        assert_eq!(window.entries, [entry(7)]);
        let floor = PostId::new(7);
        assert_eq!(window.state, TimelineState::Warm { floor });
    }

    #[test]
    fn the_least_recently_read_turn_cold() {
        const SHARE: usize = 40_000;
        let bound = MemoryTimelinesOptions::default().with_max_bytes(SHARE * SHARDS);
        let timelines = MemoryTimelines::new(bound);
        let owners: Vec<_> = neighbours().take(20).collect();
        for &owner in &owners {
            build(&timelines, owner);
        }
        // Pushes are no reads.
        for (post, owner) in (0..).zip(owners.iter().rev()) {
            timelines.push_many(&[*owner], entry(post));
        }
        for owner in &owners[..10] {
            let _ = timelines.window(*owner, Seek::Newest, 1);
        }
        let mut post = 100;
        while !owners.iter().any(|&owner| is_cold(&timelines, owner)) {
            assert!(timelines.bytes() <= SHARE);
            post += 1;
            timelines.push_many(&owners, entry(post));
        }
        assert!(timelines.bytes() <= SHARE - SHARE / 8);
        let cold = owners.iter().map(|&owner| is_cold(&timelines, owner));
        let cold: Vec<_> = cold.collect();
        let least = cold.iter().filter(|cold| **cold).count();
        assert!(least < 10, "{cold:?}");
        assert!(cold[10..10 + least].iter().all(|cold| *cold), "{cold:?}");
    }

    #[test]
    fn without_room_all_stays_cold() {
        let none = MemoryTimelinesOptions::default().with_max_bytes(0);
        let timelines = MemoryTimelines::new(none);
        let owner = UserId::new(1);
        let BuildStart::Started(ticket) = timelines.begin_build(owner, NOW, NOW) else {
            panic!("it is cold");
        };
        assert!(!timelines.commit_build(ticket, &[entry(1)], PostId::MIN));
        assert_eq!(timelines.bytes(), 0);
    }

    #[test]
    fn a_bound_holds_for_any_crowd() {
        const BOUND: usize = SHARDS * 40_000;
        let bound = MemoryTimelinesOptions::default().with_max_bytes(BOUND);
        let timelines = MemoryTimelines::new(bound);
        let owners: Vec<_> = (0..5_000).map(UserId::new).collect();
        for (post, &owner) in (0..).zip(&owners) {
            if let BuildStart::Started(ticket) = timelines.begin_build(owner, NOW, NOW)
                && post % 3 > 0
            {
                timelines.commit_build(ticket, &[entry(post)], PostId::MIN);
            }
            assert!(timelines.bytes() <= BOUND);
        }
        for post in 5_000..5_100 {
            timelines.push_many(&owners, repost(post));
            assert!(timelines.bytes() <= BOUND);
        }
        assert!(timelines.bytes() > BOUND / 4 * 3, "{}", timelines.bytes());
    }

    /// What a publication does, and what a reader does, in as many threads as meet.
    #[test]
    fn what_is_published_around_builds_is_in_every_timeline() {
        const POSTS: u64 = 2_000;
        let room = usize::try_from(POSTS).unwrap();
        let timelines = MemoryTimelines::new(MemoryTimelinesOptions::default().with_capacity(room));
        let owners: Vec<_> = (0..8).map(UserId::new).collect();
        let outbox = Mutex::new(Vec::new());
        let read = |owner| {
            if let BuildStart::Started(ticket) = timelines.begin_build(owner, NOW, NOW) {
                let entries = outbox.lock().clone();
                timelines.commit_build(ticket, &entries, PostId::MIN);
            }
            timelines.window(owner, Seek::Newest, room).entries
        };
        thread::scope(|scope| {
            for half in 0..2 {
                let (timelines, outbox, owners) = (&timelines, &outbox, &owners);
                scope.spawn(move || {
                    for post in (half..POSTS).step_by(2) {
                        outbox.lock().push(entry(post));
                        timelines.push_many(owners, entry(post));
                    }
                });
            }
            for &owner in owners.iter().cycle().take(400) {
                assert!(read(owner).is_sorted_by(|a, b| a.post > b.post));
                timelines.drop_many(&[owner]);
                read(owner);
            }
        });
        let all: Vec<_> = (0..POSTS).rev().map(entry).collect();
        for &owner in &owners {
            assert_eq!(read(owner), all);
        }
    }
}
