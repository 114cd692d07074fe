use backend_redis::Redis;

/// Connects to a server or to a Cluster, as an application does.
pub(crate) async fn connect(urls: &[String]) -> Redis {
    let (redis, _) = Redis::connect(urls).await.unwrap();
    redis
}
