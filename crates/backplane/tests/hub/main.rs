//! The hub against a model, and each of its promises by name.

mod bounds;
mod catch_up;
mod ending;
mod model;
mod overflow;
mod stream;
mod subscription;

use std::sync::Arc;

use backplane::{
    Topic,
    hub::{
        Batch, CloseReason, Connection, ConnectionOptions, ConnectionSink, Delivery, Flow, Hub,
        HubOptions, Overflow, Published, SubscribeOptions,
    },
};
use bytes::Bytes;
use parking_lot::Mutex;

/// A sink that records, and takes only as much as it has room for.
#[derive(Clone, Debug, Default)]
struct Recorder(Arc<Mutex<Recorded>>);

#[derive(Debug, Default)]
struct Recorded {
    seen: Vec<Delivery>,
    closed: Vec<CloseReason>,
    /// How many deliveries it takes before it is full; `None` for any number.
    room: Option<usize>,
    panics: bool,
    quits: bool,
}

impl Recorder {
    fn stalled() -> Self {
        let recorder = Self::default();
        recorder.set_room(Some(0));
        recorder
    }

    fn set_room(&self, room: Option<usize>) {
        self.0.lock().room = room;
    }

    fn take(&self) -> Vec<Delivery> {
        std::mem::take(&mut self.0.lock().seen)
    }

    fn closed(&self) -> Vec<CloseReason> {
        self.0.lock().closed.clone()
    }

    fn payloads(&self) -> Vec<String> {
        self.take().iter().map(payload).collect()
    }
}

impl ConnectionSink for Recorder {
    fn flush(&mut self, batch: &mut Batch<'_>) -> Flow {
        let mut recorded = self.0.lock();
        assert!(!recorded.panics, "asked to");
        if recorded.quits {
            return Flow::Closed;
        }
        while batch.peek().is_some() {
            match &mut recorded.room {
                Some(0) => return Flow::Full,
                Some(room) => *room -= 1,
                None => {}
            }
            let next = batch.next().expect("it was peeked at");
            recorded.seen.push(next.to_owned());
        }
        Flow::Ready
    }

    fn close(&mut self, reason: CloseReason) {
        self.0.lock().closed.push(reason);
    }
}

fn payload(delivery: &Delivery) -> String {
    match delivery {
        Delivery::Message { payload, .. } => String::from_utf8_lossy(payload).into_owned(),
        Delivery::Gap { missed, .. } => format!("gap of {missed:?}"),
        other => format!("{other:?}"),
    }
}

fn topic(number: usize) -> Topic {
    format!("topic:{number}").parse().expect("a short name")
}

fn inline() -> Hub {
    Hub::new(HubOptions::inline().with_seed(1))
}

fn settle(hub: &Hub) {
    while hub.run_once() > 0 {}
}

fn subscribed(hub: &Hub, sink: &Recorder, to: &Topic, overflow: Overflow) -> Connection {
    let options = ConnectionOptions::default().with_budget(1_000);
    let connection = hub.connect(sink.clone(), &options).expect("room");
    let options = SubscribeOptions::default().with_overflow(overflow);
    connection.subscribe(to, &options).expect("room");
    connection
}

fn send(hub: &Hub, to: &Topic, payload: impl Into<Bytes>) {
    let published = hub.publish(to, payload.into());
    assert_ne!(published, Published::Refused);
}
