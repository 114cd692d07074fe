//! What holds on a Cluster of three masters.
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

mod lists;

use std::sync::LazyLock;

use backend_redis::Redis;
use redis::cluster::ClusterClient;

static CLUSTER: LazyLock<engines::RedisCluster> =
    LazyLock::new(|| engines::RedisCluster::start(3, 0).unwrap());

async fn connect() -> Redis {
    let client = ClusterClient::new(CLUSTER.urls()).unwrap();
    Redis::from(client.get_async_connection().await.unwrap())
}
