//! The bus, on a server that loses data and cuts connections.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use backend_redis::{RedisBus, RedisBusOptions};
use backplane::{
    SystemClock, Topic,
    bus::{Bus, BusLimits},
    conformance::{Fresh, TestTime, bus::BusNetwork},
};
use redis::Client;

#[derive(Debug)]
struct Network {
    server: engines::Redis,
}

impl Network {
    async fn ask(&self, command: &[&str]) {
        let client = Client::open(self.server.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let (name, arguments) = command.split_first().unwrap();
        let mut command = redis::cmd(name);
        command.arg(arguments);
        command.exec_async(&mut connection).await.unwrap();
    }
}

#[async_trait]
impl BusNetwork for Network {
    async fn join(&self) -> Arc<dyn Bus> {
        let mut limits = BusLimits::new();
        (limits.history, limits.page) = (20, 10);
        (limits.idempotency_keys, limits.queue, limits.batch) = (20, 50, 100);
        limits.history_ttl = Duration::from_secs(1);
        limits.idempotency_window = Duration::from_secs(1);
        limits.payload = 1_000;
        let options = RedisBusOptions::default().with_limits(limits);
        let client = Client::open(self.server.url()).unwrap();
        let redis = crate::connect_to(&self.server).await;
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

backplane::bus_conformance!(async {
    let server = engines::Redis::start().unwrap();
    Fresh::<dyn BusNetwork> {
        store: Arc::new(Network { server }),
        time: TestTime::Engine(SystemClock::new()),
    }
});
