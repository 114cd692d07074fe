//! What a connection that is behind receives, and what it is told of.

use std::collections::HashMap;

use backplane::{
    Epoch, ErrorKind, Position, Topic,
    hub::{CloseReason, ConnectionOptions, Delivery, Overflow, SubscribeOptions},
};
use bytes::Bytes;
use proptest::prelude::*;

use super::{Recorder, inline, send, settle, subscribed, topic};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever a sink takes and when: what it sees of each topic, plus what it is told of, is what
    /// was published, in order, and the budget holds.
    #[test]
    fn a_slow_connection_is_told_of_everything_it_misses(
        steps in proptest::collection::vec((0..3_usize, 0..400_usize, 0..4_usize), 1..150),
    ) {
        const POLICIES: [Overflow; 3] =
            [Overflow::DropOldest, Overflow::DropNewest, Overflow::Conflate];
        let hub = inline();
        let (slow, quick) = (Recorder::stalled(), Recorder::default());
        let options = ConnectionOptions::default().with_budget(1_000);
        let connection = hub.connect(slow.clone(), &options).unwrap();
        let other = hub.connect(quick.clone(), &options).unwrap();
        for (number, policy) in POLICIES.into_iter().enumerate() {
            let options = SubscribeOptions::default().with_overflow(policy);
            connection.subscribe(&topic(number), &options).unwrap();
            other.subscribe(&topic(number), &SubscribeOptions::default()).unwrap();
        }
        let mut offsets = [0_u64; 3];
        let text = Bytes::from(vec![b'x'; 400]);
        for (number, size, room) in steps {
            offsets[number] += 1;
            let position = Position::new(Epoch::new(7), offsets[number]);
            let _ = hub.publish_at(&topic(number), text.slice(..size), position);
            slow.set_room(Some(room));
            if room > 0 {
                connection.ready().ready();
            }
            settle(&hub);
            prop_assert!(hub.stats().queued_bytes <= 1_000);
        }
        slow.set_room(None);
        connection.ready().ready();
        settle(&hub);
        prop_assert_eq!(hub.stats().queued_bytes, 0);
        prop_assert_eq!(quick.take().len() as u64, offsets.iter().sum::<u64>());
        let mut at: HashMap<Topic, u64> = HashMap::new();
        for delivery in slow.take() {
            match delivery {
                Delivery::Message { topic, position, skipped, .. } => {
                    let at = at.entry(topic).or_default();
                    *at += skipped + 1;
                    prop_assert_eq!(position.map(|position| position.offset), Some(*at));
                }
                Delivery::Gap { topic, missed, resume_from, .. } => {
                    let at = at.entry(topic).or_default();
                    prop_assert_eq!(resume_from.map(|from| from.offset), Some(*at));
                    *at += missed.expect("every loss is counted here");
                }
                other => panic!("{other:?}"),
            }
        }
        for (number, offset) in offsets.into_iter().enumerate() {
            prop_assert_eq!(at.get(&topic(number)).copied().unwrap_or(0), offset);
        }
        prop_assert!(text.is_unique(), "the hub keeps a payload that everybody has");
    }
}

#[test]
fn a_queued_message_keeps_its_topic_when_nobody_subscribes_to_it_any_more() {
    let (hub, slow) = (inline(), Recorder::stalled());
    let connection = subscribed(&hub, &slow, &topic(0), Overflow::DropOldest);
    settle(&hub);
    send(&hub, &topic(0), "late");
    assert!(connection.unsubscribe(&topic(0)));
    settle(&hub);
    let _newcomer = subscribed(&hub, &Recorder::default(), &topic(1), Overflow::DropOldest);
    settle(&hub);
    slow.set_room(None);
    connection.ready().ready();
    settle(&hub);
    let seen = slow.take();
    assert_eq!(seen.len(), 1);
    assert!(matches!(&seen[0], Delivery::Message { topic: of, .. } if *of == topic(0)));
}

#[test]
fn what_must_not_be_lost_closes_a_slow_connection_with_one_reason() {
    let (hub, slow, quick) = (inline(), Recorder::stalled(), Recorder::default());
    let connection = subscribed(&hub, &slow, &topic(0), Overflow::Disconnect);
    let _other = subscribed(&hub, &quick, &topic(0), Overflow::Disconnect);
    for _ in 0..5 {
        send(&hub, &topic(0), vec![0; 300]);
    }
    settle(&hub);
    assert_eq!(slow.closed(), [CloseReason::SlowConsumer]);
    assert!(slow.take().is_empty());
    assert!(connection.is_closed());
    let refused = connection.subscribe(&topic(1), &SubscribeOptions::default());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(quick.take().len(), 5);
    let stats = hub.stats();
    assert_eq!(
        (stats.connections, stats.subscriptions, stats.queued_bytes),
        (1, 1, 0)
    );
    connection.close();
    settle(&hub);
    assert_eq!(slow.closed(), [CloseReason::SlowConsumer]);
}

#[test]
fn a_message_beyond_the_whole_budget_is_a_gap_at_once() {
    let (hub, sink) = (inline(), Recorder::default());
    let _connection = subscribed(&hub, &sink, &topic(0), Overflow::DropNewest);
    send(&hub, &topic(0), "before");
    send(&hub, &topic(0), vec![0; 2_000]);
    send(&hub, &topic(0), "after");
    settle(&hub);
    assert_eq!(sink.payloads(), ["before", "gap of Some(1)", "after"]);
}

#[test]
fn a_loss_in_front_of_the_hub_reaches_every_subscriber_in_its_place() {
    let (hub, quick, slow) = (inline(), Recorder::default(), Recorder::stalled());
    let _quick = subscribed(&hub, &quick, &topic(0), Overflow::Disconnect);
    let connection = subscribed(&hub, &slow, &topic(0), Overflow::DropOldest);
    send(&hub, &topic(0), "a");
    settle(&hub);
    hub.publish_gap(&topic(0), None, None);
    send(&hub, &topic(0), "b");
    settle(&hub);
    slow.set_room(None);
    connection.ready().ready();
    settle(&hub);
    assert_eq!(quick.payloads(), ["a", "gap of None", "b"]);
    assert_eq!(slow.payloads(), ["a", "gap of None", "b"]);
}
