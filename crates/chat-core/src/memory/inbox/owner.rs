//! The inbox of one user.

use std::{collections::VecDeque, sync::Arc};

use backplane::{Epoch, Position};
use hashbrown::HashMap;

use crate::{ConversationId, Event, InboxEntry, InboxRow, What};

#[derive(Debug)]
pub(super) struct Owner {
    /// Where the user's mark is.
    pub(super) slot: usize,
    /// The last change that is no mark.
    pub(super) changed: u64,
    pub(super) rows: HashMap<ConversationId, InboxRow>,
    /// Copies of events, from the oldest on.
    queue: VecDeque<Copy>,
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
            if row.queue(Position::new(of.epoch, of.event.seq)) {
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
