//! Those who watch a feed see what those who read it see.
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

#[path = "../house/mod.rs"]
mod house;

mod ends;
mod histories;
mod outage;
mod resume;
mod screen;

use std::sync::Arc;

use backplane::{
    ManualClock,
    bus::Bus,
    hub::HubOptions,
    memory::{MemoryBus, MemoryBusOptions},
};
use feed_core::{
    Entry, Feed, FeedParts, FollowSettings, Hide, LiveChange, LiveFeed, LiveFeeds, LiveRequest,
    NewPost, UserId,
};
use futures::FutureExt as _;

use crate::{
    house::{ANN, BOB, CAT},
    screen::{House, Screen},
};

#[tokio::test]
async fn a_reader_gets_a_page_and_then_what_happens() {
    let house = House::new();
    house.follow(BOB, ANN).await;
    let first = house.post(ANN).await;
    house.work().await;
    let (mut live, mut screen) = (house.watch(BOB, None).await, Screen::default());
    screen.update(house.hub(), &mut live);
    assert_eq!((screen.posts(), screen.resets), (vec![first], 1));

    let second = house.post(ANN).await;
    house
        .feed
        .edit(ANN, first, "one, better".into())
        .await
        .unwrap();
    house.work().await;
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.posts(), [first, second]);
    assert_eq!(screen.revised.len(), 1);

    house.feed.delete(ANN, first).await.unwrap();
    house.work().await;
    screen.update(house.hub(), &mut live);
    assert_eq!((screen.posts(), screen.resets), (vec![second], 1));
}

#[tokio::test]
async fn what_the_viewer_may_not_see_does_not_come() {
    let house = House::new();
    house.follow(BOB, ANN).await;
    house.follow(CAT, ANN).await;
    let hide = FollowSettings::default().with_hide_reposts(true);
    house.feed.follow_with(CAT, BOB, hide).await.unwrap();
    let (mut bobs, mut cats) = (house.watch(BOB, None).await, house.watch(CAT, None).await);
    let (mut bob, mut cat) = (Screen::default(), Screen::default());
    bob.update(house.hub(), &mut bobs);
    cat.update(house.hub(), &mut cats);

    let post = house.post(ANN).await;
    house.feed.mute(BOB, ANN).await.unwrap();
    assert!(house.feed.repost(BOB, post).await.unwrap().post().is_some());
    house.work().await;
    bob.update(house.hub(), &mut bobs);
    cat.update(house.hub(), &mut cats);
    assert_eq!(cat.posts(), [post]);
    assert_eq!(bob.posts(), []);
    assert_eq!(bob.resets, 2, "muting somebody shows another page");
}

#[tokio::test]
async fn what_the_viewer_could_not_see_is_not_told_to_be_gone() {
    let house = House::new();
    let (muted, blocking, loud) = (ANN, CAT, UserId::new(8));
    house.follow(BOB, muted).await;
    house.follow(BOB, blocking).await;
    let hide = FollowSettings::default().with_hide_reposts(true);
    house.feed.follow_with(BOB, loud, hide).await.unwrap();
    let open = UserId::new(9);
    house.follow(BOB, open).await;
    house.feed.mute(BOB, muted).await.unwrap();
    house.feed.block(blocking, BOB).await.unwrap();
    let (mut live, mut screen) = (house.watch(BOB, None).await, Screen::default());

    let stranger = house.post(UserId::new(10)).await;
    let posts = [house.post(muted).await, house.post(blocking).await];
    house.repost(loud, stranger).await;
    house.repost(open, posts[0]).await;
    house.work().await;
    screen.update(house.hub(), &mut live);
    assert_eq!((screen.posts(), screen.resets), (vec![], 1));

    house.feed.unrepost(loud, stranger).await.unwrap();
    house.feed.unrepost(open, posts[0]).await.unwrap();
    assert_told_nothing(&house, &mut live).await;
    house.feed.delete(muted, posts[0]).await.unwrap();
    house.feed.delete(blocking, posts[1]).await.unwrap();
    assert_told_nothing(&house, &mut live).await;
}

async fn assert_told_nothing(house: &House, live: &mut LiveFeed) {
    house.work().await;
    while house.hub().run_once() > 0 {}
    let told = live.next().now_or_never();
    assert!(told.is_none(), "{told:?}");
}

#[tokio::test]
async fn what_was_shown_is_told_to_be_gone_whoever_is_hidden_since() {
    let house = House::new();
    house.follow(BOB, ANN).await;
    let post = house.post(ANN).await;
    let (mut live, mut screen) = (house.watch(BOB, None).await, Screen::default());
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.posts(), [post]);
    // The process that muted ANN has died before it told of it.
    let graph = &house.feed.parts().graph;
    graph.hide(BOB, ANN, Hide::Mute, true).await.unwrap();
    house.feed.delete(ANN, post).await.unwrap();
    house.work().await;
    screen.update(house.hub(), &mut live);
    assert_eq!((screen.posts(), screen.resets), (vec![], 1));
}

#[tokio::test]
async fn a_repost_of_what_is_shown_does_not_come() {
    let house = House::new();
    house.follow(CAT, ANN).await;
    house.follow(CAT, BOB).await;
    let (mut live, mut screen) = (house.watch(CAT, None).await, Screen::default());
    let post = house.post(ANN).await;
    assert!(house.feed.repost(BOB, post).await.unwrap().post().is_some());
    house.work().await;
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.posts(), [post]);
}

#[tokio::test]
async fn a_follow_brings_the_authors_posts_and_word_of_the_next() {
    let house = House::new();
    let before = house.post(ANN).await;
    house.work().await;
    let (mut live, mut screen) = (house.watch(BOB, None).await, Screen::default());
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.posts(), []);

    house.follow(BOB, ANN).await;
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.posts(), [before]);
    let after = house.post(ANN).await;
    house.work().await;
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.posts(), [before, after]);

    house.feed.unfollow(BOB, ANN).await.unwrap();
    house.post(ANN).await;
    house.work().await;
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.posts(), []);
}

#[tokio::test]
async fn work_done_twice_adds_a_post_once() {
    let house = House::new();
    house.follow(BOB, ANN).await;
    let (mut live, mut screen) = (house.watch(BOB, None).await, Screen::default());
    let post = house.post(ANN).await;
    house.work().await;
    screen.update(house.hub(), &mut live);
    let entry = Entry::original(post, ANN);
    let event = feed_core::FeedEvent::Post {
        entry,
        change: feed_core::Change::Published,
        audience: feed_core::Audience::Author,
    };
    house.feed.parts().events.emit(&[event]).await.unwrap();
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.posts(), [post]);
}

#[tokio::test]
async fn the_repost_behind_one_that_is_taken_back_comes_up() {
    let house = House::new();
    house.follow(CAT, ANN).await;
    house.follow(CAT, BOB).await;
    let post = house.post(UserId::new(9)).await;
    let (mut live, mut screen) = (house.watch(CAT, None).await, Screen::default());
    let first = house.repost(ANN, post).await;
    let second = house.repost(BOB, post).await;
    house.work().await;
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.posts(), [first]);
    house.feed.unrepost(ANN, post).await.unwrap();
    house.work().await;
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.posts(), [second]);
}

#[tokio::test]
async fn an_erased_users_posts_leave_the_screen() {
    let house = House::new();
    house.follow(BOB, ANN).await;
    house.post(ANN).await;
    let (mut live, mut screen) = (house.watch(BOB, None).await, Screen::default());
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.shown.len(), 1);
    house.feed.erase_user(ANN).await.unwrap();
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.shown.len(), 0);
}

#[tokio::test]
async fn a_post_at_one_node_comes_up_at_another() {
    let clock = Arc::new(ManualClock::default());
    let bus = MemoryBus::new(MemoryBusOptions::default(), Arc::clone(&clock) as _);
    let node = || {
        let bus: Arc<dyn Bus> = Arc::new(bus.node());
        LiveFeeds::across(bus, Arc::clone(&clock) as _, HubOptions::inline())
    };
    let (oslo, lima) = (node(), node());
    let parts = FeedParts::in_memory();
    let at = |live: &LiveFeeds| {
        let mut parts = parts.clone();
        live.attach(&mut parts);
        Feed::new(parts)
    };
    let (in_oslo, in_lima) = (at(&oslo), at(&lima));
    in_oslo.follow(BOB, ANN).await.unwrap();

    let script = async {
        let mut live = lima
            .watch(&in_lima, BOB, LiveRequest::default())
            .await
            .unwrap();
        let first = live.next().await.unwrap().unwrap();
        assert!(matches!(first.change, LiveChange::Reset(_)));
        let published = in_oslo.publish(ANN, NewPost::new("from Oslo")).await;
        assert!(published.unwrap().post().is_some());
        in_oslo.work_all().await.unwrap();
        loop {
            while lima.hub().run_once() > 0 {}
            match live.next().now_or_never() {
                Some(event) => return event.unwrap().unwrap().change,
                None => tokio::task::yield_now().await,
            }
        }
    };
    let change = tokio::select! {
        change = script => change,
        ended = lima.run() => panic!("the relay ended: {ended:?}"),
    };
    assert!(matches!(change, LiveChange::Added(entry) if entry.author == ANN));
}
