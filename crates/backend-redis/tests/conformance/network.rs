//! The bus, on a server that loses data and cuts connections.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use backend_redis::{Redis, RedisBus, RedisBusOptions};
use backplane::{
    SystemClock, Topic,
    bus::{Bus, BusLimits},
    conformance::{Fresh, TestTime, bus::BusNetwork},
};
use engines::Flavour;
use redis::cmd;

use crate::house::{Operator, client, connect, connect_one_by_one};

/// Nodes on servers of their own, whose connections can be cut.
#[derive(Debug)]
pub(crate) enum Network {
    Server(engines::Redis),
    Cluster(engines::RedisCluster),
    /// Over which each command goes by itself.
    OneByOne(engines::RedisCluster),
}

impl Network {
    pub(crate) fn of_a_server(flavour: Flavour) -> Fresh<dyn BusNetwork> {
        Self::Server(engines::Redis::start_as(flavour).unwrap()).fresh()
    }

    pub(crate) fn of_a_cluster(flavour: Flavour) -> Fresh<dyn BusNetwork> {
        Self::Cluster(engines::RedisCluster::start_as(flavour, 3, 0).unwrap()).fresh()
    }

    pub(crate) fn one_by_one(flavour: Flavour) -> Fresh<dyn BusNetwork> {
        Self::OneByOne(engines::RedisCluster::start_as(flavour, 3, 0).unwrap()).fresh()
    }

    fn fresh(self) -> Fresh<dyn BusNetwork> {
        Fresh {
            store: Arc::new(self),
            time: TestTime::Engine(SystemClock::new()),
        }
    }

    fn urls(&self) -> Vec<String> {
        match self {
            Self::Server(server) => vec![server.url()],
            Self::Cluster(cluster) | Self::OneByOne(cluster) => cluster.urls(),
        }
    }

    async fn connect(&self) -> Redis {
        match self {
            Self::Server(_) | Self::Cluster(_) => connect(&self.urls()).await,
            Self::OneByOne(cluster) => connect_one_by_one(cluster).await,
        }
    }
}

#[async_trait]
impl BusNetwork for Network {
    async fn join(&self) -> Arc<dyn Bus> {
        let mut limits = BusLimits::new();
        (limits.history, limits.page) = (20, 10);
        (limits.idempotency_keys, limits.queue, limits.batch) = (20, 50, 100);
        limits.history_ttl = Duration::from_secs(2);
        limits.idempotency_window = Duration::from_secs(4);
        limits.payload = 1_000;
        let options = RedisBusOptions::default().with_limits(limits);
        let client = client(&self.urls()[0]);
        let redis = self.connect().await;
        Arc::new(RedisBus::new(redis, client, options))
    }

    async fn lose(&self, topic: &Topic) {
        let key = format!("{{bus:{topic}}}");
        let keys = ["", ":history", ":keys", ":order"].map(|part| format!("{key}{part}"));
        let redis = self.connect().await;
        redis.command("lose", cmd("DEL").arg(&keys)).await.unwrap();
    }

    async fn cut(&self) {
        for url in self.urls() {
            let operator = Operator::of(&url).await;
            for kind in ["pubsub", "normal"] {
                operator.order(&format!("CLIENT KILL TYPE {kind}")).await;
            }
        }
    }
}
