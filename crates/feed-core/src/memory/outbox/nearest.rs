use std::{cmp::Ordering, collections::BinaryHeap};

use crate::{Entry, PostId, Seek, UserId};

/// The entries nearest to a place, of all that were offered: a bounded heap that becomes the page.
///
/// Each author offers their entries nearest first and stops at the first that is refused, so an
/// author with nothing near costs one comparison.
pub(super) struct Nearest {
    seek: Seek,
    limit: usize,
    /// The farthest on top.
    kept: BinaryHeap<Ranked>,
}

impl Nearest {
    pub(super) fn new(seek: Seek, limit: usize) -> Self {
        /// A longer page grows as it fills: its limit may be far above what there is.
        const AT_ONCE: usize = 1_024;
        Self {
            seek,
            limit,
            kept: BinaryHeap::with_capacity(limit.min(AT_ONCE)),
        }
    }

    pub(super) const fn seek(&self) -> Seek {
        self.seek
    }

    /// Whether `post` would be kept, supposing it lies in the range.
    pub(super) fn wants(&self, post: PostId) -> bool {
        match self.kept.peek() {
            Some(farthest) if self.kept.len() == self.limit => {
                distance(self.seek, post) < farthest.distance
            }
            _ => self.limit > 0,
        }
    }

    /// Keeps the entry, in place of the farthest if there is no room, or refuses it.
    pub(super) fn offer(&mut self, entry: Entry) -> bool {
        let ranked = Ranked {
            distance: distance(self.seek, entry.post),
            author: entry.author,
            origin: entry.origin,
        };
        if self.kept.len() < self.limit {
            self.kept.push(ranked);
            return true;
        }
        match self.kept.peek_mut() {
            Some(mut farthest) if ranked.distance < farthest.distance => {
                *farthest = ranked;
                true
            }
            _ => false,
        }
    }

    pub(super) fn into_entries(self) -> Vec<Entry> {
        let seek = self.seek;
        let nearest_first = self.kept.into_sorted_vec().into_iter();
        // Same size, so the heap's memory becomes the page.
        nearest_first.map(|ranked| ranked.entry(seek)).collect()
    }
}

/// An [`Entry`] with its post as a distance, which orders it.
#[derive(Clone, Copy)]
struct Ranked {
    distance: u64,
    author: UserId,
    origin: PostId,
}

impl Ranked {
    fn entry(self, seek: Seek) -> Entry {
        Entry {
            // The mapping is its own inverse.
            post: PostId::new(distance(seek, PostId::new(self.distance))),
            author: self.author,
            origin: self.origin,
        }
    }
}

/// Grows in the direction of `seek`.
const fn distance(seek: Seek, post: PostId) -> u64 {
    match seek {
        Seek::Newest | Seek::Before(_) => !post.get(),
        Seek::After(_) => post.get(),
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.distance.cmp(&other.distance)
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.distance == other.distance
    }
}

impl Eq for Ranked {}
