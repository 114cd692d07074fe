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
use redis::Client;

use crate::connect;

/// Nodes on servers of their own, whose connections can be cut.
#[derive(Debug)]
pub(crate) enum Network {
    Server(engines::Redis),
    Cluster(engines::RedisCluster),
}

impl Network {
    pub(crate) fn of_a_server(flavour: Flavour) -> Fresh<dyn BusNetwork> {
        Self::Server(engines::Redis::start_as(flavour).unwrap()).fresh()
    }

    pub(crate) fn of_a_cluster(flavour: Flavour) -> Fresh<dyn BusNetwork> {
        Self::Cluster(engines::RedisCluster::start_as(flavour, 3, 0).unwrap()).fresh()
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
            Self::Cluster(cluster) => cluster.urls(),
        }
    }

    async fn connect(&self) -> Redis {
        match self {
            Self::Server(server) => connect::to_server(server).await,
            Self::Cluster(cluster) => {
                let client = connect::client_of(cluster);
                client.get_async_connection().await.unwrap().into()
            }
        }
    }

    /// Asks every server.
    async fn ask(&self, command: &[&str]) {
        for url in self.urls() {
            let client = Client::open(url).unwrap();
            let mut connection = client.get_multiplexed_async_connection().await.unwrap();
            let (name, arguments) = command.split_first().unwrap();
            let mut command = redis::cmd(name);
            command.arg(arguments);
            // Where a key is not, nothing is lost.
            let _ = command.exec_async(&mut connection).await;
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
        let client = Client::open(&*self.urls()[0]).unwrap();
        let redis = self.connect().await;
        Arc::new(RedisBus::new(redis, client, options))
    }

    async fn lose(&self, topic: &Topic) {
        let key = format!("{{bus:{topic}}}");
        let keys = ["", ":history", ":keys", ":order"].map(|part| format!("{key}{part}"));
        let mut command = vec!["DEL"];
        command.extend(keys.iter().map(String::as_str));
        self.ask(&command).await;
    }

    async fn cut(&self) {
        for kind in ["pubsub", "normal"] {
            self.ask(&["CLIENT", "KILL", "TYPE", kind]).await;
        }
    }
}
