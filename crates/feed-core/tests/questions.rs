//! What a feed answers about posts and people.

mod house;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use backplane::{Clock, hub::HubOptions};
use feed_core::{
    Feed, FeedEvent, FeedEvents, FeedParts, LiveChange, LiveFeeds, LiveRequest, NewPost,
    NextPostId, PostId, Published, Result,
};
use parking_lot::Mutex;

use crate::house::{ANN, BOB, CAT, House};

async fn seen_by_cat(house: &House, posts: &[PostId]) -> Vec<Option<PostId>> {
    let visible = house.feed.visible(CAT, posts).await;
    let visible = visible.expect("the stores answer").into_iter();
    visible.map(|entry| entry.map(|entry| entry.post)).collect()
}

#[tokio::test]
async fn a_post_is_visible_unless_its_author_or_who_reposted_it_is_across_a_block() {
    let house = House::new();
    let feed = &house.feed;
    let (post, gone) = (house.post(ANN).await, house.post(ANN).await);
    let (repost, of_gone) = (house.repost(BOB, post).await, house.repost(BOB, gone).await);
    assert!(feed.delete(ANN, gone).await.unwrap());
    let asked = [repost, gone, post, of_gone, PostId::MAX, repost];
    let all = [Some(post), None, Some(post), None, None, Some(post)];
    assert_eq!(seen_by_cat(&house, &asked).await, all);
    assert!(feed.mute(CAT, ANN).await.unwrap() && feed.mute(CAT, BOB).await.unwrap());
    assert_eq!(seen_by_cat(&house, &asked).await, all);

    for (by, other) in [(BOB, CAT), (CAT, BOB)] {
        assert!(feed.block(by, other).await.unwrap());
        let but_reposts = [None, None, Some(post), None, None, None];
        assert_eq!(seen_by_cat(&house, &asked).await, but_reposts);
        assert!(feed.unblock(by, other).await.unwrap());
    }
    for (by, other) in [(ANN, CAT), (CAT, ANN)] {
        assert!(feed.block(by, other).await.unwrap());
        assert_eq!(seen_by_cat(&house, &asked).await, [None; 6]);
        assert!(feed.unblock(by, other).await.unwrap());
    }
    assert_eq!(feed.original(repost).await.unwrap().unwrap().post, post);
    assert_eq!(feed.original(of_gone).await.unwrap(), None);
}

#[tokio::test]
async fn reactions_are_of_everybody_and_of_the_viewer() {
    let house = House::new();
    let feed = &house.feed;
    let (post, other) = (house.post(ANN).await, house.post(ANN).await);
    for actor in [BOB, CAT] {
        assert!(feed.like(actor, post).await.unwrap());
    }
    let repost = house.repost(CAT, post).await;
    let of = async |viewer| {
        let reactions = feed.reactions(viewer, &[other, post]).await.unwrap();
        assert_eq!(reactions[0], feed_core::Reactions::default());
        assert_eq!(
            (reactions[1].counts.likes, reactions[1].counts.reposts),
            (2, 1)
        );
        (reactions[1].liked, reactions[1].repost)
    };
    assert_eq!(of(ANN).await, (false, None));
    assert_eq!(of(BOB).await, (true, None));
    assert_eq!(of(CAT).await, (true, Some(repost)));
}

#[tokio::test]
async fn a_circle_names_those_who_are_followed() {
    let house = House::new();
    house.follow(BOB, CAT).await;
    house.follow(BOB, ANN).await;
    let circle = house.feed.circle(BOB).await.unwrap();
    assert_eq!(circle.followees().collect::<Vec<_>>(), [ANN, CAT]);
    assert_eq!(house.feed.circle(ANN).await.unwrap().followees().count(), 0);
}

#[tokio::test]
async fn an_id_is_above_all_posts_and_below_its_reposts_or_has_to_wait() {
    let house = House::new();
    let feed = &house.feed;
    let before = house.post(ANN).await;
    let NextPostId::Ready(id) = feed.next_post_id().unwrap() else {
        panic!("ids have not run out");
    };
    assert!(id > before);
    let published = feed.publish(ANN, NewPost::elsewhere(id)).await.unwrap();
    assert_eq!(published, Published::Accepted(id));
    assert!(house.repost(BOB, id).await > id);

    let long_ago = house.clock.now().saturating_sub(Duration::from_secs(30));
    house.clock.set_now(long_ago);
    let busy = feed.next_post_id().unwrap();
    assert!(matches!(busy, NextPostId::Busy { retry_after } if !retry_after.is_zero()));
}

#[derive(Debug, Default)]
struct Heard(Mutex<usize>);

#[async_trait]
impl FeedEvents for Heard {
    async fn emit(&self, events: &[FeedEvent]) -> Result<()> {
        *self.0.lock() += events.len();
        Ok(())
    }
}

#[tokio::test]
async fn live_feeds_that_are_attached_hear_beside_others() {
    let heard = Arc::new(Heard::default());
    let live = LiveFeeds::new(HubOptions::inline());
    let mut parts = FeedParts::in_memory();
    parts.events = Arc::clone(&heard) as _;
    live.attach(&mut parts);
    let feed = Feed::new(parts);
    let mut mine = live
        .watch(&feed, ANN, LiveRequest::default())
        .await
        .unwrap();
    assert!(matches!(
        mine.next().await.unwrap().unwrap().change,
        LiveChange::Reset(_)
    ));
    let post = feed
        .publish(ANN, NewPost::new("hello"))
        .await
        .unwrap()
        .post();
    feed.work_all().await.unwrap();
    while live.hub().run_once() > 0 {}
    let added = mine.next().await.unwrap().unwrap();
    assert!(matches!(added.change, LiveChange::Added(entry) if Some(entry.post) == post));
    assert_eq!(*heard.0.lock(), 1);
}
