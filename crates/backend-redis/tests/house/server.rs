use backend_redis::Redis;
use engines::Flavour;
use redis::FromRedisValue;

use super::{connection::connect, operator::Operator};

/// A server that a test has to itself and may do anything with, and somebody who sees to it.
pub(crate) struct Server {
    pub(crate) engine: engines::Redis,
    pub(crate) redis: Redis,
    operator: Operator,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_as(Flavour::Redis).await
    }

    pub(crate) async fn start_as(flavour: Flavour) -> Self {
        let engine = engines::Redis::start_as(flavour).unwrap();
        Self {
            redis: connect(&[engine.url()]).await,
            operator: Operator::of(&engine.url()).await,
            engine,
        }
    }

    pub(crate) async fn order(&self, words: &str) {
        self.operator.order(words).await;
    }

    pub(crate) async fn ask<T: FromRedisValue>(&self, words: &str) -> T {
        self.operator.ask(words).await
    }
}
