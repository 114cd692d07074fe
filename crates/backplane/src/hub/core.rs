//! What all handles of a hub share.

use std::{fmt, mem, sync::Arc};

use bytes::Bytes;

use super::{
    connection::{Held, Seat},
    delivery::{CloseReason, Missing},
    directory::{Directory, Entry, Home, Homes, Stripe, TopicKey},
    frame::Frame,
    inbox::{Command, Inbox, Pending},
    options::HubOptions,
    publish::{Outgoing, Published},
    retention::{History, RetainOptions},
    shard::Shard,
    subscribers::Member,
};
use crate::{
    Epoch, Error, ErrorKind, Position, Result, Topic,
    sync::{AtomicUsize, Mutex, MutexGuard, Ordering},
};

/// Who wants to know when a topic gets its first subscriber and loses its last one: the edge to
/// other nodes.
///
/// It is called with the topic locked, so that the calls for one topic come in the order of the
/// events, first and last strictly alternating. It must return at once and not call the hub.
pub trait Interest: fmt::Debug + Send + Sync {
    /// `topic` has a subscriber now, and had none.
    fn first_subscribed(&self, topic: &Topic);

    /// `topic` has no subscriber any more.
    fn last_unsubscribed(&self, topic: &Topic);
}

#[derive(Debug)]
pub(super) struct Core {
    pub(super) directory: Directory,
    pub(super) shards: Box<[Shard]>,
    pub(super) options: HubOptions,
    pub(super) connections: AtomicUsize,
    pub(super) subscriptions: AtomicUsize,
    pub(super) topics: AtomicUsize,
    interest: Option<Arc<dyn Interest>>,
    rng: Mutex<fastrand::Rng>,
}

impl Core {
    pub(super) fn new(options: HubOptions, interest: Option<Arc<dyn Interest>>) -> Self {
        let shards = (0..options.shards).map(|_| Shard::new(options.inbox_bytes));
        Self {
            directory: Directory::new(),
            shards: shards.collect(),
            connections: AtomicUsize::new(0),
            subscriptions: AtomicUsize::new(0),
            topics: AtomicUsize::new(0),
            interest,
            rng: Mutex::new(fastrand::Rng::with_seed(options.seed)),
            options,
        }
    }

    pub(super) fn draw(&self) -> u64 {
        self.rng.lock().u64(..)
    }

    pub(super) fn publish(
        &self,
        topic: &Topic,
        mut payload: Bytes,
        position: Option<Position>,
    ) -> Published {
        let mut stripe = self.directory.lock_topic(topic);
        match stripe.find(topic) {
            None => Published::Unheard { position },
            Some(entry) => {
                let mut doors = Doors::open(&self.shards, entry.homes.mask());
                doors.publish(entry, &mut payload, position)
            }
        }
    }

    /// Publishes up to [`MOST`](Self::MOST) messages, taken stripe by stripe.
    ///
    /// The lookups of a stripe do not depend on each other, so the processor waits for their cache
    /// misses at the same time.
    pub(super) fn publish_some(&self, batch: &mut [Outgoing]) {
        let mut order = [0_u16; Self::MOST];
        let ends = sort_by_stripe(batch, &mut order);
        let mut places = [None; Self::MOST];
        let mut start = 0;
        for (stripe, end) in ends.into_iter().enumerate() {
            let members = &order[start..end];
            start = end;
            if members.is_empty() {
                continue;
            }
            let mut locked = self.directory.lock(stripe);
            let places = &mut places[..members.len()];
            locked.places(
                members.iter().map(|&member| &batch[member as usize].topic),
                places,
            );
            let shards = places.iter().flatten().fold(0, |shards, &place| {
                let entry = locked.entry_at(place);
                shards | entry.map_or(0, |entry| entry.homes.mask())
            });
            let mut doors = Doors::open(&self.shards, shards);
            for (&member, &place) in members.iter().zip(&*places) {
                let outgoing = &mut batch[member as usize];
                let entry = place.and_then(|place| locked.entry_at(place));
                outgoing.outcome = Some(match entry {
                    None => outgoing.unheard(),
                    Some(entry) => doors.publish(entry, &mut outgoing.payload, outgoing.position),
                });
            }
        }
    }

    /// The most messages of one [`publish_some`](Self::publish_some).
    pub(super) const MOST: usize = 1_024;

    /// Tells the subscribers of `topic` of a loss in front of the hub.
    pub(super) fn lose(&self, topic: &Topic, missing: Missing) {
        let mut stripe = self.directory.lock_topic(topic);
        let Some(entry) = stripe.find(topic) else {
            return;
        };
        for home in entry.homes.as_slice() {
            let inbox = self.inbox(home.shard);
            let frame = Frame::lost(home.slot, missing).with_sole(home.sole);
            inbox.send(&mut inbox.lock(), frame);
        }
    }

    pub(super) fn retain(&self, topic: &Topic, options: RetainOptions) -> Result<Epoch> {
        let mut stripe = self.directory.lock_topic(topic);
        let key = self.open(&mut stripe, topic, "retain")?;
        let entry = stripe.entry(key);
        let history = entry.map(|entry| &mut entry.history);
        match history {
            Some(vacant @ None) => {
                let epoch = Epoch::new(self.draw());
                *vacant = Some(Box::new(History::new(epoch, options)));
                Ok(epoch)
            }
            _ => Err(Error::new(
                ErrorKind::Invalid,
                "retain",
                "the topic is retained already",
            )),
        }
    }

    pub(super) fn top_of(&self, topic: &Topic) -> Option<Position> {
        let mut stripe = self.directory.lock_topic(topic);
        Some(stripe.find(topic)?.history.as_ref()?.top())
    }

    /// Drops the history of `topic`.
    pub(super) fn forget(&self, topic: &Topic) {
        let mut stripe = self.directory.lock_topic(topic);
        let Some(key) = stripe.key(topic) else {
            return;
        };
        if let Some(entry) = stripe.entry(key) {
            entry.history = None;
        }
        self.close_if_unused(&mut stripe, key);
    }

    /// The entry of `topic`, made if there is none.
    pub(super) fn open(
        &self,
        stripe: &mut Stripe,
        topic: &Topic,
        op: &'static str,
    ) -> Result<TopicKey> {
        if let Some(key) = stripe.key(topic) {
            return Ok(key);
        }
        let full = || Error::new(ErrorKind::Full, op, "too many topics");
        if self.topics.load(Ordering::Relaxed) >= self.options.max_topics {
            return Err(full());
        }
        let key = stripe.open(topic).ok_or_else(full)?;
        self.topics.fetch_add(1, Ordering::Relaxed);
        Ok(key)
    }

    /// Counts `member` as one more subscriber of an entry. Returns the topic's slot in its shard.
    pub(super) fn move_in(
        &self,
        entry: &mut Entry,
        shard: u32,
        member: Member,
        pending: &mut Pending,
    ) -> Option<u32> {
        if let Some(home) = entry.homes.find(shard) {
            home.subscribers += 1;
            home.sole = None;
            self.subscriptions.fetch_add(1, Ordering::Relaxed);
            return Some(home.slot);
        }
        let slot = pending.topics.take(u32::MAX)?;
        self.subscriptions.fetch_add(1, Ordering::Relaxed);
        let name = entry.topic.clone();
        self.inbox(shard)
            .put(pending, Command::Open { topic: slot, name });
        if entry.homes.as_slice().is_empty()
            && let Some(interest) = &self.interest
        {
            interest.first_subscribed(&entry.topic);
        }
        entry.homes.add(Home {
            shard,
            slot,
            subscribers: 1,
            sole: (!member.takes_detour()).then_some(member),
        });
        Some(slot)
    }

    /// Ends the subscription of `seat` to the topic at `key`.
    pub(super) fn move_out(&self, seat: &Seat, key: TopicKey) {
        let mut stripe = self.directory.lock_key(key);
        let Some(entry) = stripe.entry(key) else {
            return;
        };
        let Some(home) = entry.homes.find(seat.shard) else {
            return;
        };
        home.subscribers -= 1;
        let Home {
            slot, subscribers, ..
        } = *home;
        self.subscriptions.fetch_sub(1, Ordering::Relaxed);
        let inbox = self.inbox(seat.shard);
        let mut pending = inbox.lock();
        let unsubscribe = Command::Unsubscribe {
            topic: slot,
            connection: seat.slot,
        };
        inbox.put(&mut pending, unsubscribe);
        if subscribers > 0 {
            return;
        }
        inbox.put(&mut pending, Command::Retire { topic: slot });
        drop(pending);
        entry.homes.remove(seat.shard);
        if entry.homes.as_slice().is_empty()
            && let Some(interest) = &self.interest
        {
            interest.last_unsubscribed(&entry.topic);
        }
        self.close_if_unused(&mut stripe, key);
    }

    /// Ends a connection, once: its subscriptions, then itself.
    pub(super) fn vacate(&self, seat: &Seat, reason: CloseReason) {
        let mut subscriptions = seat.subscriptions.lock();
        if mem::replace(&mut subscriptions.closed, true) {
            return;
        }
        for Held { topic, .. } in mem::take(&mut subscriptions.held) {
            self.move_out(seat, topic);
        }
        self.connections.fetch_sub(1, Ordering::Relaxed);
        let close = Command::Close {
            connection: seat.slot,
            reason,
        };
        self.inbox(seat.shard).push(close);
    }

    pub(super) fn run_once(&self) -> usize {
        self.shards.iter().map(|shard| shard.try_run(self)).sum()
    }

    /// Closes every inbox, and with it the connections behind it.
    pub(super) fn close(&self) {
        for shard in &self.shards {
            shard.inbox.shut();
        }
    }

    pub(super) fn inbox(&self, shard: u32) -> &Inbox {
        &self.shards[shard as usize].inbox
    }

    pub(super) fn close_if_unused(&self, stripe: &mut Stripe, key: TopicKey) {
        if stripe.remove_if_unused(key) {
            self.topics.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Sorts the indices of `batch` by stripe, stably, so that the order within a topic stays. Returns
/// where each stripe's part ends.
fn sort_by_stripe(
    batch: &[Outgoing],
    order: &mut [u16; Core::MOST],
) -> [usize; Directory::STRIPES] {
    let mut ends = [0; Directory::STRIPES];
    for outgoing in batch {
        ends[Directory::stripe_of(&outgoing.topic)] += 1;
    }
    let mut sum = 0;
    for end in &mut ends {
        // The start for now; placing the members moves it to the end.
        sum += mem::replace(end, sum);
    }
    for (index, outgoing) in (0_u16..).zip(batch) {
        let end = &mut ends[Directory::stripe_of(&outgoing.topic)];
        order[*end] = index;
        *end += 1;
    }
    ends
}

/// The locked inboxes of the shards that a publish goes to. They are locked in ascending order.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "it lives on the stack, and the small variant is the common one"
)]
enum Doors<'a> {
    None,
    One {
        inbox: &'a Inbox,
        pending: MutexGuard<'a, Pending>,
    },
    Many {
        shards: &'a [Shard],
        pending: [Option<MutexGuard<'a, Pending>>; HubOptions::MAX_SHARDS],
    },
}

impl<'a> Doors<'a> {
    #[inline]
    fn open(shards: &'a [Shard], mask: u64) -> Self {
        match mask.count_ones() {
            0 => Self::None,
            1 => {
                let inbox = &shards[mask.trailing_zeros() as usize].inbox;
                let pending = inbox.lock();
                Self::One { inbox, pending }
            }
            _ => Self::open_many(shards, mask),
        }
    }

    fn open_many(shards: &'a [Shard], mask: u64) -> Self {
        let mut pending = [const { None }; HubOptions::MAX_SHARDS];
        for (index, shard) in shards.iter().enumerate() {
            if mask >> index & 1 == 1 {
                pending[index] = Some(shard.inbox.lock());
            }
        }
        Self::Many { shards, pending }
    }

    /// Puts a message into all inboxes of its topic, or into none.
    #[inline]
    fn publish(
        &mut self,
        entry: &mut Entry,
        payload: &mut Bytes,
        position: Option<Position>,
    ) -> Published {
        match (&entry.homes, &mut entry.history) {
            (Homes::One(home), None) if self.has_room(home, payload) => {
                self.put(home, mem::take(payload), position);
                Published::Sent { position }
            }
            (Homes::One(_), None) => Published::Refused,
            (homes, history) => {
                self.publish_to_all(homes.as_slice(), history.as_deref_mut(), payload, position)
            }
        }
    }

    #[inline(never)]
    fn publish_to_all(
        &mut self,
        homes: &[Home],
        history: Option<&mut History>,
        payload: &mut Bytes,
        position: Option<Position>,
    ) -> Published {
        let position = history
            .as_ref()
            .map(|history| history.top().next())
            .or(position);
        if !homes.iter().all(|home| self.has_room(home, payload)) {
            return Published::Refused;
        }
        let Some((last, others)) = homes.split_last() else {
            if let Some(history) = history {
                history.push(mem::take(payload));
            }
            return Published::Unheard { position };
        };
        if let Some(history) = history {
            history.push(payload.clone());
        }
        for home in others {
            self.put(home, payload.clone(), position);
        }
        self.put(last, mem::take(payload), position);
        Published::Sent { position }
    }

    #[inline]
    fn has_room(&mut self, home: &Home, payload: &Bytes) -> bool {
        let door = self.door(home.shard);
        door.is_some_and(|(inbox, pending)| inbox.has_room(pending, payload))
    }

    #[inline]
    fn put(&mut self, home: &Home, payload: Bytes, position: Option<Position>) {
        if let Some((inbox, pending)) = self.door(home.shard) {
            let frame = Frame::message(home.slot, payload, position);
            inbox.send(pending, frame.with_sole(home.sole));
        }
    }

    #[inline]
    fn door(&mut self, shard: u32) -> Option<(&Inbox, &mut Pending)> {
        match self {
            Self::None => None,
            Self::One { inbox, pending } => Some((inbox, pending)),
            Self::Many { shards, pending } => {
                let pending = pending[shard as usize].as_mut()?;
                Some((&shards[shard as usize].inbox, pending))
            }
        }
    }
}
