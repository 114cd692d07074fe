//! One connection's end of a hub.

use std::sync::Arc;

use super::{
    catch_up::{CatchUp, Mailbox},
    core::Core,
    delivery::CloseReason,
    directory::TopicKey,
    inbox::Command,
    options::SubscribeOptions,
    subscribers::Member,
};
use crate::{
    Error, ErrorKind, Position, Result, Topic,
    bus::RecoveryOptions,
    sync::{AtomicBool, Mutex, Ordering},
};

/// One connection of a hub: one queue, any number of subscriptions. Dropping it closes it.
///
/// Subscribing and unsubscribing take effect at once with respect to publishing: a message published
/// after [`subscribe`](Self::subscribe) returned is delivered, and one published after
/// [`unsubscribe`](Self::unsubscribe) returned is not. A message published before `unsubscribe` may
/// still arrive after it.
#[derive(Debug)]
pub struct Connection {
    core: Arc<Core>,
    seat: Arc<Seat>,
}

/// One subscription of one connection. Subscribing anew makes another, which the old one's id
/// cannot end.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SubscriptionId {
    topic: TopicKey,
    generation: u32,
}

/// What [`Connection::subscribe`] did.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Subscribed {
    /// The connection subscribes now, and did not before.
    New(SubscriptionId),
    /// The connection subscribed before; its options stay as they were.
    Already(SubscriptionId),
}

/// Tells the hub that a sink which was full has room again. Cheap to clone, and to call too often.
#[derive(Clone, Debug)]
pub struct Ready {
    core: Arc<Core>,
    seat: Arc<Seat>,
}

/// What the hub knows of a connection outside its shard.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) shard: u32,
    pub(super) slot: u32,
    max_subscriptions: usize,
    /// Whether a [`Command::Ready`] is on its way.
    pub(super) announced: AtomicBool,
    pub(super) subscriptions: Mutex<Subscriptions>,
}

#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    pub(super) closed: bool,
    generation: u32,
    /// By topic.
    pub(super) held: Vec<Held>,
}

/// A subscription, in 8 bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) topic: TopicKey,
    generation: u32,
}

/// How a subscription begins.
enum Beginning<'a> {
    Live(Option<Position>),
    CatchUp(&'a Arc<Mailbox>),
}

impl Connection {
    pub(super) fn new(core: Arc<Core>, seat: Arc<Seat>) -> Self {
        Self { core, seat }
    }

    /// Receives the messages of `topic` that are published from now on, each once however often it
    /// is called. With [`resume`](SubscribeOptions::resume), what was missed comes first.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Full`] if the connection has as many subscriptions, the hub as many topics, or
    /// the shard as many waiting commands as the options allow; [`ErrorKind::Closed`] if the
    /// connection or the hub is closed or drains. Nothing has changed then.
    pub fn subscribe(&self, topic: &Topic, options: &SubscribeOptions) -> Result<Subscribed> {
        self.begin(topic, options, &Beginning::Live(options.resume))
    }

    /// Subscribes to `topic` for a reader whose last message stood at `since`, and who catches up
    /// from a history outside the hub. See [`CatchUp`].
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe); [`ErrorKind::Invalid`] if the connection subscribes to the
    /// topic already.
    pub fn catch_up(
        &self,
        topic: &Topic,
        since: Position,
        options: &SubscribeOptions,
        bounds: RecoveryOptions,
    ) -> Result<CatchUp<'_>> {
        CatchUp::begin(self, topic, since, options, bounds)
    }

    /// Ends the subscription to `topic`. Returns whether there was one.
    #[expect(
        clippy::must_use_candidate,
        reason = "most callers want the effect alone"
    )]
    pub fn unsubscribe(&self, topic: &Topic) -> bool {
        let mut subscriptions = self.seat.subscriptions.lock();
        let key = self.core.directory.lock_topic(topic).key(topic);
        let held = key.and_then(|key| subscriptions.remove(key, None));
        if let Some(held) = held {
            self.core.move_out(&self.seat, held.topic);
        }
        held.is_some()
    }

    /// Ends this one subscription; a newer one to the same topic stays. Returns whether it was there.
    #[expect(
        clippy::must_use_candidate,
        reason = "most callers want the effect alone"
    )]
    pub fn cancel(&self, subscription: SubscriptionId) -> bool {
        let mut subscriptions = self.seat.subscriptions.lock();
        let held = subscriptions.remove(subscription.topic, Some(subscription.generation));
        if let Some(held) = held {
            self.core.move_out(&self.seat, held.topic);
        }
        held.is_some()
    }

    /// To how many topics the connection subscribes.
    #[must_use]
    pub fn subscriptions(&self) -> usize {
        self.seat.subscriptions.lock().held.len()
    }

    /// Whether the connection is closed, from either side.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.seat.subscriptions.lock().closed
    }

    /// The handle by which a sink that was full says that it has room again.
    #[must_use]
    pub fn ready(&self) -> Ready {
        Ready {
            core: Arc::clone(&self.core),
            seat: Arc::clone(&self.seat),
        }
    }

    /// Closes the connection. What is queued is offered to the sink once more.
    pub fn close(self) {
        drop(self);
    }

    pub(super) fn subscribe_into(
        &self,
        topic: &Topic,
        options: &SubscribeOptions,
        mailbox: &Arc<Mailbox>,
    ) -> Result<SubscriptionId> {
        match self.begin(topic, options, &Beginning::CatchUp(mailbox))? {
            Subscribed::New(subscription) => Ok(subscription),
            Subscribed::Already(_) => Err(Error::new(
                ErrorKind::Invalid,
                "catch_up",
                "the connection subscribes to the topic already",
            )),
        }
    }

    /// Has the shard look into the subscription's mailbox.
    pub(super) fn caught_up(&self, subscription: SubscriptionId) {
        let subscriptions = self.seat.subscriptions.lock();
        if subscriptions.find(subscription.topic) != Some(subscription) {
            return;
        }
        let mut stripe = self.core.directory.lock_key(subscription.topic);
        let entry = stripe.entry(subscription.topic);
        let home = entry.and_then(|entry| entry.homes.find(self.seat.shard));
        if let Some(home) = home {
            let caught_up = Command::CaughtUp {
                topic: home.slot,
                connection: self.seat.slot,
            };
            self.core.inbox(self.seat.shard).push(caught_up);
        }
    }

    fn begin(
        &self,
        topic: &Topic,
        options: &SubscribeOptions,
        beginning: &Beginning<'_>,
    ) -> Result<Subscribed> {
        let op = "subscribe";
        let mut subscriptions = self.seat.subscriptions.lock();
        if subscriptions.closed {
            return Err(Error::bare(ErrorKind::Closed, op));
        }
        let mut stripe = self.core.directory.lock_topic(topic);
        let present = stripe.key(topic).and_then(|key| subscriptions.find(key));
        if let Some(subscription) = present {
            return Ok(Subscribed::Already(subscription));
        }
        if subscriptions.held.len() >= self.seat.max_subscriptions {
            return Err(Error::new(ErrorKind::Full, op, "too many subscriptions"));
        }
        let inbox = self.core.inbox(self.seat.shard);
        let mut pending = inbox.lock();
        inbox.check(&pending, op)?;
        let key = self.core.open(&mut stripe, topic, op)?;
        let member = Member::new(self.seat.slot, options.overflow);
        let member = match beginning {
            Beginning::Live(_) => member,
            Beginning::CatchUp(_) => member.with_detour(),
        };
        let entry = stripe.entry(key);
        let moved_in = entry.and_then(|entry| {
            let shard = self.seat.shard;
            let slot = self.core.move_in(entry, shard, member, &mut pending)?;
            Some((slot, entry))
        });
        let Some((slot, entry)) = moved_in else {
            self.core.close_if_unused(&mut stripe, key);
            return Err(Error::new(ErrorKind::Full, op, "too many topics"));
        };
        let command = match beginning {
            Beginning::Live(since) => Command::Subscribe {
                topic: slot,
                member,
                resumed: since
                    .zip(entry.history.as_ref())
                    .map(|(since, history)| Box::new(history.since(since))),
            },
            Beginning::CatchUp(mailbox) => Command::CatchUp {
                topic: slot,
                member,
                mailbox: Arc::clone(mailbox),
            },
        };
        inbox.put(&mut pending, command);
        Ok(Subscribed::New(subscriptions.add(key)))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.core.vacate(&self.seat, CloseReason::Requested);
    }
}

impl Subscribed {
    /// The subscription.
    #[must_use]
    pub const fn id(self) -> SubscriptionId {
        match self {
            Self::New(id) | Self::Already(id) => id,
        }
    }
}

impl Ready {
    /// The sink has room again.
    pub fn ready(&self) {
        if self.seat.announced.swap(true, Ordering::AcqRel) {
            return;
        }
        // Under the lock, so that it never reaches the next connection in the same slot.
        let subscriptions = self.seat.subscriptions.lock();
        if !subscriptions.closed {
            let connection = self.seat.slot;
            let inbox = self.core.inbox(self.seat.shard);
            inbox.push(Command::Ready { connection });
        }
    }
}

impl Seat {
    pub(super) fn new(shard: u32, slot: u32, max_subscriptions: usize) -> Self {
        Self {
            shard,
            slot,
            max_subscriptions,
            announced: AtomicBool::new(false),
            subscriptions: Mutex::default(),
        }
    }
}

impl Subscriptions {
    fn find(&self, topic: TopicKey) -> Option<SubscriptionId> {
        let place = self.search(topic).ok()?;
        let generation = self.held[place].generation;
        Some(SubscriptionId { topic, generation })
    }

    fn add(&mut self, topic: TopicKey) -> SubscriptionId {
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        if let Err(place) = self.search(topic) {
            if self.held.len() == self.held.capacity() {
                // A quarter instead of double: the slack counts against every subscription.
                self.held.reserve_exact((self.held.len() / 4).max(1));
            }
            self.held.insert(place, Held { topic, generation });
        }
        SubscriptionId { topic, generation }
    }

    /// Removes the subscription to `topic`, if it is of `generation` or that does not matter.
    fn remove(&mut self, topic: TopicKey, generation: Option<u32>) -> Option<Held> {
        let place = self.search(topic).ok()?;
        let held = self.held[place];
        if generation.is_some_and(|generation| generation != held.generation) {
            return None;
        }
        self.held.remove(place);
        if self.held.len() < self.held.capacity() / 2 {
            self.held.shrink_to(self.held.len() + self.held.len() / 4);
        }
        Some(held)
    }

    fn search(&self, topic: TopicKey) -> Result<usize, usize> {
        self.held.binary_search_by_key(&topic, |held| held.topic)
    }
}
