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
mod outbox;
mod queue;
mod reader;
mod timelines;
mod trouble;

use std::time::Duration;

use backend_redis::Redis;
use redis::{Client, cluster::ClusterClient, io::tcp::TcpSettings};

/// The node on which a test runs must not wait for a dead server longer than this.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is to happen in the end has happened by then.
const IN_THE_END: Duration = Duration::from_secs(90);

/// Between two looks at what takes a while.
const INTERVAL: Duration = Duration::from_millis(50);

async fn on_server(url: &str) -> Redis {
    let client = Client::open(url).unwrap();
    client.get_connection_manager().await.unwrap().into()
}

async fn on_cluster(cluster: &engines::RedisCluster) -> Redis {
    let client = ClusterClient::builder(cluster.urls())
        .connection_timeout(PATIENCE)
        .response_timeout(PATIENCE)
        .tcp_settings(TcpSettings::default().set_nodelay(true))
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
    let client = Client::open(&*cluster.urls()[node]).unwrap();
    let mut master = client.get_multiplexed_async_connection().await.unwrap();
    for command in [
        "ACL SETUSER default -psync -sync",
        "CLIENT KILL TYPE replica",
    ] {
        let mut words = command.split(' ');
        let mut order = redis::cmd(words.next().unwrap());
        order.arg(words.collect::<Vec<_>>());
        order.exec_async(&mut master).await.unwrap();
    }
}

/// Has a replica take over from its master, which goes on as its replica.
async fn fail_over(cluster: &engines::RedisCluster, node: usize) {
    let client = Client::open(&*cluster.urls()[node]).unwrap();
    let mut replica = client.get_multiplexed_async_connection().await.unwrap();
    let mut takes_over = redis::cmd("CLUSTER");
    takes_over.arg("FAILOVER");
    takes_over.exec_async(&mut replica).await.unwrap();
    until("the replica is a master", async || {
        let role: redis::Value = redis::cmd("ROLE").query_async(&mut replica).await.unwrap();
        format!("{role:?}").contains("master")
    })
    .await;
}

/// The replica of the first master takes over, and lacks all that happens `meanwhile`.
async fn replica_lacks(cluster: &engines::RedisCluster, meanwhile: impl Future<Output = ()>) {
    cut_replicas(cluster, 0).await;
    meanwhile.await;
    cluster.kill(0).unwrap();
}

/// Looks until it is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let looks = async {
        while !is_so().await {
            tokio::time::sleep(INTERVAL).await;
        }
    };
    let waited = tokio::time::timeout(IN_THE_END, looks).await;
    assert!(waited.is_ok(), "it was never so: {what}");
}

/// The slot of a key with this tag. Masters serve an equal share each, in order.
fn slot_of(tag: &str) -> usize {
    let digest = crc16::State::<crc16::XMODEM>::calculate(tag.as_bytes());
    usize::from(digest) % 16_384
}

/// The number of the master, of three, that a key with this tag is on.
fn master_of(tag: &str) -> usize {
    slot_of(tag) * 3 / 16_384
}
