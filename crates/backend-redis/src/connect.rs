use std::time::Duration;

use redis::{
    AsyncConnectionConfig, Client, ErrorKind, IntoConnectionInfo, RedisError, RedisResult,
    aio::ConnectionManagerConfig, cluster::ClusterClientBuilder, cmd, io::tcp::TcpSettings,
};

use crate::Redis;

/// How long a connection may take to be made, and a server to answer, before it is taken for dead.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a connection to a node of a Cluster may take to be made: meanwhile the client may send nothing to the
/// others.
const CONNECTING: Duration = Duration::from_secs(2);

impl Redis {
    /// Connects to a server, or to the Cluster of which `urls` name one node or several: whichever it is
    /// that answers. The client is for [`RedisBus`](crate::RedisBus), which makes connections of its own.
    ///
    /// Connections have `TCP_NODELAY`, and five seconds to be made, two in a Cluster, and for each answer; on Linux
    /// the kernel ends one on which nothing was heard for as long. Applications that have connections already, or
    /// need other timeouts, make a [`Redis`] of those.
    ///
    /// ```no_run
    /// use backend_redis::{Redis, RedisBus, RedisBusOptions};
    /// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
    /// let (redis, client) = Redis::connect(&["redis://127.0.0.1/"]).await?;
    /// let bus = RedisBus::new(redis, client, RedisBusOptions::default());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If none of them can be reached, a URL is none, or several URLs name servers that are no Cluster.
    pub async fn connect(urls: &[impl AsRef<str> + Sync]) -> RedisResult<(Self, Client)> {
        let clients: RedisResult<Vec<_>> = urls.iter().map(|url| open(url.as_ref())).collect();
        let mut last = RedisError::from((ErrorKind::InvalidClientConfig, "no URL of a server"));
        for client in clients? {
            match is_in_cluster(&client).await {
                Ok(true) => {
                    let urls = urls.iter().map(AsRef::as_ref);
                    let cluster = ClusterClientBuilder::new(urls)
                        .connection_timeout(CONNECTING)
                        .response_timeout(PATIENCE)
                        .tcp_settings(tcp())
                        .build()?;
                    return Ok((Self::cluster(&cluster).await?, client));
                }
                Ok(false) if urls.len() > 1 => {
                    let alone = "several URLs are for a Cluster, and this server is in none";
                    return Err((ErrorKind::InvalidClientConfig, alone).into());
                }
                Ok(false) => {
                    let config = ConnectionManagerConfig::new()
                        .set_connection_timeout(Some(PATIENCE))
                        .set_response_timeout(Some(PATIENCE))
                        // The next call tries again: more would keep this one waiting.
                        .set_number_of_retries(1);
                    return Ok((Self::server(client.clone(), config).await?, client));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

fn open(url: &str) -> RedisResult<Client> {
    Client::open(url.into_connection_info()?.set_tcp_settings(tcp()))
}

/// What is small is sent at once, and a machine that is gone is noticed.
fn tcp() -> TcpSettings {
    let settings = TcpSettings::default().set_nodelay(true);
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(PATIENCE);
    settings
}

async fn is_in_cluster(client: &Client) -> RedisResult<bool> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(PATIENCE));
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await?;
    let info: String = cmd("INFO")
        .arg("cluster")
        .query_async(&mut connection)
        .await?;
    Ok(info.contains("cluster_enabled:1"))
}
