//! Histories in which other feeds lose, repeat or resurrect entries, each by what must happen.

#[path = "equivalence/flaky.rs"]
#[allow(dead_code, reason = "outages are enough here")]
mod flaky;
mod house;

use std::{sync::Arc, time::Duration};

use backplane::Clock;
use feed_core::{
    Entry, FeedOptions, FollowSettings, MemoryTimelines, MemoryTimelinesOptions, NewPost,
    PageRequest, PageSize, PostId, Published, PullAll, PushAll, Seek, UserId,
};

use crate::{
    flaky::{Faults, Flaky, Strike},
    house::{ANN, BOB, CAT, House},
};

/// Twitter's and Mastodon's ids are beyond what a float of 64 bits tells apart. (Redis sorted sets)
#[tokio::test]
async fn pages_tell_ids_apart_that_a_float_cannot() {
    for first in [
        1_790_000_000_000 << 16,
        1_790_000_000_000_000_000,
        u64::MAX - 40,
    ] {
        let house = House::new();
        house.follow(BOB, ANN).await;
        house.home(BOB, 1).await;
        for id in first..first + 40 {
            house.post_as(ANN, PostId::new(id)).await;
        }
        house.work().await;
        let read = house.walk(BOB, 5).await;
        let expected: Vec<_> = (first..first + 40).rev().map(PostId::new).collect();
        assert_eq!(read, expected);
    }
}

/// A repost that was hidden behind another comes back when that goes, and goes when it is taken
/// back itself. (Mastodon)
#[tokio::test]
async fn reposts_taken_back_in_any_order_leave_nothing() {
    let house = House::new();
    house.follow(CAT, ANN).await;
    house.follow(CAT, BOB).await;
    let stranger = UserId::new(9);
    let post = house.post(stranger).await;
    let first = house.repost(ANN, post).await;
    let second = house.repost(BOB, post).await;
    house.work().await;
    assert_eq!(house.home(CAT, 20).await, [first], "the second is hidden");

    house.feed.unrepost(BOB, post).await.unwrap();
    house.work().await;
    assert_eq!(house.home(CAT, 20).await, [first]);
    let second_again = house.repost(BOB, post).await;
    assert!(second_again > second);
    house.feed.unrepost(ANN, post).await.unwrap();
    house.work().await;
    assert_eq!(house.home(CAT, 20).await, [second_again]);
    house.feed.unrepost(BOB, post).await.unwrap();
    house.work().await;
    assert_eq!(house.home(CAT, 20).await, []);
}

/// A repost that reached the timeline before its original does not replace it. (Mastodon)
#[tokio::test]
async fn an_original_that_comes_after_its_repost_is_there_when_the_repost_goes() {
    let house = House::new();
    house.follow(CAT, ANN).await;
    house.follow(CAT, BOB).await;
    house.home(CAT, 20).await;
    let post = house.post(ANN).await;
    let repost = house.repost(BOB, post).await;
    let timelines = &house.feed.parts().timelines;
    let early = Entry::repost(repost, BOB, post);
    timelines.push_many(&[CAT], early).await.unwrap();
    house.work().await;
    house.feed.unrepost(BOB, post).await.unwrap();
    house.work().await;
    assert_eq!(house.home(CAT, 20).await, [post]);
}

/// The repost that an original made invisible shows it once the original's author is not followed
/// any more. (Mastodon)
#[tokio::test]
async fn a_hidden_repost_has_its_own_reason_to_stay() {
    let house = House::new();
    house.follow(CAT, ANN).await;
    house.follow(CAT, BOB).await;
    let post = house.post(ANN).await;
    let repost = house.repost(BOB, post).await;
    house.work().await;
    assert_eq!(house.home(CAT, 20).await, [post]);
    house.feed.unfollow(CAT, ANN).await.unwrap();
    assert_eq!(house.home(CAT, 20).await, [repost]);
}

/// Fanout that is overtaken by a delete does not bring the post back. (Mastodon)
#[tokio::test]
async fn a_post_deleted_before_its_fanout_stays_deleted() {
    let house = House::new();
    house.follow(BOB, ANN).await;
    house.home(BOB, 20).await;
    let post = house.post(ANN).await;
    house.feed.delete(ANN, post).await.unwrap();
    let timelines = &house.feed.parts().timelines;
    let late = Entry::original(post, ANN);
    timelines.push_many(&[BOB], late).await.unwrap();
    house.work().await;
    assert_eq!(house.home(BOB, 20).await, []);
    assert_eq!(house.home(ANN, 20).await, []);
}

/// The entry that a cursor names may be deleted. (Pixelfed skips the next one)
#[tokio::test]
async fn a_page_goes_on_where_its_cursors_own_post_was_deleted() {
    let house = House::new();
    house.follow(BOB, ANN).await;
    let posts = house.posts(ANN, 6).await;
    house.work().await;
    let newest = house.page(BOB, 2).await;
    house.feed.delete(ANN, posts[4]).await.unwrap();
    house.work().await;
    let next = PageRequest::at(newest.next.unwrap()).with_size(PageSize::new(2).unwrap());
    let next = house.feed.home(BOB, next).await.unwrap();
    let next: Vec<_> = next.entries.iter().map(|entry| entry.post).collect();
    assert_eq!(next, [posts[3], posts[2]]);
}

/// Two sources that are both cut off are not merged past the nearer end. (Bluesky loses the
/// viewer's own posts)
#[tokio::test]
async fn own_posts_between_those_of_many_followees_are_all_shown() {
    for push in [true, false] {
        let house = House::with(|parts| {
            parts.policy = if push {
                Arc::new(PushAll)
            } else {
                Arc::new(PullAll)
            };
        });
        for author in 100..160 {
            house.follow(BOB, UserId::new(author)).await;
        }
        for author in 100..160 {
            house.post(UserId::new(author)).await;
        }
        house.work().await;
        let own = house.posts(BOB, 30).await;
        for author in 100..160 {
            house.post(UserId::new(author)).await;
        }
        house.work().await;
        let read = house.walk(BOB, 50).await;
        assert_eq!(read.len(), 150);
        assert!(own.iter().all(|post| read.contains(post)));
    }
}

/// A timeline that fanout left out for a while has no hole when its owner returns. (Misskey)
#[tokio::test]
async fn a_viewer_who_was_away_finds_no_hole() {
    let house = House::new();
    house.follow(BOB, ANN).await;
    let mut posts = house.posts(ANN, 5).await;
    house.work().await;
    house.home(BOB, 20).await;
    house.clock.advance(Duration::from_secs(50 * 24 * 60 * 60));
    posts.extend(house.posts(ANN, 5).await);
    house.work().await;
    house.home(CAT, 20).await;
    assert_eq!(
        house.timeline(BOB).await,
        [],
        "nobody writes for who is away"
    );
    house.home(BOB, 1).await;
    posts.extend(house.posts(ANN, 5).await);
    house.work().await;
    posts.reverse();
    assert_eq!(house.home(BOB, 20).await, posts);
}

/// Whether a policy pushes a while, pulls a while and pushes again: nothing is missing. (Misskey
/// loses what was posted between)
#[tokio::test]
async fn switching_fanout_on_and_off_loses_nothing() {
    let house = House::with(|parts| parts.policy = Arc::new(feed_core::Hybrid::new(1)));
    house.follow(BOB, ANN).await;
    house.home(BOB, 1).await;
    let mut posts = house.posts(ANN, 5).await;
    house.work().await;
    house.follow(CAT, ANN).await;
    posts.extend(house.posts(ANN, 5).await);
    house.work().await;
    house.feed.unfollow(CAT, ANN).await.unwrap();
    house.post(CAT).await;
    posts.extend(house.posts(ANN, 5).await);
    house.work().await;
    posts.reverse();
    assert_eq!(house.home(BOB, 20).await, posts);
}

/// A post that arrives late is sorted in by id, and what a full timeline gives up is the oldest by
/// id. (Misskey cuts by position)
#[tokio::test]
async fn a_full_timeline_gives_up_its_oldest_and_pages_go_on_below() {
    let house = House::with(|parts| {
        let small = MemoryTimelinesOptions::default().with_capacity(4);
        parts.timelines = Arc::new(MemoryTimelines::new(small));
        parts.options = FeedOptions::default().with_build_entries(4);
    });
    house.follow(BOB, ANN).await;
    house.home(BOB, 1).await;
    for id in [10, 20, 30, 40, 25, 50] {
        house.post_as(ANN, PostId::new(id)).await;
        house.work().await;
    }
    let ids = |ids: &[u64]| ids.iter().copied().map(PostId::new).collect::<Vec<_>>();
    assert_eq!(house.timeline(BOB).await, ids(&[50, 40, 30, 25]));
    assert_eq!(house.walk(BOB, 3).await, ids(&[50, 40, 30, 25, 20, 10]));
}

/// A cursor whose entry the timeline gave up goes on below it, not at the newest page. (Rama)
#[tokio::test]
async fn a_cursor_outlives_the_timeline() {
    let house = House::new();
    house.follow(BOB, ANN).await;
    let posts = house.posts(ANN, 6).await;
    house.work().await;
    let newest = house.page(BOB, 2).await;
    house
        .feed
        .parts()
        .timelines
        .drop_many(&[BOB])
        .await
        .unwrap();
    let next = PageRequest::at(newest.next.unwrap());
    let next = house.feed.home(BOB, next).await.unwrap();
    assert_eq!(next.newest(), Some(posts[3]));
}

/// What is shown follows from what is there, not from when it came. (`GoToSocial` shows a third
/// repost until its cache is rebuilt)
#[tokio::test]
async fn a_timeline_that_grew_shows_what_a_rebuilt_one_shows() {
    let house = House::with(|parts| {
        parts.options = parts.options.clone().with_repost_span(40);
    });
    let authors: Vec<_> = (10..13).map(UserId::new).collect();
    for author in &authors {
        house.follow(BOB, *author).await;
    }
    house.home(BOB, 1).await;
    let post = house.post(CAT).await;
    for author in &authors {
        house.repost(*author, post).await;
        house.posts(authors[0], 30).await;
    }
    house.work().await;
    let grown = house.walk(BOB, 20).await;
    house
        .feed
        .parts()
        .timelines
        .drop_many(&[BOB])
        .await
        .unwrap();
    let rebuilt = house.walk(BOB, 20).await;
    assert_eq!(grown, rebuilt);
    assert_eq!(grown.len(), 3 * 30 + 1, "each repost hides the next");
}

/// Following, unfollowing and following again is following. (Stream-Framework keeps the old entries
/// and adds them again)
#[tokio::test]
async fn a_second_follow_is_like_the_first() {
    let house = House::new();
    let posts = house.posts(ANN, 5).await;
    house.work().await;
    house.home(BOB, 1).await;
    house.follow(BOB, ANN).await;
    let followed = house.walk(BOB, 2).await;
    house.feed.unfollow(BOB, ANN).await.unwrap();
    assert_eq!(house.timeline(BOB).await, [], "the timeline keeps nothing");
    assert_eq!(house.walk(BOB, 2).await, []);
    house.follow(BOB, ANN).await;
    assert_eq!(house.walk(BOB, 2).await, followed);
    assert_eq!(followed.len(), posts.len());
}

/// A page of what is newer, from any cursor, ends where the page before began.
#[tokio::test]
async fn newer_pages_undo_older_ones() {
    let house = House::new();
    house.follow(BOB, ANN).await;
    house.posts(ANN, 9).await;
    house.work().await;
    let three = PageSize::new(3).unwrap();
    let first = house.page(BOB, 3).await;
    let second = PageRequest::at(first.next.unwrap()).with_size(three);
    let second = house.feed.home(BOB, second).await.unwrap();
    let back = PageRequest::at(second.prev.unwrap()).with_size(three);
    let back = house.feed.home(BOB, back).await.unwrap();
    assert_eq!(back.entries, first.entries);
    assert_eq!(back.next, first.next);
}

/// A feed of more invisible entries than a page looks at still has an end, in both directions.
#[tokio::test]
async fn pages_get_past_many_entries_that_are_hidden() {
    let house = House::with(|parts| {
        parts.options = parts
            .options
            .clone()
            .with_scan_budget(10)
            .with_post_quota(None);
    });
    house.follow(BOB, ANN).await;
    house.follow(BOB, CAT).await;
    let oldest = house.post(CAT).await;
    house.posts(ANN, 155).await;
    let newest = house.post(CAT).await;
    house.work().await;
    house.feed.mute(BOB, ANN).await.unwrap();
    assert_eq!(house.walk(BOB, 5).await, [newest, oldest]);

    let mut request = PageRequest::newest();
    let mut last = house.feed.home(BOB, request).await.unwrap();
    while let Some(next) = last.next {
        request = PageRequest::at(next);
        last = house.feed.home(BOB, request).await.unwrap();
    }
    let mut up = Vec::new();
    let mut cursor = last.prev;
    for _ in 0..20 {
        let Some(at) = cursor else { break };
        let page = house.feed.home(BOB, PageRequest::at(at)).await.unwrap();
        up.extend(page.entries.iter().map(|entry| entry.post));
        cursor = page.prev;
    }
    assert_eq!(up, [newest]);
}

/// Times that go backwards, or ids that come from a clock ahead, keep their order by id.
#[tokio::test]
async fn a_clock_that_goes_back_keeps_the_order() {
    let house = House::new();
    house.follow(BOB, ANN).await;
    let first = house.post(ANN).await;
    let now = house.clock.now();
    let a_little = now.saturating_sub(Duration::from_millis(50));
    house.clock.set_now(a_little);
    let second = house.post(ANN).await;
    assert!(second > first);

    let far = now.saturating_sub(Duration::from_secs(30));
    house.clock.set_now(far);
    let refused = house.feed.publish(ANN, NewPost::new("a post")).await;
    assert!(matches!(refused, Ok(Published::Busy { retry_after }) if !retry_after.is_zero()));
    house.work().await;
    assert_eq!(house.home(BOB, 20).await, [second, first]);
    let heads = house
        .feed
        .parts()
        .outbox
        .latest(&[ANN], Seek::Newest, 5)
        .await;
    assert_eq!(heads.unwrap().len(), 2);
}

/// Settings of an edge are the newest ones, whenever the post was written.
#[tokio::test]
async fn hiding_reposts_hides_those_that_are_there() {
    let house = House::new();
    house.follow(CAT, BOB).await;
    let post = house.post(ANN).await;
    let repost = house.repost(BOB, post).await;
    house.work().await;
    assert_eq!(house.home(CAT, 20).await, [repost]);
    let hide = FollowSettings::default().with_hide_reposts(true);
    assert!(!house.feed.follow_with(CAT, BOB, hide).await.unwrap());
    assert_eq!(house.home(CAT, 20).await, []);
    // A follow that is repeated has nothing to say about settings.
    assert!(!house.feed.follow(CAT, BOB).await.unwrap());
    assert_eq!(house.home(CAT, 20).await, []);
}

/// A page above the one that was read knows that there are older ones, though more are hidden between
/// the two than a page looks at.
#[tokio::test]
async fn a_newer_page_leads_past_what_was_hidden_since() {
    let house = House::with(|parts| {
        parts.options = parts.options.clone().with_scan_budget(10);
    });
    house.follow(BOB, ANN).await;
    house.follow(BOB, CAT).await;
    let oldest = house.post(CAT).await;
    house.posts(ANN, 25).await;
    house.work().await;
    let read = house.page(BOB, 5).await;
    let newest = house.post(CAT).await;
    house.work().await;
    house.feed.mute(BOB, ANN).await.unwrap();

    let newer = PageRequest::at(read.prev.unwrap());
    let newer = house.feed.home(BOB, newer).await.unwrap();
    assert_eq!(newer.newest(), Some(newest));
    let mut down = Vec::new();
    let mut next = newer.next;
    for _ in 0..10 {
        let Some(at) = next else { break };
        let page = house.feed.home(BOB, PageRequest::at(at)).await.unwrap();
        down.extend(page.entries.iter().map(|entry| entry.post));
        next = page.next;
    }
    assert_eq!(down, [oldest]);
}

/// A newer page that shows a repost knows that there are older ones, though no repost hides another.
#[tokio::test]
async fn a_newer_page_of_reposts_leads_on_where_none_hides_another() {
    let house = House::with(|parts| {
        parts.options = parts.options.clone().with_repost_span(0);
    });
    house.follow(BOB, ANN).await;
    let post = house.post(ANN).await;
    house.work().await;
    let read = house.page(BOB, 5).await;
    let repost = house.repost(ANN, post).await;
    house.work().await;

    let newer = PageRequest::at(read.prev.unwrap());
    let newer = house.feed.home(BOB, newer).await.unwrap();
    assert_eq!(newer.newest(), Some(repost));
    let older = PageRequest::at(newer.next.unwrap());
    let older = house.feed.home(BOB, older).await.unwrap();
    assert_eq!((older.newest(), older.next), (Some(post), None));
}

/// What is hidden below a newer page is looked at in few calls.
#[tokio::test]
async fn a_newer_page_over_many_hidden_entries_asks_seldom() {
    let faults = Arc::new(Faults::default());
    let house = House::with(|parts| {
        parts.options = parts.options.clone().with_post_quota(None);
        parts.outbox = Flaky::new(Arc::clone(&parts.outbox), &faults);
    });
    house.follow(BOB, ANN).await;
    house.posts(ANN, 1_000).await;
    house.work().await;
    let read = house.page(BOB, 5).await;
    house.feed.mute(BOB, ANN).await.unwrap();

    faults.arm(20, Strike::Outage { store: None });
    let newer = PageRequest::at(read.prev.unwrap());
    let newer = house.feed.home(BOB, newer).await.unwrap();
    assert_eq!((newer.newest(), newer.next), (None, None));
}
