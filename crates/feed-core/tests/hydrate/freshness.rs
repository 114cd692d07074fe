//! What an edit leaves behind, here and on other nodes.

use std::{pin::pin, time::Duration};

use feed_core::{Entry, Hydrator, HydratorOptions, Lack, PostId, PostVersion, UserId};
use futures::{FutureExt, poll};

use crate::world::{ANN, Mood, World};

async fn body(node: &Hydrator, entry: Entry) -> String {
    let page = node.hydrate(&[entry]).await.expect("the outbox answers");
    let body = &page.items[0].post.body;
    String::from_utf8(body.to_vec()).expect("the tables hold text")
}

async fn profile(node: &Hydrator, user: UserId) -> String {
    let user = node.users(&[user]).await.remove(0);
    let profile = user.expect("the user is there").profile;
    String::from_utf8(profile.to_vec()).expect("the tables hold text")
}

#[tokio::test]
async fn an_edit_is_seen_at_once_on_every_node() {
    let world = World::default();
    let (here, there) = (world.node(), world.node());
    let entry = world.publish(ANN, 1, "first");
    assert_eq!(body(&here, entry).await, "first");
    assert_eq!(body(&there, entry).await, "first");
    assert_eq!(
        world.tables.post_calls().len(),
        1,
        "the second node found it"
    );
    world.edit(entry, 2, "second");
    assert_eq!(body(&here, entry).await, "second");
    assert_eq!(body(&there, entry).await, "second");
    assert_eq!(world.tables.post_calls().len(), 1, "and the new one too");
    assert_eq!(here.post_stats().stale, 1);
    assert_eq!(there.post_stats().shared_hits, 2);
}

#[tokio::test]
async fn a_fetch_from_before_an_edit_is_no_answer_after_it() {
    let world = World::default();
    let node = world.lone_node();
    let entry = world.publish(ANN, 1, "first");
    world.tables.close();
    let page = [entry];
    let mut early = pin!(node.hydrate(&page));
    assert!(poll!(early.as_mut()).is_pending());
    world.edit(entry, 2, "second");
    let mut late = pin!(node.hydrate(&page));
    assert!(poll!(late.as_mut()).is_pending());
    world.tables.open();
    let (early, late) = futures::join!(early, late);
    assert_eq!(
        early.expect("the outbox answers").items[0].post.body,
        "first"
    );
    assert_eq!(
        late.expect("the outbox answers").items[0].post.body,
        "second"
    );
    assert_eq!(body(&node, entry).await, "second");
    assert_eq!(world.tables.post_calls().len(), 2);
}

#[tokio::test]
async fn a_source_that_lags_behind_is_not_believed() {
    let world = World::default();
    let node = world.node();
    let entry = world.publish(ANN, 1, "first");
    let ask = || async {
        node.posts(&[PostVersion::new(entry.post, 2)])
            .await
            .remove(0)
    };
    assert!(matches!(ask().await, Err(Lack::Behind)));
    assert!(matches!(ask().await, Err(Lack::Behind)));
    assert_eq!(
        world.tables.post_calls().len(),
        2,
        "an older version is not kept"
    );
    world.edit(entry, 2, "second");
    assert_eq!(
        ask().await.expect("the source has caught up").body,
        "second"
    );
}

#[tokio::test]
async fn a_hold_of_no_time_is_still_a_hold() {
    let mut options = HydratorOptions::default();
    options.hold = Duration::ZERO;
    let world = World::new(options);
    let node = world.node();
    world.tables.set_user(ANN, "Ann");
    assert_eq!(profile(&node, ANN).await, "Ann");
    world.tables.set_user(ANN, "Anna");
    node.forget_users(&[ANN]).await.expect("the cache is well");
    assert_eq!(profile(&node, ANN).await, "Anna");
}

#[tokio::test]
async fn a_forgotten_user_is_read_anew_here_at_once_and_elsewhere_in_time() {
    let options = HydratorOptions::default();
    let (ttl, hold) = (options.users.ttl, options.hold);
    let world = World::default();
    let (here, there) = (world.node(), world.node());
    assert_eq!(profile(&here, ANN).await, "Ann");
    assert_eq!(profile(&there, ANN).await, "Ann");
    world.tables.set_user(ANN, "Anna");
    assert_eq!(profile(&here, ANN).await, "Ann", "nobody has told");
    here.forget_users(&[ANN]).await.expect("the cache is well");
    assert_eq!(profile(&here, ANN).await, "Anna");
    assert_eq!(profile(&there, ANN).await, "Ann", "kept in that process");
    world.pass(ttl);
    assert_eq!(profile(&there, ANN).await, "Anna");
    assert!(hold < ttl);
    world.tables.calls();
    assert_eq!(profile(&here, ANN).await, "Anna");
    assert_eq!(
        world.tables.calls(),
        (0, 0),
        "the hold has passed, and it is shared again"
    );
}

/// However long the fetch takes: the hold may be over when it lands.
#[tokio::test]
async fn a_fetch_from_before_a_forget_is_neither_joined_nor_kept() {
    let hold = HydratorOptions::default().hold;
    for delay in [Duration::ZERO, hold, 2 * hold] {
        let world = World::default();
        let node = world.node();
        world.tables.close();
        let mut early = pin!(node.users(&[ANN]));
        assert!(poll!(early.as_mut()).is_pending());
        world.tables.set_user(ANN, "Anna");
        node.forget_users(&[ANN]).await.expect("the cache is well");
        world.pass(delay);
        let mut late = pin!(node.users(&[ANN]));
        assert!(poll!(late.as_mut()).is_pending());
        world.tables.open();
        let early = early.await.remove(0).expect("the user is there");
        assert_eq!(early.profile, "Ann", "as of when it was asked");
        let kept = node.user_stats().hits;
        assert_eq!(profile(&node, ANN).await, "Anna", "after {delay:?}");
        assert_eq!(node.user_stats().hits, kept, "the early fetch is not kept");
        let late = late.await.remove(0).expect("the user is there");
        assert_eq!(late.profile, "Anna", "the early fetch is not joined");
    }
}

/// A node reads a profile, is held up, and would then share what it has read: after the edit.
#[tokio::test]
async fn a_slow_node_does_not_put_an_old_profile_back() {
    let world = World::default();
    let (here, slow) = (world.node(), world.node());
    world.tables.close();
    let mut early = pin!(slow.users(&[ANN]));
    assert!(poll!(early.as_mut()).is_pending());
    world.tables.set_user(ANN, "Anna");
    here.forget_users(&[ANN]).await.expect("the cache is well");
    world.tables.open();
    early.await;
    world.pass(HydratorOptions::default().hold);
    assert_eq!(profile(&here, ANN).await, "Anna");
}

#[tokio::test]
async fn what_takes_longer_than_a_fetch_may_is_not_shared() {
    let fetch = HydratorOptions::default().fetch_timeout;
    let just = fetch.saturating_sub(Duration::from_millis(1));
    for (delay, shared) in [(just, true), (fetch, false)] {
        let world = World::default();
        let node = world.node();
        world.tables.close();
        let mut slow = pin!(node.users(&[ANN]));
        assert!(poll!(slow.as_mut()).is_pending());
        world.pass(delay);
        world.tables.open();
        slow.await;
        world.tables.calls();
        profile(&world.node(), ANN).await;
        assert_eq!(world.tables.calls(), (0, usize::from(!shared)), "{delay:?}");
    }
}

/// A replica that lags behind by less than the hold brings nothing old back for longer than that.
#[tokio::test]
async fn nothing_is_kept_during_the_hold() {
    let hold = HydratorOptions::default().hold;
    let world = World::default();
    let node = world.node();
    node.forget_users(&[ANN]).await.expect("the cache is well");
    assert_eq!(
        profile(&node, ANN).await,
        "Ann",
        "the replica does not have the edit yet"
    );
    world.tables.set_user(ANN, "Anna");
    world.pass(hold.saturating_sub(Duration::from_millis(1)));
    assert_eq!(profile(&node, ANN).await, "Anna");
    world.pass(Duration::from_millis(1));
    world.tables.calls();
    for _ in 0..2 {
        assert_eq!(profile(&node, ANN).await, "Anna");
    }
    assert_eq!(world.tables.calls(), (0, 1), "kept again");
}

#[tokio::test]
async fn an_erased_post_leaves_both_levels() {
    let world = World::default();
    let (here, there) = (world.node(), world.node());
    let entry = world.publish(ANN, 1, "secret");
    assert_eq!(body(&here, entry).await, "secret");
    world.tables.remove_post(entry.post);
    here.forget_posts(&[entry.post])
        .await
        .expect("the cache is well");
    for node in [&here, &there] {
        let post = node
            .posts(&[PostVersion::new(entry.post, 1)])
            .await
            .remove(0);
        assert!(matches!(post, Err(Lack::Absent)), "{post:?}");
    }
}

#[tokio::test]
async fn forgetting_reports_a_shared_cache_that_fails_and_can_be_repeated() {
    let world = World::default();
    let node = world.node();
    assert_eq!(profile(&node, ANN).await, "Ann");
    world.tables.set_user(ANN, "Anna");
    world.cache.set(Mood::Failing);
    assert!(node.forget_users(&[ANN]).await.is_err());
    assert_eq!(
        profile(&node, ANN).await,
        "Anna",
        "this process has forgotten"
    );
    world.cache.set(Mood::Well);
    node.forget_users(&[ANN]).await.expect("the cache is well");
    assert_eq!(profile(&world.node(), ANN).await, "Anna");
}

#[tokio::test]
async fn a_failing_shared_cache_counts_as_a_miss() {
    let world = World::default();
    let node = world.node();
    world.cache.set(Mood::Failing);
    assert_eq!(profile(&node, ANN).await, "Ann");
    let stats = node.user_stats();
    assert_eq!(
        (stats.shared_failures, stats.source_calls),
        (1, 1),
        "and is left alone"
    );
    assert_eq!(profile(&node, ANN).await, "Ann");
    assert_eq!(node.user_stats().hits, 1);
}

#[tokio::test]
async fn a_shared_cache_that_hangs_costs_its_patience() {
    let patience = Duration::from_secs(1);
    let world = World::inhabited(HydratorOptions::default().with_patience(patience));
    let node = world.node();
    world.cache.set(Mood::Stuck);
    let mut asked = pin!(node.users(&[ANN]));
    assert!(poll!(asked.as_mut()).is_pending());
    world.pass(patience.saturating_sub(Duration::from_millis(1)));
    assert!(poll!(asked.as_mut()).is_pending());
    world.pass(Duration::from_millis(1));
    let user = asked.now_or_never().expect("the source answers at once");
    assert!(user[0].is_ok());
    assert_eq!(node.user_stats().shared_failures, 1);
}

#[tokio::test]
async fn what_is_not_ours_in_the_shared_cache_is_replaced() {
    let world = World::default();
    let item = |key: &[u8], value: &'static [u8]| {
        let key = key.to_vec();
        feed_core::CacheItem::new(key, value, Duration::from_secs(100)).expect("within limits")
    };
    let (post_key, user_key) = (b"p\0\0\0\0\0\0\0\x01", b"u\0\0\0\0\0\0\0\x01");
    world
        .cache
        .inner
        .put_many(&[item(post_key, b"\x03\x02"), item(user_key, b"\xff")]);
    let entry = world.publish(ANN, 1, "body");
    assert_eq!(body(&world.node(), entry).await, "body");
    assert_eq!(world.tables.calls(), (1, 1));
    assert_eq!(body(&world.node(), entry).await, "body");
    assert_eq!(world.tables.calls(), (0, 0));
}

/// Whoever changes these bytes gives them another mark: nodes of both versions share the cache.
#[tokio::test]
async fn what_is_shared_is_in_the_form_that_other_nodes_of_this_version_read() {
    let world = World::default();
    let entry = world.publish(ANN, 1, "body");
    assert_eq!(body(&world.node(), entry).await, "body");
    let keys = [&b"p\0\0\0\0\0\0\0\x01"[..], b"u\0\0\0\0\0\0\0\x01"];
    let shared = world
        .cache
        .inner
        .get_many(&keys.map(bytes::Bytes::from_static));
    let mut post = b"\x03\0\0\0\x01".to_vec();
    post.extend(entry.author.get().to_be_bytes());
    post.extend(entry.origin.get().to_be_bytes());
    post.extend(b"\0body");
    assert_eq!(shared[0].as_deref(), Some(&post[..]));
    assert_eq!(shared[1].as_deref().and_then(|user| user.first()), Some(&3));
}

/// A body may begin with any byte, also one that says today that a reply follows.
#[tokio::test]
async fn what_another_version_has_shared_is_read_from_the_source() {
    let world = World::default();
    let entry = world.publish(ANN, 1, "body");
    let mut older = b"\x01\0\0\0\x01".to_vec();
    older.extend(entry.author.get().to_be_bytes());
    older.extend(entry.origin.get().to_be_bytes());
    older.extend(b"\0older");
    let key = b"p\0\0\0\0\0\0\0\x01".to_vec();
    let item = feed_core::CacheItem::new(key, older, Duration::from_secs(100));
    world.cache.inner.put_many(&[item.expect("within limits")]);
    assert_eq!(body(&world.node(), entry).await, "body");
    assert_eq!(world.tables.calls(), (1, 1));
}

#[tokio::test]
async fn a_post_comes_back_from_the_shared_cache_as_it_was() {
    let world = World::default();
    let author = UserId::new(u64::MAX - 7);
    let entry = world.publish(author, u64::MAX - 9, "body \u{1f600}");
    world.edit(entry, 2, "");
    let (here, there) = (world.node(), world.node());
    let wanted = [
        PostVersion::new(entry.post, 2),
        PostVersion::new(PostId::new(3), 1),
    ];
    let original = here
        .posts(&wanted)
        .await
        .remove(0)
        .expect("the post is there");
    let shared = there
        .posts(&wanted)
        .await
        .remove(0)
        .expect("the post is there");
    assert_eq!(original, shared);
    assert_eq!((shared.entry, there.post_stats().shared_hits), (entry, 1));
}

/// What a page wants in its second version, a node fetches while the first lies in the shared cache;
/// it has read the second when the post is erased, and would share it afterwards.
#[tokio::test]
async fn an_erased_post_does_not_come_back_in_place_of_an_older_version() {
    for marked in [true, false] {
        let world = World::default();
        let (here, slow) = (world.node(), world.node());
        let entry = world.publish(ANN, 1, "first");
        assert_eq!(body(&slow, entry).await, "first");
        world.edit(entry, 2, "secret");
        world.tables.close();
        let wanted = [PostVersion::new(entry.post, 2)];
        let mut early = pin!(slow.posts(&wanted));
        assert!(poll!(early.as_mut()).is_pending());
        world.tables.remove_post(entry.post);
        forget_post(&world, &here, entry, marked).await;
        world.tables.open();
        assert!(early.await[0].is_ok(), "as of when it was asked");
        for node in [&here, &world.node()] {
            let post = node.posts(&wanted).await.remove(0);
            assert!(matches!(post, Err(Lack::Absent)), "{marked}: {post:?}");
        }
    }
}

/// The shared cache may lose anything, and so the mark of a forget.
#[tokio::test]
async fn an_erased_post_does_not_come_back_where_the_mark_was_lost() {
    let world = World::default();
    let (here, slow) = (world.node(), world.node());
    let entry = world.publish(ANN, 1, "secret");
    world.tables.close();
    let wanted = [PostVersion::new(entry.post, 1)];
    let mut early = pin!(slow.posts(&wanted));
    assert!(poll!(early.as_mut()).is_pending());
    world.tables.remove_post(entry.post);
    forget_post(&world, &here, entry, false).await;
    world.tables.open();
    early.await;
    let post = world.node().posts(&wanted).await.remove(0);
    assert!(matches!(post, Err(Lack::Absent)), "{post:?}");
}

/// Forgets a post, and loses the mark of it in the shared cache if it is not to stay.
async fn forget_post(world: &World, node: &Hydrator, entry: Entry, marked: bool) {
    node.forget_posts(&[entry.post])
        .await
        .expect("the cache is well");
    if !marked {
        let mut key = b"p".to_vec();
        key.extend(entry.post.get().to_be_bytes());
        world.cache.inner.remove_many(&[key.into()]);
    }
}

#[tokio::test]
async fn what_was_forgotten_here_is_not_shared_even_if_the_shared_cache_did_not_hear_of_it() {
    let world = World::default();
    let node = world.node();
    world.tables.close();
    let mut early = pin!(node.users(&[ANN]));
    assert!(poll!(early.as_mut()).is_pending());
    world.tables.set_user(ANN, "Anna");
    world.cache.set(Mood::Failing);
    assert!(node.forget_users(&[ANN]).await.is_err());
    world.cache.set(Mood::Well);
    world.tables.open();
    early.await;
    assert_eq!(profile(&world.node(), ANN).await, "Anna");
}

/// The mark of a forget in the shared cache may be lost, and there may be no room to keep anything
/// here: what this process has forgotten it neither keeps nor shares during the hold.
#[tokio::test]
async fn the_hold_does_not_depend_on_room_in_either_cache() {
    let hold = HydratorOptions::default().hold;
    for room in [0, 1 << 20] {
        let users = HydratorOptions::default().users.with_max_bytes(room);
        let world = World::new(HydratorOptions::default().with_users(users));
        let node = world.node();
        world.tables.set_user(ANN, "Ann");
        node.forget_users(&[ANN]).await.expect("the cache is well");
        // More than there is room for, so that whatever is kept in it has to go.
        let others: Vec<_> = (100..10_000).map(UserId::new).collect();
        node.users(&others).await;
        let key = [&b"u"[..], &ANN.get().to_be_bytes()].concat();
        world.cache.inner.remove_many(&[key.into()]);
        let asked = world.tables.calls().1;
        assert!(asked > 0);
        for _ in 0..2 {
            assert_eq!(profile(&node, ANN).await, "Ann", "the replica lags behind");
            assert_eq!(world.tables.calls(), (0, 1), "and is not believed: {room}");
        }
        world.tables.set_user(ANN, "Anna");
        assert_eq!(profile(&node, ANN).await, "Anna");
        assert_eq!(profile(&world.node(), ANN).await, "Anna");
        world.pass(hold);
        assert_eq!(profile(&node, ANN).await, "Anna");
    }
}

/// As many as one process may be told to forget within the hold: past its bound it keeps less, and
/// never what was forgotten.
#[tokio::test]
async fn more_forgets_than_are_noted_one_by_one_hold_everything() {
    let world = World::default();
    let node = world.lone_node();
    let many: Vec<_> = (100..50_100).map(UserId::new).collect();
    for chunk in many.chunks(1_000) {
        node.forget_users(chunk)
            .await
            .expect("there is no shared cache");
    }
    world.pass(Duration::from_millis(1));
    node.users(&many).await;
    let asked = node.users(&many).await.len() as u64;
    assert_eq!(node.user_stats().absences, 0, "of {asked} none is kept");
    world.pass(HydratorOptions::default().hold);
    node.users(&many).await;
    node.users(&many).await;
    assert_eq!(node.user_stats().absences, asked, "kept again");
}

/// What counts is when it was read, not when it comes.
#[tokio::test]
async fn what_was_read_during_the_hold_is_not_kept_if_it_comes_after_it() {
    let hold = HydratorOptions::default().hold;
    let world = World::default();
    for node in [world.node(), world.lone_node()] {
        world.tables.set_user(ANN, "Ann");
        node.forget_users(&[ANN]).await.expect("the cache is well");
        world.tables.close();
        let mut lagging = pin!(node.users(&[ANN]));
        assert!(poll!(lagging.as_mut()).is_pending());
        world.tables.set_user(ANN, "Anna");
        world.pass(hold);
        world.tables.open();
        lagging.await;
        assert_eq!(profile(&node, ANN).await, "Anna");
        assert_eq!(profile(&world.node(), ANN).await, "Anna");
    }
}

/// What is stored of it lies in wait in a cache that is slow, and must find its claim gone.
#[tokio::test]
async fn an_erased_post_does_not_come_back_where_it_is_stored_late() {
    let world = World::default();
    let (here, slow) = (world.node(), world.node());
    let entry = world.publish(ANN, 1, "secret");
    world.tables.close();
    let wanted = [PostVersion::new(entry.post, 1)];
    let mut early = pin!(slow.posts(&wanted));
    assert!(poll!(early.as_mut()).is_pending());
    world.cache.set(Mood::Late);
    world.tables.open();
    assert!(poll!(early.as_mut()).is_pending(), "the cache is slow");
    world.tables.remove_post(entry.post);
    world.cache.set(Mood::Well);
    forget_post(&world, &here, entry, true).await;
    world.cache.catch_up();
    world.pass(HydratorOptions::default().patience);
    assert!(early.await[0].is_ok(), "as of when it was asked");
    let post = world.node().posts(&wanted).await.remove(0);
    assert!(matches!(post, Err(Lack::Absent)), "{post:?}");
}
