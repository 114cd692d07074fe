//! The outbox answers as the one in memory does, on one server and on a Cluster.

use std::{ops::Range, sync::Arc, time::Duration};

use backend_redis::{Redis, RedisOutbox, RedisOutboxOptions};
use feed_core::{
    Appended, Entry, ErrorKind, Outbox, PostId, PostState, Publication, UserId,
    conformance::histories::{History, few_cases, outbox},
};
use futures::future::join_all;
use proptest::test_runner::TestRunner;
use tokio::runtime::Runtime;

use crate::house::{
    CLUSTER, MovingSlot, Operator, SERVER, Server, connect, connect_one_by_one, fresh_prefix,
    master_of, take_over, until,
};

fn answers_as_memory_does(connect: impl AsyncFn() -> Redis) {
    let runtime = Runtime::new().unwrap();
    let redis = runtime.block_on(connect());
    let play = |history: History<outbox::Op>| {
        let own = redis.clone().with_prefix(&fresh_prefix()).unwrap();
        let options = RedisOutboxOptions::default()
            .with_keys_per_author(outbox::KEYS_PER_AUTHOR)
            .with_retractions_per_author(outbox::RETRACTIONS_PER_AUTHOR);
        runtime.block_on(outbox::play(&history, usize::MAX, async || {
            Arc::new(RedisOutbox::new(own.clone(), options.clone()))
        }));
        Ok(())
    };
    let mut runner = TestRunner::new(few_cases());
    runner.run(&outbox::histories(), play).unwrap();
}

#[test]
fn an_outbox_on_a_server_answers_as_memory_does() {
    answers_as_memory_does(async || connect(&[SERVER.url()]).await);
}

#[test]
fn an_outbox_on_a_cluster_answers_as_memory_does() {
    answers_as_memory_does(async || connect(&CLUSTER.urls()).await);
}

#[test]
fn an_outbox_whose_commands_go_one_by_one_answers_as_memory_does() {
    answers_as_memory_does(async || connect_one_by_one(&CLUSTER).await);
}

/// An append that meets a full server takes neither room nor the id on those that are not.
#[tokio::test]
async fn a_full_server_leaves_nothing_on_the_others() {
    let cluster = engines::RedisCluster::start(3, 0).unwrap();
    let redis = connect(&cluster.urls()).await;
    let outbox = RedisOutbox::new(redis, RedisOutboxOptions::default());
    let full = Operator::of(&cluster.urls()[0]).await;
    let posts: Vec<_> = (1..=40).collect();
    full.order("CONFIG SET maxmemory 1").await;
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
    full.order("CONFIG SET maxmemory 0").await;
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
    let server = Server::start().await;
    let writer = connect(&[server.engine.url()]).await;
    let within = Duration::from_millis(20);
    let redis = server.redis.with_replicas(1, within, writer);
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
    let cluster = engines::RedisCluster::start(3, 1).unwrap();
    let urls = cluster.urls();
    let outboxes = [
        waiting_outbox(connect(&urls).await, connect(&urls).await),
        waiting_outbox(
            connect_one_by_one(&cluster).await,
            connect_one_by_one(&cluster).await,
        ),
    ];
    let append = async |post: u64| {
        let outbox = &outboxes[usize::from(post.is_multiple_of(2))];
        outbox.append(&[item(post, post)]).await
    };
    for post in 1..=30 {
        assert_eq!(append(post).await.unwrap(), [Appended::Stored]);
    }
    take_over(&urls[3]).await;
    for post in 31..=60 {
        // The former master may be on its way to be a replica yet.
        until("a post is there", async || append(post).await.is_ok()).await;
    }
    let posts: Vec<_> = (1..=60).map(PostId::new).collect();
    for outbox in outboxes {
        let states = outbox.lookup(&posts).await.unwrap();
        assert!(states.iter().all(|state| state.live().is_some()));
    }
}

/// What is about one key that a master does not have, while its slot is on the way to another, is done there,
/// also for those who wait for replicas.
#[tokio::test]
async fn a_claim_follows_a_slot_that_is_on_its_way() {
    let cluster = engines::RedisCluster::start(3, 1).unwrap();
    let urls = cluster.urls();
    let outbox = waiting_outbox(connect(&urls).await, connect(&urls).await);
    let tag = |post: u64| format!("post:{post}");
    let post = (1..100).find(|&post| master_of(&tag(post)) == 0).unwrap();
    let moving = MovingSlot::begin(&cluster, &tag(post)).await;
    let stored = outbox.append(&[item(1, post)]).await.unwrap();
    assert_eq!(stored, [Appended::Stored]);
    assert!(moving.arrived().await > 0);
}

/// However many posts there are, each master waits for its replicas once for their ids and once for their
/// authors.
#[tokio::test]
async fn posts_of_one_call_wait_together() {
    let cluster = engines::RedisCluster::start(3, 1).unwrap();
    let urls = cluster.urls();
    let outbox = waiting_outbox(connect(&urls).await, connect(&urls).await);
    let append = async |posts: Range<u64>| {
        let items: Vec<_> = posts.map(|post| item(post, post)).collect();
        let stored = outbox.append(&items).await.unwrap();
        assert!(stored.iter().all(|stored| *stored == Appended::Stored));
    };
    // Now all servers know the scripts.
    append(1..100).await;
    let mut waits = Vec::new();
    let masters = join_all(urls[..3].iter().map(|url| Operator::of(url))).await;
    for master in &masters {
        master.order("CONFIG RESETSTAT").await;
    }
    append(100..300).await;
    for master in &masters {
        let stats: String = master.ask("INFO commandstats").await;
        let wait = stats.lines().find(|line| line.starts_with("cmdstat_wait:"));
        waits.extend(wait.map(|line| line.split(',').next().unwrap().to_owned()));
    }
    assert_eq!(waits, ["cmdstat_wait:calls=2"; 3]);
}

/// One that acknowledges what a replica has.
fn waiting_outbox(redis: Redis, writer: Redis) -> RedisOutbox {
    let redis = redis.with_replicas(1, Duration::from_secs(2), writer);
    RedisOutbox::new(redis, RedisOutboxOptions::default())
}
