use std::{collections::BTreeMap, fmt, time::Duration};

use backend_redis::Redis;
use engines::{Proxy, Traffic, Way};
use redis::Client;

use crate::house::{Operator, client, connect};

use super::page::{Cost, Place};

/// Long enough for a client to send all that it does before it waits.
const DELAY: Duration = Duration::from_millis(30);

/// A server or a Cluster behind proxies that count, and what calls have cost there.
pub(crate) struct Meter {
    engine: Engine,
    redis: Redis,
    counted: BTreeMap<String, Cost>,
}

enum Engine {
    Server {
        _server: engines::Redis,
        proxy: Proxy,
    },
    Cluster(engines::RedisCluster),
}

impl Meter {
    pub(crate) async fn of_a_server() -> Self {
        let server = engines::Redis::start().unwrap();
        let proxy = Proxy::start(server.address()).unwrap();
        let redis = connect(&[proxy.url()]).await;
        let engine = Engine::Server {
            _server: server,
            proxy,
        };
        Self::new(engine, redis)
    }

    pub(crate) async fn of_a_cluster() -> Self {
        let cluster = engines::RedisCluster::start_behind_proxies(3, 0).unwrap();
        let redis = connect(&cluster.urls()).await;
        Self::new(Engine::Cluster(cluster), redis)
    }

    fn new(engine: Engine, redis: Redis) -> Self {
        let meter = Self {
            engine,
            redis,
            counted: BTreeMap::new(),
        };
        for proxy in meter.proxies() {
            proxy.delay(Way::ToClient, DELAY);
        }
        meter
    }

    pub(crate) fn redis(&self) -> Redis {
        self.redis.clone()
    }

    /// What a bus subscribes by.
    pub(crate) fn client(&self) -> Client {
        client(&self.proxies()[0].url())
    }

    pub(crate) const fn place(&self) -> Place {
        match self.engine {
            Engine::Server { .. } => Place::Server,
            Engine::Cluster(_) => Place::Cluster,
        }
    }

    /// Makes a call, and counts what it costs.
    pub(crate) async fn cost<T, E: fmt::Debug>(
        &mut self,
        name: &str,
        call: impl Future<Output = Result<T, E>>,
    ) -> T {
        let _ = self.traffic();
        let answer = call.await.unwrap();
        let cost = Cost::of(self.traffic());
        self.counted.insert(name.to_owned(), cost);
        answer
    }

    pub(crate) const fn counted(&self) -> &BTreeMap<String, Cost> {
        &self.counted
    }

    /// What was sent since this was last asked.
    pub(crate) fn traffic(&self) -> Traffic {
        self.proxies()[0].take_traffic()
    }

    /// Removes all keys, but leaves the scripts.
    pub(crate) async fn empty(&self) {
        for proxy in self.proxies() {
            let operator = Operator::of(&proxy.url()).await;
            operator.order("FLUSHALL").await;
        }
    }

    fn proxies(&self) -> &[Proxy] {
        match &self.engine {
            Engine::Server { proxy, .. } => std::slice::from_ref(proxy),
            Engine::Cluster(cluster) => cluster.proxies(),
        }
    }
}
