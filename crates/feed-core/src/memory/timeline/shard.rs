use std::{cmp::Reverse, hint::black_box, mem};

use backplane::Timestamp;
use hashbrown::{
    HashTable,
    hash_table::{Entry as Slot, OccupiedEntry},
};

use crate::{
    BuildStart, BuildTicket, Entry, PostId, PushReport, Seek, TimelineState, UserId, Window,
    memory::timeline::{
        owners::hash,
        viewer::{Build, ViewerTimeline},
    },
};

/// What a timeline takes of a table that has just grown: half of seven slots in eight are in use,
/// and each has a byte of control.
const LARGEST_SLOT: usize = (size_of::<ViewerTimeline>() + 1) * 16 / 7 + 1;

/// How many owners are looked up at a time.
const LANES: usize = 16;

/// A table of four slots.
const SMALLEST_TABLE: usize = 4 * (size_of::<ViewerTimeline>() + 1) + 16;

/// The timelines of a part of the viewers.
#[derive(Debug)]
pub(super) struct Shard {
    timelines: HashTable<ViewerTimeline>,
    capacity: usize,
    /// The most bytes it may take.
    share: usize,
    /// What the timelines take outside the table, in bytes.
    heap: usize,
    /// How often any timeline was read.
    reads: u64,
    /// The last one given.
    generation: u64,
}

impl Shard {
    pub(super) const fn new(capacity: usize, share: usize) -> Self {
        Self {
            timelines: HashTable::new(),
            capacity,
            share,
            heap: 0,
            reads: 0,
            generation: 0,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.heap + self.timelines.allocation_size()
    }

    #[cfg(test)]
    pub(super) fn recount(&self) -> usize {
        let heap: usize = self.timelines.iter().map(ViewerTimeline::heap).sum();
        heap + self.timelines.allocation_size()
    }

    pub(super) fn push(&mut self, owners: &[UserId], entry: Entry, report: &mut PushReport) {
        let before = self.heap;
        for owners in owners.chunks(LANES) {
            self.push_lanes(owners, entry, report);
        }
        if self.heap > before {
            self.evict();
        }
    }

    /// Pushes to at most [`LANES`] owners. Nearly all of the time goes into waiting for memory, so
    /// first all slots are looked up and then all ends of rings, which do not depend on each other:
    /// the processor has many of them under way at once.
    fn push_lanes(&mut self, owners: &[UserId], entry: Entry, report: &mut PushReport) {
        let mut slots = [None; LANES];
        for (slot, &owner) in slots.iter_mut().zip(owners) {
            let same = |timeline: &ViewerTimeline| timeline.viewer == owner;
            *slot = self.timelines.find_bucket_index(hash(owner), same);
        }
        let slots = &slots[..owners.len()];
        for slot in slots.iter().flatten() {
            let timeline = self.timelines.get_bucket(*slot);
            black_box(timeline.and_then(|timeline| timeline.reach(entry)));
        }
        for slot in slots {
            let timeline = slot.and_then(|slot| self.timelines.get_bucket_mut(slot));
            let Some(timeline) = timeline else {
                report.cold += 1;
                continue;
            };
            self.heap += timeline.push(entry, self.capacity);
            report.reached += 1;
        }
    }

    pub(super) fn remove(&mut self, owners: &[UserId], post: PostId) {
        for &owner in owners {
            if let Some(timeline) = self.timeline(owner) {
                timeline.remove(post);
            }
        }
    }

    pub(super) fn merge(&mut self, owner: UserId, entries: &[Entry]) -> TimelineState {
        let capacity = self.capacity;
        let Some(timeline) = self.timeline(owner) else {
            return TimelineState::Cold;
        };
        let state = timeline.state();
        if let TimelineState::Warm { .. } = state {
            let before = timeline.heap();
            timeline.merge(entries, capacity);
            let after = timeline.heap();
            self.resize(before, after);
        }
        state
    }

    pub(super) fn purge(&mut self, owners: &[UserId], author: UserId) {
        for &owner in owners {
            if let Some(timeline) = self.timeline(owner) {
                timeline.purge(author);
            }
        }
    }

    pub(super) fn window(&mut self, owner: UserId, seek: Seek, limit: usize) -> Window {
        let read = self.next_read();
        let Some(timeline) = self.timeline(owner) else {
            return Window::new(Vec::new(), TimelineState::Cold);
        };
        timeline.read = read;
        let state = timeline.state();
        let entries = match state {
            TimelineState::Warm { .. } => timeline.window(seek, limit),
            TimelineState::Cold | TimelineState::Building => Vec::new(),
        };
        Window::new(entries, state)
    }

    pub(super) fn begin_build(
        &mut self,
        owner: UserId,
        now: Timestamp,
        stale: Timestamp,
    ) -> BuildStart {
        let read = self.next_read();
        let generation = self.generation + 1;
        let build = Build {
            generation,
            began: now,
        };
        let mut fresh = ViewerTimeline::building(owner, build);
        fresh.read = read;
        let (mut before, after) = (0, fresh.heap());
        match self.slot(owner) {
            Slot::Vacant(slot) => {
                slot.insert(fresh);
            }
            Slot::Occupied(mut slot) => match slot.get().build() {
                None => return BuildStart::Warm,
                Some(underway) if underway.began >= stale => return BuildStart::Underway,
                Some(_) => before = mem::replace(slot.get_mut(), fresh).heap(),
            },
        }
        self.generation = generation;
        self.resize(before, after);
        BuildStart::Started(BuildTicket::new(owner, generation))
    }

    pub(super) fn commit_build(
        &mut self,
        ticket: BuildTicket,
        entries: &[Entry],
        floor: PostId,
    ) -> bool {
        let (capacity, read) = (self.capacity, self.next_read());
        let Some(timeline) = self.timeline(ticket.owner) else {
            return false;
        };
        let build = timeline.build();
        if build.is_none_or(|build| build.generation != ticket.generation) {
            return false;
        }
        timeline.read = read;
        let before = timeline.heap();
        timeline.commit(entries, floor, capacity);
        let after = timeline.heap();
        self.resize(before, after);
        true
    }

    pub(super) fn drop_many(&mut self, owners: &[UserId]) {
        for &owner in owners {
            if let Slot::Occupied(slot) = self.slot(owner) {
                let (timeline, _) = OccupiedEntry::remove(slot);
                self.heap -= timeline.heap();
            }
        }
        self.shrink();
    }

    pub(super) fn retain(&mut self, keep: impl Fn(UserId) -> bool) -> usize {
        let before = self.timelines.len();
        let heap = &mut self.heap;
        self.timelines.retain(|timeline| {
            let kept = keep(timeline.viewer);
            if !kept {
                *heap -= timeline.heap();
            }
            kept
        });
        self.shrink();
        before - self.timelines.len()
    }

    fn timeline(&mut self, owner: UserId) -> Option<&mut ViewerTimeline> {
        let same = |timeline: &ViewerTimeline| timeline.viewer == owner;
        let timeline = self.timelines.find_mut(hash(owner), same)?;
        timeline.settle(self.capacity);
        Some(timeline)
    }

    fn slot(&mut self, owner: UserId) -> Slot<'_, ViewerTimeline> {
        let same = |timeline: &ViewerTimeline| timeline.viewer == owner;
        self.timelines.entry(hash(owner), same, rehash)
    }

    fn next_read(&mut self) -> u64 {
        self.reads += 1;
        self.reads
    }

    /// A timeline that took `before` bytes outside the table takes `after` now.
    fn resize(&mut self, before: usize, after: usize) {
        self.heap = self.heap - before + after;
        self.evict();
    }

    /// If the share is exceeded, turns the least recently read timelines cold until an eighth of
    /// it is free, so that what is spent on finding them is spread over many pushes.
    fn evict(&mut self) {
        if self.bytes() <= self.share {
            return;
        }
        let Some(coldest) = self.first_without_room() else {
            return self.timelines.shrink_to_fit(rehash);
        };
        let heap = &mut self.heap;
        self.timelines.retain(|timeline| {
            let keep = timeline.read > coldest;
            if !keep {
                *heap -= timeline.heap();
            }
            keep
        });
        self.timelines.shrink_to_fit(rehash);
    }

    /// The last read of the first timeline, from the most recently read on, that is too much for
    /// seven eighths of the share. Reads are counted one by one, so no other timeline has the same.
    fn first_without_room(&self) -> Option<u64> {
        let mut timelines: Vec<_> = self
            .timelines
            .iter()
            .map(|timeline| (timeline.read, timeline.heap() + LARGEST_SLOT))
            .collect();
        timelines.sort_unstable_by_key(|&(read, _)| Reverse(read));
        let mut room = (self.share - self.share / 8).saturating_sub(SMALLEST_TABLE);
        let full = timelines.into_iter().find(|&(_, bytes)| {
            let rest = room.checked_sub(bytes);
            room = rest.unwrap_or(room);
            rest.is_none()
        });
        full.map(|(read, _)| read)
    }

    /// Gives the table's memory back once little of it is used.
    fn shrink(&mut self) {
        let len = self.timelines.len();
        if len * 4 < self.timelines.capacity() {
            self.timelines.shrink_to(len * 2, rehash);
        }
    }
}

fn rehash(timeline: &ViewerTimeline) -> u64 {
    hash(timeline.viewer)
}
