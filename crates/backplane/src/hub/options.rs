//! The bounds and choices of a hub, a connection and a subscription.

use std::{num::NonZeroUsize, thread};

use super::subscribers::Member;
use crate::Position;

/// How a [`Hub`](super::Hub) is built.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct HubOptions {
    /// Into how many shards the connections are divided. Default: one per core, at most 8.
    /// At most [`MAX_SHARDS`](Self::MAX_SHARDS).
    pub shards: usize,
    /// Who runs the shards. Default: a thread for each.
    pub drive: Drive,
    /// Most bytes of messages that wait in front of one shard; past it a publish is
    /// [`Refused`](super::Published::Refused). One message always fits. Default 16 MiB.
    pub inbox_bytes: usize,
    /// Most topics with a subscriber or a retained history. Default 16,777,216, which is also the
    /// most.
    pub max_topics: usize,
    /// Most connections of one shard. Default 4,194,304.
    pub max_connections_per_shard: usize,
    /// The seed of what is drawn at random: the epochs of retained topics, the spread of a drain.
    /// Default: drawn by the operating system.
    pub seed: u64,
}

/// Who runs the shards of a hub.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Drive {
    /// One thread for each shard.
    Threads,
    /// Whoever calls [`Hub::run_once`](super::Hub::run_once): for tests, and for embedding in a
    /// loop that exists.
    Caller,
}

impl HubOptions {
    /// The most shards a hub has.
    pub const MAX_SHARDS: usize = 64;
    const MAX_TOPICS: usize = 1 << 24;

    /// One shard that runs when [`Hub::run_once`](super::Hub::run_once) is called.
    #[must_use]
    pub fn inline() -> Self {
        Self::default().with_shards(1).with_drive(Drive::Caller)
    }

    /// Divides the connections into `shards`, 1 to [`MAX_SHARDS`](Self::MAX_SHARDS).
    #[must_use]
    pub fn with_shards(mut self, shards: usize) -> Self {
        self.shards = shards.clamp(1, Self::MAX_SHARDS);
        self
    }

    /// Lets `drive` run the shards.
    #[must_use]
    pub fn with_drive(mut self, drive: Drive) -> Self {
        self.drive = drive;
        self
    }

    /// Lets at most `bytes` wait in front of a shard.
    #[must_use]
    pub fn with_inbox_bytes(mut self, bytes: usize) -> Self {
        self.inbox_bytes = bytes;
        self
    }

    /// Allows at most `topics`.
    #[must_use]
    pub fn with_max_topics(mut self, topics: usize) -> Self {
        self.max_topics = topics.min(Self::MAX_TOPICS);
        self
    }

    /// Allows at most `connections` in a shard.
    #[must_use]
    pub fn with_max_connections_per_shard(mut self, connections: usize) -> Self {
        self.max_connections_per_shard = connections.min(Member::MAX_CONNECTION as usize);
        self
    }

    /// The same, within the bounds of a hub, though the fields were set directly.
    pub(super) fn within_bounds(self) -> Self {
        let Self {
            shards,
            max_topics,
            max_connections_per_shard,
            ..
        } = self;
        self.with_shards(shards)
            .with_max_topics(max_topics)
            .with_max_connections_per_shard(max_connections_per_shard)
    }

    /// Draws from `seed`.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

impl Default for HubOptions {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            shards: cores.min(8),
            drive: Drive::Threads,
            inbox_bytes: 16 << 20,
            max_topics: Self::MAX_TOPICS,
            max_connections_per_shard: 1 << 22,
            seed: fastrand::u64(..),
        }
    }
}

/// The bounds of one connection.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ConnectionOptions {
    /// Most bytes queued in the hub for the connection, where a message counts as its payload plus
    /// [`MESSAGE_OVERHEAD`](Self::MESSAGE_OVERHEAD). Never exceeded. Default 1 MiB.
    pub budget: u32,
    /// Most topics the connection subscribes to. Default 1,024.
    pub max_subscriptions: usize,
    /// Most bytes that [`Deliveries`](super::Deliveries) holds ready in front of its reader, beside
    /// the budget; one larger message passes alone. Default 64 KiB.
    pub window: usize,
}

impl ConnectionOptions {
    /// What a queued message costs of a budget beside its payload, in bytes.
    pub const MESSAGE_OVERHEAD: u32 = 64;

    /// Queues at most `bytes`.
    #[must_use]
    pub fn with_budget(mut self, bytes: u32) -> Self {
        self.budget = bytes;
        self
    }

    /// Allows at most `subscriptions`.
    #[must_use]
    pub fn with_max_subscriptions(mut self, subscriptions: usize) -> Self {
        self.max_subscriptions = subscriptions;
        self
    }

    /// Holds at most `bytes` ready in front of a stream's reader.
    #[must_use]
    pub fn with_window(mut self, bytes: usize) -> Self {
        self.window = bytes;
        self
    }
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            budget: 1 << 20,
            max_subscriptions: 1_024,
            window: 64 << 10,
        }
    }
}

/// How a subscription begins, and what it does when the connection cannot keep up.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct SubscribeOptions {
    /// What happens to a message that does not fit. Default [`Overflow::Disconnect`].
    pub overflow: Overflow,
    /// The last position the reader has seen of a topic that the hub
    /// [retains](super::Hub::retain): what it missed since comes first, or a gap. Default: only what
    /// is published from now on.
    pub resume: Option<Position>,
}

impl SubscribeOptions {
    /// Meets overflow with `overflow`.
    #[must_use]
    pub fn with_overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Begins after `position`.
    #[must_use]
    pub fn with_resume(mut self, position: Position) -> Self {
        self.resume = Some(position);
        self
    }
}

/// What happens to a message that would push a connection past its budget.
///
/// The sink is asked to take what is queued first; a policy only acts on a sink that is full. In
/// every case the bytes queued stay within the budget, and the reader learns what happened to it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a queue can lose its old end, its new end, all but the last, or its reader"
)]
pub enum Overflow {
    /// Closes the connection with [`CloseReason::SlowConsumer`](super::CloseReason::SlowConsumer)
    /// and drops its queue. The reader reconnects and recovers by position. For messages that must
    /// all arrive.
    #[default]
    Disconnect,
    /// Drops the topic's oldest queued messages until the new one fits. What is queued of the topic
    /// is always the newest suffix, preceded by a gap that counts the dropped.
    DropOldest,
    /// Drops the new message. What is queued of the topic stays, followed by a gap that counts the
    /// dropped.
    DropNewest,
    /// While the sink is full, queues only the topic's latest message, which says how many it
    /// replaced. If even the latest does not fit, none is queued and a gap counts them. For state:
    /// presence, position, counters.
    Conflate,
}
