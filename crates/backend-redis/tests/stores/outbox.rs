//! The outbox answers as the one in memory does, on one server and on a Cluster.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use backend_redis::{Redis, RedisOutbox, RedisOutboxOptions};
use feed_core::{
    Appended, Entry, ErrorKind, Outbox, PostId, PostState, Publication, UserId,
    conformance::histories::{History, few_cases, outbox},
};
use proptest::test_runner::TestRunner;
use redis::{Client, FromRedisValue, aio::MultiplexedConnection, cluster::ClusterClient};
use tokio::runtime::Runtime;

/// Several that start at once on a busy machine take each other's time.
fn cluster(replicas: usize) -> engines::RedisCluster {
    static STARTING: Mutex<()> = Mutex::new(());
    let _alone = STARTING.lock().unwrap();
    engines::RedisCluster::start(3, replicas).unwrap()
}

fn answers_as_memory_does(connect: impl AsyncFn() -> Redis) {
    let cases = AtomicU32::new(0);
    let runtime = Runtime::new().unwrap();
    let redis = runtime.block_on(connect());
    let play = |history: History<outbox::Op>| {
        let case = cases.fetch_add(1, Ordering::Relaxed);
        let own = format!("case{case}:");
        let options = RedisOutboxOptions::default()
            .with_keys_per_author(outbox::KEYS_PER_AUTHOR)
            .with_retractions_per_author(outbox::RETRACTIONS_PER_AUTHOR);
        runtime.block_on(outbox::play(&history, usize::MAX, async || {
            let redis = redis.clone().with_prefix(&own).unwrap();
            Arc::new(RedisOutbox::new(redis, options.clone()))
        }));
        Ok(())
    };
    let mut runner = TestRunner::new(few_cases());
    runner.run(&outbox::histories(), play).unwrap();
}

#[test]
fn an_outbox_on_a_server_answers_as_memory_does() {
    let server = engines::Redis::start().unwrap();
    answers_as_memory_does(async || {
        let client = Client::open(server.url()).unwrap();
        client.get_connection_manager().await.unwrap().into()
    });
}

#[test]
fn an_outbox_on_a_cluster_answers_as_memory_does() {
    let cluster = cluster(0);
    answers_as_memory_does(async || {
        let client = ClusterClient::new(cluster.urls()).unwrap();
        client.get_async_connection().await.unwrap().into()
    });
}

/// An append that meets a full server takes neither room nor the id on those that are not.
#[tokio::test]
async fn a_full_server_leaves_nothing_on_the_others() {
    let cluster = cluster(0);
    let client = ClusterClient::new(cluster.urls()).unwrap();
    let redis = Redis::from(client.get_async_connection().await.unwrap());
    let outbox = RedisOutbox::new(redis, RedisOutboxOptions::default());
    let full = Client::open(&*cluster.urls()[0]).unwrap();
    let mut full = full.get_multiplexed_async_connection().await.unwrap();
    let mut limit = async |bytes: u32| {
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg("maxmemory").arg(bytes);
        set.exec_async(&mut full).await.unwrap();
    };
    let posts: Vec<_> = (1..=40).collect();
    limit(1).await;
    let mut refused = Vec::new();
    for &post in &posts {
        if let Err(error) = outbox.append(&[item(post, post)]).await {
            assert_eq!(error.kind(), ErrorKind::Full);
            refused.push(post);
        }
    }
    let all: Vec<_> = posts.iter().copied().map(PostId::new).collect();
    let live = async || {
        let states = outbox.lookup(&all).await.unwrap();
        states.iter().filter_map(PostState::live).count()
    };
    assert!((1..40).contains(&refused.len()), "{refused:?}");
    assert_eq!(live().await, 40 - refused.len());
    // Nobody has them, so another author may.
    limit(0).await;
    for post in refused {
        let stored = outbox.append(&[item(1_000 + post, post)]).await.unwrap();
        assert_eq!(stored, [Appended::Stored], "{post}");
    }
    assert_eq!(live().await, 40);
}

fn item(author: u64, post: u64) -> Publication {
    let entry = Entry::original(PostId::new(post), UserId::new(author));
    Publication::new(entry, "a body".into())
}

#[tokio::test]
async fn a_change_that_too_few_replicas_have_is_not_acknowledged() {
    let server = engines::Redis::start().unwrap();
    let client = Client::open(server.url()).unwrap();
    let connect = async || Redis::from(client.get_connection_manager().await.unwrap());
    let within = Duration::from_millis(20);
    let redis = connect().await.with_replicas(1, within, connect().await);
    let outbox = RedisOutbox::new(redis, RedisOutboxOptions::default());
    let refused = outbox.append(&[item(1, 7)]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    // What only reads does not wait.
    let state = outbox.lookup(&[PostId::new(7)]).await.unwrap();
    assert_eq!(state, [PostState::Absent]);
    assert_eq!(outbox.posts(&[PostId::new(7)]).await.unwrap(), [None]);
}

/// A master that becomes a replica sends its callers on, also those who wait for replicas.
#[tokio::test]
async fn an_outbox_that_waits_for_replicas_follows_a_slot() {
    let cluster = cluster(1);
    let client = ClusterClient::new(cluster.urls()).unwrap();
    let connect = async || Redis::from(client.get_async_connection().await.unwrap());
    let within = Duration::from_millis(400);
    let redis = connect().await.with_replicas(1, within, connect().await);
    let outbox = RedisOutbox::new(redis, RedisOutboxOptions::default());
    let append = async |post| outbox.append(&[item(post, post)]).await;
    for post in 1..=30 {
        assert_eq!(append(post).await.unwrap(), [Appended::Stored]);
    }
    let replica = Client::open(&*cluster.urls()[3]).unwrap();
    let mut replica = replica.get_multiplexed_async_connection().await.unwrap();
    let mut takes_over = redis::cmd("CLUSTER");
    takes_over.arg("FAILOVER");
    takes_over.exec_async(&mut replica).await.unwrap();
    while !redis::cmd("ROLE")
        .query_async::<redis::Value>(&mut replica)
        .await
        .is_ok_and(|role| format!("{role:?}").contains("master"))
    {
        tokio::task::yield_now().await;
    }
    for post in 31..=60 {
        // The former master may be on its way to be a replica yet.
        while append(post).await.is_err() {}
    }
    let posts: Vec<_> = (1..=60).map(PostId::new).collect();
    let states = outbox.lookup(&posts).await.unwrap();
    assert!(states.iter().all(|state| state.live().is_some()));
}

/// What is about one key that a master does not have, while its slot is on the way to another, is done there,
/// also for those who wait for replicas.
#[tokio::test]
async fn a_claim_follows_a_slot_that_is_on_its_way() {
    let cluster = cluster(1);
    let outbox = waiting_outbox(&cluster).await;
    let slot = |post: u64| {
        let tag = format!("post:{post}");
        crc16::State::<crc16::XMODEM>::calculate(tag.as_bytes()) % 16_384
    };
    // Of the first master.
    let post = (1..100).find(|&post| slot(post) < 16_384 / 3).unwrap();
    let slot = slot(post);
    let [mut from, mut to] = [node(&cluster, 0).await, node(&cluster, 1).await];
    let [from_id, to_id]: [String; 2] = [
        ask(&mut from, "CLUSTER MYID").await,
        ask(&mut to, "CLUSTER MYID").await,
    ];
    let begin = format!("CLUSTER SETSLOT {slot} IMPORTING {from_id}");
    let () = ask(&mut to, &begin).await;
    let begin = format!("CLUSTER SETSLOT {slot} MIGRATING {to_id}");
    let () = ask(&mut from, &begin).await;
    let stored = outbox.append(&[item(1, post)]).await.unwrap();
    assert_eq!(stored, [Appended::Stored]);
    let count: u64 = ask(&mut to, &format!("CLUSTER COUNTKEYSINSLOT {slot}")).await;
    assert!(count > 0);
}

/// However many posts there are, each master waits for its replicas once for their ids and once for their
/// authors.
#[tokio::test]
async fn posts_of_one_call_wait_together() {
    let cluster = cluster(1);
    let outbox = waiting_outbox(&cluster).await;
    let append = async |posts: Range<u64>| {
        let items: Vec<_> = posts.map(|post| item(post, post)).collect();
        let stored = outbox.append(&items).await.unwrap();
        assert!(stored.iter().all(|stored| *stored == Appended::Stored));
    };
    // Now all servers know the scripts.
    append(1..100).await;
    let mut waits = Vec::new();
    for number in 0..3 {
        let () = ask(&mut node(&cluster, number).await, "CONFIG RESETSTAT").await;
    }
    append(100..300).await;
    for number in 0..3 {
        let stats: String = ask(&mut node(&cluster, number).await, "INFO commandstats").await;
        let wait = stats.lines().find(|line| line.starts_with("cmdstat_wait:"));
        waits.extend(wait.map(|line| line.split(',').next().unwrap().to_owned()));
    }
    assert_eq!(waits, ["cmdstat_wait:calls=2"; 3]);
}

/// One that acknowledges what a replica has.
async fn waiting_outbox(cluster: &engines::RedisCluster) -> RedisOutbox {
    let within = Duration::from_secs(2);
    let client = ClusterClient::builder(cluster.urls()).response_timeout(2 * within);
    let client = client.build().unwrap();
    let connect = async || Redis::cluster(&client).await.unwrap();
    let redis = connect().await.with_replicas(1, within, connect().await);
    RedisOutbox::new(redis, RedisOutboxOptions::default())
}

async fn node(cluster: &engines::RedisCluster, number: usize) -> MultiplexedConnection {
    let client = Client::open(&*cluster.urls()[number]).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

async fn ask<T: FromRedisValue>(node: &mut MultiplexedConnection, command: &str) -> T {
    let mut words = command.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    command.arg(words.collect::<Vec<_>>());
    command.query_async(node).await.unwrap()
}
