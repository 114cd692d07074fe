//! Deliveries as a stream, for handlers of web sockets and server-sent events.

use std::{
    collections::VecDeque,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use futures::Stream;

use super::{
    connection::Ready,
    delivery::{CloseReason, Delivery, DeliveryRef},
    frame::cost_of,
    options::ConnectionOptions,
    sink::{Batch, ConnectionSink, Flow},
};
use crate::sync::Mutex;

/// What a connection receives, as a stream. It ends after [`Delivery::Closed`].
///
/// A bounded [window](ConnectionOptions::window) of deliveries lies ready in front of the reader;
/// the rest waits in the hub, where the budget and the overflow policies hold. Dropping it closes
/// the connection.
///
/// # Cancel safety
///
/// A delivery leaves the stream when `next` returns it, so dropping an unfinished `next()`, as
/// `select!` does, loses nothing.
#[derive(Debug)]
#[must_use = "dropping it closes the connection"]
pub struct Deliveries {
    window: Arc<Window>,
    ready: Ready,
}

/// The sink behind a stream.
#[derive(Debug)]
pub(super) struct StreamSink(Arc<Window>);

#[derive(Debug)]
pub(super) struct Window {
    state: Mutex<State>,
    limit: usize,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Delivery>,
    bytes: usize,
    /// Whether the hub holds more back.
    full: bool,
    /// Whether nothing will be added.
    ended: bool,
    /// Whether nobody reads any more.
    abandoned: bool,
    reader: Option<Waker>,
}

impl Deliveries {
    pub(super) fn new(window: Arc<Window>, ready: Ready) -> Self {
        Self { window, ready }
    }

    /// Takes everything that lies ready.
    pub fn drain(&mut self) -> Vec<Delivery> {
        let mut state = self.window.state.lock();
        state.bytes = 0;
        let drained = mem::take(&mut state.queue).into();
        let was_full = mem::take(&mut state.full);
        drop(state);
        if was_full {
            self.ready.ready();
        }
        drained
    }

    /// Takes the first delivery, if one lies ready.
    pub fn try_next(&mut self) -> Option<Delivery> {
        let mut state = self.window.state.lock();
        let delivery = state.queue.pop_front()?;
        state.bytes -= cost(&delivery);
        // Asking at half the window keeps the reader busy while the shard refills it.
        let wants_more = state.full && state.bytes <= self.window.limit / 2;
        if wants_more {
            state.full = false;
        }
        drop(state);
        if wants_more {
            self.ready.ready();
        }
        Some(delivery)
    }
}

impl Stream for Deliveries {
    type Item = Delivery;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        let this = self.get_mut();
        if let Some(delivery) = this.try_next() {
            return Poll::Ready(Some(delivery));
        }
        let mut state = this.window.state.lock();
        if !state.queue.is_empty() {
            // It came between the two locks.
            drop(state);
            return Poll::Ready(this.try_next());
        }
        if state.ended {
            return Poll::Ready(None);
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Deliveries {
    fn drop(&mut self) {
        let mut state = self.window.state.lock();
        state.abandoned = true;
        state.queue.clear();
        drop(state);
        self.ready.ready();
    }
}

impl Window {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            limit,
        })
    }
}

impl StreamSink {
    pub(super) fn new(window: &Arc<Window>) -> Self {
        Self(Arc::clone(window))
    }
}

impl ConnectionSink for StreamSink {
    fn flush(&mut self, batch: &mut Batch<'_>) -> Flow {
        let mut state = self.0.state.lock();
        if state.abandoned {
            return Flow::Closed;
        }
        let mut flow = Flow::Ready;
        while let Some(next) = batch.peek().as_ref().map(DeliveryRef::cost) {
            if !state.queue.is_empty() && state.bytes + next > self.0.limit {
                state.full = true;
                flow = Flow::Full;
                break;
            }
            state.bytes += next;
            state.queue.extend(batch.next().map(DeliveryRef::to_owned));
        }
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        flow
    }

    fn close(&mut self, reason: CloseReason) {
        let mut state = self.0.state.lock();
        state.ended = true;
        state.queue.push_back(Delivery::Closed(reason));
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

fn cost(delivery: &Delivery) -> usize {
    match delivery {
        Delivery::Message { payload, .. } => cost_of(payload),
        Delivery::Gap { .. } => ConnectionOptions::MESSAGE_OVERHEAD as usize,
        Delivery::Closed(_) => 0,
    }
}
