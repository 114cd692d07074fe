//! How connections end, and hubs.

use std::{collections::BTreeSet, time::Duration};

use backplane::{
    ErrorKind,
    hub::{
        Batch, CloseReason, ConnectionOptions, ConnectionSink, Flow, Hub, HubOptions, Overflow,
        SubscribeOptions,
    },
};

use super::{Recorder, inline, send, settle, subscribed, topic};

#[test]
fn a_sink_that_panics_or_quits_takes_nobody_along() {
    let (hub, other) = (inline(), Recorder::default());
    let (bad, gone) = (Recorder::default(), Recorder::default());
    bad.0.lock().panics = true;
    gone.0.lock().quits = true;
    let _connections =
        [&bad, &gone, &other].map(|sink| subscribed(&hub, sink, &topic(0), Overflow::Disconnect));
    send(&hub, &topic(0), "x");
    settle(&hub);
    assert_eq!(bad.closed(), [CloseReason::SinkPanicked]);
    assert_eq!(gone.closed(), [CloseReason::SinkClosed]);
    assert_eq!(other.payloads(), ["x"]);
    assert_eq!(hub.stats().subscriptions, 1);
}

#[test]
fn a_drain_spreads_the_clients_and_waits_for_what_is_queued() {
    let hub = inline();
    let sinks: Vec<_> = (0..100).map(|_| Recorder::default()).collect();
    let _connections: Vec<_> = sinks
        .iter()
        .map(|sink| subscribed(&hub, sink, &topic(0), Overflow::Disconnect))
        .collect();
    let slow = Recorder::stalled();
    let slow_connection = subscribed(&hub, &slow, &topic(0), Overflow::Disconnect);
    send(&hub, &topic(0), "last");
    let window = Duration::from_secs(120);
    hub.drain(window);
    settle(&hub);
    let mut waits = BTreeSet::new();
    for sink in &sinks {
        assert_eq!(sink.payloads(), ["last"]);
        let [
            CloseReason::Draining {
                reconnect_after, ..
            },
        ] = sink.closed()[..]
        else {
            panic!("{:?}", sink.closed())
        };
        assert!(reconnect_after <= window);
        waits.insert(reconnect_after.as_secs() / 12);
    }
    assert_eq!(waits.len(), 10, "every tenth of the window");
    let refused = hub.connect(Recorder::default(), &ConnectionOptions::default());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(hub.stats().connections, 1);
    assert!(slow.closed().is_empty());
    slow.set_room(None);
    slow_connection.ready().ready();
    settle(&hub);
    assert_eq!(slow.payloads(), ["last"]);
    assert!(matches!(slow.closed()[..], [CloseReason::Draining { .. }]));
    assert_eq!(hub.stats().connections, 0);
}

#[test]
fn closing_offers_what_is_queued_once_more() {
    for is_stalled_before in [true, false] {
        let (hub, sink) = (inline(), Recorder::stalled());
        let connection = subscribed(&hub, &sink, &topic(0), Overflow::Disconnect);
        let options = SubscribeOptions::default();
        connection.subscribe(&topic(1), &options).unwrap();
        send(&hub, &topic(0), "a");
        send(&hub, &topic(1), "b");
        if is_stalled_before {
            settle(&hub);
        }
        sink.set_room(None);
        connection.close();
        settle(&hub);
        assert_eq!(sink.payloads(), ["a", "b"]);
        assert_eq!(sink.closed(), [CloseReason::Requested]);
    }
}

#[test]
fn a_drained_connection_leaves_when_what_it_waited_for_is_unsubscribed() {
    let (hub, slow) = (inline(), Recorder::stalled());
    let connection = subscribed(&hub, &slow, &topic(0), Overflow::Disconnect);
    send(&hub, &topic(0), "x");
    hub.drain(Duration::ZERO);
    settle(&hub);
    assert!(slow.closed().is_empty());
    connection.unsubscribe(&topic(0));
    settle(&hub);
    assert!(matches!(slow.closed()[..], [CloseReason::Draining { .. }]));
    assert_eq!(hub.stats().connections, 0);
}

/// A sink that cannot even be dropped.
#[derive(Debug)]
struct Bomb;

impl ConnectionSink for Bomb {
    fn flush(&mut self, _: &mut Batch<'_>) -> Flow {
        Flow::Closed
    }

    fn close(&mut self, _: CloseReason) {}
}

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("asked to");
    }
}

#[test]
fn a_sink_that_panics_when_it_is_dropped_takes_nobody_along() {
    let (hub, other) = (inline(), Recorder::default());
    let options = SubscribeOptions::default();
    let bombs = [(); 2].map(|()| hub.connect(Bomb, &ConnectionOptions::default()).unwrap());
    for bomb in &bombs {
        bomb.subscribe(&topic(0), &options).unwrap();
    }
    let _other = subscribed(&hub, &other, &topic(0), Overflow::Disconnect);
    send(&hub, &topic(0), "x");
    settle(&hub);
    assert_eq!(other.payloads(), ["x"]);
    assert_eq!(hub.stats().connections, 1);
}

#[test]
fn the_last_handle_closes_every_connection() {
    for options in [HubOptions::inline(), HubOptions::default().with_shards(2)] {
        let hub = Hub::new(options);
        let sinks = [Recorder::default(), Recorder::default()];
        let _connections =
            [0, 1].map(|n| subscribed(&hub, &sinks[n], &topic(0), Overflow::Disconnect));
        send(&hub, &topic(0), "last");
        drop(hub);
        for sink in &sinks {
            assert_eq!(sink.payloads(), ["last"]);
            assert_eq!(sink.closed(), [CloseReason::HubClosed]);
        }
    }
}
