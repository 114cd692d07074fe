//! A user who was erased is nowhere in the file: every row of every table is looked at.
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use backend_redb::{
    RedbFeedOptions, Writer, WriterOptions, feed_parts,
    redb::{
        AccessGuard, Database, Key, ReadTransaction, ReadableDatabase, ReadableTable,
        TableDefinition, TableHandle, Value,
    },
};
use backplane::{
    ManualClock,
    queue::{Lane, NewTask},
};
use feed_core::{
    Feed, FeedOptions, IdempotencyKey, ListId, NewPost, PageRequest, PostId, Published, UserId,
};

/// Eight bytes that nothing else in the file is.
const ANN: UserId = UserId::new(0xa1b2_c3d4_e5f6_0718);
const BOB: UserId = UserId::new(2);
const CAT: UserId = UserId::new(3);

async fn open(path: &Path, clock: &ManualClock) -> Feed {
    let writer = Writer::start(
        Arc::new(Database::create(path).unwrap()),
        WriterOptions::default(),
    );
    let feed = FeedOptions::default().with_post_quota(None);
    let options = RedbFeedOptions::default().with_feed(feed);
    let clock = Arc::new(clock.clone());
    Feed::new(feed_parts(&writer.unwrap(), clock, options).await.unwrap())
}

/// The tables in which `number` is written, in either order of bytes.
fn tables_with(path: &Path, number: u64) -> BTreeSet<String> {
    let database = Database::open(path).unwrap();
    let txn = database.begin_read().unwrap();
    let tables = txn.list_tables().unwrap();
    let names = tables.map(|table| table.name().to_owned());
    let needles = [number.to_le_bytes(), number.to_be_bytes()];
    let mentions = |row: &Vec<u8>| {
        row.windows(8)
            .any(|part| needles.iter().any(|needle| needle == part))
    };
    names
        .filter(|name| rows(&txn, name).iter().any(mentions))
        .map(|name| name.replace("feed.", "").replace("main.", ""))
        .collect()
}

/// The bytes of all rows of a table, keys and values.
fn rows(txn: &ReadTransaction, name: &str) -> Vec<Vec<u8>> {
    let (kind, part) = name.rsplit_once('.').unwrap();
    match (kind, part) {
        ("backplane.queue.feed", "main")
        | ("feed.activity.main", "users")
        | ("feed.actions.main", "counts")
        | ("feed.graph.main", "degrees" | "routes")
        | ("feed.outbox.main", "posts" | "bodies" | "pasts") => all::<u64, &[u8]>(txn, name),
        ("backend-redb", "format") | ("backplane", "queues") => all::<&str, u32>(txn, name),
        ("backplane", "marks") => all::<&str, &[u8]>(txn, name),
        ("feed.actions.main", "done") => all::<(u64, u8, u64, u64), ()>(txn, name),
        ("feed.actions.main", "made") => all::<(u64, u64, u8, u64), ()>(txn, name),
        ("feed.actions.main", "drawn") => all::<(u64, u64, u64, u8, u64), ()>(txn, name),
        ("feed.graph.main", "edges" | "followers") => all::<(u64, u64), &[u8]>(txn, name),
        ("feed.graph.main", "hides" | "hidden_by") => all::<(u64, u8, u64), ()>(txn, name),
        ("feed.graph.main", "lists" | "listed_in") => all::<(u64, u64, u64), ()>(txn, name),
        ("feed.graph.main", "stamps") => all::<&str, u64>(txn, name),
        ("feed.outbox.main", "lines") => all::<(u64, u64), u64>(txn, name),
        ("feed.outbox.main", "keys") => all::<(u64, &str), u64>(txn, name),
        ("feed.outbox.main", "key_order") => all::<(u64, u64), &str>(txn, name),
        ("feed.outbox.main", "retractions") => all::<(u64, u64), ()>(txn, name),
        _ => panic!("{name} is a table that this test does not know"),
    }
}

fn all<K: Key + 'static, V: Value + 'static>(txn: &ReadTransaction, name: &str) -> Vec<Vec<u8>> {
    let table = txn.open_table(TableDefinition::<K, V>::new(name)).unwrap();
    let bytes = |(key, value): (AccessGuard<'_, K>, AccessGuard<'_, V>)| {
        let mut row = K::as_bytes(&key.value()).as_ref().to_vec();
        row.extend(V::as_bytes(&value.value()).as_ref());
        row
    };
    let rows = table.iter().unwrap();
    rows.map(|row| bytes(row.unwrap())).collect()
}

async fn publish(feed: &Feed, clock: &ManualClock, author: UserId, post: NewPost) -> PostId {
    clock.advance(Duration::from_millis(1));
    match feed.publish(author, post).await.unwrap() {
        Published::Accepted(post) => post,
        other => panic!("{other:?}"),
    }
}

/// Everything that users of a feed do, by and to Ann. Answers her posts.
async fn live(feed: &Feed, clock: &ManualClock) -> Vec<PostId> {
    for (viewer, author) in [(BOB, ANN), (ANN, BOB), (CAT, ANN), (CAT, BOB)] {
        let followed = feed.follow(viewer, author).await;
        assert!(followed.unwrap());
        feed.home(viewer, PageRequest::newest()).await.unwrap();
    }
    let list = ListId::new(1);
    feed.set_list(CAT, list, &[ANN, BOB]).await.unwrap();
    feed.set_list(ANN, list, &[BOB, CAT]).await.unwrap();
    feed.mute(CAT, ANN).await.unwrap();
    feed.block(ANN, UserId::new(9)).await.unwrap();

    let others = publish(feed, clock, BOB, NewPost::new("bob's")).await;
    let mut posts = Vec::new();
    for key in ["a", "b", "c"] {
        let key: IdempotencyKey = key.parse().unwrap();
        let body = ANN.get().to_le_bytes().to_vec();
        let post = NewPost::new(body).with_key(key).in_reply_to(others);
        posts.push(publish(feed, clock, ANN, post).await);
    }
    for &post in &posts {
        feed.like(BOB, post).await.unwrap();
        assert!(feed.repost(CAT, post).await.unwrap().post().is_some());
        let reply = NewPost::new("well").in_reply_to(post);
        publish(feed, clock, BOB, reply).await;
    }
    feed.like(ANN, others).await.unwrap();
    assert!(feed.repost(ANN, others).await.unwrap().post().is_some());
    feed.mark_read(ANN, others).await.unwrap();
    feed.edit(ANN, posts[0], "better".into()).await.unwrap();
    feed.delete(ANN, posts[1]).await.unwrap();

    let queue = &feed.parts().queue;
    let garbage = [&[0][..], &ANN.get().to_be_bytes()].concat();
    let garbage = NewTask::new(garbage).with_lane(Lane::new(ANN.get()));
    queue.enqueue(&[garbage]).await.unwrap();
    feed.work_all().await.unwrap();
    assert_eq!(queue.stats().await.unwrap().dead, 1);
    posts.push(publish(feed, clock, ANN, NewPost::new("on its way")).await);
    posts
}

/// P43.
#[tokio::test]
async fn an_erased_user_is_in_no_row_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let (path, clock) = (folder.path().join("feed.redb"), ManualClock::default());
    let feed = open(&path, &clock).await;
    let posts = live(&feed, &clock).await;
    drop(feed);
    let everywhere = [
        "actions.counts",
        "actions.done",
        "actions.drawn",
        "actions.made",
        "activity.users",
        "backplane.queue.main",
        "graph.degrees",
        "graph.edges",
        "graph.followers",
        "graph.hidden_by",
        "graph.hides",
        "graph.listed_in",
        "graph.lists",
        "outbox.bodies",
        "outbox.key_order",
        "outbox.keys",
        "outbox.lines",
        "outbox.posts",
        "outbox.retractions",
    ];
    let before = tables_with(&path, ANN.get());
    let seen = |name: &&&str| !before.contains(**name);
    assert_eq!(everywhere.iter().find(seen), None, "of {before:?}");

    let feed = open(&path, &clock).await;
    feed.erase_user(ANN).await.unwrap();
    feed.work_all().await.unwrap();
    clock.advance(FeedOptions::default().call_timeout);
    feed.work_all().await.unwrap();
    drop(feed);
    assert_eq!(tables_with(&path, ANN.get()), BTreeSet::new());
    for post in posts {
        // Cat's reposts say what they show, which is not there any more.
        let mut mentions = tables_with(&path, post.get());
        for reposts in ["outbox.posts", "outbox.lines"] {
            mentions.remove(reposts);
        }
        assert_eq!(mentions, BTreeSet::new(), "{post}");
    }
}
