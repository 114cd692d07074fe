use std::sync::atomic::{AtomicU64, Ordering};

/// What the caches of one kind of content have done since they were made.
///
/// Every id that is asked for is a hit, an absence or a miss; an id that is asked for twice in a call
/// counts twice.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Found in this process.
    pub hits: u64,
    /// Known in this process not to be there.
    pub absences: u64,
    /// Neither.
    pub misses: u64,
    /// Of the misses, those that were here in too old a version.
    pub stale: u64,
    /// Of the misses, those that somebody else was fetching already.
    pub joined: u64,
    /// Of the misses, those that the shared cache had.
    pub shared_hits: u64,
    /// Calls of the shared cache that failed, or took too long.
    pub shared_failures: u64,
    /// Calls of the source.
    pub source_calls: u64,
    /// Calls of the source that failed.
    pub source_failures: u64,
    /// What had to go from this process for lack of room.
    pub evictions: u64,
    /// How much is here now, dead or alive.
    pub entries: u64,
    /// How many bytes that takes.
    pub bytes: u64,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) hits: Counter,
    pub(super) absences: Counter,
    pub(super) misses: Counter,
    pub(super) stale: Counter,
    pub(super) joined: Counter,
    pub(super) shared_hits: Counter,
    pub(super) shared_failures: Counter,
    pub(super) source_calls: Counter,
    pub(super) source_failures: Counter,
    pub(super) evictions: Counter,
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        if count > 0 {
            self.0.fetch_add(count, Ordering::Relaxed);
        }
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Tally {
    pub(super) fn read(&self) -> CacheStats {
        CacheStats {
            hits: self.hits.read(),
            absences: self.absences.read(),
            misses: self.misses.read(),
            stale: self.stale.read(),
            joined: self.joined.read(),
            shared_hits: self.shared_hits.read(),
            shared_failures: self.shared_failures.read(),
            source_calls: self.source_calls.read(),
            source_failures: self.source_failures.read(),
            evictions: self.evictions.read(),
            entries: 0,
            bytes: 0,
        }
    }
}
