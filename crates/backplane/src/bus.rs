//! The edge between nodes: topics with positions, history and recovery.
//!
//! A [`Bus`] carries messages from whichever node publishes them to every node that has a subscriber.
//! Each topic is one stream: its messages stand at offsets 1, 2, 3, … of an [`Epoch`](crate::Epoch),
//! and the newest of them can be read back. Delivery is a hint and the position is the truth: a
//! reader that sees offset 7 after offset 5 knows that 6 is missing and reads it from the history,
//! which is what [`Recovery`] does for one reader at a time and [`Relay`] for a whole node.
//!
//! ```
//! use futures::StreamExt;
//! use backplane::bus::{Bus, BusEvent, Outgoing};
//! use backplane::memory::MemoryBus;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bus = MemoryBus::default();
//! let (oslo, lima) = (bus.node(), bus.node());
//! lima.subscribe(&["room:7".parse()?])?;
//! oslo.publish(&[Outgoing::new("room:7".parse()?, "hello")])?;
//!
//! let event = lima.events().next().await;
//! assert!(matches!(event, Some(BusEvent::Message { message, .. }) if message.payload == "hello"));
//! # Ok(()) }
//! ```

mod event_queue;
mod events;
mod follower;
mod live_buffer;
mod message;
mod outgoing;
mod recovery;
mod relay;

use std::{fmt, time::Duration};

use async_trait::async_trait;

pub use event_queue::EventQueue;
pub use events::{BusEvent, BusEvents};
pub use message::{Gap, GapReason, HistoryPage, HistoryRead, Message};
pub use outgoing::{IdempotencyKey, Outgoing, Published};
pub use recovery::{Recovered, Recovery, RecoveryOptions, Step};
pub use relay::{Audience, Relay, RelayOptions};

use crate::{Position, Result, Topic};

/// One node's end of the streams that all nodes share.
///
/// # What an implementation owes
///
/// - **Positions.** A publish and the history it enters are one atomic step per topic: the offset is
///   the one after the newest, also under concurrent publishers, and [`history`](Self::history) shows
///   the message from then on. A position is never used twice for two payloads.
/// - **Epochs.** A stream that may have lost a message whose position was returned takes an epoch it
///   never had. Losing old messages to the limits of the history is no such loss; losing the newest
///   position is.
/// - **Events.** While its connection holds, a node gets every message of its subscriptions once, in
///   order of offset. Where its own bounded queue overflows it puts a [`BusEvent::Gap`] in the place
///   of what it dropped. After a connection was lost it subscribes anew by itself, and then emits
///   [`BusEvent::Resubscribed`] for each topic, even when its client library claims to have restored
///   the subscription: several do not, and none can know what was pushed meanwhile. It probes an
///   idle connection, since a dead one looks like a quiet one.
/// - What an engine loses without anybody noticing shows in the positions; a [`Relay`] checks them.
///
/// Clones of an `Arc` around a bus are one node. Every method is required: an implementation that
/// forwards to another must forward all of them.
#[async_trait]
pub trait Bus: fmt::Debug + Send + Sync {
    /// The bounds within which the promises of this bus hold.
    fn limits(&self) -> BusLimits;

    /// Publishes messages in the order given, and says of each where it stands, or why it was not
    /// published.
    ///
    /// Each message is published atomically; the batch is not. A message whose
    /// [`IdempotencyKey`] its topic remembers is not published again.
    ///
    /// Of one message: [`Full`](crate::ErrorKind::Full) if there is no room for another stream, and
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if what is stored of the topic does not decode: it was not
    /// published. On [`Unavailable`](crate::ErrorKind::Unavailable) it may have been; with a key it can be
    /// repeated safely. Engines keep topics on several servers, so that one message may fail where others do
    /// not.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) if the batch or a payload is larger than the
    /// [`limits`](Self::limits), and [`Closed`](crate::ErrorKind::Closed) after [`drain`](Self::drain):
    /// nothing was published. Any other error stands for one of each message.
    ///
    /// # Cancel safety
    ///
    /// As on `Unavailable`.
    async fn publish(&self, messages: &[Outgoing]) -> Result<Vec<Result<Published>>>;

    /// Adds topics to this node's stream of events, and says of each where it stands, or why it was not
    /// added.
    ///
    /// Every message after the returned position arrives as an event, or is covered by a gap; a few
    /// at or before it may arrive as well. Subscribing to a topic twice is subscribing once, but where the
    /// engine may have dropped the subscription silently it is made anew.
    ///
    /// Of one topic: as for [`publish`](Self::publish). On `Unavailable` and `Corrupt` it may be
    /// subscribed.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    ///
    /// # Cancel safety
    ///
    /// As on `Unavailable`.
    async fn subscribe(&self, topics: &[Topic]) -> Result<Vec<Result<Position>>>;

    /// Removes topics from this node's stream of events.
    ///
    /// What was published before the call returned may still arrive; nothing published later does.
    /// Unsubscribing from a topic that is not subscribed changes nothing.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish); on `Unavailable` any of the topics may still be subscribed.
    ///
    /// # Cancel safety
    ///
    /// As on `Unavailable`.
    async fn unsubscribe(&self, topics: &[Topic]) -> Result<()>;

    /// Reads one page for each of `reads`, in their order, or says why it cannot be read.
    ///
    /// A page holds the oldest retained messages after [`HistoryRead::since`], at most as many as
    /// asked for and as [`BusLimits::page`] allows, and ends before the message that would make it
    /// more than [`HistoryRead::bytes`], unless that is its first. It begins later than the message after `since`
    /// if that one is no longer retained, and is empty if `since` is of another epoch or ahead of
    /// the stream. It shows every message whose publish returned, or that arrived as an event, before the
    /// call. The position of a topic nobody has published to has offset 0, and is
    /// recoverable as any other; but where nobody subscribes, the topic may be forgotten
    /// [`history_ttl`](BusLimits::history_ttl) after it was first read, and then begins a new epoch.
    ///
    /// Of one page: `Full` for a topic that has no stream yet, or begins a new epoch, and no room for it;
    /// `Corrupt` if it does not decode, though the top of its topic may; `Unavailable`.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    ///
    /// # Cancel safety
    ///
    /// Reads have no effect.
    async fn history(&self, reads: &[HistoryRead]) -> Result<Vec<Result<HistoryPage>>>;

    /// The node's one stream of events, of all its topics.
    ///
    /// Events are queued from the first subscription on. A second call ends the first stream and goes
    /// on where it stopped; made beside a [`Relay`], it ends that.
    fn events(&self) -> BusEvents;

    /// Takes this node off the bus: no event is queued any more, the stream yields those that are and
    /// ends, and every later call fails with [`Closed`](crate::ErrorKind::Closed).
    ///
    /// Draining twice is draining once.
    ///
    /// # Errors
    ///
    /// On [`Unavailable`](crate::ErrorKind::Unavailable) the engine may not know yet that this node
    /// is gone, and finds out when the connection ends.
    ///
    /// # Cancel safety
    ///
    /// As on `Unavailable`.
    async fn drain(&self) -> Result<()>;
}

/// What a bus keeps and accepts.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct BusLimits {
    /// Most messages, topics or reads in one call.
    pub batch: usize,
    /// Most bytes of a payload.
    pub payload: usize,
    /// Most messages in a page of history.
    pub page: usize,
    /// The newest messages of a topic that its history retains, if they are not too old.
    pub history: usize,
    /// The age at which the history drops a message.
    pub history_ttl: Duration,
    /// How long a topic remembers an idempotency key.
    pub idempotency_window: Duration,
    /// How many idempotency keys a topic remembers; a new one displaces the oldest.
    pub idempotency_keys: usize,
    /// Most events queued for a node that does not read them.
    pub queue: usize,
}

impl BusLimits {
    /// The limits that [`MemoryBus`](crate::memory::MemoryBus) has by default, which an adapter may
    /// start from.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            batch: 512,
            payload: 1 << 20,
            page: 256,
            history: 100,
            history_ttl: Duration::from_secs(300),
            idempotency_window: Duration::from_secs(300),
            idempotency_keys: 1_000,
            queue: 65_536,
        }
    }
}

impl Default for BusLimits {
    fn default() -> Self {
        Self::new()
    }
}
