//! What holds on one server.
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

mod bus;
mod lists;

use std::sync::LazyLock;

use backend_redis::Redis;

static SERVER: LazyLock<engines::Redis> = LazyLock::new(|| engines::Redis::start().unwrap());

async fn connect() -> Redis {
    connect_to(&SERVER).await
}

async fn connect_to(server: &engines::Redis) -> Redis {
    let client = redis::Client::open(server.url()).unwrap();
    Redis::from(client.get_connection_manager().await.unwrap())
}
