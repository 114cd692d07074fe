use std::{collections::BTreeMap, fmt, time::Duration};

use backend_redis::Redis;
use engines::{Proxy, Traffic, Way};
use redis::{Client, IntoConnectionInfo, io::tcp::TcpSettings};

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
        let (redis, _) = Redis::connect(&[proxy.url()]).await.unwrap();
        let engine = Engine::Server {
            _server: server,
            proxy,
        };
        Self::new(engine, redis)
    }

    pub(crate) async fn of_a_cluster() -> Self {
        let cluster = engines::RedisCluster::start_behind_proxies(3, 0).unwrap();
        let (redis, _) = Redis::connect(&cluster.urls()).await.unwrap();
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
        client(&self.proxies()[0])
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
            let client = client(proxy);
            let mut connection = client.get_multiplexed_async_connection().await.unwrap();
            let empty = redis::cmd("FLUSHALL");
            empty.exec_async(&mut connection).await.unwrap();
        }
    }

    fn proxies(&self) -> &[Proxy] {
        match &self.engine {
            Engine::Server { proxy, .. } => std::slice::from_ref(proxy),
            Engine::Cluster(cluster) => cluster.proxies(),
        }
    }
}

fn client(proxy: &Proxy) -> Client {
    let info = proxy.url().into_connection_info().unwrap();
    Client::open(info.set_tcp_settings(at_once())).unwrap()
}

/// Else a client's second command waits until its first has arrived.
fn at_once() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}
