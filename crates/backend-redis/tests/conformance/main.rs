//! Every list of conformance, on one server and on a Cluster: of the Redis that the system has, of Redis 6.2
//! and of Valkey.
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

mod chat;
mod feed;
mod network;

/// What tests share.
#[path = "../house"]
mod house {
    mod client;
    mod connection;
    mod operator;
    mod prefix;

    pub(crate) use self::{
        client::client,
        connection::{connect, connect_one_by_one},
        operator::Operator,
        prefix::connect_apart,
    };
}

use std::sync::{Arc, LazyLock};

use backend_redis::{
    Redis, RedisDirectory, RedisIdCounter, RedisIds, RedisNodeLeases, RedisOutbox,
    RedisOutboxOptions, RedisQueue, RedisRateLimiter, RedisSharedCache,
};
use backplane::{
    SystemClock,
    conformance::{Fresh, TestTime, directory, node_leases::NODES, queue},
    directory::Directory,
    id::{IdCounter, IdGenerator, KeeperOptions, Layout, NodeLeases},
    queue::TaskQueue,
    rate::RateLimiter,
};
use engines::Flavour;

use crate::{house::connect_apart, network::Network};

/// A server and a Cluster of one flavour, which all cases share.
struct Engines {
    server: LazyLock<engines::Redis>,
    cluster: LazyLock<engines::RedisCluster>,
}

static REDIS: Engines = Engines {
    server: LazyLock::new(|| engines::Redis::start_as(Flavour::Redis).unwrap()),
    cluster: LazyLock::new(|| engines::RedisCluster::start_as(Flavour::Redis, 3, 0).unwrap()),
};

static REDIS_6_2: Engines = Engines {
    server: LazyLock::new(|| engines::Redis::start_as(Flavour::Redis62).unwrap()),
    cluster: LazyLock::new(|| engines::RedisCluster::start_as(Flavour::Redis62, 3, 0).unwrap()),
};

static VALKEY: Engines = Engines {
    server: LazyLock::new(|| engines::Redis::start_as(Flavour::Valkey).unwrap()),
    cluster: LazyLock::new(|| engines::RedisCluster::start_as(Flavour::Valkey, 3, 0).unwrap()),
};

impl Engines {
    async fn server(&self) -> Redis {
        connect_apart(&[self.server.url()]).await
    }

    async fn cluster(&self) -> Redis {
        connect_apart(&self.cluster.urls()).await
    }
}

fn fresh<T: ?Sized>(store: Arc<T>) -> Fresh<T> {
    let time = TestTime::Engine(SystemClock::new());
    Fresh { store, time }
}

macro_rules! lists {
    ($redis:expr) => {
        backplane::rate_conformance!(async {
            fresh::<dyn RateLimiter>(Arc::new(RedisRateLimiter::new($redis.await)))
        });

        backplane::node_leases_conformance!(async {
            fresh::<dyn NodeLeases>(Arc::new(RedisNodeLeases::new($redis.await, "ids", NODES)))
        });

        backplane::id_counter_conformance!(async {
            fresh::<dyn IdCounter>(Arc::new(RedisIdCounter::new($redis.await, "ids")))
        });

        backplane::id_generator_conformance!(async {
            let (clock, options) = (Arc::new(SystemClock::new()), KeeperOptions::default());
            let ids = RedisIds::open($redis.await, Layout::TWITTER, clock, options).await;
            fresh::<dyn IdGenerator>(Arc::new(ids.unwrap()))
        });

        backplane::directory_conformance!(async {
            let directory = RedisDirectory::new($redis.await, directory::options());
            fresh::<dyn Directory>(Arc::new(directory))
        });

        backplane::task_queue_conformance!(async {
            let queue = RedisQueue::new($redis.await, "work", queue::options());
            fresh::<dyn TaskQueue>(Arc::new(queue))
        });
    };
}

lists!(REDIS.server());
chat::lists!(REDIS.server());
feed::lists!(REDIS.server());

backplane::bus_conformance!(async { Network::of_a_server(Flavour::Redis) });

mod cluster {
    use super::*;

    lists!(REDIS.cluster());
    chat::lists!(REDIS.cluster());
    feed::lists!(REDIS.cluster());

    backplane::bus_conformance!(async { Network::of_a_cluster(Flavour::Redis) });
}

mod on_redis_6_2 {
    use super::*;

    lists!(REDIS_6_2.server());
    chat::lists!(REDIS_6_2.server());
    feed::lists!(REDIS_6_2.server());

    backplane::bus_conformance!(async { Network::of_a_server(Flavour::Redis62) });

    /// What has to do with more than one node of a Cluster, which is all that may differ from both a server
    /// of Redis 6.2 and a Cluster of a newer one. Of all lists, only that of the bus goes here by a connection
    /// over which each command goes by itself.
    mod cluster {
        use super::*;

        feed::timelines!(REDIS_6_2.cluster());

        backplane::bus_conformance!(async { Network::one_by_one(Flavour::Redis62) });
    }
}

mod on_valkey {
    use super::*;

    lists!(VALKEY.server());
    chat::lists!(VALKEY.server());
    feed::lists!(VALKEY.server());

    backplane::bus_conformance!(async { Network::of_a_server(Flavour::Valkey) });

    mod cluster {
        use super::*;

        lists!(VALKEY.cluster());
        chat::lists!(VALKEY.cluster());
        feed::lists!(VALKEY.cluster());

        backplane::bus_conformance!(async { Network::of_a_cluster(Flavour::Valkey) });
    }
}
