//! Bad input gets a typed answer, and changes nothing.

mod house;

use std::{
    error::Error as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use backplane::{
    id::{Id, IdError, IdGenerator},
    memory::MemoryQueue,
    queue::QueueOptions,
    rate::Quota,
};
use feed_core::{
    Cursor, ErrorKind, FeedOptions, FollowSettings, IdempotencyKey, ListId, NewPost, PageRequest,
    PageSize, PostId, Published, Ranker, Result, User, UserId, UserSource,
};

use crate::house::{ANN, BOB, CAT, House};

#[derive(Debug)]
struct Few;

#[async_trait]
impl UserSource for Few {
    async fn users(&self, users: &[UserId]) -> Result<Vec<Option<User>>> {
        let known = |&user| (user == ANN || user == BOB).then(|| User::new(user, "known"));
        Ok(users.iter().map(known).collect())
    }
}

#[tokio::test]
async fn unknown_users_neither_post_nor_follow_nor_are_hidden() {
    let house = House::with(|parts| parts.users = Some(Arc::new(Few)));
    let feed = &house.feed;
    let posted = feed.publish(CAT, NewPost::new("hello")).await;
    assert_eq!(posted.unwrap_err().kind(), ErrorKind::UnknownUser);
    for (viewer, author) in [(ANN, CAT), (CAT, ANN)] {
        let followed = feed.follow(viewer, author).await;
        assert_eq!(followed.unwrap_err().kind(), ErrorKind::UnknownUser);
        assert_eq!(feed.degree(viewer).await.unwrap().followees, 0);
        for hidden in [
            feed.block(viewer, author).await,
            feed.mute(viewer, author).await,
        ] {
            assert_eq!(hidden.unwrap_err().kind(), ErrorKind::UnknownUser);
        }
        assert!(!feed.unblock(viewer, author).await.unwrap());
    }
    house.follow(ANN, BOB).await;
    house.post(BOB).await;
}

#[derive(Debug)]
struct Terse;

#[async_trait]
impl UserSource for Terse {
    async fn users(&self, _: &[UserId]) -> Result<Vec<Option<User>>> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn a_source_that_says_too_little_vouches_for_nobody() {
    let house = House::with(|parts| parts.users = Some(Arc::new(Terse)));
    let feed = &house.feed;
    let posted = feed.publish(ANN, NewPost::new("hello")).await;
    assert_eq!(posted.unwrap_err().kind(), ErrorKind::Corrupt);
    let followed = feed.follow(ANN, BOB).await;
    assert_eq!(followed.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn empty_and_oversized_bodies_are_not_stored() {
    let house = House::with(|parts| parts.options = FeedOptions::default().with_max_body(10));
    let publish = |body: &'static str| house.feed.publish(ANN, NewPost::new(body));
    for blank in ["", " ", "\n\t "] {
        let refused = publish(blank).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::EmptyPost);
    }
    let refused = publish("12345678901").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::OversizedPost);
    assert!(!refused.is_retryable() && refused.source().is_none());
    assert_eq!(house.home(ANN, 20).await, []);

    let post = house.post(ANN).await;
    let edited = house.feed.edit(ANN, post, "12345678901".into()).await;
    assert_eq!(edited.unwrap_err().kind(), ErrorKind::OversizedPost);
}

#[tokio::test]
async fn the_same_key_publishes_once() {
    let house = House::new();
    let key: IdempotencyKey = "a client's key".parse().unwrap();
    let post = NewPost::new("once").with_key(key);
    let first = house.feed.publish(ANN, post.clone()).await.unwrap();
    let Published::Accepted(id) = first else {
        panic!("{first:?}");
    };
    let again = house.feed.publish(ANN, post.clone()).await.unwrap();
    assert_eq!(again, Published::Duplicate(id));
    assert_eq!(house.home(ANN, 20).await, [id]);
    let others = house.feed.publish(BOB, post).await.unwrap();
    assert!(
        matches!(others, Published::Accepted(_)),
        "keys belong to authors"
    );
    for bad in ["", &"x".repeat(300)] {
        assert!(bad.parse::<IdempotencyKey>().is_err());
    }
}

#[tokio::test]
async fn nobody_follows_mutes_or_blocks_themselves() {
    let house = House::new();
    let feed = &house.feed;
    let followed = feed.follow(ANN, ANN).await;
    let muted = feed.mute(ANN, ANN).await;
    let blocked = feed.block(ANN, ANN).await;
    for refused in [followed, muted, blocked] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Oneself);
    }
}

#[tokio::test]
async fn nobody_follows_more_than_allowed() {
    let house = House::with(|parts| parts.options = FeedOptions::default().with_max_followees(1));
    house.follow(ANN, BOB).await;
    let followed = house.feed.follow(ANN, CAT).await;
    assert_eq!(followed.unwrap_err().kind(), ErrorKind::TooManyFollowees);
    let hide = FollowSettings::default().with_hide_reposts(true);
    assert!(
        !house.feed.follow_with(ANN, BOB, hide).await.unwrap(),
        "settings may change"
    );
    let listed = house.feed.set_list(ANN, ListId::new(1), &[BOB, CAT]).await;
    assert_eq!(listed.unwrap_err().kind(), ErrorKind::TooManyFollowees);
}

#[tokio::test]
async fn what_is_not_there_is_not_answered_liked_reposted_or_edited() {
    let house = House::new();
    let (feed, nothing) = (&house.feed, PostId::new(7));
    let answer = NewPost::new("what?").in_reply_to(nothing);
    let kinds = [
        feed.publish(ANN, answer).await.unwrap_err().kind(),
        feed.like(ANN, nothing).await.unwrap_err().kind(),
        feed.repost(ANN, nothing).await.unwrap_err().kind(),
        feed.edit(ANN, nothing, "x".into())
            .await
            .unwrap_err()
            .kind(),
    ];
    assert_eq!(kinds, [ErrorKind::UnknownPost; 4]);
    assert!(!feed.delete(ANN, nothing).await.unwrap());
    assert!(!feed.unlike(ANN, nothing).await.unwrap());
    assert!(!feed.unrepost(ANN, nothing).await.unwrap());
    house.post_as(ANN, nothing).await;
    assert_eq!(
        house.home(ANN, 20).await,
        [nothing],
        "deleting early blocks nobody"
    );
}

#[tokio::test]
async fn posts_of_others_are_not_edited_or_deleted() {
    let house = House::new();
    let post = house.post(ANN).await;
    let edited = house.feed.edit(BOB, post, "mine now".into()).await;
    assert_eq!(edited.unwrap_err().kind(), ErrorKind::NotAuthor);
    let deleted = house.feed.delete(BOB, post).await;
    assert_eq!(deleted.unwrap_err().kind(), ErrorKind::NotAuthor);
    assert_eq!(house.home(ANN, 20).await, [post]);
}

#[tokio::test]
async fn nobody_reaches_across_a_block() {
    let house = House::new();
    let post = house.post(ANN).await;
    let repost = house.repost(CAT, post).await;
    house.feed.block(ANN, BOB).await.unwrap();
    for target in [post, repost] {
        let answer = NewPost::new("hey").in_reply_to(target);
        let liked = house.feed.like(BOB, target).await;
        assert_eq!(liked.unwrap_err().kind(), ErrorKind::UnknownPost);
        let reposted = house.feed.repost(BOB, target).await;
        assert_eq!(reposted.unwrap_err().kind(), ErrorKind::UnknownPost);
        let answered = house.feed.publish(BOB, answer).await;
        assert_eq!(answered.unwrap_err().kind(), ErrorKind::UnknownPost);
    }
    let followed = house.feed.follow(BOB, ANN).await;
    assert_eq!(followed.unwrap_err().kind(), ErrorKind::Blocked);
    house.feed.unblock(ANN, BOB).await.unwrap();
    assert!(house.feed.like(BOB, post).await.unwrap());
}

#[test]
fn pages_have_1_to_200_entries() {
    for size in [0, 201, usize::MAX] {
        assert_eq!(PageSize::new(size).unwrap_err().kind(), ErrorKind::PageSize);
    }
    for size in [1, 20, 200] {
        assert_eq!(PageSize::new(size).unwrap().get(), size);
    }
}

#[tokio::test]
async fn cursors_of_other_feeds_and_no_cursors_are_refused() {
    let house = House::new();
    house.posts(ANN, 3).await;
    let one = PageRequest::newest().with_size(PageSize::new(1).unwrap());
    let home = house.feed.home(ANN, one).await.unwrap().next.unwrap();
    let author = house
        .feed
        .author(BOB, ANN, one)
        .await
        .unwrap()
        .next
        .unwrap();
    let foreign = [
        house.feed.home(BOB, PageRequest::at(home)).await,
        house.feed.home(BOB, PageRequest::at(author)).await,
        house.feed.author(BOB, CAT, PageRequest::at(author)).await,
        house
            .feed
            .list(ANN, ListId::new(1), PageRequest::at(home))
            .await,
        house.feed.ranked(ANN, &ById, PageRequest::at(home)).await,
    ];
    for read in foreign {
        assert_eq!(read.unwrap_err().kind(), ErrorKind::ForeignCursor);
    }
    for garbage in ["", "AAAA", "not a cursor", &home.to_string()[1..]] {
        let parsed = garbage.parse::<Cursor>();
        assert_eq!(parsed.unwrap_err().kind(), ErrorKind::InvalidCursor);
    }
}

#[derive(Debug)]
struct ById;

#[async_trait]
impl Ranker for ById {
    async fn score(&self, _: UserId, candidates: &[feed_core::Entry]) -> Result<Vec<f64>> {
        Ok(vec![0.0; candidates.len()])
    }
}

#[tokio::test]
async fn a_full_queue_refuses_posts_and_keeps_none_of_them() {
    let house = House::with(|parts| {
        let options = QueueOptions::default().with_capacity(1);
        parts.queue = Arc::new(MemoryQueue::new(Arc::clone(&parts.clock), options));
    });
    let first = house.post(ANN).await;
    let busy = house
        .feed
        .publish(ANN, NewPost::new("no room"))
        .await
        .unwrap();
    assert!(matches!(busy, Published::Busy { retry_after } if !retry_after.is_zero()));
    let busy = house.feed.repost(BOB, first).await.unwrap();
    assert!(matches!(busy, Published::Busy { .. }));
    assert_eq!(house.home(ANN, 20).await, [first]);
    assert_eq!(house.home(BOB, 20).await, []);

    let deleted = house.feed.delete(ANN, first).await;
    assert_eq!(deleted.unwrap_err().kind(), ErrorKind::Full);
    let edited = house.feed.edit(ANN, first, "better".into()).await;
    assert_eq!(edited.unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(house.home(ANN, 20).await, [first]);
    house.work().await;
    assert!(house.feed.delete(ANN, first).await.unwrap());
}

#[tokio::test]
async fn an_id_of_the_applications_belongs_to_one_author_and_to_one_life() {
    let house = House::new();
    let (feed, post) = (&house.feed, PostId::new(7));
    house.post_as(ANN, post).await;
    let again = feed.publish(ANN, NewPost::elsewhere(post)).await.unwrap();
    assert_eq!(again, Published::Duplicate(post));
    let stolen = feed.publish(BOB, NewPost::elsewhere(post)).await;
    assert_eq!(stolen.unwrap_err().kind(), ErrorKind::NotAuthor);
    house.follow(CAT, BOB).await;
    house.work().await;
    assert_eq!(house.home(CAT, 20).await, []);
    assert!(feed.delete(ANN, post).await.unwrap());
    assert!(!feed.delete(ANN, post).await.unwrap());
    assert!(!feed.delete(BOB, post).await.unwrap());
    let revived = feed.publish(ANN, NewPost::elsewhere(post)).await;
    assert_eq!(revived.unwrap_err().kind(), ErrorKind::UnknownPost);
}

#[tokio::test]
async fn a_post_is_edited_or_touched_by_who_keeps_its_body() {
    let house = House::new();
    house.post_as(ANN, PostId::new(7)).await;
    let edited = house.feed.edit(ANN, PostId::new(7), "mine".into()).await;
    assert_eq!(edited.unwrap_err().kind(), ErrorKind::Invalid);
    let version = house.feed.touch(ANN, PostId::new(7)).await.unwrap();
    assert_eq!(
        house.feed.touch(ANN, PostId::new(7)).await.unwrap(),
        version + 1
    );
    let kept = house.post(ANN).await;
    let touched = house.feed.touch(ANN, kept).await;
    assert_eq!(touched.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn publishing_an_id_again_costs_no_quota() {
    let house = House::with(|parts| {
        let quota = Quota::new(2, Duration::from_secs(10)).unwrap();
        parts.options = FeedOptions::default().with_post_quota(Some(quota));
    });
    let publish = |author, post| {
        let post = NewPost::elsewhere(PostId::new(post));
        house.feed.publish(author, post)
    };
    for _ in 0..5 {
        assert!(publish(ANN, 7).await.unwrap().post().is_some());
    }
    let another = publish(ANN, 8).await.unwrap();
    assert_eq!(another, Published::Accepted(PostId::new(8)));
    let third = publish(ANN, 9).await.unwrap();
    assert!(matches!(third, Published::RateLimited { .. }));
    let kinds =
        [publish(BOB, 7).await, publish(BOB, 8).await].map(|taken| taken.unwrap_err().kind());
    assert_eq!(kinds, [ErrorKind::NotAuthor; 2]);
    let limited = publish(BOB, 7).await.unwrap();
    assert!(
        matches!(limited, Published::RateLimited { .. }),
        "an id of somebody else is no second try"
    );
}

#[tokio::test]
async fn no_post_has_the_id_0() {
    let house = House::new();
    let zero = NewPost::elsewhere(PostId::new(0));
    let refused = house.feed.publish(ANN, zero).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ReservedPostId);
    assert_eq!(
        house.feed.work(1).await.unwrap(),
        0,
        "there is no task of it"
    );

    house.post_as(ANN, PostId::new(1)).await;
    let page = house.page(ANN, 20).await;
    let newer = PageRequest::at(page.prev.unwrap());
    assert!(
        house
            .feed
            .home(ANN, newer)
            .await
            .unwrap()
            .entries
            .is_empty()
    );
    assert_eq!(house.home(ANN, 20).await, [PostId::new(1)]);
}

/// Has no identifier to give for the first so many calls.
#[derive(Debug)]
struct Exhausted {
    calls: AtomicUsize,
    why: IdError,
    inner: Arc<dyn IdGenerator>,
}

impl IdGenerator for Exhausted {
    fn next_id(&self) -> std::result::Result<Id, IdError> {
        let less = |calls: usize| calls.checked_sub(1);
        let refused = self
            .calls
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        match refused {
            Ok(_) => Err(self.why),
            Err(_) => self.inner.next_id(),
        }
    }

    fn fill(&self, ids: &mut [Id]) -> std::result::Result<(), IdError> {
        self.inner.fill(ids)
    }
}

#[tokio::test]
async fn an_attempt_for_which_there_is_no_id_costs_no_quota() {
    let house = House::with(|parts| {
        let quota = Quota::new(1, Duration::from_secs(10)).unwrap();
        parts.options = FeedOptions::default().with_post_quota(Some(quota));
        let (calls, inner) = (AtomicUsize::new(2), Arc::clone(&parts.ids));
        let why = IdError::AwaitingMark;
        parts.ids = Arc::new(Exhausted { calls, why, inner });
    });
    house.post_as(BOB, PostId::new(7)).await;
    let reposted = house.feed.repost(ANN, PostId::new(7)).await.unwrap();
    assert!(matches!(reposted, Published::Busy { .. }));
    let publish = || house.feed.publish(ANN, NewPost::new("at last"));
    assert!(matches!(publish().await.unwrap(), Published::Busy { .. }));
    assert!(matches!(publish().await.unwrap(), Published::Accepted(_)));
    let more = publish().await.unwrap();
    assert!(matches!(more, Published::RateLimited { .. }));
}

#[tokio::test]
async fn an_author_posts_no_more_often_than_the_quota_says() {
    let house = House::with(|parts| {
        let quota = Quota::new(2, Duration::from_secs(10)).unwrap();
        parts.options = FeedOptions::default().with_post_quota(Some(quota));
    });
    let post = house.post(ANN).await;
    house.post(ANN).await;
    let publish = || house.feed.publish(ANN, NewPost::new("more"));
    let Published::RateLimited { retry_after } = publish().await.unwrap() else {
        panic!("the quota is used up");
    };
    let reposted = house.feed.repost(ANN, post).await.unwrap();
    assert!(matches!(reposted, Published::RateLimited { .. }));
    house.post(BOB).await;
    house.clock.advance(retry_after);
    assert!(matches!(publish().await.unwrap(), Published::Accepted(_)));
}

#[tokio::test]
async fn a_generator_that_never_issues_again_is_closed() {
    for why in [IdError::Closed, IdError::TimeOverflow] {
        let house = House::with(|parts| {
            let (calls, inner) = (AtomicUsize::new(1), Arc::clone(&parts.ids));
            parts.ids = Arc::new(Exhausted { calls, why, inner });
        });
        let refused = house.feed.publish(ANN, NewPost::new("x")).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Closed);
        assert!(!refused.is_retryable());
    }
}
