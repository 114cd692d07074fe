//! Calls that end in the middle, on stores whose changes are on several servers: what is at one place and
//! not at the other yet is brought to its end by whoever looks.
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

mod actions;
mod graph;
mod late;

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::LazyLock,
    task::Poll,
};

use backend_redis::Redis;
use redis::{Client, FromRedisValue};

static SERVER: LazyLock<engines::Redis> = LazyLock::new(|| engines::Redis::start().unwrap());

/// A process that uses a part of the key space.
#[derive(Clone)]
struct Process {
    connection: redis::aio::ConnectionManager,
    redis: Redis,
    prefix: String,
}

impl Process {
    async fn start(prefix: &str) -> Self {
        Self::on(&SERVER, prefix).await
    }

    async fn on(server: &engines::Redis, prefix: &str) -> Self {
        let client = Client::open(server.url()).unwrap();
        let connection = client.get_connection_manager().await.unwrap();
        let redis = Redis::from(connection.clone()).with_prefix(prefix).unwrap();
        Self {
            connection,
            redis,
            prefix: prefix.into(),
        }
    }

    /// Sends a command about one of its keys, after all that was sent before.
    async fn order<T: FromRedisValue>(&self, name: &str, key: &str, rest: &[&[u8]]) -> T {
        let mut command = redis::cmd(name);
        command.arg(format!("{}{key}", self.prefix)).arg(rest);
        command
            .query_async(&mut self.connection.clone())
            .await
            .unwrap()
    }
}

/// Drops a call once it was polled so often. What it has sent by then arrives.
async fn cut_short<T>(call: impl Future<Output = T>, polls: usize) -> Option<T> {
    let mut call = pin!(call);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        call.as_mut().poll(context).map(Some)
    })
    .await
}

/// More polls than any call here takes.
const POLLS: usize = 12;
