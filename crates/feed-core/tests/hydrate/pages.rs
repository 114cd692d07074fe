//! What a page of items is made of.

use std::{sync::Arc, time::Duration};

use feed_core::{
    Entry, ErrorKind, Hydrated, Hydrator, HydratorOptions, HydratorParts, Lack, Part, PostId,
    PostVersion, Revised, UserId,
};

use crate::world::{ANN, BOB, World};

fn shown(page: &Hydrated) -> Vec<(u64, &str, &str)> {
    let text = |bytes| std::str::from_utf8(bytes).expect("the tables hold text");
    page.items
        .iter()
        .map(|item| {
            let (body, author) = (text(&item.post.body), text(&item.author.profile));
            (item.entry.post.get(), body, author)
        })
        .collect()
}

fn skipped(page: &Hydrated) -> Vec<(Entry, Part, String)> {
    let told = page.skipped.iter();
    told.map(|skip| (skip.entry, skip.part, skip.lack.to_string()))
        .collect()
}

async fn hydrate(node: &Hydrator, entries: &[Entry]) -> Hydrated {
    node.hydrate(entries).await.expect("the outbox answers")
}

/// P50: what is missing is skipped and reported, the order is kept, and each source is called once.
#[tokio::test]
async fn p50_a_page_costs_one_call_of_each_source_and_keeps_its_order() {
    let world = World::default();
    let node = world.lone_node();
    let mut entries: Vec<_> = (1..=6)
        .map(|post| {
            world.publish(
                if post % 2 == 0 { BOB } else { ANN },
                post,
                &format!("body {post}"),
            )
        })
        .collect();
    entries.push(world.repost(BOB, 7, 1));
    entries.push(world.publish(UserId::new(9), 8, "of a stranger"));
    entries.push(world.repost(UserId::new(9), 9, 2));
    entries.reverse();
    world.tables.remove_post(PostId::new(4));
    let page = hydrate(&node, &entries).await;
    let expected = [
        (7, "body 1", "Ann"),
        (6, "body 6", "Bob"),
        (5, "body 5", "Ann"),
        (3, "body 3", "Ann"),
        (2, "body 2", "Bob"),
        (1, "body 1", "Ann"),
    ];
    assert_eq!(shown(&page), expected);
    assert_eq!(
        page.items[0].reposter.as_ref().map(|user| user.id),
        Some(BOB)
    );
    assert!(page.items[1..].iter().all(|item| item.reposter.is_none()));
    let (stranger, gone) = (Part::User(UserId::new(9)), Part::Post(PostId::new(4)));
    let not_there = || Lack::Absent.to_string();
    let expected = [
        (entries[0], stranger, not_there()),
        (entries[1], stranger, not_there()),
        (entries[5], gone, not_there()),
    ];
    assert_eq!(skipped(&page), expected);

    assert_eq!(world.tables.post_calls(), [vec![1, 2, 3, 4, 5, 6, 8]]);
    assert_eq!(world.tables.user_calls(), [vec![1, 2, 9]]);
    let again = hydrate(&node, &entries).await;
    assert_eq!(shown(&again), shown(&page));
    assert_eq!(skipped(&again), skipped(&page));
    assert_eq!(world.tables.calls(), (0, 0), "all of it is here");
}

/// P50: a source that fails costs the page what it would have brought, and nothing else.
#[tokio::test]
async fn p50_what_a_failing_source_would_have_brought_is_skipped() {
    let world = World::default();
    let node = world.lone_node();
    let known = world.publish(ANN, 1, "known");
    hydrate(&node, &[known]).await;
    let entries = [
        world.publish(BOB, 3, "new"),
        world.publish(ANN, 2, "new"),
        known,
    ];
    world.tables.calls();
    world.tables.fail(true);
    let page = hydrate(&node, &entries).await;
    assert_eq!(shown(&page), [(1, "known", "Ann")]);
    let [first, second] = &page.skipped[..] else {
        panic!("two entries lack their post: {page:?}");
    };
    assert_eq!((first.entry, second.entry), (entries[0], entries[1]));
    let Lack::Failed(error) = &first.lack else {
        panic!("the source has failed: {first:?}");
    };
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(
        world.tables.calls(),
        (1, 1),
        "nobody tries twice for one page"
    );

    world.tables.fail(false);
    let page = hydrate(&node, &entries).await;
    assert_eq!(page.items.len(), 3, "a failure is not remembered");
    assert_eq!(world.tables.calls(), (1, 1));
    let stats = node.post_stats();
    assert_eq!((stats.source_calls, stats.source_failures), (3, 1));
}

#[tokio::test]
async fn a_post_that_is_retracted_after_the_page_was_made_is_skipped() {
    let world = World::default();
    let node = world.lone_node();
    let entries = [
        world.publish(ANN, 2, "stays"),
        world.publish(ANN, 1, "goes"),
    ];
    hydrate(&node, &entries).await;
    world.outbox.retract(ANN, PostId::new(1));
    let page = hydrate(&node, &entries).await;
    assert_eq!(shown(&page), [(2, "stays", "Ann")]);
    assert_eq!(page.skipped[0].part, Part::Post(PostId::new(1)));
}

#[tokio::test]
async fn bodies_may_stay_in_the_outbox() {
    let world = World::default();
    let users = Arc::clone(&world.tables);
    let outbox = Arc::clone(&world.outbox);
    let node = Hydrator::new(HydratorParts::new(
        outbox,
        users,
        Arc::new(world.clock.clone()),
    ));
    let entry = world.publish(ANN, 1, "in the table");
    let body = |page: Hydrated| page.items[0].post.body.clone();
    assert_eq!(body(hydrate(&node, &[entry]).await), "");
    let revised = world.outbox.revise(ANN, entry.post, b"in the outbox");
    assert_eq!(revised, Revised::Stored(2));
    assert_eq!(body(hydrate(&node, &[entry]).await), "in the outbox");
    assert_eq!(world.tables.post_calls(), Vec::<Vec<u64>>::new());
}

#[tokio::test]
async fn an_empty_page_costs_nothing() {
    let world = World::default();
    let page = hydrate(&world.node(), &[]).await;
    assert!(page.items.is_empty() && page.skipped.is_empty());
    assert_eq!(world.tables.calls(), (0, 0));
}

#[tokio::test]
async fn the_same_post_is_asked_for_once_and_answered_as_often_as_wanted() {
    let world = World::default();
    let node = world.lone_node();
    let entry = world.publish(ANN, 1, "body");
    world.edit(entry, 2, "body");
    let wanted = [
        PostVersion::new(entry.post, 1),
        PostVersion::new(entry.post, 2),
        PostVersion::new(entry.post, 1),
    ];
    let found = node.posts(&wanted).await;
    assert!(
        found
            .iter()
            .all(|post| post.as_ref().is_ok_and(|post| post.version == 2))
    );
    assert_eq!(world.tables.post_calls(), [[1]]);
    let users = node.users(&[BOB, ANN, BOB]).await;
    let ids: Vec<_> = users
        .into_iter()
        .map(|user| user.map(|user| user.id))
        .collect();
    assert!(matches!(ids[..], [Ok(BOB), Ok(ANN), Ok(BOB)]));
    assert_eq!(world.tables.user_calls(), [[1, 2]]);
}

#[tokio::test]
async fn absence_is_remembered_for_its_own_time() {
    let options = HydratorOptions::default();
    let absent = options.users.absent_ttl;
    assert!(absent < options.users.ttl);
    let world = World::new(options);
    let node = world.lone_node();
    assert!(matches!(node.users(&[ANN]).await[..], [Err(Lack::Absent)]));
    world.tables.set_user(ANN, "Ann");
    world.pass(absent.saturating_sub(Duration::from_millis(1)));
    assert!(matches!(node.users(&[ANN]).await[..], [Err(Lack::Absent)]));
    assert_eq!(world.tables.calls(), (0, 1));
    world.pass(Duration::from_millis(1));
    assert!(node.users(&[ANN]).await[0].is_ok());
    let stats = node.user_stats();
    assert_eq!((stats.hits, stats.absences, stats.misses), (0, 1, 2));
}

#[tokio::test]
async fn a_cache_holds_what_its_bound_allows() {
    let mut options = HydratorOptions::default();
    options.posts = options.posts.with_max_bytes(1 << 20);
    let world = World::new(options);
    let node = world.lone_node();
    let body = "x".repeat(1_000);
    let wanted: Vec<_> = (1..=2_000)
        .map(|post| PostVersion::new(world.publish(ANN, post, &body).post, 1))
        .collect();
    for post in wanted.chunks(50) {
        assert!(node.posts(post).await.iter().all(Result::is_ok));
    }
    let stats = node.post_stats();
    assert!((700 << 10..=1 << 20).contains(&stats.bytes), "{stats:?}");
    assert_eq!(stats.entries + stats.evictions, 2_000);
    let taken = stats.bytes / stats.entries;
    assert!(
        (1_150..=1_250).contains(&taken),
        "{taken} bytes for a post of 1,000"
    );
}
