use std::time::Duration;

use crate::times::millis;

/// The bounds of a [`RedisTimelines`](super::RedisTimelines). All nodes have the same.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RedisTimelinesOptions {
    /// How many entries a timeline holds, the newest; at least 1. 800 by default, as many as
    /// [`FeedOptions::build_entries`](feed_core::FeedOptions::build_entries) fills it with.
    pub capacity: usize,
    /// How long a timeline is kept that nobody reads; `None` for ever. 14 days by default, as long as
    /// [`FeedOptions::active_for`](feed_core::FeedOptions::active_for) keeps one up after a visit. Fanout
    /// drops the timelines of those who are away, but only when somebody they follow posts.
    pub idle_ttl: Option<Duration>,
}

impl RedisTimelinesOptions {
    /// Keeps the newest `entries` of a timeline.
    #[must_use]
    pub const fn with_capacity(mut self, entries: usize) -> Self {
        self.capacity = entries;
        self
    }

    /// Keeps a timeline that nobody reads for `time`; `None` for ever.
    #[must_use]
    pub const fn with_idle_ttl(mut self, time: Option<Duration>) -> Self {
        self.idle_ttl = time;
        self
    }

    /// In milliseconds, as scripts take it: 0 for ever.
    pub(super) fn ttl(&self) -> u64 {
        self.idle_ttl.map_or(0, millis)
    }
}

impl Default for RedisTimelinesOptions {
    fn default() -> Self {
        Self {
            capacity: 800,
            idle_ttl: Some(Duration::from_secs(14 * 24 * 60 * 60)),
        }
    }
}
