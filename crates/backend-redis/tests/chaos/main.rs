//! Servers that die, hang or come back with nothing, and networks that lose what is sent, under load; and
//! what those who use the stores learn of it.
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

mod actions;
mod bus;
mod crowd;
mod directory;
mod feed;
mod graph;
mod load;
mod numbers;
mod outbox;
mod presence;
mod queue;
mod reader;
mod timelines;
mod trouble;

/// What tests share.
#[path = "../house"]
mod house {
    mod client;
    mod operator;
    mod slot;
    mod takeover;
    mod until;

    pub(crate) use self::{
        client::{client, cluster_client},
        operator::Operator,
        slot::master_of,
        takeover::take_over,
        until::{IN_THE_END, INTERVAL, until},
    };
}

use std::time::Duration;

use backend_redis::Redis;
use redis::aio::ConnectionManagerConfig;

use crate::house::{Operator, client, cluster_client};

/// The node on which a test runs must not wait for a dead server longer than this.
const PATIENCE: Duration = Duration::from_secs(2);

async fn on_server(url: &str) -> Redis {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(PATIENCE));
    let client = client(url);
    let connection = client.get_connection_manager_with_config(config);
    connection.await.unwrap().into()
}

async fn on_cluster(cluster: &engines::RedisCluster) -> Redis {
    let client = cluster_client(cluster)
        .connection_timeout(PATIENCE)
        .response_timeout(PATIENCE)
        .retries(2)
        .build()
        .unwrap();
    Redis::cluster(&client).await.unwrap()
}

/// Acknowledges changes that the replica of each master has.
async fn on_replicas(cluster: &engines::RedisCluster) -> Redis {
    let within = Duration::from_millis(100);
    let writer = on_cluster(cluster).await;
    on_cluster(cluster).await.with_replicas(1, within, writer)
}

/// Keeps the replicas of a master from learning of what it is told from now on.
async fn cut_replicas(cluster: &engines::RedisCluster, node: usize) {
    let master = Operator::of(&cluster.urls()[node]).await;
    master.order("ACL SETUSER default -psync -sync").await;
    master.order("CLIENT KILL TYPE replica").await;
}

/// The replica of the first master takes over, and lacks all that happens `meanwhile`.
async fn replica_lacks(cluster: &engines::RedisCluster, meanwhile: impl Future<Output = ()>) {
    cut_replicas(cluster, 0).await;
    meanwhile.await;
    cluster.kill(0).unwrap();
}
