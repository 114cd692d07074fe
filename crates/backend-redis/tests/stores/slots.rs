//! Slots of a Cluster that move while they are used.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use backend_redis::{Redis, RedisBus, RedisBusOptions, RedisTimelines, RedisTimelinesOptions};
use backplane::{Timestamp, bus::Bus};
use feed_core::{BuildStart, Entry, PostId, TimelineStore, UserId};
use redis::{FromRedisValue, Value, cmd};
use tokio::task::JoinHandle;

use crate::house::{Operator, client, connect, master_of, slot_of, until};

/// How many timelines there are, and how many of them are in the slot that moves.
const OWNERS: usize = 100;
const MOVERS: usize = 10;

const MASTERS: usize = 3;

/// As many posts as nobody packs.
const POSTS: u64 = RedisTimelines::UNPACKED as u64 - 4;

/// Whose timeline is in the slot that moves, with others.
const FIRST: UserId = UserId::new(0);

fn tag(owner: UserId) -> String {
    format!("tl:{owner}")
}

/// Those in the first one's slot, and some others.
fn owners() -> Vec<UserId> {
    let moving = slot_of(&tag(FIRST));
    let all = (0..300_000).map(UserId::new);
    let (movers, others): (Vec<_>, Vec<_>) = all.partition(|&owner| slot_of(&tag(owner)) == moving);
    movers
        .into_iter()
        .take(MOVERS)
        .chain(others)
        .take(OWNERS)
        .collect()
}

/// Moves the slot from each master to the next, once or until it is told to stop.
fn shuttle(cluster: &engines::RedisCluster, at: &AtomicUsize, stop: &AtomicBool) {
    let slot = slot_of(&tag(FIRST));
    loop {
        let from = at.fetch_add(1, Ordering::Relaxed);
        cluster
            .move_slot(slot, from % MASTERS, (from + 1) % MASTERS)
            .unwrap();
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
}

/// Timelines on a Cluster, some of which are in a slot that moves.
struct Journey {
    cluster: Arc<engines::RedisCluster>,
    /// Which master has the slot, counted on from the first.
    at: Arc<AtomicUsize>,
    timelines: RedisTimelines,
    redis: Redis,
    owners: Vec<UserId>,
}

impl Journey {
    async fn begin() -> Self {
        let cluster = engines::RedisCluster::start(MASTERS, 0).unwrap();
        let redis = connect(&cluster.urls()).await;
        let journey = Self {
            at: Arc::new(AtomicUsize::new(master_of(&tag(FIRST)))),
            cluster: Arc::new(cluster),
            timelines: RedisTimelines::new(redis.clone(), RedisTimelinesOptions::default()),
            redis,
            owners: owners(),
        };
        for &owner in &journey.owners {
            begin(&journey.timelines, owner).await;
        }
        journey
    }

    /// Moves the slot, again and again until it is told to stop.
    fn move_slot(&self, stop: &Arc<AtomicBool>) -> JoinHandle<()> {
        let (cluster, at) = (Arc::clone(&self.cluster), Arc::clone(&self.at));
        let stop = Arc::clone(stop);
        tokio::task::spawn_blocking(move || shuttle(&cluster, &at, &stop))
    }

    async fn list(&self, owner: UserId) -> Vec<Vec<u8>> {
        let mut command = cmd("LRANGE");
        command.arg(format!("{{{}}}", tag(owner))).arg(0).arg(-1);
        let list = self.redis.command("list", &command).await.unwrap();
        Vec::from_redis_value(list).unwrap()
    }
}

async fn begin(timelines: &RedisTimelines, owner: UserId) {
    let begun = timelines.begin_build(owner, Timestamp::EPOCH, Timestamp::EPOCH);
    assert!(matches!(begun.await.unwrap(), BuildStart::Started(_)));
}

/// Each command of a call is run once, wherever its slot is by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_twice_or_lost_while_a_slot_moves() {
    let journey = Journey::begin().await;
    let (stop, home) = (Arc::default(), journey.at.load(Ordering::Relaxed));
    let moving = journey.move_slot(&stop);
    for post in 1..=POSTS {
        // The last two posts are of after the first move.
        while post + 2 > POSTS && journey.at.load(Ordering::Relaxed) < home + 2 {
            assert!(!moving.is_finished());
            tokio::task::yield_now().await;
        }
        let entry = Entry::original(PostId::new(post), UserId::new(post));
        let report = journey
            .timelines
            .push_many(&journey.owners, entry)
            .await
            .unwrap();
        assert_eq!((report.reached, report.cold), (OWNERS, 0), "{report:?}");
    }
    stop.store(true, Ordering::Relaxed);
    moving.await.unwrap();
    for &owner in &journey.owners {
        let list = journey.list(owner).await;
        let different: HashSet<_> = list.iter().collect();
        assert_eq!(different.len() as u64, 1 + POSTS);
        assert_eq!(different.len(), list.len());
    }
}

/// What is to be dropped is found, on whichever server it is by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_timeline_is_overlooked_while_a_slot_moves() {
    let journey = Journey::begin().await;
    for _ in 0..10 {
        let moving = journey.move_slot(&Arc::new(AtomicBool::new(true)));
        let seen = Mutex::new(HashSet::new());
        let look = |owner| {
            seen.lock().unwrap().insert(owner);
            true
        };
        assert_eq!(journey.timelines.retain(&look).await.unwrap(), 0);
        assert_eq!(seen.into_inner().unwrap().len(), OWNERS);
        moving.await.unwrap();
    }
}

/// Nodes that are known by their host names, or that do not know where they are, are found all the same.
#[tokio::test]
async fn all_nodes_are_looked_at_whatever_they_are_called() {
    for (masters, called) in [
        (1, None),
        (MASTERS, Some("hostname")),
        (MASTERS, Some("unknown-endpoint")),
    ] {
        let cluster = engines::RedisCluster::start(masters, 0).unwrap();
        if let Some(endpoint) = called {
            call_nodes(&cluster, endpoint).await;
        }
        let redis = connect(&cluster.urls()).await;
        let timelines = RedisTimelines::new(redis.clone(), RedisTimelinesOptions::default());
        for owner in (1..=20).map(UserId::new) {
            begin(&timelines, owner).await;
        }
        assert_eq!(
            timelines.retain(&|_| false).await.unwrap(),
            20,
            "{called:?}"
        );

        let client = client(&cluster.urls()[0]);
        let bus = RedisBus::new(redis, client, RedisBusOptions::default());
        let topics = ["a", "b", "c", "d"].map(|name| name.parse().unwrap());
        for subscribed in bus.subscribe(&topics).await.unwrap() {
            subscribed.unwrap();
        }
    }
}

/// Has clients told of such an endpoint of each node; all have the name of this machine.
async fn call_nodes(cluster: &engines::RedisCluster, endpoint: &str) {
    let mut nodes = Vec::new();
    for url in cluster.urls() {
        let node = Operator::of(&url).await;
        node.order("CONFIG SET cluster-announce-hostname localhost")
            .await;
        let preferred = format!("CONFIG SET cluster-preferred-endpoint-type {endpoint}");
        node.order(&preferred).await;
        nodes.push(node);
    }
    for node in &nodes {
        until("what a node says the others have learnt", async || {
            let slots: Value = node.ask("CLUSTER SLOTS").await;
            format!("{slots:?}").matches("'\"localhost\"'").count() == MASTERS
        })
        .await;
    }
}
