use serde::{Deserialize, Serialize};

use super::{latency::Percentiles, policy::Policy};

/// What was measured under one policy.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Outcome {
    pub(super) policy: Policy,
    pub(super) network: Network,
    /// Posts alone, as fast as they go.
    pub(super) posts: Burst,
    /// Posts among reads, as fast as they go.
    pub(super) mixed: Burst,
    /// From when a read was due until its page was there, at the given rate.
    pub(super) read: Percentiles,
    /// From when a client began to read until the page was there: without what the read had to wait.
    pub(super) reading: Percentiles,
    /// From when a post was due until it was durable, at the given rate.
    pub(super) publish: Percentiles,
    /// From when a post was due until a follower's timeline had it, at the given rate; `None` if
    /// nothing was delivered.
    pub(super) lag: Option<Percentiles>,
    pub(super) memory: Memory,
    /// How many authors are left for readers to pull.
    pub(super) pulled_authors: u64,
    /// What some viewers see in the end: a hash of each one's pages.
    pub(super) pages: Vec<u64>,
}

/// The network that all were measured on.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Network {
    pub(super) users: u32,
    pub(super) around: u64,
    pub(super) follows: u64,
    pub(super) most_followers: u32,
    pub(super) tail_exponent: f64,
}

/// Work that was done as fast as it went, until all of it had arrived.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(super) struct Burst {
    pub(super) seconds: f64,
    pub(super) cpu_seconds: f64,
    pub(super) posts: u64,
    pub(super) reads: u64,
    /// How many timelines fanout wrote.
    pub(super) deliveries: u64,
}

/// What it took to remember.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(super) struct Memory {
    /// The timelines as they were built.
    pub(super) built: Timelines,
    /// By how much the process grew meanwhile, in bytes; `None` where the system does not say.
    pub(super) growth: Option<u64>,
    /// The timelines in the end.
    pub(super) timelines: Timelines,
    /// The whole process in the end, in bytes.
    pub(super) process: Option<u64>,
}

/// How much is in all timelines.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(super) struct Timelines {
    pub(super) entries: u64,
    /// By the store's own account.
    pub(super) bytes: u64,
}

impl Burst {
    /// So many, by the second.
    pub(super) fn rate(&self, count: u64) -> f64 {
        real(count) / self.seconds
    }

    /// What a post or read took of a processor's time, with all that followed from it, in seconds.
    pub(super) fn cost(&self) -> f64 {
        self.cpu_seconds / real(self.posts + self.reads)
    }
}

impl Timelines {
    /// Bytes for an entry; `None` where there are no timelines.
    pub(super) fn bytes_per_entry(&self) -> Option<f64> {
        self.per_entry(self.bytes)
    }

    /// So many bytes for an entry.
    pub(super) fn per_entry(&self, bytes: u64) -> Option<f64> {
        (self.entries > 0).then(|| real(bytes) / real(self.entries))
    }
}

/// A count, to divide.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(super) fn real(count: u64) -> f64 {
    count as f64
}
