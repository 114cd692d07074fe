//! A connection inside its shard: how its queue reaches its sink.

use std::{
    mem,
    panic::{self, AssertUnwindSafe},
    sync::Arc,
};

use super::{
    backlog::{Backlog, Offer, Offered},
    connection::Seat,
    delivery::{CloseReason, Missing},
    frame::Body,
    options::Overflow,
    shard::{Departed, Floor},
    sink::{Batch, ConnectionSink, Flow},
    subscribers::Member,
    sync::Ordering,
};

/// A connection inside its shard.
#[derive(Debug)]
pub(super) struct Tenant {
    sink: Box<dyn ConnectionSink>,
    seat: Arc<Seat>,
    /// What the sink did not take. While there is one, the outbox is shut.
    backlog: Option<Box<Backlog>>,
    /// Why to close it once nothing is queued.
    leaving: Option<CloseReason>,
}

impl Tenant {
    pub(super) fn new(sink: Box<dyn ConnectionSink>, seat: Arc<Seat>) -> Self {
        Self {
            sink,
            seat,
            backlog: None,
            leaving: None,
        }
    }

    pub(super) fn seat(&self) -> &Seat {
        &self.seat
    }

    /// Calls the sink. A panic of it must not take the shard along.
    fn flush(&mut self, batch: &mut Batch<'_>) -> Result<Flow, CloseReason> {
        let sink = &mut self.sink;
        match panic::catch_unwind(AssertUnwindSafe(|| sink.flush(batch))) {
            Ok(Flow::Closed) => Err(CloseReason::SinkClosed),
            Ok(flow) => Ok(flow),
            Err(_) => Err(CloseReason::SinkPanicked),
        }
    }

    fn close(&mut self, reason: CloseReason) {
        let sink = &mut self.sink;
        // The sink is dropped next; what it panicked with has nobody left to tell.
        drop(panic::catch_unwind(AssertUnwindSafe(|| sink.close(reason))));
    }
}

impl Floor {
    /// Queues a frame for a connection, and holds it as often as it is queued.
    pub(super) fn queue(&mut self, member: Member, place: u32) {
        let connection = member.connection();
        if self.push(connection, place) {
            return;
        }
        if !self.outboxes[connection as usize].is_shut() {
            self.flush(connection);
            if self.push(connection, place) {
                return;
            }
        }
        let waited = self.is_stalled(connection);
        self.queue_behind(member, place);
        if !waited {
            // The frame alone is beyond the budget; the sink has room for what became of it.
            self.flush(connection);
        }
    }

    pub(super) fn flush_due(&mut self) {
        let mut due = mem::take(&mut self.due);
        for connection in due.drain(..) {
            self.flush_outbox(connection);
        }
        self.due = due;
    }

    /// Offers everything queued to the sink.
    pub(super) fn flush(&mut self, connection: u32) {
        if self.is_stalled(connection) {
            self.flush_backlog(connection);
        } else {
            self.flush_outbox(connection);
        }
    }

    /// Offers everything queued to a sink that says it is ready.
    pub(super) fn flush_ready(&mut self, connection: u32) {
        let Some(Some(tenant)) = self.tenants.get_mut(connection as usize) else {
            return;
        };
        tenant.seat.announced.store(false, Ordering::Release);
        if tenant.backlog.is_some() {
            self.flush_backlog(connection);
        } else {
            self.offer_outbox(connection);
        }
    }

    /// Drops what is queued of `topic`, where that is cheap: in a backlog.
    pub(super) fn forget_queued(&mut self, topic: u32, connection: u32) {
        let Some(Some(tenant)) = self.tenants.get_mut(connection as usize) else {
            return;
        };
        if let Some(backlog) = &mut tenant.backlog {
            backlog.forget(topic, &mut self.leaving);
            let bytes = backlog.bytes();
            self.settle_backlog(connection, bytes);
        }
    }

    /// Closes a connection as soon as its sink has taken everything.
    pub(super) fn depart_when_empty(&mut self, connection: u32, reason: CloseReason) {
        self.flush(connection);
        let Some(Some(tenant)) = self.tenants.get_mut(connection as usize) else {
            return;
        };
        if tenant.backlog.is_some() {
            tenant.leaving = Some(reason);
        } else {
            self.depart(connection, reason);
        }
    }

    /// Closes a connection, if it is not closed already, and drops what is queued for it.
    pub(super) fn depart(&mut self, connection: u32, reason: CloseReason) {
        let slot = connection as usize;
        let Some(mut tenant) = self.tenants[slot].take() else {
            return;
        };
        self.leaving.extend(self.outboxes[slot].frames());
        if let Some(backlog) = tenant.backlog.take() {
            self.leaving.extend(backlog.frames());
        } else {
            // Otherwise it would be taken off what the backlogs hold.
            self.outboxes[slot].clear();
            self.outboxes[slot].shut_with(0);
        }
        self.settle_backlog(connection, 0);
        tenant.close(reason);
        self.departed.push(Departed { tenant, reason });
    }

    fn is_stalled(&self, connection: u32) -> bool {
        let tenant = self.tenants[connection as usize].as_ref();
        tenant.is_some_and(|tenant| tenant.backlog.is_some())
    }

    /// Queues a frame in the outbox, if that has room.
    fn push(&mut self, connection: u32, place: u32) -> bool {
        let outbox = &mut self.outboxes[connection as usize];
        let pushed = outbox.push(place, self.frames.get(place).cost);
        if pushed {
            self.frames.hold(place, 1);
            if outbox.has_one() {
                self.due.push(connection);
            }
        }
        pushed
    }

    /// Queues a frame in the backlog.
    fn queue_behind(&mut self, member: Member, place: u32) {
        let connection = member.connection();
        let Some(tenant) = &mut self.tenants[connection as usize] else {
            return;
        };
        let outbox = &mut self.outboxes[connection as usize];
        let backlog = tenant.backlog.get_or_insert_with(|| {
            outbox.shut_with(0);
            Box::default()
        });
        let frame = self.frames.get(place);
        let offer = Offer {
            frame: place,
            topic: frame.topic,
            cost: frame.cost,
            position: frame.position(),
            overflow: member.overflow(),
        };
        let offered = if let Body::Lost(count) = frame.body {
            let resume_from = offer.position;
            backlog.lose(offer.topic, Missing { count, resume_from });
            Offered::Dropped
        } else {
            backlog.offer(offer, outbox.budget(), &mut self.leaving)
        };
        let bytes = backlog.bytes();
        match offered {
            Offered::Queued => self.frames.hold(place, 1),
            Offered::Dropped => {}
            Offered::Overflowed => return self.depart(connection, CloseReason::SlowConsumer),
        }
        self.settle_backlog(connection, bytes);
    }

    fn flush_outbox(&mut self, connection: u32) {
        if !self.outboxes[connection as usize].frames().is_empty() {
            self.offer_outbox(connection);
        }
    }

    fn offer_outbox(&mut self, connection: u32) {
        let slot = connection as usize;
        let Some(tenant) = &mut self.tenants[slot] else {
            return;
        };
        let queued = self.outboxes[slot].frames();
        let mut batch = Batch::of_outbox(&self.frames, &self.topics, queued);
        let flow = tenant.flush(&mut batch);
        let taken = queued.len() - batch.rest().len();
        match flow {
            Err(reason) => self.depart(connection, reason),
            Ok(Flow::Ready) if taken == queued.len() => {
                for place in 0..taken {
                    self.release(self.outboxes[slot].frames()[place]);
                }
                self.outboxes[slot].clear();
            }
            Ok(_) => self.stall(connection, taken),
        }
    }

    /// Moves what the sink did not take from the outbox to a backlog.
    fn stall(&mut self, connection: u32, taken: usize) {
        let slot = connection as usize;
        let Some(tenant) = &mut self.tenants[slot] else {
            return;
        };
        let backlog = tenant.backlog.insert(Box::default());
        let (gone, rest) = self.outboxes[slot].frames().split_at(taken);
        self.leaving.extend(gone);
        for &place in rest {
            let frame = self.frames.get(place);
            if let Body::Lost(count) = frame.body {
                let resume_from = frame.position();
                backlog.lose(frame.topic, Missing { count, resume_from });
                self.leaving.push(place);
                continue;
            }
            backlog.restore(Offer {
                frame: place,
                topic: frame.topic,
                cost: frame.cost,
                position: frame.position(),
                overflow: Overflow::Disconnect,
            });
        }
        let bytes = backlog.bytes();
        self.outboxes[slot].shut_with(0);
        self.settle_backlog(connection, bytes);
    }

    fn flush_backlog(&mut self, connection: u32) {
        let slot = connection as usize;
        let Some(tenant) = &mut self.tenants[slot] else {
            return;
        };
        let Some(mut backlog) = tenant.backlog.take() else {
            return;
        };
        let leaving = &mut self.leaving;
        let mut batch = Batch::of_backlog(&self.frames, &self.topics, &mut backlog, leaving);
        let flow = tenant.flush(&mut batch);
        let bytes = backlog.bytes();
        let is_empty = backlog.is_empty();
        let drained = is_empty && flow == Ok(Flow::Ready);
        if !drained {
            tenant.backlog = Some(backlog);
        }
        let leaves = tenant.leaving.filter(|_| is_empty);
        self.settle_backlog(connection, bytes);
        if drained {
            self.outboxes[slot].clear();
        }
        if let Some(reason) = flow.err().or(leaves) {
            self.depart(connection, reason);
        }
    }

    /// Lets go of the frames that left, and accounts for a backlog that now costs `bytes`.
    fn settle_backlog(&mut self, connection: u32, bytes: u32) {
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
}
