//! What happens to users, timelines and posts over their lives.
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

mod house;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use backplane::{memory::MemoryQueue, queue::QueueOptions};
use feed_core::{
    ActionKind, Entry, Error, ErrorKind, FeedEvent, FeedEvents, FeedOptions, Habit,
    MemoryTimelines, MemoryTimelinesOptions, NewPost, PageRequest, PageSize, PageSource, PostId,
    PostState, PullAll, PushAll, Ranker, Result, Route, TimelineState, UserId,
};
use parking_lot::Mutex;

use crate::house::{ANN, BOB, CAT, House};

#[tokio::test]
async fn the_authors_own_feeds_have_a_post_at_once() {
    let house = House::new();
    house.home(ANN, 1).await;
    let post = house.post(ANN).await;
    assert_eq!(house.home(ANN, 20).await, [post]);
    let page = house
        .feed
        .author(BOB, ANN, PageRequest::newest())
        .await
        .unwrap();
    assert_eq!(page.newest(), Some(post));
}

#[tokio::test]
async fn a_follow_shows_the_authors_posts_at_once_at_any_length() {
    let house = House::with(|parts| {
        parts.options = FeedOptions::default()
            .with_backfill_posts(3)
            .with_post_quota(None);
    });
    let mut posts = house.posts(ANN, 10).await;
    house.work().await;
    house.home(BOB, 1).await;
    house.follow(BOB, ANN).await;
    posts.reverse();
    assert_eq!(house.walk(BOB, 4).await, posts);
    assert_eq!(house.timeline(BOB).await, posts[..3]);
}

#[tokio::test]
async fn options_without_a_bound_show_everything() {
    let house = House::with(|parts| {
        parts.options = FeedOptions::default()
            .with_backfill_posts(usize::MAX)
            .with_repost_span(usize::MAX)
            .with_scan_budget(0)
            .with_post_quota(None);
    });
    let mut posts = house.posts(ANN, 10).await;
    house.work().await;
    house.home(BOB, 1).await;
    house.follow(BOB, ANN).await;
    let prev = house.page(BOB, 20).await.prev.unwrap();
    // However far down the original is, it hides the repost.
    house.repost(ANN, posts[0]).await;
    house.work().await;
    let newer = house.feed.home(BOB, PageRequest::at(prev)).await.unwrap();
    assert!(newer.entries.is_empty());
    assert!(newer.next.is_some());
    posts.reverse();
    assert_eq!(house.walk(BOB, 20).await, posts);
    assert!(house.timeline(BOB).await.ends_with(&posts));
}

#[tokio::test]
async fn counts_are_of_users_and_never_below_zero() {
    let house = House::new();
    let (feed, post) = (&house.feed, house.post(ANN).await);
    assert!(feed.like(BOB, post).await.unwrap());
    assert!(!feed.like(BOB, post).await.unwrap());
    assert!(feed.like(CAT, post).await.unwrap());
    for _ in 0..3 {
        feed.unlike(BOB, post).await.unwrap();
    }
    house.repost(CAT, post).await;
    let answer = NewPost::new("indeed").in_reply_to(post);
    assert!(feed.publish(CAT, answer).await.unwrap().post().is_some());
    let counts = feed.parts().counters.counts(&[post]).await.unwrap();
    let counts = (counts[0].likes, counts[0].replies, counts[0].reposts);
    assert_eq!(counts, (1, 1, 1));
}

#[tokio::test]
async fn unread_counts_what_is_above_a_marker_that_only_rises() {
    let house = House::new();
    house.follow(BOB, ANN).await;
    let posts = house.posts(ANN, 5).await;
    house.work().await;
    let feed = &house.feed;
    let unread = || async { feed.unread(BOB, PageSize::default()).await.unwrap() };
    assert_eq!(unread().await, 5);
    assert_eq!(feed.mark_read(BOB, posts[2]).await.unwrap(), posts[2]);
    assert_eq!(feed.mark_read(BOB, posts[0]).await.unwrap(), posts[2]);
    assert_eq!(unread().await, 2);
    house.post(BOB).await;
    assert_eq!(unread().await, 2, "one knows what one has written");
    feed.delete(ANN, posts[4]).await.unwrap();
    assert_eq!(unread().await, 1);
}

#[tokio::test]
async fn an_erased_user_is_nowhere() {
    let house = House::with(|parts| {
        parts.policy = Arc::new(PushAll);
        parts.options = FeedOptions::default().with_post_quota(None);
    });
    let feed = &house.feed;
    for (viewer, author) in [(BOB, ANN), (ANN, BOB), (CAT, ANN), (CAT, BOB)] {
        house.follow(viewer, author).await;
        house.home(viewer, 1).await;
    }
    let posts = house.posts(ANN, 30).await;
    let others = house.post(BOB).await;
    house.repost(CAT, posts[0]).await;
    house.repost(ANN, others).await;
    feed.like(ANN, others).await.unwrap();
    feed.mute(CAT, ANN).await.unwrap();
    feed.mark_read(ANN, others).await.unwrap();
    feed.work(3).await.unwrap();
    feed.delete(ANN, posts[1]).await.unwrap();

    feed.erase_user(ANN).await.unwrap();
    house.work().await;
    assert_forgotten(&house, &posts, others).await;
}

/// That nothing tells of Ann any more, of whose `posts` and doings the others saw some.
async fn assert_forgotten(house: &House, posts: &[PostId], others: PostId) {
    let feed = &house.feed;
    feed.unmute(CAT, ANN).await.unwrap();
    for viewer in [ANN, BOB, CAT] {
        let timeline = feed
            .parts()
            .timelines
            .window(viewer, feed_core::Seek::Newest, 1_000)
            .await;
        assert!(
            timeline
                .unwrap()
                .entries
                .iter()
                .all(|entry| entry.author != ANN)
        );
        assert!(
            house
                .walk(viewer, 50)
                .await
                .iter()
                .all(|post| !posts.contains(post))
        );
    }
    assert_eq!(house.walk(ANN, 50).await, []);
    assert_eq!(house.walk(CAT, 50).await, [others]);
    let parts = feed.parts();
    let states = parts.outbox.lookup(posts).await.unwrap();
    assert!(states.iter().all(|state| *state == PostState::Absent));
    for user in [ANN, BOB, CAT] {
        let degree = feed.degree(user).await.unwrap();
        let expected = match user {
            BOB => (1, 0),
            CAT => (0, 1),
            _ => (0, 0),
        };
        assert_eq!((degree.followers, degree.followees), expected, "{user}");
    }
    let liked = parts
        .actions
        .acted(ANN, ActionKind::Like, &[others])
        .await
        .unwrap();
    assert_eq!(liked, [None]);
    assert_eq!(parts.counters.counts(&[others]).await.unwrap()[0].likes, 0);
    assert_eq!(parts.activity.marker(ANN).await.unwrap(), PostId::MIN);
    assert_eq!(
        parts.activity.rhythms(Habit::Post, &[ANN]).await.unwrap(),
        [None]
    );
    let stats = parts.queue.stats().await.unwrap();
    assert_eq!(
        (stats.ready, stats.delayed, stats.leased, stats.dead),
        (0, 0, 0, 0)
    );
}

#[tokio::test]
async fn erasing_goes_on_where_it_was_cut_short() {
    let house = House::new();
    for follower in 10..30 {
        house.follow(UserId::new(follower), ANN).await;
    }
    house.posts(ANN, 3).await;
    let parts = house.feed.parts();
    parts.outbox.erase(ANN, 2).await.unwrap();
    parts.graph.erase(ANN, 7).await.unwrap();
    house.feed.erase_user(ANN).await.unwrap();
    assert_eq!(house.feed.degree(ANN).await.unwrap().followers, 0);
    assert_eq!(house.home(ANN, 20).await, []);
}

/// Orders by the scores it holds, which may change between calls.
#[derive(Debug, Default)]
struct Scores {
    scores: Mutex<HashMap<PostId, f64>>,
    asked: AtomicUsize,
}

impl Scores {
    fn set(&self, post: PostId, score: f64) {
        self.scores.lock().insert(post, score);
    }
}

#[async_trait]
impl Ranker for Scores {
    async fn score(&self, _: UserId, candidates: &[Entry]) -> Result<Vec<f64>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let scores = self.scores.lock();
        let score = |entry: &Entry| scores.get(&entry.post).copied().unwrap_or_default();
        Ok(candidates.iter().map(score).collect())
    }
}

#[tokio::test]
async fn ranked_pages_keep_their_order_while_scores_and_posts_change() {
    let house = House::with(|parts| parts.options = FeedOptions::default().with_rank_window(6));
    house.follow(BOB, ANN).await;
    let posts = house.posts(ANN, 9).await;
    house.work().await;
    let scores = Scores::default();
    for (post, score) in posts
        .iter()
        .zip([9.0, 9.0, 9.0, 1.0, f64::NAN, 3.0, 2.0, 3.0, 0.5])
    {
        scores.set(*post, score);
    }
    let two = PageSize::new(2).unwrap();
    let first = PageRequest::newest().with_size(two);
    let mut page = house.feed.ranked(BOB, &scores, first).await.unwrap();
    assert_eq!(page.source, PageSource::Snapshot);
    let mut read: Vec<_> = page.entries.iter().map(|entry| entry.post).collect();
    scores.set(posts[3], 100.0);
    house.post(ANN).await;
    house.work().await;
    house.feed.delete(ANN, posts[6]).await.unwrap();
    while let Some(next) = page.next {
        let request = PageRequest::at(next).with_size(two);
        page = house.feed.ranked(BOB, &scores, request).await.unwrap();
        read.extend(page.entries.iter().map(|entry| entry.post));
    }
    let expected = [7, 5, 3, 8, 4, 2, 1, 0].map(|at| posts[at]);
    assert_eq!(
        read, expected,
        "ranked, then what is older; less what was deleted"
    );
    assert_eq!(scores.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_ranked_order_expires() {
    let house = House::new();
    house.posts(ANN, 9).await;
    let two = PageRequest::newest().with_size(PageSize::new(2).unwrap());
    let page = house
        .feed
        .ranked(ANN, &Scores::default(), two)
        .await
        .unwrap();
    house.clock.advance(Duration::from_secs(31 * 60));
    let next = PageRequest::at(page.next.unwrap());
    let expired = house.feed.ranked(ANN, &Scores::default(), next).await;
    assert_eq!(expired.unwrap_err().kind(), ErrorKind::ExpiredCursor);
}

#[derive(Debug)]
struct Miscounting;

#[async_trait]
impl Ranker for Miscounting {
    async fn score(&self, _: UserId, _: &[Entry]) -> Result<Vec<f64>> {
        Ok(vec![1.0])
    }
}

#[tokio::test]
async fn a_ranker_that_miscounts_is_refused() {
    let house = House::new();
    house.posts(ANN, 2).await;
    let ranked = house
        .feed
        .ranked(ANN, &Miscounting, PageRequest::newest())
        .await;
    assert_eq!(ranked.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn a_visit_makes_a_timeline_warm_and_absence_cold() {
    let house = House::new();
    house.follow(BOB, ANN).await;
    let posts = house.posts(ANN, 3).await;
    house.work().await;
    let state = || async {
        let timelines = &house.feed.parts().timelines;
        timelines
            .window(BOB, feed_core::Seek::Newest, 1)
            .await
            .unwrap()
            .state
    };
    assert_eq!(state().await, TimelineState::Cold);
    let cold = house.page(BOB, 20).await;
    assert_eq!(cold.source, PageSource::Outboxes);
    assert_eq!(state().await, TimelineState::Warm { floor: PostId::MIN });
    let warm = house.page(BOB, 20).await;
    assert_eq!(
        (warm.source, &warm.entries),
        (PageSource::Timeline, &cold.entries)
    );
    assert_eq!(warm.newest(), Some(posts[2]));

    house.clock.advance(Duration::from_secs(15 * 24 * 60 * 60));
    house.post(ANN).await;
    house.work().await;
    assert_eq!(state().await, TimelineState::Cold);
}

#[tokio::test]
async fn where_nothing_is_pushed_no_timeline_is_built() {
    let timelines = Arc::new(MemoryTimelines::default());
    let house = House::with(|parts| {
        parts.policy = Arc::new(PullAll);
        parts.timelines = Arc::clone(&timelines) as _;
    });
    house.follow(BOB, ANN).await;
    let mut posts = house.posts(ANN, 3).await;
    house.work().await;
    posts.reverse();
    for _ in 0..2 {
        let page = house.page(BOB, 20).await;
        assert_eq!(page.source, PageSource::Outboxes);
        assert_eq!(house.walk(BOB, 2).await, posts);
        house.page(ANN, 20).await;
    }
    assert_eq!(timelines.bytes(), 0);
}

#[tokio::test]
async fn many_first_readers_build_once() {
    let house = House::new();
    house.follow(BOB, ANN).await;
    house.posts(ANN, 3).await;
    let parts = house.feed.parts();
    let now = house.clock_now();
    let started = parts.timelines.begin_build(BOB, now, now).await.unwrap();
    assert!(matches!(started, feed_core::BuildStart::Started(_)));
    for _ in 0..5 {
        assert_eq!(house.page(BOB, 20).await.source, PageSource::Outboxes);
    }
    house.clock.advance(Duration::from_secs(31));
    house.page(BOB, 20).await;
    assert_eq!(
        house.page(BOB, 20).await.source,
        PageSource::Timeline,
        "the first builder is dead"
    );
}

/// P39.
#[tokio::test]
async fn an_author_with_many_followers_delays_nobody() {
    let house = House::with(|parts| {
        parts.policy = Arc::new(PushAll);
        parts.options = FeedOptions::default().with_followers_per_piece(10);
    });
    let (famous, small) = (UserId::new(900), UserId::new(901));
    for follower in 1_000..1_500 {
        house.follow(UserId::new(follower), famous).await;
    }
    house.follow(BOB, small).await;
    house.home(BOB, 1).await;
    house.post(famous).await;
    house.feed.work(1).await.unwrap();
    let post = house.post(small).await;
    house.feed.work(2).await.unwrap();
    assert_eq!(
        house.timeline(BOB).await,
        [post],
        "two chunks later, of fifty"
    );
    let stats = house.feed.parts().queue.stats().await.unwrap();
    assert_eq!(stats.ready, 1, "the other is under way");
}

#[tokio::test]
async fn lists_show_their_members_followed_or_not() {
    let house = House::new();
    let list = feed_core::ListId::new(4);
    house.feed.set_list(CAT, list, &[ANN, BOB]).await.unwrap();
    let (first, second) = (house.post(ANN).await, house.post(BOB).await);
    house.post(UserId::new(9)).await;
    let read = || async {
        let page = house
            .feed
            .list(CAT, list, PageRequest::newest())
            .await
            .unwrap();
        page.entries
            .iter()
            .map(|entry| entry.post)
            .collect::<Vec<_>>()
    };
    assert_eq!(read().await, [second, first]);
    house.feed.mute(CAT, ANN).await.unwrap();
    assert_eq!(read().await, [second]);
    assert_eq!(house.home(CAT, 20).await, []);
}

#[tokio::test]
async fn an_edit_raises_the_version_and_moves_nothing() {
    let house = House::with(|parts| parts.policy = Arc::new(PullAll));
    house.follow(BOB, ANN).await;
    let posts = house.posts(ANN, 2).await;
    let version = house
        .feed
        .edit(ANN, posts[0], "better".into())
        .await
        .unwrap();
    assert_eq!(
        house.feed.edit(ANN, posts[0], "best".into()).await.unwrap(),
        version + 1
    );
    house.work().await;
    assert_eq!(house.home(BOB, 20).await, [posts[1], posts[0]]);
    let post = house.feed.parts().outbox.posts(&posts[..1]).await.unwrap();
    assert_eq!(post[0].as_ref().unwrap().body, "best");
}

/// Fails so often.
#[derive(Debug)]
struct Hoarse(AtomicU32);

#[async_trait]
impl FeedEvents for Hoarse {
    async fn emit(&self, _: &[FeedEvent]) -> Result<()> {
        let relaxed = Ordering::Relaxed;
        let left = self
            .0
            .fetch_update(relaxed, relaxed, |left| left.checked_sub(1));
        match left {
            Ok(_) => Err(Error::bare(ErrorKind::Unavailable, "emit")),
            Err(_) => Ok(()),
        }
    }
}

#[tokio::test]
async fn a_queue_of_fewer_attempts_than_the_feed_buries_no_post() {
    for attempts in 1..4 {
        buries_no_post(attempts).await;
    }
}

async fn buries_no_post(attempts: u32) {
    let events = Arc::new(Hoarse(AtomicU32::new(0)));
    let house = House::with(|parts| {
        let options = QueueOptions::default().with_max_attempts(attempts);
        parts.queue = Arc::new(MemoryQueue::new(Arc::clone(&parts.clock), options));
        parts.events = Arc::clone(&events) as Arc<dyn FeedEvents>;
        parts.options = parts.options.clone().with_attempts(u32::MAX);
    });
    house.follow(BOB, ANN).await;
    house.home(BOB, 1).await;
    let post = house.post(ANN).await;
    events.0.store(5, Ordering::Relaxed);
    for _ in 0..6 {
        house.work().await;
        house.clock.advance(Duration::from_secs(61));
    }
    assert_eq!(house.home(BOB, 1).await, [post]);
    let dead = house
        .feed
        .parts()
        .queue
        .dead_letters(None, 9)
        .await
        .unwrap();
    assert_eq!(dead, []);
}

/// A sink that is away for hours keeps screens waiting, and no timeline.
#[tokio::test]
async fn events_that_cannot_be_told_hold_up_no_post() {
    let events = Arc::new(Hoarse(AtomicU32::new(u32::MAX)));
    let house = House::with(|parts| {
        parts.events = Arc::clone(&events) as Arc<dyn FeedEvents>;
        parts.options = parts.options.clone().with_followers_per_piece(1);
    });
    let graph = &house.feed.parts().graph;
    for viewer in [BOB, CAT] {
        // Past the feed, which would fail to tell of the follow.
        graph.follow(viewer, ANN, None).await.unwrap();
        house.home(viewer, 1).await;
    }
    let post = house.post(ANN).await;
    house.work().await;
    assert_eq!(house.timeline(BOB).await, [post], "at once");
    work_off(&house).await;
    assert_eq!(house.timeline(CAT).await, [post]);
    let (route, _) = graph.author_route(ANN).await.unwrap();
    assert_eq!(route, Route::PUSH, "nobody pulls for it");
    assert_eq!(house.home(CAT, 1).await, [post]);

    assert!(house.feed.delete(ANN, post).await.unwrap());
    house.work().await;
    assert_eq!(house.timeline(BOB).await, []);
    work_off(&house).await;
    assert_eq!(house.timeline(CAT).await, []);
}

/// Does all there is, with as much time as it takes, so that nothing of it is a dead letter.
async fn work_off(house: &House) {
    for _ in 0..100 {
        house.work().await;
        let stats = house.feed.parts().queue.stats().await.unwrap();
        assert_eq!(stats.dead, 0);
        if stats.ready + stats.delayed + stats.leased == 0 {
            return;
        }
        house.clock.advance(Duration::from_secs(61));
    }
    panic!("work does not end");
}

/// Remembers how many entries it was to rank.
#[derive(Debug, Default)]
struct Tally(Mutex<Vec<usize>>);

#[async_trait]
impl Ranker for Tally {
    async fn score(&self, _: UserId, candidates: &[Entry]) -> Result<Vec<f64>> {
        self.0.lock().push(candidates.len());
        Ok(vec![0.0; candidates.len()])
    }
}

#[tokio::test]
async fn a_window_is_ranked_whole_whatever_the_timeline_holds() {
    let house = House::with(|parts| {
        let short = MemoryTimelinesOptions::default().with_capacity(60);
        parts.timelines = Arc::new(MemoryTimelines::new(short));
        let options = parts.options.clone().with_post_quota(None);
        parts.options = options.with_scan_budget(50).with_rank_window(200);
    });
    house.follow(BOB, ANN).await;
    house.posts(ANN, 300).await;
    house.work().await;
    let (ranker, newest) = (Tally::default(), PageRequest::newest());
    let cold = house.feed.ranked(BOB, &ranker, newest).await.unwrap();
    house.home(BOB, 1).await;
    assert!(!house.timeline(BOB).await.is_empty());
    let warm = house.feed.ranked(BOB, &ranker, newest).await.unwrap();
    assert_eq!(cold.entries, warm.entries);
    assert_eq!(*ranker.0.lock(), [200, 200]);
}
