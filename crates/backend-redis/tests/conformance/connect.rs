//! Connections that wait for a server on a machine that has other things to do too.

use std::time::Duration;

use backend_redis::Redis;
use redis::{Client, aio::ConnectionManagerConfig, cluster::ClusterClient};

const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn to_server(server: &engines::Redis) -> Redis {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(PATIENCE));
    let client = Client::open(server.url()).unwrap();
    let connection = client.get_connection_manager_with_config(config);
    connection.await.unwrap().into()
}

pub(crate) fn client_of(cluster: &engines::RedisCluster) -> ClusterClient {
    ClusterClient::builder(cluster.urls())
        .connection_timeout(PATIENCE)
        .response_timeout(PATIENCE)
        .build()
        .unwrap()
}
