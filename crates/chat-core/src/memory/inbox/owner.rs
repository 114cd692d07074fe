//! The inbox of one user.

use std::{collections::VecDeque, sync::Arc};

use backplane::{Epoch, Position};
use hashbrown::HashMap;

use crate::{ConversationId, DeviceId, Event, InboxEntry, START, What, log::forward};

#[derive(Debug)]
pub(super) struct Owner {
    /// Where the user's mark is.
    pub(super) slot: usize,
    /// The last change that is no mark.
    pub(super) changed: u64,
    pub(super) rows: HashMap<ConversationId, Row>,
    /// Copies of events, from the oldest on.
    queue: VecDeque<Copy>,
}

/// What the inbox knows of a conversation, but for marks.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) top: Position,
    /// The last change that is no mark.
    pub(super) changed: u64,
    /// Whether marks are for the user.
    pub(super) is_enrolled: bool,
    /// Where that was decided.
    decided: Position,
    pub(super) read: Position,
    /// The last event that was put into the queue.
    queued: Position,
    received: Vec<(DeviceId, Position)>,
}

/// A place in a queue: small, since there is one for each user.
#[derive(Debug)]
struct Copy {
    change: u64,
    of: Arc<Delivery>,
}

/// An event that is delivered to several users.
#[derive(Debug)]
pub(super) struct Delivery {
    conversation: ConversationId,
    epoch: Epoch,
    event: Event,
}

impl Delivery {
    pub(super) fn all(
        conversation: ConversationId,
        epoch: Epoch,
        events: &[Event],
    ) -> Vec<Arc<Self>> {
        let delivery = |event: &Event| {
            Arc::new(Self {
                conversation,
                epoch,
                event: event.clone(),
            })
        };
        events.iter().map(delivery).collect()
    }
}

impl Owner {
    pub(super) fn new(slot: usize) -> Self {
        Self {
            slot,
            changed: 0,
            rows: HashMap::new(),
            queue: VecDeque::new(),
        }
    }

    /// Puts `deliveries` to a conversation into the queue, which holds at most `most`.
    pub(super) fn put(
        &mut self,
        conversation: ConversationId,
        deliveries: &[Arc<Delivery>],
        change: u64,
        most: usize,
    ) {
        let Some(row) = self.rows.get_mut(&conversation) else {
            return;
        };
        for of in deliveries {
            if forward(&mut row.queued, Position::new(of.epoch, of.event.seq)) {
                let of = Arc::clone(of);
                self.queue.push_back(Copy { change, of });
            }
        }
        let surplus = self.queue.len().saturating_sub(most);
        self.queue.drain(..surplus);
    }

    /// Takes out what was said at `seqs` of a conversation, and what edits of that say.
    pub(super) fn erase(&mut self, conversation: ConversationId, seqs: &[u64]) {
        let says = |event: &Event| match &event.what {
            What::Edit { target, .. } => target.seq,
            _ => event.seq,
        };
        self.queue.retain(|copy| {
            copy.of.conversation != conversation || !seqs.contains(&says(&copy.of.event))
        });
    }

    /// Adds to each of `entries` its copies since `since`.
    pub(super) fn hand_out(&self, entries: &mut [InboxEntry], since: u64) {
        if self
            .queue
            .back()
            .is_none_or(|newest| newest.change <= since)
        {
            return;
        }
        let places = entries.iter().enumerate();
        let places: HashMap<_, _> = places
            .map(|(place, entry)| (entry.conversation, place))
            .collect();
        for copy in self.queue.iter().filter(|copy| copy.change > since) {
            let Some(&place) = places.get(&copy.of.conversation) else {
                continue;
            };
            if entries[place].top.epoch == copy.of.epoch {
                entries[place].copies.push(copy.of.event.clone());
            }
        }
    }
}

impl Row {
    pub(super) const fn new() -> Self {
        Self {
            top: START,
            changed: 0,
            is_enrolled: false,
            decided: START,
            read: START,
            queued: START,
            received: Vec::new(),
        }
    }

    /// Decides whether marks are for the user, unless that was decided further on. Returns whether they
    /// are since now, or were until now.
    pub(super) fn decide(&mut self, is_enrolled: bool, at: Position) -> bool {
        forward(&mut self.top, at);
        let counts = forward(&mut self.decided, at) || self.decided == START;
        counts && std::mem::replace(&mut self.is_enrolled, is_enrolled) != is_enrolled
    }

    pub(super) fn show(&self, conversation: ConversationId) -> InboxEntry {
        InboxEntry::new(conversation, self.top, self.read, self.furthest())
    }

    /// How far any device has received.
    fn furthest(&self) -> Position {
        let mut furthest = START;
        for (_, position) in &self.received {
            if position.epoch == self.top.epoch || furthest == START {
                forward(&mut furthest, *position);
            }
        }
        furthest
    }

    pub(super) fn received_by(&self, device: DeviceId) -> Position {
        let known = self.received.iter().find(|(id, _)| *id == device);
        known.map_or(START, |(_, position)| *position)
    }

    /// Notes that `device` has received up to `to`. Of more than `most` devices, the one furthest behind
    /// is forgotten.
    pub(super) fn receive(&mut self, device: DeviceId, to: Position, most: usize) -> bool {
        if let Some((_, at)) = self.received.iter_mut().find(|(id, _)| *id == device) {
            return forward(at, to);
        }
        if self.received.len() >= most {
            let behind = self.received.iter().enumerate();
            let behind = behind.min_by_key(|(_, (_, at))| (at.epoch == to.epoch, at.offset));
            behind
                .map(|(place, _)| place)
                .into_iter()
                .for_each(|place| {
                    self.received.swap_remove(place);
                });
        }
        self.received.push((device, to));
        to.offset > 0
    }

    pub(super) fn forget(&mut self, device: DeviceId) {
        self.received.retain(|(id, _)| *id != device);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u64, offset: u64) -> Position {
        Position::new(Epoch::new(epoch), offset)
    }

    #[test]
    fn the_furthest_device_is_that_of_the_epoch() {
        let mut row = Row::new();
        row.top = at(2, 9);
        for (device, position) in [(1, at(1, 8)), (2, at(2, 3)), (3, at(2, 2)), (4, at(1, 9))] {
            row.receive(DeviceId::new(device), position, 9);
        }
        assert_eq!(row.furthest(), at(2, 3));
    }

    #[test]
    fn the_device_furthest_behind_makes_room() {
        let mut row = Row::new();
        for (device, position) in [(1, at(2, 3)), (2, at(1, 9)), (3, at(2, 5)), (4, at(2, 1))] {
            row.receive(DeviceId::new(device), position, 2);
        }
        let known = [1, 2, 3, 4].map(|device| row.received_by(DeviceId::new(device)));
        assert_eq!(known, [START, START, at(2, 5), at(2, 1)]);
    }
}
