//! Calls that end in the middle leave nothing that is counted and not there, or there and not counted.
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

#[path = "equivalence/flaky.rs"]
#[allow(dead_code, reason = "faults of single calls are enough here")]
mod flaky;
mod house;

use std::sync::Arc;

use feed_core::{Entry, ErrorKind, FeedOptions, NewPost, PageRequest, PostId, Published, UserId};
use futures::FutureExt as _;

use crate::{
    flaky::{Fault, Faults, Flaky, Strike},
    house::{ANN, BOB, CAT, House},
};

/// A feed whose calls of posts, actions, timelines and the queue may be cut short.
fn house() -> (House, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    let house = House::with(|parts| {
        parts.outbox = Flaky::new(Arc::clone(&parts.outbox), &faults);
        parts.actions = Flaky::new(Arc::clone(&parts.actions), &faults);
        parts.timelines = Flaky::new(Arc::clone(&parts.timelines), &faults);
        parts.queue = Flaky::new(Arc::clone(&parts.queue), &faults);
    });
    (house, faults)
}

/// Every call that a publication may make is cut short in each of these ways.
const FAULTS: [Fault; 4] = [
    Fault::FailBefore,
    Fault::FailAfter,
    Fault::DieBefore,
    Fault::DieAfter,
];
const CALLS: u32 = 12;

/// Lets workers do what is left, and give up on what never came.
async fn settle(house: &House, faults: &Faults) {
    faults.disarm();
    house.work().await;
    house.clock.advance(FeedOptions::default().call_timeout);
    house.work().await;
}

async fn counts(house: &House, post: PostId) -> [u64; 3] {
    let counts = house.feed.parts().counters.counts(&[post]).await.unwrap()[0];
    [counts.likes, counts.replies, counts.reposts]
}

async fn by(house: &House, author: UserId) -> Vec<Entry> {
    let page = house.feed.author(CAT, author, PageRequest::newest()).await;
    page.unwrap().entries
}

#[tokio::test]
async fn a_repost_is_counted_if_and_only_if_it_is_there() {
    for (call, fault) in (0..CALLS).flat_map(|call| FAULTS.map(|fault| (call, fault))) {
        let (house, faults) = house();
        let post = house.post(ANN).await;
        faults.arm(call, Strike::Fault(fault));
        let _ = house.feed.repost(BOB, post).now_or_never();
        settle(&house, &faults).await;
        let there = by(&house, BOB).await.len() as u64;
        let counted = counts(&house, post).await[2];
        assert_eq!(counted, there, "{fault:?} of call {call}");

        let again = house.feed.repost(BOB, post).await.unwrap();
        assert!(
            matches!(again, Published::Accepted(_) | Published::Duplicate(_)),
            "{again:?} after {fault:?} of call {call}",
        );
        house.work().await;
        assert_eq!(by(&house, BOB).await.len(), 1, "{fault:?} of call {call}");
        assert_eq!(counts(&house, post).await[2], 1, "{fault:?} of call {call}");
    }
}

#[tokio::test]
async fn a_reply_is_counted_if_and_only_if_it_is_there() {
    for (call, fault) in (0..CALLS).flat_map(|call| FAULTS.map(|fault| (call, fault))) {
        let (house, faults) = house();
        let post = house.post(ANN).await;
        faults.arm(call, Strike::Fault(fault));
        let reply = NewPost::new("indeed").in_reply_to(post);
        let answer = house.feed.publish(BOB, reply).now_or_never();
        settle(&house, &faults).await;
        let there = by(&house, BOB).await.len() as u64;
        let counted = counts(&house, post).await[1];
        assert_eq!(counted, there, "{fault:?} of call {call}");
        match answer {
            Some(Ok(Published::Accepted(_))) => assert_eq!(there, 1),
            Some(Err(error)) => assert_eq!(error.kind(), ErrorKind::Unavailable),
            Some(Ok(other)) => panic!("{other:?}"),
            None => {}
        }
    }
}

#[tokio::test]
async fn a_reply_is_published_though_it_cannot_be_counted() {
    let (house, faults) = house();
    let post = house.post(ANN).await;
    let store = Some("Actions");
    faults.arm(0, Strike::Outage { store });
    let reply = NewPost::new("indeed").in_reply_to(post);
    let answer = house.feed.publish(BOB, reply).await.unwrap();
    assert!(matches!(answer, Published::Accepted(_)), "{answer:?}");
    assert_eq!(counts(&house, post).await[1], 0);
    faults.disarm();
    house.work().await;
    assert_eq!(counts(&house, post).await[1], 1);
}

#[tokio::test]
async fn nothing_that_changed_since_refuses_what_was_published_before() {
    let (house, _) = house();
    let parent = house.post(ANN).await;
    let id = PostId::new(parent.get() + (1 << 40));
    let reply = || NewPost::elsewhere(id).in_reply_to(parent);
    let first = house.feed.publish(BOB, reply()).await.unwrap();
    assert_eq!(first, Published::Accepted(id));
    house.feed.block(ANN, BOB).await.unwrap();
    let again = house.feed.publish(BOB, reply()).await.unwrap();
    assert_eq!(again, Published::Duplicate(id));
    house.feed.delete(ANN, parent).await.unwrap();
    let again = house.feed.publish(BOB, reply()).await.unwrap();
    assert_eq!(again, Published::Duplicate(id));
    let stolen = house.feed.publish(CAT, NewPost::elsewhere(id)).await;
    assert_eq!(stolen.unwrap_err().kind(), ErrorKind::NotAuthor);
}

#[tokio::test]
async fn a_store_of_timelines_that_is_down_hides_no_post() {
    let (house, faults) = house();
    house.follow(BOB, ANN).await;
    let before = house.post(ANN).await;
    house.work().await;
    assert_eq!(house.page(BOB, 10).await.entries.len(), 1);
    let store = Some("TimelineStore");
    faults.arm(0, Strike::Outage { store });
    let during = house.post(ANN).await;
    let shown: Vec<_> = house.page(BOB, 10).await.entries;
    let shown: Vec<_> = shown.iter().map(|entry| entry.post).collect();
    assert_eq!(shown, [during, before]);
    let unread = house
        .feed
        .unread(BOB, feed_core::PageSize::default())
        .await
        .unwrap();
    assert_eq!(unread, 2);
}
