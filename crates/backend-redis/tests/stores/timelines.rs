//! Timelines on a server and on a Cluster, against those in memory and over what a server may do.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use backend_redis::{RedisTimelines, RedisTimelinesOptions};
use backplane::Timestamp;
use feed_core::{
    BuildStart, BuildTicket, Entry, PostId, Seek, TimelineState, TimelineStore, UserId,
    conformance::histories::{few_cases, timelines},
};
use futures::future::join_all;
use proptest::proptest;
use redis::{Value, cmd};
use tokio::{runtime::Runtime, time::sleep};

use crate::house::{CLUSTER, SERVER, Server, connect_apart};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const ANN: UserId = UserId::new(1);
const BOB: UserId = UserId::new(2);

/// Timelines of which nobody else knows.
async fn own(urls: &[String]) -> RedisTimelines {
    let options = RedisTimelinesOptions::default().with_capacity(timelines::CAPACITY);
    RedisTimelines::new(connect_apart(urls).await, options)
}

proptest! {
    #![proptest_config(few_cases())]

    #[test]
    fn timelines_on_a_server_answer_as_in_memory(history in timelines::histories()) {
        Runtime::new().unwrap().block_on(async {
            let store = Arc::new(own(&[SERVER.url()]).await);
            timelines::play(&history, async || Arc::clone(&store)).await;
        });
    }

    #[test]
    fn timelines_on_a_cluster_answer_as_in_memory(history in timelines::histories()) {
        Runtime::new().unwrap().block_on(async {
            let store = Arc::new(own(&CLUSTER.urls()).await);
            timelines::play(&history, async || Arc::clone(&store)).await;
        });
    }
}

/// Timelines on a server of their own.
struct Shelf {
    server: Server,
    timelines: RedisTimelines,
}

impl Shelf {
    async fn new(options: RedisTimelinesOptions) -> Self {
        let server = Server::start().await;
        Self {
            timelines: RedisTimelines::new(server.redis.clone(), options),
            server,
        }
    }

    async fn push(&self, post: u64) -> usize {
        let pushed = self.timelines.push_many(&[ANN], entry(post)).await;
        pushed.unwrap().reached
    }

    async fn shown(&self) -> (TimelineState, Vec<u64>) {
        let window = self.timelines.window(ANN, Seek::Newest, 10_000).await;
        let window = window.unwrap();
        let posts = window.entries.iter().map(|entry| entry.post.get());
        (window.state, posts.collect())
    }
}

const fn entry(post: u64) -> Entry {
    Entry::original(PostId::new(post), BOB)
}

const WARM: TimelineState = TimelineState::Warm { floor: PostId::MIN };

async fn begin(timelines: &RedisTimelines, owner: UserId) -> BuildTicket {
    match timelines.begin_build(owner, NOW, NOW).await.unwrap() {
        BuildStart::Started(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

async fn build(timelines: &RedisTimelines, owner: UserId, posts: &[u64]) {
    let ticket = begin(timelines, owner).await;
    let entries: Vec<_> = posts.iter().map(|&post| entry(post)).collect();
    let built = timelines.commit_build(ticket, &entries, PostId::MIN).await;
    assert!(built.unwrap());
}

/// However much is pushed, a list is packed again and again, and keeps its TTL.
#[tokio::test]
async fn a_list_is_packed() {
    let options = RedisTimelinesOptions::default().with_capacity(100);
    let shelf = Shelf::new(options).await;
    build(&shelf.timelines, ANN, &[]).await;
    for post in 1..=1_000 {
        shelf.push(post).await;
        let len: usize = shelf.server.ask("LLEN {tl:1}").await;
        assert!(len < 2 + RedisTimelines::UNPACKED, "{len} elements");
    }
    let newest: Vec<_> = (901..=1_000).rev().collect();
    let floor = PostId::new(901);
    assert_eq!(shelf.shown().await, (TimelineState::Warm { floor }, newest));
    let ttl: i64 = shelf.server.ask("PTTL {tl:1}").await;
    assert!(ttl > 0);
}

/// What is pushed while lists are packed is in them, and what is removed is not.
#[tokio::test]
async fn nothing_is_lost_beside_packing() {
    let shelf = Shelf::new(RedisTimelinesOptions::default().with_capacity(5_000)).await;
    build(&shelf.timelines, ANN, &[]).await;
    let work = (0..8_u64).map(|worker| {
        let shelf = &shelf;
        async move {
            for n in 0..300 {
                let post = 1 + n * 8 + worker;
                shelf.push(post).await;
                if n % 10 == 0 {
                    let removed = shelf.timelines.remove_many(&[ANN], PostId::new(post));
                    assert_eq!(removed.await.unwrap(), []);
                }
            }
        }
    });
    join_all(work).await;
    let kept = |post: &u64| !((post - 1) / 8).is_multiple_of(10);
    let expected: Vec<_> = (1..=2_400).rev().filter(kept).collect();
    assert_eq!(shelf.shown().await, (WARM, expected));
}

/// A timeline that was begun on a server that another has taken over from is cold there, a build of it
/// cannot commit, and the next build is as any.
#[tokio::test]
async fn a_timeline_is_cold_where_its_end_may_be_lost() {
    let shelf = Shelf::new(RedisTimelinesOptions::default()).await;
    build(&shelf.timelines, ANN, &[1]).await;
    let lost = begin(&shelf.timelines, BOB).await;
    // What a replica goes through that takes over.
    shelf.server.order("REPLICAOF 127.0.0.1 1").await;
    shelf.server.order("REPLICAOF NO ONE").await;
    assert_eq!(shelf.push(2).await, 1);
    assert_eq!(shelf.shown().await, (TimelineState::Cold, vec![]));
    let merged = shelf.timelines.merge(ANN, &[entry(1)]).await.unwrap();
    assert_eq!(merged, TimelineState::Cold);
    let committed = shelf.timelines.commit_build(lost, &[], PostId::MIN).await;
    assert!(!committed.unwrap());
    build(&shelf.timelines, ANN, &[1, 2]).await;
    assert_eq!(shelf.shown().await, (WARM, vec![2, 1]));
}

/// A timeline that nobody reads is forgotten, and one that is read is not.
#[tokio::test]
async fn a_timeline_is_kept_that_is_read() {
    let ttl = Duration::from_millis(600);
    let options = RedisTimelinesOptions::default().with_idle_ttl(Some(ttl));
    let shelf = Shelf::new(options).await;
    for owner in [BOB, ANN] {
        build(&shelf.timelines, owner, &[1]).await;
    }
    while shelf.server.ask("EXISTS {tl:2}").await {
        assert_eq!(shelf.shown().await, (WARM, vec![1]));
        let pushed = shelf.timelines.push_many(&[ANN, BOB], entry(1)).await;
        assert!(pushed.unwrap().reached > 0);
    }
    assert_eq!(shelf.shown().await, (WARM, vec![1]));
}

/// What another version has written is cold, and is built again.
#[tokio::test]
async fn a_list_that_does_not_decode_is_built_again() {
    let shelf = Shelf::new(RedisTimelinesOptions::default()).await;
    for damage in [
        "LSET {tl:1} 0 header",
        "LSET {tl:1} 1 block",
        "RPUSH {tl:1} pp",
    ] {
        build(&shelf.timelines, ANN, &[1]).await;
        shelf.server.order(damage).await;
        assert_eq!(
            shelf.shown().await,
            (TimelineState::Cold, vec![]),
            "{damage}"
        );
        shelf.server.order("DEL {tl:1}").await;
    }
    build(&shelf.timelines, ANN, &[1]).await;
    shelf.server.order("LSET {tl:1} 0 header").await;
    build(&shelf.timelines, ANN, &[2]).await;
    assert_eq!(shelf.shown().await, (WARM, vec![2]));
}

/// Where there is no memory left, pushes are refused as such, and what is there stays whole.
#[tokio::test]
async fn a_server_out_of_memory_is_full_and_nothing_is_torn() {
    let shelf = Shelf::new(RedisTimelinesOptions::default()).await;
    build(&shelf.timelines, ANN, &[]).await;
    let full = RedisTimelines::UNPACKED as u64 - 1;
    for post in 1..full {
        shelf.push(post).await;
    }
    let building = begin(&shelf.timelines, BOB).await;
    shelf.server.order("CONFIG SET maxmemory 1").await;
    let refused = [
        shelf
            .timelines
            .push_many(&[ANN], entry(99))
            .await
            .unwrap_err(),
        shelf.timelines.merge(ANN, &[entry(99)]).await.unwrap_err(),
        shelf
            .timelines
            .commit_build(building, &[], PostId::MIN)
            .await
            .unwrap_err(),
        shelf
            .timelines
            .begin_build(UserId::new(9), NOW, NOW)
            .await
            .unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.kind(), feed_core::ErrorKind::Full, "{error:?}");
    }
    let posts: Vec<_> = (1..full).rev().collect();
    assert_eq!(shelf.shown().await, (WARM, posts));
    shelf.server.order("CONFIG SET maxmemory 0").await;
    assert_eq!(shelf.push(full).await, 1);
    let built = shelf
        .timelines
        .commit_build(building, &[], PostId::MIN)
        .await;
    assert!(built.unwrap());
}

/// A key of somebody else's fails its owner, and a server that is gone all of them.
#[tokio::test]
async fn owners_fail_whose_timeline_cannot_be_written() {
    let shelf = Shelf::new(RedisTimelinesOptions::default()).await;
    build(&shelf.timelines, ANN, &[]).await;
    shelf.server.order("SET {tl:2} stranger").await;
    let owners = [ANN, BOB];
    let pushed = shelf.timelines.push_many(&owners, entry(1)).await.unwrap();
    assert_eq!((pushed.reached, &pushed.failed[..]), (1, &[BOB][..]));
    let removed = shelf.timelines.remove_many(&owners, PostId::new(1)).await;
    assert_eq!(removed.unwrap(), [BOB]);
    let failed = [
        shelf.timelines.purge_many(&owners, BOB).await.unwrap_err(),
        shelf
            .timelines
            .push_many(&[BOB], entry(1))
            .await
            .unwrap_err(),
        shelf
            .timelines
            .window(BOB, Seek::Newest, 1)
            .await
            .unwrap_err(),
        shelf
            .timelines
            .begin_build(BOB, NOW, NOW)
            .await
            .unwrap_err(),
    ];
    for error in failed {
        assert_eq!(error.kind(), feed_core::ErrorKind::Corrupt, "{error:?}");
    }
    drop(shelf.server);
    let gone = shelf.timelines.push_many(&owners, entry(2)).await;
    assert_eq!(gone.unwrap_err().kind(), feed_core::ErrorKind::Unavailable);
}

/// Where there is no room to note that entries are gone, the timeline is, so that nobody sees them.
#[tokio::test]
async fn entries_are_taken_out_though_memory_is_full() {
    let server = Server::start().await;
    let timelines = RedisTimelines::new(server.redis.clone(), RedisTimelinesOptions::default());
    let entries = [10, 11].map(|post| Entry::original(PostId::new(post), BOB));
    for owner in [ANN, BOB] {
        let begun = timelines.begin_build(owner, NOW, Timestamp::EPOCH).await;
        let BuildStart::Started(ticket) = begun.unwrap() else {
            panic!("nobody builds it");
        };
        let built = timelines.commit_build(ticket, &entries, PostId::new(1));
        assert!(built.await.unwrap());
    }
    server.order("CONFIG SET maxmemory 1").await;
    let failed = timelines
        .remove_many(&[ANN], entries[0].post)
        .await
        .unwrap();
    assert_eq!(failed, []);
    timelines.purge_many(&[BOB], BOB).await.unwrap();
    for owner in [ANN, BOB] {
        let window = timelines.window(owner, Seek::Newest, 9).await.unwrap();
        assert_eq!(window.state, TimelineState::Cold);
    }
    let entry = Entry::original(PostId::new(12), BOB);
    assert!(timelines.push_many(&[ANN], entry).await.is_err());
}

/// A server that has to have a replica takes no writes without one, and yet answers readers.
#[tokio::test]
async fn timelines_are_read_where_nothing_may_be_written() {
    let server = Server::start().await;
    let options = RedisTimelinesOptions::default();
    let timelines = RedisTimelines::new(server.redis.clone(), options);
    let begun = timelines.begin_build(ANN, NOW, Timestamp::EPOCH).await;
    let BuildStart::Started(ticket) = begun.unwrap() else {
        panic!("nobody builds it");
    };
    let built = timelines.commit_build(ticket, &[], PostId::new(1)).await;
    assert!(built.unwrap());
    server.order(&format!("EXPIRE {{tl:{ANN}}} 60")).await;
    server.order("CONFIG SET min-replicas-to-write 1").await;
    let window = timelines.window(ANN, Seek::Newest, 9).await.unwrap();
    assert!(matches!(window.state, TimelineState::Warm { .. }));
}

/// A server that starts again while all its keys are looked at has them in another order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timelines_are_dropped_though_their_server_starts_again_meanwhile() {
    const OWNERS: u64 = 3_000;
    let server = Server::start().await;
    let timelines = RedisTimelines::new(server.redis.clone(), RedisTimelinesOptions::default());
    let owners: Vec<_> = (0..OWNERS).map(UserId::new).collect();
    for owners in owners.chunks(100) {
        let begin = |&owner| timelines.begin_build(owner, NOW, Timestamp::EPOCH);
        for begun in join_all(owners.iter().map(begin)).await {
            assert!(matches!(begun.unwrap(), BuildStart::Started(_)));
        }
    }
    server.engine.save().unwrap();
    // Somebody else has the connection made again.
    let pongs = Arc::new(AtomicU64::new(0));
    let (heard, busy, ping) = (Arc::clone(&pongs), server.redis.clone(), cmd("PING"));
    let busy = tokio::spawn(async move {
        loop {
            let pong = busy.command("ping", &ping).await;
            heard.fetch_add(u64::from(pong.is_ok()), Ordering::Relaxed);
            sleep(Duration::from_millis(10)).await;
        }
    });
    let looks = AtomicU64::new(0);
    let keep = |_| {
        // In the middle, since a thousand are looked at at a time.
        if looks.fetch_add(1, Ordering::Relaxed) == OWNERS / 2 {
            server.engine.restart_loading().unwrap();
            server.engine.finish_loading().unwrap();
            let before = pongs.load(Ordering::Relaxed);
            // The first may be of before.
            while pongs.load(Ordering::Relaxed) < before + 2 {
                thread::sleep(Duration::from_millis(10));
            }
        }
        false
    };
    timelines.retain(&keep).await.unwrap();
    busy.abort();
    let left = server.redis.command("left", &cmd("DBSIZE")).await.unwrap();
    assert_eq!(left, Value::Int(0));
}
