//! What is left of posts and users that are gone: nothing.
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

mod house;

use std::sync::Arc;

use async_trait::async_trait;
use feed_core::{
    Action, ActionKind, Actions, Entry, Error, ErrorKind, FeedEvent, FeedEvents, FeedOptions,
    NewPost, PostId, Published, Recorded, Result, UserId,
};
use parking_lot::Mutex;

use crate::house::{ANN, BOB, CAT, House};

async fn counts(house: &House, post: PostId) -> [u64; 3] {
    let counts = house.feed.parts().counters.counts(&[post]).await.unwrap()[0];
    [counts.likes, counts.replies, counts.reposts]
}

async fn reply(house: &House, author: UserId, post: PostId) -> PostId {
    let reply = NewPost::new("indeed").in_reply_to(post);
    let published = house.feed.publish(author, reply).await.unwrap();
    let Published::Accepted(reply) = published else {
        panic!("{published:?}");
    };
    reply
}

/// Lets pass what calls that began before have to end.
async fn let_calls_end(house: &House) {
    house.work().await;
    house.clock.advance(FeedOptions::default().call_timeout);
    house.work().await;
}

#[tokio::test]
async fn a_deleted_post_leaves_no_action_behind() {
    let house = House::new();
    let (feed, post, other) = (&house.feed, house.post(ANN).await, house.post(ANN).await);
    for actor in [BOB, CAT] {
        feed.like(actor, post).await.unwrap();
        feed.like(actor, other).await.unwrap();
        house.repost(actor, post).await;
    }
    reply(&house, CAT, post).await;
    assert_eq!(counts(&house, post).await, [2, 1, 2]);
    feed.delete(ANN, post).await.unwrap();
    let_calls_end(&house).await;

    let actions = &feed.parts().actions;
    for actor in [BOB, CAT] {
        for kind in [ActionKind::Like, ActionKind::Reply, ActionKind::Repost] {
            assert_eq!(actions.acted(actor, kind, &[post]).await.unwrap(), [None]);
        }
    }
    assert_eq!(counts(&house, post).await, [0; 3]);
    assert_eq!(actions.forget(&[post], 100).await.unwrap(), 0);
    assert_eq!(counts(&house, other).await, [2, 0, 0]);
    let stats = feed.parts().queue.stats().await.unwrap();
    assert_eq!((stats.ready, stats.delayed, stats.dead), (0, 0, 0));
}

#[tokio::test]
async fn nobody_acts_on_a_deleted_post() {
    let house = House::new();
    let (feed, post) = (&house.feed, house.post(ANN).await);
    feed.like(BOB, post).await.unwrap();
    feed.delete(ANN, post).await.unwrap();
    let refused = feed.like(CAT, post).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::UnknownPost);
    let refused = feed.repost(CAT, post).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::UnknownPost);
    assert!(!feed.unlike(BOB, post).await.unwrap());
    assert!(!feed.unlike(CAT, post).await.unwrap());
}

#[tokio::test]
async fn a_post_with_many_likes_is_forgotten_piece_by_piece() {
    let house =
        House::with(|parts| parts.options = FeedOptions::default().with_followers_per_piece(10));
    let (feed, post) = (&house.feed, house.post(ANN).await);
    for actor in 100..135 {
        feed.like(UserId::new(actor), post).await.unwrap();
    }
    feed.delete(ANN, post).await.unwrap();
    house.work().await;
    house.clock.advance(FeedOptions::default().call_timeout);
    let mut likes = vec![counts(&house, post).await[0]];
    while feed.work(1).await.unwrap() > 0 {
        likes.push(counts(&house, post).await[0]);
    }
    assert_eq!(likes, [35, 25, 15, 5, 0, 0]);
}

/// Actions of which some cannot be forgotten: what is stored of them is damaged.
#[derive(Debug)]
struct Damaged(Arc<dyn Actions>);

#[async_trait]
impl Actions for Damaged {
    async fn record(&self, actions: &[Action]) -> Result<Vec<Recorded>> {
        self.0.record(actions).await
    }

    async fn withdraw(&self, actions: &[Action]) -> Result<Vec<bool>> {
        self.0.withdraw(actions).await
    }

    async fn withdraw_items(&self, actor: UserId, items: &[PostId]) -> Result<Vec<Action>> {
        self.0.withdraw_items(actor, items).await
    }

    async fn acted(
        &self,
        actor: UserId,
        kind: ActionKind,
        posts: &[PostId],
    ) -> Result<Vec<Option<PostId>>> {
        self.0.acted(actor, kind, posts).await
    }

    async fn forget(&self, _: &[PostId], _: usize) -> Result<usize> {
        Err(Error::bare(ErrorKind::Corrupt, "forget"))
    }

    async fn erase(&self, user: UserId, limit: usize) -> Result<usize> {
        self.0.erase(user, limit).await
    }
}

#[tokio::test]
async fn work_that_can_neither_be_done_nor_given_up_is_a_dead_letter() {
    let house = House::with(|parts| {
        parts.actions = Arc::new(Damaged(Arc::clone(&parts.actions)));
    });
    let post = house.post(ANN).await;
    house.feed.delete(ANN, post).await.unwrap();
    // Longer than the attempts and the pauses between them take.
    for _ in 0..100 {
        let_calls_end(&house).await;
    }
    let stats = house.feed.parts().queue.stats().await.unwrap();
    let open = stats.ready + stats.delayed + stats.leased;
    assert_eq!((open, stats.dead), (0, 1));
}

/// Keeps what it is told of reactions.
#[derive(Debug, Default)]
struct Reactions(Mutex<Vec<FeedEvent>>);

#[async_trait]
impl FeedEvents for Reactions {
    async fn emit(&self, events: &[FeedEvent]) -> Result<()> {
        let reactions = events
            .iter()
            .filter(|event| matches!(event, FeedEvent::Acted(_) | FeedEvent::Withdrawn(_)));
        self.0.lock().extend(reactions.cloned());
        Ok(())
    }
}

#[tokio::test]
async fn a_deleted_reply_or_repost_counts_no_more_once_the_delete_returns() {
    let told = Arc::new(Reactions::default());
    let house = House::with(|parts| parts.events = Arc::clone(&told) as _);
    let (feed, post) = (&house.feed, house.post(ANN).await);
    let answers = [
        reply(&house, BOB, post).await,
        reply(&house, BOB, post).await,
    ];
    let repost = house.repost(BOB, post).await;
    assert_eq!(counts(&house, post).await, [0, 2, 1]);
    assert!(feed.delete(BOB, answers[0]).await.unwrap());
    assert_eq!(counts(&house, post).await, [0, 1, 1]);
    assert!(!feed.delete(BOB, answers[0]).await.unwrap());
    assert!(feed.delete(BOB, repost).await.unwrap());
    assert_eq!(counts(&house, post).await, [0, 1, 0]);

    let original = Entry::original(post, ANN);
    let [first, second] = answers.map(|reply| Action::reply(BOB, original, reply));
    let reposted = Action::repost(BOB, original, repost);
    let expected = [
        FeedEvent::Acted(first),
        FeedEvent::Acted(second),
        FeedEvent::Acted(reposted),
        FeedEvent::Withdrawn(first),
        FeedEvent::Withdrawn(reposted),
    ];
    assert_eq!(*told.0.lock(), expected);
    let_calls_end(&house).await;
    assert_eq!(counts(&house, post).await, [0, 1, 0]);
    assert_eq!(*told.0.lock(), expected, "what was told is not told again");
}

#[tokio::test]
async fn an_erased_users_posts_leave_no_action_behind_nor_do_those_deleted_just_before() {
    let house = House::new();
    let (feed, posts) = (&house.feed, house.posts(ANN, 3).await);
    let others = house.post(BOB).await;
    for &post in &posts {
        feed.like(BOB, post).await.unwrap();
        house.repost(CAT, post).await;
        reply(&house, ANN, post).await;
    }
    feed.like(CAT, others).await.unwrap();
    reply(&house, ANN, others).await;
    feed.delete(ANN, posts[0]).await.unwrap();
    house.work().await;
    feed.erase_user(ANN).await.unwrap();
    assert_eq!(feed.parts().actions.forget(&posts, 100).await.unwrap(), 0);
    assert_eq!(counts(&house, others).await, [1, 0, 0]);
    let stats = feed.parts().queue.stats().await.unwrap();
    assert_eq!((stats.ready, stats.delayed, stats.dead), (0, 0, 0));
}

/// Whatever else a retry says: otherwise one post could answer any number, past quota and block.
#[tokio::test]
async fn a_post_answers_what_it_answered_when_it_was_published() {
    let house = House::new();
    let (feed, post, other) = (&house.feed, house.post(ANN).await, house.post(ANN).await);
    let keyed = || NewPost::new("indeed").with_key("a key".parse().unwrap());
    let id = PostId::new(post.get() + (1 << 40));
    let elsewhere = || NewPost::elsewhere(id);
    for first in [keyed().in_reply_to(post), elsewhere().in_reply_to(post)] {
        assert!(feed.publish(BOB, first).await.unwrap().post().is_some());
    }
    let plain = NewPost::new("plain").with_key("plain".parse().unwrap());
    assert!(feed.publish(BOB, plain).await.unwrap().post().is_some());
    feed.block(ANN, BOB).await.unwrap();

    for again in [
        keyed().in_reply_to(other),
        keyed(),
        NewPost::new("plain")
            .with_key("plain".parse().unwrap())
            .in_reply_to(other),
    ] {
        let answer = feed.publish(BOB, again).await.unwrap();
        assert!(matches!(answer, Published::Duplicate(_)), "{answer:?}");
    }
    let again = feed.publish(BOB, elsewhere().in_reply_to(other)).await;
    assert_eq!(again.unwrap(), Published::Duplicate(id));

    assert_eq!(counts(&house, post).await, [0, 2, 0]);
    assert_eq!(counts(&house, other).await, [0; 3]);
}

/// A process that dies between storing a reply and recording it.
#[tokio::test]
async fn a_retry_records_the_reply_that_was_cut_short() {
    let house = House::new();
    let (feed, post) = (&house.feed, house.post(ANN).await);
    let keyed = || NewPost::new("indeed").with_key("a key".parse().unwrap());
    let reply = keyed().in_reply_to(post);
    let Published::Accepted(id) = feed.publish(BOB, reply).await.unwrap() else {
        panic!("nothing limits the first post");
    };
    feed.parts()
        .actions
        .withdraw_items(BOB, &[id])
        .await
        .unwrap();
    assert_eq!(counts(&house, post).await, [0; 3]);
    assert!(feed.publish(BOB, keyed()).await.unwrap().post().is_some());
    assert_eq!(counts(&house, post).await, [0, 1, 0]);
}

/// A process that dies between recording a repost and storing it.
#[tokio::test]
async fn a_retry_stores_and_tells_of_the_repost_that_was_cut_short() {
    let told = Arc::new(Reactions::default());
    let house = House::with(|parts| parts.events = Arc::clone(&told) as _);
    let (feed, post) = (&house.feed, house.post(ANN).await);
    let id = PostId::new(post.get() + 1);
    let action = Action::repost(BOB, Entry::original(post, ANN), id);
    feed.parts().actions.record(&[action]).await.unwrap();
    let published = feed.repost(BOB, post).await.unwrap();
    assert_eq!(published, Published::Accepted(id));
    assert_eq!(
        feed.repost(BOB, post).await.unwrap(),
        Published::Duplicate(id)
    );
    assert_eq!(*told.0.lock(), [FeedEvent::Acted(action)]);
}
