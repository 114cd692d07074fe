//! Refusals at the bounds.

use backplane::{
    ErrorKind, Position,
    hub::{
        ConnectionOptions, Hub, HubOptions, Outgoing, Overflow, Published, RetainOptions,
        SubscribeOptions,
    },
};
use bytes::Bytes;

use super::{Recorder, inline, send, settle, subscribed, topic};

#[test]
fn a_full_inbox_refuses_for_all_shards_or_none() {
    let hub = Hub::new(HubOptions::inline().with_shards(2).with_inbox_bytes(200));
    let sinks = [Recorder::default(), Recorder::default()];
    let _connections = [0, 1].map(|n| subscribed(&hub, &sinks[n], &topic(0), Overflow::Disconnect));
    let only_first = Recorder::default();
    let _third = subscribed(&hub, &only_first, &topic(1), Overflow::Disconnect);
    send(&hub, &topic(1), vec![0; 130]);
    let kept = Bytes::from_static(b"to both");
    let mut batch = [Outgoing::new(topic(0), kept.clone())];
    hub.publish_batch(&mut batch);
    assert_eq!(batch[0].outcome, Some(Published::Refused));
    assert_eq!(batch[0].payload, kept);
    settle(&hub);
    hub.publish_batch(&mut batch);
    settle(&hub);
    assert!(sinks.iter().all(|sink| sink.payloads() == ["to both"]));
}

#[test]
fn a_refused_message_uses_no_position() {
    let hub = Hub::new(HubOptions::inline().with_inbox_bytes(100));
    let retained = hub.retain(&topic(0), RetainOptions::default()).unwrap();
    let sink = Recorder::default();
    let _connection = subscribed(&hub, &sink, &topic(0), Overflow::Disconnect);
    send(&hub, &topic(0), vec![0; 90]);
    assert_eq!(hub.publish(&topic(0), "x".into()), Published::Refused);
    assert_eq!(retained.top(), Position::new(retained.epoch(), 1));
    let again = hub.retain(&topic(0), RetainOptions::default());
    assert_eq!(again.unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn a_message_that_only_the_history_takes_leaves_the_batch() {
    let hub = inline();
    let retained = hub.retain(&topic(0), RetainOptions::default()).unwrap();
    let mut batch = [0, 1].map(|n| Outgoing::new(topic(n), "x".into()));
    hub.publish_batch(&mut batch);
    let [kept, unheard] = batch;
    let position = Some(Position::new(retained.epoch(), 1));
    assert_eq!(kept.outcome.unwrap().position(), position);
    assert!(kept.payload.is_empty());
    assert_eq!(unheard.outcome.unwrap().position(), None);
    assert_eq!(unheard.payload, "x");
}

#[test]
fn bounds_are_typed_refusals_that_change_nothing() {
    let options = HubOptions::inline().with_max_topics(2);
    let hub = Hub::new(options.with_max_connections_per_shard(1));
    let options = ConnectionOptions::default().with_max_subscriptions(1);
    let connection = hub.connect(Recorder::default(), &options).unwrap();
    let full = hub.connect(Recorder::default(), &options);
    assert_eq!(full.unwrap_err().kind(), ErrorKind::Full);
    let options = SubscribeOptions::default();
    connection.subscribe(&topic(0), &options).unwrap();
    let full = connection.subscribe(&topic(1), &options);
    assert_eq!(full.unwrap_err().kind(), ErrorKind::Full);
    let _retained = hub.retain(&topic(2), RetainOptions::default()).unwrap();
    let full = hub.retain(&topic(3), RetainOptions::default());
    assert_eq!(full.unwrap_err().kind(), ErrorKind::Full);
    let stats = hub.stats();
    assert_eq!(
        (stats.connections, stats.subscriptions, stats.topics),
        (1, 1, 2)
    );
}

#[test]
fn shards_are_kept_within_bounds_however_they_are_set() {
    for shards in [0, 65] {
        let mut options = HubOptions::inline();
        options.shards = shards;
        let hub = Hub::new(options);
        let sinks: Vec<_> = (0..65).map(|_| Recorder::default()).collect();
        let subscribed = |sink| subscribed(&hub, sink, &topic(0), Overflow::Disconnect);
        let _connections: Vec<_> = sinks.iter().map(subscribed).collect();
        send(&hub, &topic(0), "x");
        settle(&hub);
        assert!(sinks.iter().all(|sink| sink.payloads() == ["x"]));
    }
}
