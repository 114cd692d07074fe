//! Every list of conformance, on one server, on a Cluster and on a server of Valkey.
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

mod feed;
mod network;

use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicU32, Ordering},
};

use backend_redis::{
    Redis, RedisDirectory, RedisIds, RedisNodeLeases, RedisOutbox, RedisOutboxOptions, RedisQueue,
    RedisRateLimiter, RedisSharedCache,
};
use backplane::{
    SystemClock,
    conformance::{Fresh, TestTime, directory, node_leases::NODES, queue},
    directory::Directory,
    id::{IdGenerator, KeeperOptions, Layout, NodeLeases},
    queue::TaskQueue,
    rate::RateLimiter,
};
use redis::{Client, cluster::ClusterClient};

use crate::network::Network;

static SERVER: LazyLock<engines::Redis> = LazyLock::new(|| engines::Redis::start().unwrap());

static VALKEY: LazyLock<engines::Redis> = LazyLock::new(|| engines::Redis::start_valkey().unwrap());

static CLUSTER: LazyLock<engines::RedisCluster> =
    LazyLock::new(|| engines::RedisCluster::start(3, 0).unwrap());

async fn server() -> Redis {
    own(connected(&SERVER).await)
}

async fn valkey() -> Redis {
    own(connected(&VALKEY).await)
}

async fn connected(server: &engines::Redis) -> Redis {
    let client = Client::open(server.url()).unwrap();
    client.get_connection_manager().await.unwrap().into()
}

async fn on_cluster() -> Redis {
    let client = ClusterClient::new(CLUSTER.urls()).unwrap();
    own(Redis::cluster(&client).await.unwrap())
}

/// A part of the key space for one case.
fn own(redis: Redis) -> Redis {
    static CASES: AtomicU32 = AtomicU32::new(0);
    let case = CASES.fetch_add(1, Ordering::Relaxed);
    redis.with_prefix(&format!("case{case}:")).unwrap()
}

fn fresh<T: ?Sized>(store: Arc<T>) -> Fresh<T> {
    let time = TestTime::Engine(SystemClock::new());
    Fresh { store, time }
}

macro_rules! lists {
    ($redis:ident) => {
        backplane::rate_conformance!(async {
            fresh::<dyn RateLimiter>(Arc::new(RedisRateLimiter::new($redis().await)))
        });

        backplane::node_leases_conformance!(async {
            fresh::<dyn NodeLeases>(Arc::new(RedisNodeLeases::new($redis().await, NODES)))
        });

        backplane::id_generator_conformance!(async {
            let (clock, options) = (Arc::new(SystemClock::new()), KeeperOptions::default());
            let ids = RedisIds::open($redis().await, Layout::TWITTER, clock, options).await;
            fresh::<dyn IdGenerator>(Arc::new(ids.unwrap()))
        });

        backplane::directory_conformance!(async {
            let directory = RedisDirectory::new($redis().await, directory::options());
            fresh::<dyn Directory>(Arc::new(directory))
        });

        backplane::task_queue_conformance!(async {
            let queue = RedisQueue::new($redis().await, "work", queue::options());
            fresh::<dyn TaskQueue>(Arc::new(queue))
        });
    };
}

lists!(server);
feed::lists!(server);

mod cluster {
    use super::*;

    lists!(on_cluster);
    feed::lists!(on_cluster);

    backplane::bus_conformance!(async { Network::of_a_cluster() });
}

backplane::bus_conformance!(async { Network::of_a_server() });

mod on_valkey {
    use super::*;

    lists!(valkey);
    feed::lists!(valkey);

    backplane::bus_conformance!(async { Network::of_valkey() });
}
