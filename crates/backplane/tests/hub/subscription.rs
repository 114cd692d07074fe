//! Who receives what, and who is told that somebody does.

use std::sync::Arc;

use backplane::{
    Topic,
    hub::{
        Batch, CloseReason, ConnectionOptions, ConnectionSink, Delivery, Flow, Hub, HubOptions,
        Interest, Overflow, SubscribeOptions, Subscribed,
    },
};
use bytes::Bytes;
use parking_lot::Mutex;

use super::{Recorder, inline, send, settle, subscribed, topic};

#[test]
fn subscribing_twice_delivers_once() {
    let (hub, sink) = (inline(), Recorder::default());
    let connection = subscribed(&hub, &sink, &topic(0), Overflow::Disconnect);
    let again = connection.subscribe(&topic(0), &SubscribeOptions::default());
    assert!(matches!(again, Ok(Subscribed::Already(_))));
    send(&hub, &topic(0), "once");
    settle(&hub);
    assert_eq!(sink.payloads(), ["once"]);
}

#[test]
fn a_stale_id_never_ends_a_newer_subscription() {
    let (hub, sink) = (inline(), Recorder::default());
    let connection = subscribed(&hub, &sink, &topic(0), Overflow::Disconnect);
    let options = SubscribeOptions::default();
    let old = connection.subscribe(&topic(0), &options).unwrap().id();
    assert!(connection.unsubscribe(&topic(0)));
    let new = connection.subscribe(&topic(0), &options).unwrap().id();
    assert!(!connection.cancel(old));
    assert_eq!(hub.stats().subscriptions, 1);
    send(&hub, &topic(0), "still here");
    assert!(connection.cancel(new));
    assert!(!connection.cancel(new));
    send(&hub, &topic(0), "gone");
    settle(&hub);
    assert_eq!(sink.payloads(), ["still here"]);
    assert_eq!(hub.stats().topics, 0);
}

#[test]
fn every_subscriber_gets_the_very_bytes_that_were_published() {
    let hub = Hub::new(HubOptions::inline().with_shards(2));
    let sinks: Vec<_> = (0..10).map(|_| Recorder::default()).collect();
    let connections: Vec<_> = sinks
        .iter()
        .map(|sink| subscribed(&hub, sink, &topic(0), Overflow::Disconnect))
        .collect();
    let encoded = Bytes::from("encoded once".to_owned());
    send(&hub, &topic(0), encoded.clone());
    settle(&hub);
    for sink in &sinks {
        let [Delivery::Message { payload, .. }] = &sink.take()[..] else {
            panic!("one message each")
        };
        assert_eq!(payload.as_ptr(), encoded.as_ptr());
    }
    drop(connections);
}

#[derive(Debug, Default)]
struct Edges(Mutex<Vec<(String, bool)>>);

impl Interest for Edges {
    fn first_subscribed(&self, topic: &Topic) {
        self.0.lock().push((topic.to_string(), true));
    }

    fn last_unsubscribed(&self, topic: &Topic) {
        self.0.lock().push((topic.to_string(), false));
    }
}

#[test]
fn interest_alternates_whatever_shards_the_subscribers_are_in() {
    let edges = Arc::new(Edges::default());
    let options = HubOptions::inline().with_shards(3);
    let hub = Hub::with_interest(options, Arc::<Edges>::clone(&edges));
    let sink = Recorder::default();
    for _ in 0..2 {
        let connections =
            [(); 5].map(|()| subscribed(&hub, &sink, &topic(0), Overflow::Disconnect));
        drop(connections);
    }
    let seen: Vec<_> = edges
        .0
        .lock()
        .iter()
        .map(|(_, subscribed)| *subscribed)
        .collect();
    assert_eq!(seen, [true, false, true, false]);
}

/// A sink that counts what another one has seen when it is called.
#[derive(Debug)]
struct Witness(Recorder, Arc<Mutex<Vec<usize>>>);

impl ConnectionSink for Witness {
    fn flush(&mut self, batch: &mut Batch<'_>) -> Flow {
        while batch.next().is_some() {
            self.1.lock().push(self.0.0.lock().seen.len());
        }
        Flow::Ready
    }

    fn close(&mut self, _: CloseReason) {}
}

#[test]
fn sinks_of_a_shard_are_called_in_the_order_of_the_messages() {
    let (hub, first) = (inline(), Recorder::default());
    let _first = subscribed(&hub, &first, &topic(0), Overflow::Disconnect);
    let seen = Arc::default();
    let witness = Witness(first, Arc::clone(&seen));
    let second = hub.connect(witness, &ConnectionOptions::default()).unwrap();
    let options = SubscribeOptions::default();
    second.subscribe(&topic(1), &options).unwrap();
    settle(&hub);
    send(&hub, &topic(0), "before");
    send(&hub, &topic(1), "after");
    settle(&hub);
    assert_eq!(seen.lock()[..], [1]);
}

/// A sink that notes how many deliveries each call brings.
#[derive(Debug)]
struct Counter(Arc<Mutex<Vec<usize>>>);

impl ConnectionSink for Counter {
    fn flush(&mut self, batch: &mut Batch<'_>) -> Flow {
        let mut taken = 0;
        while batch.next().is_some() {
            taken += 1;
        }
        self.0.lock().push(taken);
        Flow::Ready
    }

    fn close(&mut self, _: CloseReason) {}
}

#[test]
fn messages_that_come_together_are_offered_together() {
    let (hub, calls) = (inline(), Arc::default());
    let sink = Counter(Arc::clone(&calls));
    let connection = hub.connect(sink, &ConnectionOptions::default()).unwrap();
    let options = SubscribeOptions::default();
    connection.subscribe(&topic(0), &options).unwrap();
    for together in [1, 3] {
        settle(&hub);
        (0..together).for_each(|_| send(&hub, &topic(0), "x"));
    }
    settle(&hub);
    assert_eq!(calls.lock()[..], [1, 3]);
}
