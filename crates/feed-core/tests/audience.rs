//! Whom the events about a post name.
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

mod house;

use std::{mem, ops::Deref, sync::Arc};

use async_trait::async_trait;
use feed_core::{Audience, Change, FeedEvent, FeedEvents, FollowSettings, Result, UserId};
use parking_lot::Mutex;

use crate::house::{ANN, BOB, CAT};

const DAN: UserId = UserId::new(4);
const EVE: UserId = UserId::new(5);

/// Which followers were named, by change.
#[derive(Debug, Default)]
struct Named(Mutex<Vec<(Change, Vec<UserId>)>>);

#[async_trait]
impl FeedEvents for Named {
    async fn emit(&self, events: &[FeedEvent]) -> Result<()> {
        for event in events {
            if let FeedEvent::Post {
                change,
                audience: Audience::Followers(followers),
                ..
            } = event
            {
                let viewers = followers.iter().map(|follower| follower.viewer);
                self.0.lock().push((*change, viewers.collect()));
            }
        }
        Ok(())
    }
}

/// A house where all that happens is told.
struct House {
    house: house::House,
    named: Arc<Named>,
}

impl Deref for House {
    type Target = house::House;

    fn deref(&self) -> &house::House {
        &self.house
    }
}

impl House {
    fn new() -> Self {
        let named = Arc::new(Named::default());
        let house = house::House::with(|parts| parts.events = Arc::clone(&named) as _);
        Self { house, named }
    }

    /// `viewer` wants to be told of everything that `author` posts.
    async fn subscribe(&self, viewer: UserId, author: UserId) {
        let notify = FollowSettings::default().with_notify(true);
        self.feed.follow_with(viewer, author, notify).await.unwrap();
        self.home(viewer, 1).await;
    }

    /// Who was named since the last call.
    async fn named(&self) -> Vec<(Change, Vec<UserId>)> {
        self.work().await;
        mem::take(&mut *self.named.0.lock())
    }
}

#[tokio::test]
async fn who_mutes_the_author_or_is_across_a_block_is_not_named() {
    let house = House::new();
    for viewer in [BOB, CAT, DAN, EVE] {
        house.subscribe(viewer, ANN).await;
    }
    house.feed.block(ANN, BOB).await.unwrap();
    house.feed.block(CAT, ANN).await.unwrap();
    house.feed.mute(DAN, ANN).await.unwrap();

    let post = house.post(ANN).await;
    assert_eq!(house.named().await, [(Change::Published, vec![EVE])]);
    house
        .feed
        .edit(ANN, post, "a better post".into())
        .await
        .unwrap();
    let revised = Change::Revised { version: 2 };
    assert_eq!(house.named().await, [(revised, vec![EVE])]);
    house.feed.delete(ANN, post).await.unwrap();
    assert_eq!(house.named().await, [(Change::Retracted, vec![EVE])]);

    house.feed.mute(EVE, ANN).await.unwrap();
    let meanwhile = house.post(ANN).await;
    assert_eq!(house.named().await, []);
    house.feed.unmute(DAN, ANN).await.unwrap();
    assert_eq!(
        house.timeline(DAN).await,
        [meanwhile],
        "nothing was left out"
    );
    house.post(ANN).await;
    assert_eq!(house.named().await, [(Change::Published, vec![DAN])]);
}

#[tokio::test]
async fn a_repost_names_nobody_who_is_not_shown_it() {
    let house = House::new();
    for viewer in [BOB, CAT, DAN, EVE] {
        house.subscribe(viewer, ANN).await;
    }
    let ola = UserId::new(9);
    house.feed.block(ola, BOB).await.unwrap();
    house.feed.mute(CAT, ola).await.unwrap();
    let hide = FollowSettings::default()
        .with_notify(true)
        .with_hide_reposts(true);
    house.feed.follow_with(DAN, ANN, hide).await.unwrap();

    let post = house.post(ola).await;
    house.named().await;
    house.repost(ANN, post).await;
    assert_eq!(house.named().await, [(Change::Published, vec![EVE])]);
    house.feed.unrepost(ANN, post).await.unwrap();
    assert_eq!(house.named().await, [(Change::Retracted, vec![EVE])]);
}
