//! Cases that every [`Bus`] must pass.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics to fail"
)]

mod bound;
mod connection;
mod race;

pub use bound::*;
pub use connection::*;
pub use race::*;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::StreamExt;

use super::{Fresh, ROUNDS, at_once};
use crate::{
    Epoch, ErrorKind, Position, Result, Topic,
    bus::{
        Bus, BusEvent, BusEvents, HistoryPage, HistoryRead, IdempotencyKey, Message, Outgoing,
        Published,
    },
};

/// A bus under test: whatever its nodes share, in a namespace of its own.
#[async_trait]
pub trait BusNetwork: fmt::Debug + Send + Sync {
    /// A new node.
    async fn join(&self) -> Arc<dyn Bus>;

    /// Makes the engine lose all it holds of `topic`, but not the subscriptions.
    async fn lose(&self, topic: &Topic);

    /// Breaks the connection of every node, which finds back by itself. What the engine holds stays.
    async fn cut(&self);
}

/// One test per case, over the [`BusNetwork`] in the [`Fresh`] that `$fresh` makes.
///
/// The network's [`BusLimits`](crate::bus::BusLimits) should be small, since the cases pass each of
/// them: a history of 5 to 50 messages, pages of half as many, 5 to 50 idempotency keys, a queue of 8
/// to 1,000 events, times of a second or so where the engine keeps the time.
#[macro_export]
macro_rules! bus_conformance {
    ($fresh:expr) => {
        $crate::conformance_cases!(bus_conformance, [$crate::conformance::bus], $fresh =>
            positions_are_dense,
            events_come_in_order,
            a_subscription_starts_at_its_position,
            topics_are_subscribed_in_the_order_asked,
            subscribing_twice_delivers_once,
            unsubscribing_stops_delivery,
            topics_are_independent,
            history_pages_are_contiguous,
            a_page_ends_before_the_bytes_asked_for_are_exceeded,
            history_shows_what_was_published,
            topics_are_read_in_the_order_asked,
            a_foreign_or_future_position_reads_nothing,
            a_topic_without_messages_has_a_stable_position,
            a_full_history_drops_the_oldest,
            expiry_keeps_top_and_epoch,
            a_lost_stream_takes_a_new_epoch,
            a_lost_connection_is_told_topic_by_topic,
            a_key_publishes_once,
            a_key_is_forgotten_after_its_window,
            a_key_belongs_to_its_topic,
            a_topic_remembers_as_many_keys_as_it_says,
            an_overflowing_queue_says_what_it_dropped,
            events_wait_for_a_reader,
            a_second_stream_of_events_ends_the_first,
            awaiting_an_event_can_be_abandoned,
            arguments_beyond_the_limits_have_no_effect,
            a_page_is_no_longer_than_its_limit,
            empty_batches_are_accepted,
            draining_ends_the_events_and_the_node,
            all_nodes_see_one_order,
            concurrent_publishers_share_no_position,
            concurrent_publishers_of_one_key_publish_once,
        );
    };
}

/// The first message of a topic stands at offset 1 and every later one at the next offset of one epoch.
pub async fn positions_are_dense(fresh: &Fresh<dyn BusNetwork>) {
    let node = fresh.store.join().await;
    let first = publish(&*node, "a", 3).await;
    let second = publish(&*node, "a", 2).await;
    let epoch = first[0].epoch;
    let positions: Vec<_> = first.into_iter().chain(second).collect();
    assert_eq!(positions, run(epoch, 1..=5));
}

/// A node receives every message of a subscribed topic once, in the order of their positions.
pub async fn events_come_in_order(fresh: &Fresh<dyn BusNetwork>) {
    let node = fresh.store.join().await;
    let start = subscribe(&*node, "a").await;
    let mut events = node.events();
    publish(&*node, "a", 5).await;
    let received = receive(&mut events, 5).await;
    assert_eq!(
        offsets(&received),
        (start.offset + 1..=5).collect::<Vec<_>>()
    );
    let payloads: Vec<_> = received
        .iter()
        .map(|message| &message.payload[..])
        .collect();
    assert_eq!(payloads, [b"0", b"1", b"2", b"3", b"4"]);
    assert!(is_quiet(&*node, &mut events).await);
}

/// Every message after the position that a subscription returned arrives.
pub async fn a_subscription_starts_at_its_position(fresh: &Fresh<dyn BusNetwork>) {
    let node = fresh.store.join().await;
    let before = publish(&*node, "a", 3).await;
    let start = subscribe(&*node, "a").await;
    assert_eq!(start, before[2]);
    let mut events = node.events();
    publish(&*node, "a", 2).await;
    assert_eq!(offsets(&receive(&mut events, 2).await), [4, 5]);
}

/// A subscription to several topics returns the position of each, in the order asked.
pub async fn topics_are_subscribed_in_the_order_asked(fresh: &Fresh<dyn BusNetwork>) {
    let node = fresh.store.join().await;
    publish(&*node, "a", 3).await;
    publish(&*node, "b", 1).await;
    let names = ["b", "c", "a"];
    let positions = all(node.subscribe(&names.map(topic)).await);
    for (name, position) in names.into_iter().zip(&positions) {
        assert_eq!(*position, history(&*node, name, None, 0).await.top);
    }
    let offsets: Vec<_> = positions.iter().map(|position| position.offset).collect();
    assert_eq!(offsets, [1, 0, 3]);
}

/// Subscribing to a topic again delivers its messages once, and returns its position as of then.
pub async fn subscribing_twice_delivers_once(fresh: &Fresh<dyn BusNetwork>) {
    let node = fresh.store.join().await;
    let twice = all(node.subscribe(&[topic("a"), topic("a")]).await);
    assert_eq!(twice[0], twice[1]);
    let mut events = node.events();
    publish(&*node, "a", 1).await;
    assert_eq!(subscribe(&*node, "a").await, twice[0].next());
    publish(&*node, "a", 1).await;
    assert_eq!(offsets(&receive(&mut events, 2).await), [1, 2]);
    assert!(is_quiet(&*node, &mut events).await);
}

/// Nothing that is published after an unsubscription returned arrives.
pub async fn unsubscribing_stops_delivery(fresh: &Fresh<dyn BusNetwork>) {
    let node = fresh.store.join().await;
    subscribe(&*node, "a").await;
    let mut events = node.events();
    publish(&*node, "a", 1).await;
    receive(&mut events, 1).await;
    node.unsubscribe(&[topic("a"), topic("never subscribed")])
        .await
        .unwrap();
    publish(&*node, "a", 2).await;
    assert!(is_quiet(&*node, &mut events).await);
    assert_eq!(subscribe(&*node, "a").await.offset, 3);
}

/// A topic's messages and positions are those of no other topic.
pub async fn topics_are_independent(fresh: &Fresh<dyn BusNetwork>) {
    let node = fresh.store.join().await;
    all(node.subscribe(&[topic("a"), topic("A")]).await);
    let mut events = node.events();
    let batch = ["a", "b", "A", "a"].map(|name| Outgoing::new(topic(name), name));
    let published = all(node.publish(&batch).await);
    let offsets: Vec<_> = published.iter().map(|p| p.position().offset).collect();
    assert_eq!(offsets, [1, 1, 1, 2]);
    let mut received = Vec::new();
    for _ in 0..3 {
        match events.next().await {
            Some(BusEvent::Message { topic, message }) => {
                assert_eq!(topic.as_str().as_bytes(), message.payload);
                received.push((topic.to_string(), message.position.offset));
            }
            other => panic!("{other:?}"),
        }
    }
    received.sort();
    assert_eq!(
        received,
        [("A", 1), ("a", 1), ("a", 2)].map(|(name, at)| (name.into(), at))
    );
}

/// Pages of history, each read after the last message of the one before, hold every retained message once, in order.
pub async fn history_pages_are_contiguous(fresh: &Fresh<dyn BusNetwork>) {
    let node = fresh.store.join().await;
    publish(&*node, "a", 5).await;
    let mut since = None;
    let mut read = Vec::new();
    loop {
        let page = history(&*node, "a", since, 2).await;
        assert_eq!(page.top.offset, 5);
        assert!(page.messages.len() <= 2);
        let Some(last) = page.messages.last() else {
            break;
        };
        since = Some(last.position);
        read.extend(page.messages);
    }
    assert_eq!(offsets(&read), [1, 2, 3, 4, 5]);
}

/// A page of history holds no more payload than asked for, but one message if there is any.
pub async fn a_page_ends_before_the_bytes_asked_for_are_exceeded(fresh: &Fresh<dyn BusNetwork>) {
    let node = fresh.store.join().await;
    let sizes = [3, 3, 1, 0].map(|size| Outgoing::new(topic("a"), vec![7; size]));
    let published = all(node.publish(&sizes).await);
    let after = |count: usize| (count > 0).then(|| published[count - 1].position());
    for (read_before, bytes, expected) in [
        (0, 6, vec![1, 2]),
        (0, 5, vec![1]),
        (0, 0, vec![1]),
        (1, 4, vec![2, 3, 4]),
        (2, 0, vec![3]),
        (4, 0, vec![]),
    ] {
        let read = HistoryRead::new(topic("a"), after(read_before), 9).with_bytes(bytes);
        let top = HistoryRead::top(topic("a")).with_bytes(bytes);
        let pages = all(node.history(&[read, top]).await);
        assert_eq!(offsets(&pages[0].messages), expected, "{bytes} bytes");
        assert_eq!(pages[1], HistoryPage::new(vec![], pages[0].top));
    }
}

/// A message is in the history, with its payload, when its publish has returned or its event has arrived.
pub async fn history_shows_what_was_published(fresh: &Fresh<dyn BusNetwork>) {
    let (here, there) = (fresh.store.join().await, fresh.store.join().await);
    subscribe(&*there, "a").await;
    let mut events = there.events();
    let published = publish(&*here, "a", 1).await;
    assert_eq!(history(&*here, "a", None, 9).await.top, published[0]);
    let received = receive(&mut events, 1).await;
    assert_eq!(history(&*there, "a", None, 9).await.messages, received);
}

/// Each of several reads in one call is answered as it would be alone, in the order asked.
pub async fn topics_are_read_in_the_order_asked(fresh: &Fresh<dyn BusNetwork>) {
    let node = fresh.store.join().await;
    let first = publish(&*node, "a", 3).await[0];
    publish(&*node, "b", 2).await;
    let reads = [
        HistoryRead::new(topic("b"), None, 9),
        HistoryRead::new(topic("a"), Some(first), 1),
        HistoryRead::new(topic("c"), None, 9),
        HistoryRead::top(topic("a")),
        HistoryRead::new(topic("a"), None, 9),
        HistoryRead::new(topic("b"), None, 1),
    ];
    let pages = all(node.history(&reads).await);
    let lengths: Vec<_> = pages.iter().map(|page| page.messages.len()).collect();
    assert_eq!(lengths, [2, 1, 0, 0, 3, 1]);
    for (read, page) in reads.into_iter().zip(pages) {
        assert_eq!(all(node.history(&[read]).await), [page]);
    }
}

/// A position of another epoch, or ahead of the stream, reads no message, and the top.
pub async fn a_foreign_or_future_position_reads_nothing(fresh: &Fresh<dyn BusNetwork>) {
    let node = fresh.store.join().await;
    let top = publish(&*node, "a", 3).await[2];
    let foreign = Epoch::new(top.epoch.get().wrapping_add(1));
    for since in [
        Position::new(foreign, 1),
        top.next(),
        Position::new(top.epoch, u64::MAX),
        top,
    ] {
        let page = history(&*node, "a", Some(since), 9).await;
        assert_eq!(page, HistoryPage::new(vec![], top), "since {since:?}");
    }
}

/// A topic nobody has published to stands at offset 0 of an epoch that its first message keeps.
pub async fn a_topic_without_messages_has_a_stable_position(fresh: &Fresh<dyn BusNetwork>) {
    let node = fresh.store.join().await;
    let before = history(&*node, "a", None, 9).await.top;
    assert_eq!(before.offset, 0);
    assert_eq!(subscribe(&*node, "a").await, before);
    assert_eq!(publish(&*node, "a", 1).await, [before.next()]);
}

/// A history holds the newest messages, as many as its limit says, and the top of all.
pub async fn a_full_history_drops_the_oldest(fresh: &Fresh<dyn BusNetwork>) {
    let node = fresh.store.join().await;
    let kept = node.limits().history;
    publish(&*node, "a", kept + 3).await;
    let start = history(&*node, "a", None, 1).await;
    let top = start.top;
    assert_eq!(top.offset, kept as u64 + 3);
    let oldest = start.messages[0].position;
    assert_eq!(oldest.offset, 4, "exactly the limit is retained");
    let trimmed = Position::new(top.epoch, 1);
    let page = history(&*node, "a", Some(trimmed), 1).await;
    assert_eq!(
        page.messages[0].position, oldest,
        "the missing are left out"
    );
}

/// A message is gone from the history at the age its limit says, while the topic keeps its top and its epoch.
pub async fn expiry_keeps_top_and_epoch(fresh: &Fresh<dyn BusNetwork>) {
    let node = fresh.store.join().await;
    let ttl = node.limits().history_ttl;
    let top = publish(&*node, "a", 3).await[2];
    fresh.time.pass(ttl / 2).await;
    assert_eq!(history(&*node, "a", None, 9).await.messages.len(), 3);
    fresh.time.pass(ttl).await;
    let expired = HistoryPage::new(vec![], top);
    assert_eq!(history(&*node, "a", None, 9).await, expired);
    assert_eq!(publish(&*node, "a", 1).await, [top.next()]);
}

/// A stream that was lost goes on in an epoch it never had, at offset 1, and subscriptions follow it.
pub async fn a_lost_stream_takes_a_new_epoch(fresh: &Fresh<dyn BusNetwork>) {
    let node = fresh.store.join().await;
    subscribe(&*node, "a").await;
    let mut events = node.events();
    let old = publish(&*node, "a", 3).await[2];
    receive(&mut events, 3).await;
    fresh.store.lose(&topic("a")).await;
    let new = publish(&*node, "a", 4).await[3];
    assert_ne!(new.epoch, old.epoch);
    assert_eq!(new.offset, 4);
    let page = history(&*node, "a", Some(old), 9).await;
    assert_eq!(
        page,
        HistoryPage::new(vec![], new),
        "offset 4 is not the one after 3"
    );
    assert_eq!(
        receive(&mut events, 1).await[0].position,
        Position::new(new.epoch, 1)
    );
}

/// A message published again with its key keeps its first position and is delivered once.
pub async fn a_key_publishes_once(fresh: &Fresh<dyn BusNetwork>) {
    let (here, there) = (fresh.store.join().await, fresh.store.join().await);
    subscribe(&*here, "a").await;
    let mut events = here.events();
    let message = Outgoing::new(topic("a"), "once").with_key(IdempotencyKey::of("1"));
    let other = Outgoing::new(topic("a"), "once").with_key(IdempotencyKey::of("2"));
    let batch = [message.clone(), message.clone(), other];
    let first = all(here.publish(&batch).await);
    let position = first[0].position();
    assert_eq!(first[0], Published::New(position));
    assert_eq!(first[1], Published::Duplicate(position));
    assert_eq!(first[2], Published::New(position.next()));
    let again = all(there.publish(&[message]).await);
    assert_eq!(again, [Published::Duplicate(position)]);
    assert_eq!(offsets(&receive(&mut events, 2).await), [1, 2]);
    assert!(is_quiet(&*here, &mut events).await);
}

/// After its window a key publishes again.
pub async fn a_key_is_forgotten_after_its_window(fresh: &Fresh<dyn BusNetwork>) {
    let node = fresh.store.join().await;
    let window = node.limits().idempotency_window;
    let message = Outgoing::new(topic("a"), "x").with_key(IdempotencyKey::of("1"));
    let publish = async || all(node.publish(std::slice::from_ref(&message)).await)[0];
    let first = publish().await.position();
    fresh.time.pass(window / 2).await;
    assert_eq!(publish().await, Published::Duplicate(first));
    fresh.time.pass(window).await;
    assert_eq!(publish().await, Published::New(first.next()));
}

/// A key used in one topic means nothing in another.
pub async fn a_key_belongs_to_its_topic(fresh: &Fresh<dyn BusNetwork>) {
    let node = fresh.store.join().await;
    let key = IdempotencyKey::of("1");
    let batch = ["a", "b"].map(|name| Outgoing::new(topic(name), "x").with_key(key));
    let published = all(node.publish(&batch).await);
    assert!(published.iter().all(|p| matches!(p, Published::New(_))));
}

/// Events are queued from the subscription on, before anybody asks for them.
pub async fn events_wait_for_a_reader(fresh: &Fresh<dyn BusNetwork>) {
    let node = fresh.store.join().await;
    subscribe(&*node, "a").await;
    publish(&*node, "a", 2).await;
    assert_eq!(offsets(&receive(&mut node.events(), 2).await), [1, 2]);
}

/// Asking for the events again ends the stream that was asked for before, and loses nothing.
pub async fn a_second_stream_of_events_ends_the_first(fresh: &Fresh<dyn BusNetwork>) {
    let node = fresh.store.join().await;
    subscribe(&*node, "a").await;
    let mut first = node.events();
    publish(&*node, "a", 2).await;
    receive(&mut first, 1).await;
    let mut second = node.events();
    assert_eq!(first.next().await, None);
    assert_eq!(offsets(&receive(&mut second, 1).await), [2]);
}

/// Dropping a future that awaits an event loses no event.
pub async fn awaiting_an_event_can_be_abandoned(fresh: &Fresh<dyn BusNetwork>) {
    let node = fresh.store.join().await;
    subscribe(&*node, "a").await;
    let mut events = node.events();
    assert!(fresh.keeps_waiting(events.next()).await);
    publish(&*node, "a", 1).await;
    assert_eq!(offsets(&receive(&mut events, 1).await), [1]);
}

/// A call beyond a limit is refused as invalid and changes nothing.
pub async fn arguments_beyond_the_limits_have_no_effect(fresh: &Fresh<dyn BusNetwork>) {
    let node = fresh.store.join().await;
    let limits = node.limits();
    let huge = Outgoing::new(topic("a"), vec![0; limits.payload + 1]);
    let largest = Outgoing::new(topic("b"), vec![0; limits.payload]);
    let small = Outgoing::new(topic("a"), "x");
    let refused = [
        node.publish(&[small.clone(), huge]).await.unwrap_err(),
        node.publish(&vec![small; limits.batch + 1])
            .await
            .unwrap_err(),
        node.subscribe(&vec![topic("a"); limits.batch + 1])
            .await
            .unwrap_err(),
        node.unsubscribe(&vec![topic("a"); limits.batch + 1])
            .await
            .unwrap_err(),
        node.history(&vec![HistoryRead::top(topic("a")); limits.batch + 1])
            .await
            .unwrap_err(),
    ];
    assert!(
        refused
            .iter()
            .all(|error| error.kind() == ErrorKind::Invalid)
    );
    assert_eq!(history(&*node, "a", None, 9).await.top.offset, 0);
    all(node.publish(&[largest]).await);
    assert_eq!(publish(&*node, "c", limits.batch).await.len(), limits.batch);
}

/// A call with nothing to do succeeds.
pub async fn empty_batches_are_accepted(fresh: &Fresh<dyn BusNetwork>) {
    let node = fresh.store.join().await;
    assert_eq!(all(node.publish(&[]).await), []);
    assert_eq!(all(node.subscribe(&[]).await), []);
    node.unsubscribe(&[]).await.unwrap();
    assert_eq!(all(node.history(&[]).await), []);
}

/// A drained node yields what it had queued, ends its events, and refuses every call; other nodes go on.
pub async fn draining_ends_the_events_and_the_node(fresh: &Fresh<dyn BusNetwork>) {
    let (leaving, staying) = (fresh.store.join().await, fresh.store.join().await);
    subscribe(&*leaving, "a").await;
    subscribe(&*staying, "a").await;
    let mut events = leaving.events();
    publish(&*staying, "a", 2).await;
    receive(&mut events, 1).await;
    leaving.drain().await.unwrap();
    leaving.drain().await.unwrap();
    publish(&*staying, "a", 1).await;
    assert_eq!(offsets(&receive(&mut events, 1).await), [2]);
    assert_eq!(events.next().await, None);
    let refused = [
        leaving.publish(&[]).await.err(),
        leaving.subscribe(&[]).await.err(),
        leaving.unsubscribe(&[]).await.err(),
        leaving.history(&[]).await.err(),
    ];
    for error in refused {
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::Closed));
    }
    assert_eq!(receive(&mut staying.events(), 3).await.len(), 3);
}

/// The parts of a call, none of which failed.
fn all<T>(parts: Result<Vec<Result<T>>>) -> Vec<T> {
    parts.unwrap().into_iter().map(Result::unwrap).collect()
}

fn topic(name: &str) -> Topic {
    name.parse().expect("the cases' names are valid")
}

/// Publishes `count` messages one call's worth at a time; the payloads count from 0.
async fn publish(node: &dyn Bus, name: &str, count: usize) -> Vec<Position> {
    let messages: Vec<_> = (0..count)
        .map(|i| Outgoing::new(topic(name), i.to_string()))
        .collect();
    let mut positions = Vec::new();
    for batch in messages.chunks(node.limits().batch) {
        let published = all(node.publish(batch).await);
        positions.extend(published.into_iter().map(Published::position));
    }
    positions
}

async fn subscribe(node: &dyn Bus, name: &str) -> Position {
    all(node.subscribe(&[topic(name)]).await)[0]
}

async fn history(node: &dyn Bus, name: &str, since: Option<Position>, limit: usize) -> HistoryPage {
    let read = HistoryRead::new(topic(name), since, limit);
    all(node.history(&[read]).await).remove(0)
}

async fn receive(events: &mut BusEvents, count: usize) -> Vec<Message> {
    let mut messages = Vec::new();
    while messages.len() < count {
        match events.next().await {
            Some(BusEvent::Message { message, .. }) => messages.push(message),
            other => panic!("{other:?} after {messages:?}"),
        }
    }
    messages
}

/// Whether nothing is on its way to `node`: the next event is that of a message published now.
async fn is_quiet(node: &dyn Bus, events: &mut BusEvents) -> bool {
    let marker = topic("is quiet?");
    all(node.subscribe(std::slice::from_ref(&marker)).await);
    all(node.publish(&[Outgoing::new(marker.clone(), "")]).await);
    let next = events.next().await;
    node.unsubscribe(std::slice::from_ref(&marker))
        .await
        .unwrap();
    next.is_some_and(|event| *event.topic() == marker)
}

fn offsets(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(|m| m.position.offset).collect()
}

fn run(epoch: Epoch, offsets: impl IntoIterator<Item = u64>) -> Vec<Position> {
    let at = |offset| Position::new(epoch, offset);
    offsets.into_iter().map(at).collect()
}
