//! Those who go away and come back, or cannot keep up.

use feed_core::{
    Cursor, Entry, ErrorKind, LiveRequest, PageRequest, PageSize, PostId, Publication,
};
use futures::FutureExt as _;

use crate::{
    house::{ANN, BOB},
    screen::{House, Screen},
};

#[tokio::test]
async fn a_reader_who_was_away_is_told_what_came_meanwhile() {
    let house = House::new();
    house.follow(BOB, ANN).await;
    let first = house.post(ANN).await;
    house.work().await;
    let page = house.feed.home(BOB, PageRequest::newest()).await.unwrap();
    let second = house.post(ANN).await;
    house.work().await;

    let mut screen = Screen::default();
    screen.shown.extend(page.entries.iter().copied());
    let mut live = house.watch(BOB, page.prev).await;
    screen.update(house.hub(), &mut live);
    assert_eq!((screen.posts(), screen.resets), (vec![first, second], 0));

    drop(live);
    let third = house.post(ANN).await;
    house.work().await;
    let mut live = house.watch(BOB, screen.resume).await;
    screen.update(house.hub(), &mut live);
    assert_eq!(
        (screen.posts(), screen.resets),
        (vec![first, second, third], 0)
    );
}

#[tokio::test]
async fn a_post_that_appears_below_the_newest_is_not_missed() {
    let house = House::new();
    house.follow(BOB, ANN).await;
    let slow = house.feed.parts().ids.next_id().unwrap();
    let fast = house.post(ANN).await;
    house.work().await;
    let (mut live, mut screen) = (house.watch(BOB, None).await, Screen::default());
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.posts(), [fast]);
    drop(live);

    let slow = Entry::original(PostId::from(slow), ANN);
    let late = Publication::new(slow, "was under way".into());
    house.feed.parts().outbox.append(&[late]).await.unwrap();
    let mut live = house.watch(BOB, screen.resume).await;
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.posts(), [slow.post, fast]);
}

#[tokio::test]
async fn a_post_taken_back_meanwhile_is_gone_after_a_resumption() {
    let house = House::new();
    house.follow(BOB, ANN).await;
    let first = house.post(ANN).await;
    let second = house.post(ANN).await;
    house.work().await;
    let (mut live, mut screen) = (house.watch(BOB, None).await, Screen::default());
    screen.update(house.hub(), &mut live);
    drop(live);
    house.feed.delete(ANN, first).await.unwrap();
    house.work().await;
    let mut live = house.watch(BOB, screen.resume).await;
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.posts(), [second]);
}

#[tokio::test]
async fn what_is_gone_far_down_the_screen_is_noticed() {
    let house = House::with(|parts| {
        parts.options = parts.options.clone().with_post_quota(None);
    });
    house.follow(BOB, ANN).await;
    let mut posts = Vec::new();
    for _ in 0..120 {
        posts.push(house.post(ANN).await);
    }
    house.work().await;
    let (mut live, mut screen) = (house.watch(BOB, None).await, Screen::default());
    screen.update(house.hub(), &mut live);
    drop(live);
    house.feed.delete(ANN, posts[25]).await.unwrap();
    house.work().await;
    let mut live = house.watch(BOB, screen.resume).await;
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.resets, 2);
}

#[tokio::test]
async fn an_empty_feed_that_filled_meanwhile_is_shown_as_a_page() {
    let house = House::with(|parts| {
        parts.options = parts.options.clone().with_post_quota(None);
    });
    let (mut live, mut screen) = (house.watch(BOB, None).await, Screen::default());
    screen.update(house.hub(), &mut live);
    drop(live);
    for _ in 0..400 {
        house.post(ANN).await;
    }
    house.follow(BOB, ANN).await;
    let mut live = house.watch(BOB, screen.resume).await;
    screen.update(house.hub(), &mut live);
    assert_eq!((screen.resets, screen.shown.len()), (2, 20));
}

#[tokio::test]
async fn a_reader_who_is_too_slow_starts_over() {
    let house = House::with(|parts| {
        parts.options = parts.options.clone().with_post_quota(None);
    });
    house.follow(BOB, ANN).await;
    let mut live = house.watch(BOB, None).await;
    let mut newest = PostId::MIN;
    for _ in 0..20_000 {
        newest = house.post(ANN).await;
        house.work().await;
        house.hub().run_once();
    }
    let mut screen = Screen::default();
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.resets, 2);
    assert_eq!(screen.shown.last().unwrap().post, newest);
    let next = house.post(ANN).await;
    house.work().await;
    screen.update(house.hub(), &mut live);
    assert_eq!(screen.shown.last().unwrap().post, next);
}

#[tokio::test]
async fn other_cursors_and_a_closed_hub_are_refused() {
    let house = House::new();
    house.post(ANN).await;
    house.post(ANN).await;
    let page = house.feed.home(ANN, PageRequest::newest()).await.unwrap();
    let watch = |viewer, resume: Cursor| {
        let request = LiveRequest::default().with_resume(resume);
        house
            .live
            .watch(&house.feed, viewer, request)
            .map(Result::unwrap_err)
    };
    let foreign = watch(BOB, page.prev.unwrap()).await;
    assert_eq!(foreign.kind(), ErrorKind::ForeignCursor);
    let one = PageRequest::newest().with_size(PageSize::new(1).unwrap());
    let older = house.feed.home(ANN, one).await.unwrap().next.unwrap();
    assert_eq!(watch(ANN, older).await.kind(), ErrorKind::InvalidCursor);

    let mut live = house.watch(ANN, None).await;
    assert!(live.next().await.unwrap().is_some());
    house.follow(ANN, BOB).await;
    house.hub().close();
    while house.hub().run_once() > 0 {}
    assert_eq!(live.next().await.unwrap(), None);
    assert_eq!(
        watch(ANN, page.prev.unwrap()).await.kind(),
        ErrorKind::Closed
    );
}
