//! Readers that were away.

use backplane::{
    Epoch, Position,
    bus::{HistoryPage, Message, RecoveryOptions},
    hub::{ConnectionOptions, Overflow, Progress, RetainOptions, SubscribeOptions},
};
use proptest::prelude::*;

use super::{Recorder, inline, send, settle, subscribed, topic};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whenever pages are read and messages arrive live: the reader gets every offset after its own,
    /// once and in order.
    #[test]
    fn a_reader_that_catches_up_gets_everything_once(
        since in 0..10_u64,
        lag in 0..5_u64,
        steps in proptest::collection::vec(0..4_u8, 1..40),
    ) {
        let hub = inline();
        let sink = Recorder::default();
        let connection = hub.connect(sink.clone(), &ConnectionOptions::default()).unwrap();
        let at = |offset| Position::new(Epoch::new(1), offset);
        let message = |offset: u64| Message::new(at(offset), offset.to_string().into());
        let mut stored = 10;
        // What has reached this hub lags behind what the stream has stored.
        let mut live = 10 - lag;
        let options = SubscribeOptions::default();
        let mut catch_up = connection
            .catch_up(&topic(0), at(since), &options, RecoveryOptions::default())
            .unwrap();
        let mut progress = Progress::Read;
        for step in steps {
            match step {
                0 => stored += 1,
                1 if live < stored => {
                    live += 1;
                    let _ = hub.publish_at(&topic(0), message(live).payload, at(live));
                }
                2 if progress == Progress::Read => {
                    let page = (catch_up.at().offset + 1..=stored).map(message);
                    let page = page.take(catch_up.limit()).collect();
                    progress = catch_up.page(HistoryPage::new(page, at(stored)));
                }
                _ => { hub.run_once(); }
            }
        }
        while progress == Progress::Read {
            let page = (catch_up.at().offset + 1..=stored).map(message).collect();
            progress = catch_up.page(HistoryPage::new(page, at(stored)));
        }
        for offset in live + 1..=stored + 1 {
            let _ = hub.publish_at(&topic(0), message(offset).payload, at(offset));
        }
        settle(&hub);
        let expected: Vec<_> = (since + 1..=stored + 1).map(|offset| offset.to_string()).collect();
        prop_assert_eq!(sink.payloads(), expected);
    }
}

#[test]
fn a_resumed_subscription_joins_the_history_without_a_hole() {
    let hub = inline();
    let retained = hub
        .retain(&topic(0), RetainOptions::default().with_messages(3))
        .unwrap();
    for number in 1..=5 {
        send(&hub, &topic(0), number.to_string());
    }
    let sinks = [3, 1].map(|seen| {
        let sink = Recorder::default();
        let connection = hub.connect(sink.clone(), &ConnectionOptions::default());
        let connection = connection.unwrap();
        let since = Position::new(retained.epoch(), seen);
        let options = SubscribeOptions::default().with_resume(since);
        connection.subscribe(&topic(0), &options).unwrap();
        (sink, connection)
    });
    send(&hub, &topic(0), "6");
    settle(&hub);
    assert_eq!(sinks[0].0.payloads(), ["4", "5", "6"]);
    assert_eq!(
        sinks[1].0.payloads(),
        ["gap of Some(1)", "3", "4", "5", "6"]
    );
    drop(sinks);
    drop(retained);
    assert_eq!(hub.stats().topics, 0);
}

#[test]
fn publishing_makes_progress_while_subscribers_catch_up() {
    let (hub, other) = (inline(), Recorder::default());
    let _other = subscribed(&hub, &other, &topic(0), Overflow::Disconnect);
    let sinks: Vec<_> = (0..100).map(|_| Recorder::default()).collect();
    let connections: Vec<_> = sinks
        .iter()
        .map(|sink| {
            hub.connect(sink.clone(), &ConnectionOptions::default())
                .unwrap()
        })
        .collect();
    let since = Position::new(Epoch::new(1), 0);
    let bounds = RecoveryOptions::default().with_buffered(10, 1_000);
    let _catching_up: Vec<_> = connections
        .iter()
        .map(|connection| {
            let options = SubscribeOptions::default();
            connection
                .catch_up(&topic(0), since, &options, bounds.clone())
                .unwrap()
        })
        .collect();
    for offset in 1..=1_000 {
        let _ = hub.publish_at(&topic(0), "x".into(), Position::new(Epoch::new(1), offset));
        settle(&hub);
    }
    assert_eq!(other.take().len(), 1_000);
    assert!(sinks.iter().all(|sink| sink.take().is_empty()));
}

#[test]
fn a_catch_up_that_is_abandoned_ends_the_subscription() {
    let (hub, sink) = (inline(), Recorder::default());
    let connection = hub.connect(sink, &ConnectionOptions::default()).unwrap();
    let since = Position::new(Epoch::new(1), 0);
    let options = SubscribeOptions::default();
    let catch_up = connection.catch_up(&topic(0), since, &options, RecoveryOptions::default());
    drop(catch_up.unwrap());
    assert_eq!(hub.stats().subscriptions, 0);
    assert_eq!(
        hub.publish(&topic(0), "x".into()),
        hub.publish(&topic(9), "x".into())
    );
}

#[test]
fn a_hole_behind_the_history_is_a_gap() {
    let (hub, sink) = (inline(), Recorder::default());
    let connection = hub
        .connect(sink.clone(), &ConnectionOptions::default())
        .unwrap();
    let at = |offset| Position::new(Epoch::new(1), offset);
    let options = SubscribeOptions::default();
    let mut catch_up = connection
        .catch_up(&topic(0), at(0), &options, RecoveryOptions::default())
        .unwrap();
    let page = HistoryPage::new(vec![Message::new(at(1), "1".into())], at(1));
    assert_eq!(catch_up.page(page), Progress::CaughtUp);
    for offset in [1, 4, 5] {
        let _ = hub.publish_at(&topic(0), offset.to_string().into(), at(offset));
    }
    settle(&hub);
    assert_eq!(sink.payloads(), ["1", "gap of Some(2)", "4", "5"]);
}

#[test]
fn one_catch_up_that_ends_does_not_end_another_of_the_same_connection() {
    let (hub, sink, other) = (inline(), Recorder::default(), Recorder::default());
    let connection = hub
        .connect(sink.clone(), &ConnectionOptions::default())
        .unwrap();
    let at = |offset| Position::new(Epoch::new(1), offset);
    let message = |offset: u64| Message::new(at(offset), offset.to_string().into());
    let publish = |number, offset| {
        let _ = hub.publish_at(&topic(number), message(offset).payload, at(offset));
        settle(&hub);
    };
    let begin = |number| {
        let options = SubscribeOptions::default();
        let bounds = RecoveryOptions::default();
        connection
            .catch_up(&topic(number), at(0), &options, bounds)
            .unwrap()
    };
    let mut first = begin(0);
    let page = HistoryPage::new(vec![message(1)], at(1));
    assert_eq!(first.page(page), Progress::CaughtUp);
    publish(0, 2);
    assert_eq!(sink.payloads(), ["1", "2"]);
    let mut second = begin(1);
    let _other = subscribed(&hub, &other, &topic(1), Overflow::Disconnect);
    publish(1, 2);
    publish(1, 3);
    assert!(sink.take().is_empty());
    let page = HistoryPage::new([1, 2, 3].map(message).to_vec(), at(3));
    assert_eq!(second.page(page), Progress::CaughtUp);
    settle(&hub);
    assert_eq!(sink.payloads(), ["1", "2", "3"]);
}
