//! Fan-out inside one process: who subscribes to a topic gets its messages, fast.
//!
//! ```
//! use backplane::hub::{ConnectionOptions, Delivery, Hub, HubOptions, SubscribeOptions};
//! use futures::StreamExt;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let hub = Hub::new(HubOptions::default());
//! let (connection, mut deliveries) = hub.connect_stream(&ConnectionOptions::default())?;
//! connection.subscribe(&"room:1".parse()?, &SubscribeOptions::default())?;
//!
//! let _ = hub.publish(&"room:1".parse()?, "hello".into());
//! let Some(Delivery::Message { payload, .. }) = deliveries.next().await else { panic!() };
//! assert_eq!(payload, "hello");
//! # Ok(()) }
//! ```
//!
//! # How it works
//!
//! The connections are divided into shards. A publish looks the topic up, puts the message into the
//! inbox of each shard that has subscribers, and returns. The shard's thread queues it, as a number
//! of four bytes, for every subscriber, and then hands each connection's queue to its
//! [`ConnectionSink`]; a message that comes alone skips the queues that are empty. There is no task, no
//! channel and no wake-up per subscription, a payload is shared and never copied, and a broadcast to
//! sinks that keep up allocates nothing.
//!
//! # Guarantees
//!
//! - A message reaches exactly the connections that subscribed before it was published and did not
//!   unsubscribe before it was delivered, once each. What a connection does not get, it is told of:
//!   by a gap that counts, or by the one reason for which it is closed.
//! - The order of a topic's messages is the same for every connection, and it is that of the calls
//!   of any one publisher.
//! - What is queued for a connection never costs more than its
//!   [budget](ConnectionOptions::budget). A connection that stalls delays no other.
//! - A subscriber that [catches up](Connection::catch_up) never delays a publish.
//!
//! # Limits
//!
//! Delivery ends at the sink: the hub stores nothing but what [`Hub::retain`] keeps, and knows nothing
//! of other processes, which are the business of a [bus](crate::bus). Topic names are hashed without
//! a key, so names that strangers choose freely can be made to collide; prefix them or bound them.

mod backlog;
mod catch_up;
mod connection;
mod core;
mod delivery;
mod detour;
mod directory;
mod frame;
mod inbox;
mod index;
mod options;
mod outbox;
mod publish;
mod retention;
mod shard;
mod shelf;
mod sink;
mod slots;
mod stall;
mod stream;
mod subscribers;
mod tenant;
mod topics;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

pub use self::{
    catch_up::{CatchUp, Progress},
    connection::{Connection, Ready, Subscribed, SubscriptionId},
    core::Interest,
    delivery::{CloseReason, Delivery, DeliveryRef},
    options::{ConnectionOptions, Drive, HubOptions, Overflow, SubscribeOptions},
    publish::{Outgoing, Published},
    retention::{RetainOptions, Retained},
    sink::{Batch, ConnectionSink, Flow},
    stream::Deliveries,
};
use self::{
    connection::Seat,
    core::Core,
    delivery::Missing,
    inbox::Command,
    stream::{StreamSink, Window},
    tenant::Tenant,
};
use crate::{
    Error, ErrorKind, Position, Result, Topic,
    sync::{AtomicUsize, Ordering, thread},
};

/// Fan-out inside one process. Clones share one hub; when the last is dropped, its connections are
/// closed and its threads end.
#[derive(Clone, Debug)]
pub struct Hub {
    core: Arc<Core>,
    owner: Arc<Owner>,
}

/// How much a hub holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct HubStats {
    /// Open connections.
    pub connections: usize,
    /// Subscriptions of all connections.
    pub subscriptions: usize,
    /// Topics with a subscriber or a history.
    pub topics: usize,
    /// Bytes queued for connections whose sink is full, as of each shard's last run.
    pub queued_bytes: usize,
}

/// Ends the hub with its last handle.
#[derive(Debug)]
struct Owner {
    core: Arc<Core>,
    threads: Vec<thread::JoinHandle<()>>,
    next_shard: AtomicUsize,
}

impl Hub {
    /// A hub without connections.
    ///
    /// # Panics
    ///
    /// If the operating system refuses a thread.
    #[must_use]
    pub fn new(options: HubOptions) -> Self {
        Self::build(options, None)
    }

    /// A hub that tells `interest` which topics have subscribers.
    ///
    /// # Panics
    ///
    /// If the operating system refuses a thread.
    #[must_use]
    pub fn with_interest(options: HubOptions, interest: Arc<dyn Interest>) -> Self {
        Self::build(options, Some(interest))
    }

    /// Adds a connection whose deliveries go to `sink`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Full`] if the shard has as many connections or waiting commands as the options
    /// allow; [`ErrorKind::Closed`] if the hub drains or is closed.
    pub fn connect(
        &self,
        sink: impl ConnectionSink + 'static,
        options: &ConnectionOptions,
    ) -> Result<Connection> {
        let next = self.owner.next_shard.fetch_add(1, Ordering::Relaxed);
        let index = next % self.core.shards.len();
        let inbox = &self.core.shards[index].inbox;
        let mut pending = inbox.lock();
        inbox.check(&pending, "connect")?;
        let limit = u32::try_from(self.core.options.max_connections_per_shard).unwrap_or(u32::MAX);
        let slot = pending.connections.take(limit);
        let slot =
            slot.ok_or_else(|| Error::new(ErrorKind::Full, "connect", "too many connections"))?;
        let shard = u32::try_from(index).unwrap_or_default();
        let seat = Arc::new(Seat::new(shard, slot, options.max_subscriptions));
        let connect = Command::Connect {
            connection: slot,
            tenant: Tenant::new(sink, Arc::clone(&seat)),
            budget: options.budget,
        };
        inbox.put(&mut pending, connect);
        drop(pending);
        self.core.connections.fetch_add(1, Ordering::Relaxed);
        Ok(Connection::new(Arc::clone(&self.core), seat))
    }

    /// Adds a connection whose deliveries are a stream.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub fn connect_stream(&self, options: &ConnectionOptions) -> Result<(Connection, Deliveries)> {
        let window = Window::new(options.window);
        let connection = self.connect(StreamSink::new(&window), options)?;
        let deliveries = Deliveries::new(window, connection.ready());
        Ok((connection, deliveries))
    }

    /// Sends `payload` to every subscriber of `topic`. Never waits, and never calls a sink.
    pub fn publish(&self, topic: &Topic, payload: Bytes) -> Published {
        self.core.publish(topic, payload, None)
    }

    /// Sends `payload`, which stands at `position` of the topic's stream. Positions are the caller's
    /// to keep in order; the hub passes them on. A topic that the hub [retains](Self::retain) takes
    /// the hub's own positions instead.
    pub fn publish_at(&self, topic: &Topic, payload: Bytes, position: Position) -> Published {
        self.core.publish(topic, payload, Some(position))
    }

    /// Publishes every message of `batch` and notes its outcome there; a refused message keeps its
    /// payload. Messages of one topic keep their order. Much cheaper than one by one if there are
    /// many topics.
    pub fn publish_batch(&self, batch: &mut [Outgoing]) {
        for some in batch.chunks_mut(Core::MOST) {
            self.core.publish_some(some);
        }
    }

    /// Tells every subscriber of `topic` that messages were lost before they reached the hub, after
    /// the position `resume_from`; `missed` is `None` if nobody knows how many. A full inbox takes it
    /// all the same, since a loss must not be lost: tell of a stretch once, not of each message.
    pub fn publish_gap(&self, topic: &Topic, missed: Option<u64>, resume_from: Option<Position>) {
        let missing = Missing {
            count: missed,
            resume_from,
        };
        self.core.lose(topic, missing);
    }

    /// Numbers the messages of `topic` from now on and keeps the most recent, so that a
    /// [resumed](SubscribeOptions::resume) subscription gets what it missed, or a gap. The stream
    /// has a new epoch each time.
    ///
    /// ```
    /// use backplane::hub::{ConnectionOptions, Hub, HubOptions, RetainOptions, SubscribeOptions};
    ///
    /// let hub = Hub::new(HubOptions::inline());
    /// let topic = "feed:42".parse()?;
    /// let retained = hub.retain(&topic, RetainOptions::default())?;
    /// let seen = hub.publish(&topic, "first".into()).position().unwrap();
    /// let _ = hub.publish(&topic, "second".into()); // while the reader is away
    ///
    /// let (connection, mut deliveries) = hub.connect_stream(&ConnectionOptions::default())?;
    /// connection.subscribe(&topic, &SubscribeOptions::default().with_resume(seen))?;
    /// hub.run_once();
    /// assert_eq!(deliveries.drain().len(), 1);
    /// assert_eq!(retained.top().offset, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if the topic is retained already; [`ErrorKind::Full`] if there are as
    /// many topics as the options allow.
    pub fn retain(&self, topic: &Topic, options: RetainOptions) -> Result<Retained> {
        let epoch = self.core.retain(topic, options)?;
        let core = Arc::clone(&self.core);
        Ok(Retained::new(core, topic.clone(), epoch))
    }

    /// Lets every shard do what waits for it, but for shards that another thread runs. Returns how
    /// much that was; what came up meanwhile waits for the next call, so call it until it returns 0.
    #[expect(
        clippy::must_use_candidate,
        reason = "most callers want the effect alone"
    )]
    pub fn run_once(&self) -> usize {
        self.core.run_once()
    }

    /// Prepares to leave: refuses new connections and subscriptions, and closes each connection with
    /// [`CloseReason::Draining`] as soon as its sink has taken what is queued. The clients are told
    /// to reconnect after times spread evenly over `window`.
    ///
    /// It returns at once. The deadline is the caller's: poll [`stats`](Self::stats) until no
    /// connection is left, or [`close`](Self::close) the hub.
    pub fn drain(&self, window: Duration) {
        for shard in &self.core.shards {
            shard.inbox.drain(window, self.core.draw());
        }
    }

    /// Closes every connection with [`CloseReason::HubClosed`], after one last offer to its sink. What
    /// is published from now on reaches nobody.
    pub fn close(&self) {
        self.core.close();
    }

    /// How much the hub holds.
    #[must_use]
    pub fn stats(&self) -> HubStats {
        let shards = self.core.shards.iter();
        HubStats {
            connections: self.core.connections.load(Ordering::Relaxed),
            subscriptions: self.core.subscriptions.load(Ordering::Relaxed),
            topics: self.core.topics.load(Ordering::Relaxed),
            queued_bytes: shards.map(shard::Shard::queued_bytes).sum(),
        }
    }

    fn build(options: HubOptions, interest: Option<Arc<dyn Interest>>) -> Self {
        let drive = options.drive;
        let core = Arc::new(Core::new(options, interest));
        let threads = match drive {
            Drive::Caller => Vec::new(),
            Drive::Threads => (0..core.shards.len())
                .map(|shard| start(Arc::clone(&core), shard))
                .collect(),
        };
        let owner = Arc::new(Owner {
            core: Arc::clone(&core),
            threads,
            next_shard: AtomicUsize::new(0),
        });
        Self { core, owner }
    }
}

fn start(core: Arc<Core>, shard: usize) -> thread::JoinHandle<()> {
    thread::Builder::new()
        .name(format!("hub-{shard}"))
        .spawn(move || core.shards[shard].run_until_shut(&core))
        .expect("the operating system has a thread to spare")
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.core.close();
        if self.threads.is_empty() {
            while self.core.run_once() > 0 {}
        }
        for thread in self.threads.drain(..) {
            // A sink may hold the last handle; its own thread ends by itself.
            if thread.thread().id() != thread::current().id() {
                drop(thread.join());
            }
        }
    }
}
