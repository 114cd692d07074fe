//! The entries of a timeline, made of the changes in its list.

use feed_core::{Entry, PostId, Seek};

use super::{RedisTimelines, change::Change};

/// The newest entries from a floor on.
///
/// What was added waits, unsorted and above capacity, until something depends on it: whatever the order
/// in which entries come, the same of them are the newest, and the floor lies just above the newest of
/// all that went.
#[derive(Debug)]
pub(super) struct Line {
    floor: PostId,
    entries: Vec<Entry>,
    /// Whether posts ascend and differ.
    is_sorted: bool,
    capacity: usize,
}

impl Line {
    pub(super) const fn new(floor: PostId, capacity: usize) -> Self {
        Self {
            floor,
            entries: Vec::new(),
            is_sorted: true,
            capacity,
        }
    }

    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Pushed(entry) => self.add(entry),
            Change::Removed(post) => {
                self.settle();
                self.entries.retain(|entry| entry.post != post);
            }
            Change::Purged(author) => {
                self.settle();
                self.entries.retain(|entry| entry.author != author);
            }
            Change::Merged(entries) => self.add_all(entries),
            Change::Committed { floor, entries } => {
                self.floor = self.floor.max(floor);
                self.add_all(entries);
            }
        }
    }

    /// Sorts, and loses the oldest entries above capacity.
    pub(super) fn settle(&mut self) {
        if !self.is_sorted {
            // Stable: of two entries of one post, the one that was there stays.
            self.entries.sort_by_key(|entry| entry.post);
            self.entries.dedup_by_key(|entry| entry.post);
            self.is_sorted = true;
        }
        let below = self
            .entries
            .partition_point(|entry| entry.post < self.floor);
        let excess = self.entries.len().saturating_sub(self.capacity);
        if excess > below {
            let lost = self.entries[excess - 1].post.get();
            self.floor = PostId::new(lost.saturating_add(1));
        }
        self.entries.drain(..below.max(excess));
    }

    /// What there is once it is settled: the floor, and entries that ascend.
    pub(super) fn into_parts(mut self) -> (PostId, Vec<Entry>) {
        self.settle();
        (self.floor, self.entries)
    }

    fn add_all(&mut self, entries: Vec<Entry>) {
        if self.entries.is_empty() {
            self.entries = entries;
            self.entries.reserve(RedisTimelines::UNPACKED);
        } else {
            for entry in entries {
                self.add(entry);
            }
        }
    }

    fn add(&mut self, entry: Entry) {
        if self
            .entries
            .last()
            .is_some_and(|last| last.post >= entry.post)
        {
            self.is_sorted = false;
        }
        self.entries.push(entry);
    }
}

/// Up to `limit` of entries that ascend, from `seek` on.
pub(super) fn range(entries: &[Entry], seek: Seek, limit: usize) -> Vec<Entry> {
    let until = |bound| entries.partition_point(|entry| entry.post < bound);
    let newest_first = |entries: &[Entry]| entries.iter().rev().take(limit).copied().collect();
    match seek {
        Seek::Newest => newest_first(entries),
        Seek::Before(bound) => newest_first(&entries[..until(bound)]),
        Seek::After(bound) => {
            let after = entries.partition_point(|entry| entry.post <= bound);
            entries[after..].iter().take(limit).copied().collect()
        }
    }
}
