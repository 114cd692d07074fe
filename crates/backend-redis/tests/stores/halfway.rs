//! Calls that end in the middle, on stores whose changes are on several servers: what is at one place and
//! not at the other yet is brought to its end by whoever looks.

mod actions;
mod deaths;
mod graph;
mod late;

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use backend_redis::Redis;
use futures::future::join_all;
use redis::FromRedisValue;

use crate::house::{CLUSTER, SERVER, connect};

/// Where a test takes place.
#[derive(Clone, Copy, Debug)]
enum Place {
    Server,
    /// Of three masters, which have different users and posts.
    Cluster,
}

impl Place {
    /// Fewer on a Cluster, which is slower on one machine.
    const fn rounds(self, on_a_server: u64) -> u64 {
        match self {
            Self::Server => on_a_server,
            Self::Cluster => on_a_server / 3,
        }
    }
}

/// Each test on one server and on a Cluster.
macro_rules! on_each_place {
    ($(#[$attribute:meta] $test:ident),+ $(,)?) => {
        mod server {
            $(#[$attribute]
            async fn $test() {
                super::$test(crate::halfway::Place::Server).await;
            })+
        }

        mod cluster {
            $(#[$attribute]
            async fn $test() {
                super::$test(crate::halfway::Place::Cluster).await;
            })+
        }
    };
}

use on_each_place;

/// A process that uses a part of the key space.
#[derive(Clone)]
struct Process {
    redis: Redis,
}

impl Process {
    async fn start(place: Place) -> Self {
        match place {
            Place::Server => Self::at(&[SERVER.url()]).await,
            Place::Cluster => Self::at(&CLUSTER.urls()).await,
        }
    }

    async fn at(urls: &[String]) -> Self {
        let redis = connect(urls).await;
        Self { redis }
    }

    /// The same process, with another part of the key space.
    fn with_prefix(&self, prefix: &str) -> Self {
        let redis = self.redis.clone().with_prefix(prefix).unwrap();
        Self { redis }
    }

    /// Sends a command about one of its keys, after all that was sent before to the server that has it.
    async fn order<T: FromRedisValue>(&self, name: &str, key: &str, rest: &[&[u8]]) -> T {
        let mut command = redis::cmd(name);
        let key = format!("{}{key}", self.redis.prefix());
        command.arg(key).arg(rest);
        let answer = self.redis.command("order", &command).await.unwrap();
        T::from_redis_value(answer).unwrap()
    }

    /// Waits until all has arrived that was sent.
    async fn arrives(&self) {
        // Each master of a Cluster has one of them.
        let keys = ["{0}", "{1}", "{2}", "{3}"];
        join_all(keys.map(async |key| self.order::<bool>("EXISTS", key, &[]).await)).await;
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
