//! Connections that end, or lose something, while the feed is about to be shown anew.

use std::{pin::pin, sync::Arc, time::Duration};

use backplane::{
    Clock, ManualClock,
    hub::HubOptions,
    memory::{MemoryBus, MemoryBusOptions},
};
use feed_core::{
    ErrorKind, Feed, FeedParts, LiveChange, LiveEvent, LiveFeed, LiveFeeds, LiveRequest, PostId,
    UserId,
};
use futures::FutureExt as _;

use crate::{
    house::{ANN, BOB, CAT},
    screen::{House, Screen},
};

/// CAT's feed, which has told that ANN's repost is gone and has yet to show what was behind it: the
/// repost that is answered.
async fn about_to_be_shown_anew(house: &House) -> (LiveFeed, PostId) {
    house.follow(CAT, ANN).await;
    house.follow(CAT, BOB).await;
    let post = house.post(UserId::new(9)).await;
    let first = house.repost(ANN, post).await;
    let second = house.repost(BOB, post).await;
    house.work().await;
    let (mut live, mut screen) = (house.watch(CAT, None).await, Screen::default());
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.posts(), [first]);
    house.feed.unrepost(ANN, post).await.unwrap();
    house.work().await;
    run(house);
    let told = live.next().await.unwrap().unwrap();
    assert!(matches!(told.change, LiveChange::Removed(gone) if gone.post == first));
    (live, second)
}

fn run(house: &House) {
    while house.hub().run_once() > 0 {}
}

/// Has the hub close CAT's connection, whose reader does not keep up.
fn overwhelm(house: &House) {
    let topic = format!("feed:{ANN}:posts").parse().unwrap();
    for _ in 0..64 {
        let _ = house.hub().publish(&topic, vec![0; 64 << 10].into());
        run(house);
    }
    assert_eq!(house.hub().stats().connections, 0);
}

/// What comes next, at once.
fn next(live: &mut LiveFeed) -> Option<LiveEvent> {
    let next = live.next().now_or_never().expect("memory stores answer");
    next.expect("neither a store nor the hub fails")
}

fn shown(event: Option<LiveEvent>) -> Vec<PostId> {
    match event.map(|event| event.change) {
        Some(LiveChange::Reset(page)) => page.entries.iter().map(|entry| entry.post).collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_reader_who_was_too_slow_meanwhile_is_shown_the_feed_anew() {
    let house = House::new();
    let (mut live, behind) = about_to_be_shown_anew(&house).await;
    overwhelm(&house);
    assert_eq!(shown(next(&mut live)), [behind]);
    assert!(live.next().now_or_never().is_none(), "nothing else is new");

    let post = house.post(ANN).await;
    house.work().await;
    run(&house);
    let told = next(&mut live).unwrap();
    assert!(matches!(told.change, LiveChange::Added(entry) if entry.post == post));
}

#[tokio::test]
async fn a_hub_that_closes_meanwhile_ends_the_feed() {
    let house = House::new();
    let (mut live, _) = about_to_be_shown_anew(&house).await;
    house.hub().close();
    run(&house);
    assert_eq!(next(&mut live), None);
    assert_eq!(next(&mut live), None);
}

#[tokio::test]
async fn a_hub_that_drains_meanwhile_ends_the_feed() {
    let house = House::new();
    let (mut live, _) = about_to_be_shown_anew(&house).await;
    // CAT's sources are others now, and a draining hub takes no subscription to them.
    house.follow(CAT, UserId::new(8)).await;
    house.hub().drain(Duration::ZERO);
    assert_eq!(next(&mut live), None);
    run(&house);
    assert_eq!(next(&mut live), None);
}

#[tokio::test]
async fn a_hub_that_closes_after_a_reader_was_too_slow_ends_the_feed() {
    let house = House::new();
    let (mut live, _) = about_to_be_shown_anew(&house).await;
    overwhelm(&house);
    house.hub().close();
    assert_eq!(next(&mut live), None);
    assert_eq!(next(&mut live), None);
}

#[tokio::test]
async fn a_gap_is_made_up_for_on_the_same_connection() {
    let two = HubOptions::inline()
        .with_shards(1)
        .with_max_connections_per_shard(2);
    let house = House::on(two);
    house.follow(BOB, ANN).await;
    house.follow(CAT, ANN).await;
    let mut feeds = [house.watch(BOB, None).await, house.watch(CAT, None).await];
    for live in &mut feeds {
        assert_eq!(shown(next(live)), []);
    }
    let post = house.post(ANN).await;
    let topic = format!("feed:{ANN}:posts").parse().unwrap();
    house.hub().publish_gap(&topic, None, None);
    run(&house);
    for live in &mut feeds {
        assert_eq!(shown(next(live)), [post]);
    }
    assert_eq!(house.hub().stats().connections, 2);
}

#[tokio::test]
async fn a_hub_that_closes_while_a_reader_joins_ends_the_feed() {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    let bus = MemoryBus::new(MemoryBusOptions::default(), Arc::clone(&clock));
    let live = LiveFeeds::across(Arc::new(bus.node()), clock, HubOptions::inline());
    let mut parts = FeedParts::in_memory();
    parts.events = Arc::new(live.clone());
    let feed = Feed::new(parts);
    // Nobody runs the relay, so it waits for the bus.
    let mut watch = pin!(live.watch(&feed, BOB, LiveRequest::default()));
    assert!(watch.as_mut().now_or_never().is_none());
    live.hub().close();
    while live.hub().run_once() > 0 {}
    let refused = watch.await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Closed);
}
