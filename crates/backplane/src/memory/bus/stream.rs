use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    task::Waker,
    time::Duration,
};

use bytes::Bytes;

use crate::{
    Epoch, Position, Topic,
    bus::{BusLimits, EventQueue, HistoryPage, IdempotencyKey, Message, Outgoing, Published},
};

/// One topic: its newest messages, the keys it remembers and the nodes that subscribe to it.
#[derive(Debug)]
pub(super) struct Stream {
    topic: Topic,
    top: Position,
    /// The messages at the offsets that end with `top`.
    retained: VecDeque<Retained>,
    keys: KeyWindow,
    nodes: Vec<Arc<EventQueue>>,
    touched: Duration,
}

#[derive(Debug)]
struct Retained {
    payload: Bytes,
    expires: Duration,
}

impl Stream {
    pub(super) fn new(topic: Topic, epoch: Epoch, now: Duration) -> Self {
        Self {
            topic,
            top: Position::new(epoch, 0),
            retained: VecDeque::new(),
            keys: KeyWindow::default(),
            nodes: Vec::new(),
            touched: now,
        }
    }

    pub(super) const fn topic(&self) -> &Topic {
        &self.topic
    }

    pub(super) fn nodes(&self) -> &[Arc<EventQueue>] {
        &self.nodes
    }

    /// Delivers to `node` from here on.
    pub(super) fn join(&mut self, node: &Arc<EventQueue>, now: Duration) -> Position {
        self.touched = now;
        if !self.nodes.iter().any(|joined| Arc::ptr_eq(joined, node)) {
            self.nodes.push(Arc::clone(node));
        }
        self.top
    }

    pub(super) fn leave(&mut self, node: &Arc<EventQueue>, now: Duration) {
        self.touched = now;
        self.nodes.retain(|joined| !Arc::ptr_eq(joined, node));
    }

    /// Begins anew, as after a loss of everything but the subscriptions.
    pub(super) fn restart(&mut self, epoch: Epoch) {
        self.top = Position::new(epoch, 0);
        self.retained.clear();
        self.keys = KeyWindow::default();
    }

    /// Retains the message and queues it for every node, unless its key is known.
    ///
    /// `wakers` receives whom to wake once no lock is held.
    pub(super) fn publish(
        &mut self,
        message: &Outgoing,
        now: Duration,
        limits: &BusLimits,
        wakers: &mut Vec<Waker>,
    ) -> Published {
        let position = self.top.next();
        if let Some(key) = message.key
            && let Some(offset) = self.keys.remember(key, position.offset, now, limits)
        {
            return Published::Duplicate(Position::new(position.epoch, offset));
        }
        self.touched = now;
        self.top = position;
        self.retained.push_back(Retained {
            payload: message.payload.clone(),
            expires: now.saturating_add(limits.history_ttl),
        });
        if self.retained.len() > limits.history {
            self.retained.pop_front();
        }
        self.expire(now);
        for node in &self.nodes {
            let message = Message::new(position, message.payload.clone());
            wakers.extend(node.push(&self.topic, message));
        }
        Published::New(position)
    }

    /// Drops the messages that are too old.
    pub(super) fn expire(&mut self, now: Duration) {
        while self
            .retained
            .front()
            .is_some_and(|oldest| oldest.expires <= now)
        {
            self.retained.pop_front();
        }
    }

    pub(super) fn page(&self, since: Option<Position>, limit: usize, bytes: usize) -> HistoryPage {
        let retained = self.retained.len();
        let oldest = self.top.offset - retained as u64;
        let skip = match since {
            None => 0,
            Some(since) if since.epoch != self.top.epoch => retained,
            Some(since) => usize::try_from(since.offset.saturating_sub(oldest))
                .unwrap_or(retained)
                .min(retained),
        };
        let first = oldest + skip as u64 + 1;
        let mut total = 0_usize;
        let messages = (oldest + 1..)
            .zip(&self.retained)
            .skip(skip)
            .take(limit)
            .take_while(|(offset, retained)| {
                total = total.saturating_add(retained.payload.len());
                total <= bytes || *offset == first
            })
            .map(|(offset, retained)| {
                let position = Position::new(self.top.epoch, offset);
                Message::new(position, retained.payload.clone())
            });
        HistoryPage::new(messages.collect(), self.top)
    }

    /// Whether nobody would notice if it were forgotten, but for its epoch.
    pub(super) fn is_idle(&self, now: Duration, ttl: Duration) -> bool {
        self.nodes.is_empty()
            && self.retained.is_empty()
            && self.keys.have_expired(now)
            && self.touched.saturating_add(ttl) <= now
    }

    /// Whether nothing was ever published in its epoch.
    pub(super) const fn is_blank(&self) -> bool {
        self.top.offset == 0
    }
}

/// The idempotency keys of the recent past, oldest first.
#[derive(Debug, Default)]
struct KeyWindow {
    offsets: HashMap<IdempotencyKey, u64>,
    order: VecDeque<(Duration, IdempotencyKey)>,
}

impl KeyWindow {
    fn have_expired(&self, now: Duration) -> bool {
        let newest = self.order.back();
        newest.is_none_or(|&(expires, _)| expires <= now)
    }

    /// The offset that `key` stands for already; otherwise it stands for `offset` from now on.
    fn remember(
        &mut self,
        key: IdempotencyKey,
        offset: u64,
        now: Duration,
        limits: &BusLimits,
    ) -> Option<u64> {
        while let Some(&(expires, oldest)) = self.order.front()
            && expires <= now
        {
            self.order.pop_front();
            self.offsets.remove(&oldest);
        }
        if let Some(&known) = self.offsets.get(&key) {
            return Some(known);
        }
        self.offsets.insert(key, offset);
        let expires = now.saturating_add(limits.idempotency_window);
        self.order.push_back((expires, key));
        if self.order.len() > limits.idempotency_keys
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.offsets.remove(&oldest);
        }
        None
    }
}
