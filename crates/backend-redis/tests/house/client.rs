//! Clients that send at once what they are given, and have the patience of a busy machine.

use std::time::Duration;

use redis::{
    Client, IntoConnectionInfo, cluster::ClusterClient, cluster::ClusterClientBuilder,
    io::tcp::TcpSettings,
};

/// How long a busy machine may take to answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Of one server, as a bus takes it.
pub(crate) fn client(url: &str) -> Client {
    let info = url.into_connection_info().unwrap();
    Client::open(info.set_tcp_settings(at_once())).unwrap()
}

/// Of a Cluster, for a test that has to have a connection of a kind that
/// [`Redis::connect`](backend_redis::Redis::connect) does not make.
pub(crate) fn cluster_client(cluster: &engines::RedisCluster) -> ClusterClientBuilder {
    ClusterClient::builder(cluster.urls())
        .connection_timeout(PATIENCE)
        .response_timeout(PATIENCE)
        .tcp_settings(at_once())
}

/// Else what is sent while an answer is awaited may wait for that answer.
fn at_once() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}
