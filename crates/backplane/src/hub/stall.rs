//! What happens in a shard while a sink is full.

use std::mem;

use super::{
    backlog::{Backlog, Offer, Offered},
    delivery::{CloseReason, Missing},
    frame::{Body, Frame},
    options::Overflow,
    shard::Floor,
    sink::{Batch, Flow},
    subscribers::Member,
};

/// What a connection has while its sink is full.
#[derive(Debug, Default)]
pub(super) struct Stalled {
    backlog: Backlog,
    /// Why to close the connection once the backlog is empty.
    leaving: Option<CloseReason>,
}

impl Stalled {
    /// Queues a message, or notes a loss.
    fn take(
        &mut self,
        offer: Offer,
        frame: &Frame,
        budget: u32,
        evicted: &mut Vec<u32>,
    ) -> Offered {
        let Body::Lost(count) = frame.body else {
            return self.backlog.offer(offer, budget, evicted);
        };
        let resume_from = frame.position();
        let missing = Missing { count, resume_from };
        self.backlog.lose(offer.topic, missing);
        Offered::Dropped
    }
}

impl Floor {
    #[inline]
    pub(super) fn is_stalled(&self, connection: u32) -> bool {
        let tenant = self.outboxes[connection as usize].tenant.as_ref();
        tenant.is_some_and(|tenant| tenant.stalled.is_some())
    }

    /// Queues a frame in the backlog.
    #[cold]
    pub(super) fn queue_behind(&mut self, member: Member, place: u32) {
        let connection = member.connection();
        let Some(tenant) = &self.outboxes[connection as usize].tenant else {
            return;
        };
        let is_first = tenant.stalled.is_none();
        let place = self.shelve(place);
        let outbox = &mut self.outboxes[connection as usize];
        if is_first {
            self.stalled += 1;
            outbox.shut_with(0);
        }
        let budget = outbox.budget();
        let Some(tenant) = &mut outbox.tenant else {
            return;
        };
        let stalled = tenant.stalled.get_or_insert_default();
        let frame = self.shelf.get(place);
        let offer = offer(place, frame, member.overflow());
        let offered = stalled.take(offer, frame, budget, &mut self.leaving);
        let bytes = stalled.backlog.bytes();
        match offered {
            Offered::Queued => self.shelf.hold(place),
            Offered::Dropped => {}
            Offered::Overflowed => return self.depart(connection, CloseReason::SlowConsumer),
        }
        self.settle(connection, bytes);
    }

    /// Moves what the sink did not take from the outbox to a backlog.
    #[cold]
    pub(super) fn stall(&mut self, connection: u32, taken: usize) {
        let queued = self.outboxes[connection as usize].take_frames();
        let mut stalled = Box::<Stalled>::default();
        for place in queued.skip(taken) {
            let place = self.shelve(place);
            let frame = self.shelf.get(place);
            // What was in the outbox is within the budget.
            let offer = offer(place, frame, Overflow::Disconnect);
            if stalled.take(offer, frame, u32::MAX, &mut self.leaving) == Offered::Queued {
                self.shelf.hold(place);
            }
        }
        let bytes = stalled.backlog.bytes();
        let outbox = &mut self.outboxes[connection as usize];
        if let Some(tenant) = &mut outbox.tenant {
            tenant.stalled = Some(stalled);
            self.stalled += 1;
        }
        outbox.shut_with(0);
        self.settle(connection, bytes);
    }

    /// Offers the backlog to the sink. The outbox opens again once the sink has taken all of it.
    #[cold]
    pub(super) fn flush_backlog(&mut self, connection: u32) {
        let outbox = &mut self.outboxes[connection as usize];
        let Some(tenant) = &mut outbox.tenant else {
            return;
        };
        let Some(mut stalled) = tenant.stalled.take() else {
            return;
        };
        let (backlog, taken) = (&mut stalled.backlog, &mut self.leaving);
        let mut batch = Batch::of_backlog(&self.topics, &self.shelf, backlog, taken);
        let flow = tenant.flush(&mut batch);
        let bytes = stalled.backlog.bytes();
        let is_empty = stalled.backlog.is_empty();
        let leaves = stalled.leaving.filter(|_| is_empty);
        let drained = is_empty && flow == Ok(Flow::Ready);
        if !drained {
            tenant.stalled = Some(stalled);
        }
        self.settle(connection, bytes);
        if drained {
            self.stalled -= 1;
            self.outboxes[connection as usize].clear();
        }
        if let Some(reason) = flow.err().or(leaves) {
            self.depart(connection, reason);
        }
    }

    /// Drops what is queued of `topic`, where that is cheap: in a backlog.
    pub(super) fn forget_queued(&mut self, topic: u32, connection: u32) {
        if self.stalled == 0 {
            return;
        }
        let Some(outbox) = self.outboxes.get_mut(connection as usize) else {
            return;
        };
        if !outbox.is_shut() {
            return;
        }
        let tenant = outbox.tenant.as_mut();
        if let Some(stalled) = tenant.and_then(|tenant| tenant.stalled.as_mut()) {
            stalled.backlog.forget(topic, &mut self.leaving);
            let bytes = stalled.backlog.bytes();
            self.settle(connection, bytes);
        }
    }

    /// Closes a connection as soon as its sink has taken everything.
    pub(super) fn depart_when_empty(&mut self, connection: u32, reason: CloseReason) {
        self.flush(connection);
        let outbox = self.outboxes.get_mut(connection as usize);
        let Some(tenant) = outbox.and_then(|outbox| outbox.tenant.as_mut()) else {
            return;
        };
        match &mut tenant.stalled {
            Some(stalled) if !stalled.backlog.is_empty() => stalled.leaving = Some(reason),
            _ => self.depart(connection, reason),
        }
    }

    /// Lets go of everything queued for a connection, and shuts its outbox.
    pub(super) fn drop_queued(&mut self, connection: u32, stalled: Option<Box<Stalled>>) {
        let outbox = &mut self.outboxes[connection as usize];
        match stalled {
            Some(stalled) => {
                self.stalled -= 1;
                self.leaving.extend(stalled.backlog.frames());
            }
            // Otherwise it would be taken off what the backlogs hold.
            None => outbox.clear(),
        }
        self.settle(connection, 0);
    }

    /// Lets go of the frames that left, and accounts for a backlog that now costs `bytes`.
    fn settle(&mut self, connection: u32, bytes: u32) {
        let outbox = &mut self.outboxes[connection as usize];
        self.backlog_bytes -= outbox.bytes() as usize;
        self.backlog_bytes += bytes as usize;
        outbox.shut_with(bytes);
        let mut leaving = mem::take(&mut self.leaving);
        for place in leaving.drain(..) {
            self.release(place);
        }
        self.leaving = leaving;
    }

    /// Where a frame lies on the shelf: for as long as it is in flight, and as it is held there.
    fn shelve(&mut self, place: u32) -> u32 {
        let frame = &mut self.flight[place as usize];
        if let Some(shelved) = frame.shelved {
            return shelved;
        }
        let shelved = self.shelf.insert(frame.clone());
        frame.shelved = Some(shelved);
        self.topics.shelve(frame.topic);
        self.lent.push(shelved);
        shelved
    }

    /// Lets go of a frame on the shelf.
    fn release(&mut self, place: u32) {
        if let Some(topic) = self.shelf.release(place) {
            self.topics.unshelve(topic);
        }
    }

    /// Empties the flight, and lets go of its frames on the shelf.
    pub(super) fn land(&mut self) {
        self.flight.clear();
        self.sent = 0;
        while let Some(place) = self.lent.pop() {
            self.release(place);
        }
        self.topics.sweep();
    }
}

fn offer(place: u32, frame: &Frame, overflow: Overflow) -> Offer {
    Offer {
        frame: place,
        topic: frame.topic,
        cost: frame.cost(),
        position: frame.position(),
        overflow,
    }
}
