use redis::{AsyncConnectionConfig, FromRedisValue, aio::MultiplexedConnection, cmd};

use super::client::{PATIENCE, client};

/// Somebody who sees to a server, and says in words what it is to do: `CONFIG SET maxmemory 1`.
#[derive(Debug)]
pub(crate) struct Operator(MultiplexedConnection);

impl Operator {
    pub(crate) async fn of(url: &str) -> Self {
        let patient = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let client = client(url);
        let connection = client.get_multiplexed_async_connection_with_config(&patient);
        Self(connection.await.unwrap())
    }

    pub(crate) async fn order(&self, words: &str) {
        self.ask::<()>(words).await;
    }

    pub(crate) async fn ask<T: FromRedisValue>(&self, words: &str) -> T {
        let mut words = words.split(' ');
        let mut command = cmd(words.next().unwrap());
        command.arg(words.collect::<Vec<_>>());
        command.query_async(&mut self.0.clone()).await.unwrap()
    }
}
