//! A connection inside its shard: how its outbox reaches its sink.

use std::{
    hint, mem,
    panic::{self, AssertUnwindSafe},
    sync::Arc,
};

use super::{
    connection::Seat,
    delivery::CloseReason,
    shard::{Departed, Floor},
    sink::{Batch, ConnectionSink, Flow},
    stall::Stalled,
    subscribers::Member,
};
use crate::sync::Ordering;

/// How many tenants are loaded ahead; a processor waits for fewer misses at a time.
pub(super) const AHEAD: usize = 32;

/// A connection inside its shard. The sink lies beside what the hub knows of it, so that whoever
/// looks at the one has the other in the cache.
#[derive(Debug)]
pub(super) struct Tenant<S: ?Sized = dyn ConnectionSink> {
    seat: Arc<Seat>,
    /// Set while the sink is full; the outbox is shut meanwhile.
    pub(super) stalled: Option<Box<Stalled>>,
    sink: S,
}

impl Tenant {
    pub(super) fn new(sink: impl ConnectionSink + 'static, seat: Arc<Seat>) -> Box<Self> {
        Box::new(Tenant {
            seat,
            stalled: None,
            sink,
        })
    }

    pub(super) fn seat(&self) -> &Seat {
        &self.seat
    }

    /// Calls the sink. A panic of it must not take the shard along.
    #[inline]
    pub(super) fn flush(&mut self, batch: &mut Batch<'_>) -> Result<Flow, CloseReason> {
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
    /// Queues a frame for a connection.
    pub(super) fn queue(&mut self, member: Member, place: u32) {
        let connection = member.connection();
        if self.push(connection, place) {
            return;
        }
        if !self.outboxes[connection as usize].is_shut() {
            self.flush_outbox(connection);
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
        for some in due.chunks(AHEAD) {
            self.warm_tenants(some.iter().copied());
            for &connection in some {
                self.flush_outbox(connection);
            }
        }
        due.clear();
        self.due = due;
    }

    /// Loads the tenants that are flushed next, with loads that do not depend on each other.
    #[inline]
    pub(super) fn warm_tenants(&self, connections: impl Iterator<Item = u32>) {
        let stalled = connections.filter(|&connection| self.is_stalled(connection));
        hint::black_box(stalled.count());
    }

    /// Offers everything queued to the sink.
    pub(super) fn flush(&mut self, connection: u32) {
        if self.is_stalled(connection) {
            self.flush_backlog(connection);
        } else {
            self.flush_outbox(connection);
        }
    }

    /// Offers everything queued to a sink that says it is ready. It is called even if there is
    /// nothing, since it may want to say that it is closed.
    pub(super) fn flush_ready(&mut self, connection: u32) {
        let outbox = self.outboxes.get(connection as usize);
        let Some(tenant) = outbox.and_then(|outbox| outbox.tenant.as_ref()) else {
            return;
        };
        tenant.seat.announced.store(false, Ordering::Release);
        if tenant.stalled.is_some() {
            self.flush_backlog(connection);
        } else {
            self.offer_outbox(connection);
        }
    }

    /// Closes a connection, if it is not closed already, and drops what is queued for it.
    #[cold]
    pub(super) fn depart(&mut self, connection: u32, reason: CloseReason) {
        let Some(mut tenant) = self.outboxes[connection as usize].tenant.take() else {
            return;
        };
        self.drop_queued(connection, tenant.stalled.take());
        tenant.close(reason);
        self.departed.push(Departed { tenant, reason });
    }

    /// Queues a frame in the outbox, if that has room.
    fn push(&mut self, connection: u32, place: u32) -> bool {
        let outbox = &mut self.outboxes[connection as usize];
        let pushed = outbox.push(place, self.flight[place as usize].cost());
        if pushed && outbox.has_one() {
            self.due.push(connection);
        }
        pushed
    }

    #[inline]
    pub(super) fn flush_outbox(&mut self, connection: u32) {
        if !self.outboxes[connection as usize].frames().is_empty() {
            self.offer_outbox(connection);
        }
    }

    fn offer_outbox(&mut self, connection: u32) {
        let outbox = &mut self.outboxes[connection as usize];
        let Some((tenant, queued)) = outbox.tenant_and_frames() else {
            return;
        };
        let mut batch = Batch::of_outbox(&self.topics, &self.flight, queued);
        let flow = tenant.flush(&mut batch);
        let rest = batch.rest().len();
        if flow == Ok(Flow::Ready) && rest == 0 {
            outbox.clear();
        } else {
            let taken = queued.len() - rest;
            self.refused(connection, flow, taken);
        }
    }

    /// Offers one frame straight to the sink of a connection that has nothing queued.
    #[inline]
    pub(super) fn offer_straight(&mut self, connection: u32, place: u32) {
        let outbox = &mut self.outboxes[connection as usize];
        let Some(tenant) = &mut outbox.tenant else {
            return;
        };
        let queued = [place];
        let mut batch = Batch::of_outbox(&self.topics, &self.flight, &queued);
        let flow = tenant.flush(&mut batch);
        let rest = batch.rest().len();
        if flow != Ok(Flow::Ready) || rest > 0 {
            self.push(connection, place);
            self.refused(connection, flow, queued.len() - rest);
        }
    }

    /// Deals with a sink that took only so many frames of the outbox, or wants no more.
    #[cold]
    fn refused(&mut self, connection: u32, flow: Result<Flow, CloseReason>, taken: usize) {
        match flow {
            Ok(_) => self.stall(connection, taken),
            Err(reason) => self.depart(connection, reason),
        }
    }
}
