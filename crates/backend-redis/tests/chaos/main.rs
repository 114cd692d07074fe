//! Servers that die, hang or come back with nothing, and networks that lose what is sent, under load; and
//! what those who use the stores learn of it.
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

mod bus;
mod directory;
mod load;
mod outbox;
mod queue;
mod reader;
mod trouble;

use std::time::Duration;

use backend_redis::Redis;
use redis::{Client, cluster::ClusterClient};

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
        .retries(2)
        .build()
        .unwrap();
    Redis::cluster(&client).await.unwrap()
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
