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
use redis::{
    Client, Value, cluster::ClusterClient, cluster_async::ClusterConnection, cluster_routing::Slot,
    cmd,
};
use tokio::task::JoinHandle;

/// How many timelines there are, and how many of them are in the slot that moves.
const OWNERS: usize = 100;
const MOVERS: usize = 10;

const MASTERS: usize = 3;

/// As many posts as nobody packs.
const POSTS: u64 = RedisTimelines::UNPACKED as u64 - 4;

/// That of the owner 0, which moves.
fn slot() -> u16 {
    let moves = |slot: &u16| Slot::new(*slot) == Some(Slot::for_key(key(UserId::new(0))));
    (0..16_384).find(moves).unwrap()
}

fn key(owner: UserId) -> String {
    format!("{{tl:{owner}}}")
}

/// Those in the first one's slot, and some others.
fn owners() -> Vec<UserId> {
    let moving = Slot::for_key(key(UserId::new(0)));
    let all = (0..300_000).map(UserId::new);
    let (movers, others): (Vec<_>, Vec<_>) =
        all.partition(|&owner| Slot::for_key(key(owner)) == moving);
    movers
        .into_iter()
        .take(MOVERS)
        .chain(others)
        .take(OWNERS)
        .collect()
}

/// Moves the slot from each master to the next, once or until it is told to stop.
fn shuttle(cluster: &engines::RedisCluster, at: &AtomicUsize, stop: &AtomicBool) {
    loop {
        let from = at.fetch_add(1, Ordering::Relaxed);
        cluster
            .move_slot(slot(), from % MASTERS, (from + 1) % MASTERS)
            .unwrap();
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
}

struct House {
    cluster: Arc<engines::RedisCluster>,
    /// Which master has the slot, counted on from the first.
    at: Arc<AtomicUsize>,
    timelines: RedisTimelines,
    connection: ClusterConnection,
    owners: Vec<UserId>,
}

impl House {
    async fn new() -> Self {
        let cluster = engines::RedisCluster::start(3, 0).unwrap();
        let client = ClusterClient::new(cluster.urls()).unwrap();
        let redis = Redis::cluster(&client).await.unwrap();
        let house = Self {
            at: Arc::new(AtomicUsize::new(usize::from(slot()) * MASTERS / 16_384)),
            cluster: Arc::new(cluster),
            timelines: RedisTimelines::new(redis, RedisTimelinesOptions::default()),
            connection: client.get_async_connection().await.unwrap(),
            owners: owners(),
        };
        for &owner in &house.owners {
            let begun = house
                .timelines
                .begin_build(owner, Timestamp::EPOCH, Timestamp::EPOCH);
            assert!(matches!(begun.await.unwrap(), BuildStart::Started(_)));
        }
        house
    }

    /// Moves the slot, again and again until it is told to stop.
    fn move_slot(&self, stop: &Arc<AtomicBool>) -> JoinHandle<()> {
        let (cluster, at) = (Arc::clone(&self.cluster), Arc::clone(&self.at));
        let stop = Arc::clone(stop);
        tokio::task::spawn_blocking(move || shuttle(&cluster, &at, &stop))
    }

    async fn list(&self, owner: UserId) -> Vec<Vec<u8>> {
        let mut command = cmd("LRANGE");
        command.arg(key(owner)).arg(0).arg(-1);
        let mut connection = self.connection.clone();
        command.query_async(&mut connection).await.unwrap()
    }
}

/// Each command of a call is run once, wherever its slot is by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_twice_or_lost_while_a_slot_moves() {
    let house = House::new().await;
    let (stop, home) = (Arc::default(), house.at.load(Ordering::Relaxed));
    let moving = house.move_slot(&stop);
    for post in 1..=POSTS {
        // The last two posts are of after the first move.
        while post + 2 > POSTS && house.at.load(Ordering::Relaxed) < home + 2 {
            assert!(!moving.is_finished());
            tokio::task::yield_now().await;
        }
        let entry = Entry::original(PostId::new(post), UserId::new(post));
        let report = house
            .timelines
            .push_many(&house.owners, entry)
            .await
            .unwrap();
        assert_eq!((report.reached, report.cold), (OWNERS, 0), "{report:?}");
    }
    stop.store(true, Ordering::Relaxed);
    moving.await.unwrap();
    for &owner in &house.owners {
        let list = house.list(owner).await;
        let different: HashSet<_> = list.iter().collect();
        assert_eq!(different.len() as u64, 1 + POSTS);
        assert_eq!(different.len(), list.len());
    }
}

/// What is to be dropped is found, on whichever server it is by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_timeline_is_overlooked_while_a_slot_moves() {
    let house = House::new().await;
    for _ in 0..10 {
        let moving = house.move_slot(&Arc::new(AtomicBool::new(true)));
        let seen = Mutex::new(HashSet::new());
        let look = |owner| {
            seen.lock().unwrap().insert(owner);
            true
        };
        assert_eq!(house.timelines.retain(&look).await.unwrap(), 0);
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
        let client = ClusterClient::new(cluster.urls()).unwrap();
        let redis = Redis::cluster(&client).await.unwrap();
        let timelines = RedisTimelines::new(redis.clone(), RedisTimelinesOptions::default());
        for owner in (1..=20).map(UserId::new) {
            let begun = timelines.begin_build(owner, Timestamp::EPOCH, Timestamp::EPOCH);
            assert!(matches!(begun.await.unwrap(), BuildStart::Started(_)));
        }
        assert_eq!(
            timelines.retain(&|_| false).await.unwrap(),
            20,
            "{called:?}"
        );

        let client = Client::open(&*cluster.urls()[0]).unwrap();
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
        let client = Client::open(url).unwrap();
        let mut node = client.get_multiplexed_async_connection().await.unwrap();
        for (option, value) in [
            ("cluster-announce-hostname", "localhost"),
            ("cluster-preferred-endpoint-type", endpoint),
        ] {
            let mut set = cmd("CONFIG");
            set.arg("SET").arg(option).arg(value);
            set.exec_async(&mut node).await.unwrap();
        }
        nodes.push(node);
    }
    // What one says, the others learn.
    for node in &mut nodes {
        loop {
            let slots: Value = cmd("CLUSTER").arg("SLOTS").query_async(node).await.unwrap();
            if format!("{slots:?}").matches("'\"localhost\"'").count() == MASTERS {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}
