use backend_redis::Redis;
use engines::RedisCluster;

use super::client::cluster_client;

/// Connects to a server or to a Cluster, as an application does.
pub(crate) async fn connect(urls: &[String]) -> Redis {
    let (redis, _) = Redis::connect(urls).await.unwrap();
    redis
}

/// Connects to a Cluster by a connection of the application's, over which each command goes by itself.
pub(crate) async fn connect_one_by_one(cluster: &RedisCluster) -> Redis {
    let client = cluster_client(cluster).build().unwrap();
    client.get_async_connection().await.unwrap().into()
}
