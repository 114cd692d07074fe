use std::{future::pending, sync::Arc};

use backend_redb::Writer;
use backend_redis::{Redis, redis::cmd};
use backplane::{Result, bus::Bus};

/// Where a server keeps everything.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Engine {
    /// In a file of its own.
    File(Writer),
    /// On Redis, with all other servers there.
    #[non_exhaustive]
    Redis {
        /// What is kept.
        redis: Redis,
        /// What is told to the other servers.
        bus: Arc<dyn Bus>,
    },
}

impl Engine {
    /// What is told to other servers, if there may be some.
    pub(crate) const fn bus(&self) -> Option<&Arc<dyn Bus>> {
        match self {
            Self::File(_) => None,
            Self::Redis { bus, .. } => Some(bus),
        }
    }

    /// Whether Redis answers, or a file takes writes. Once that takes none, it never does again in this
    /// process.
    pub(crate) async fn check(&self) -> Result<()> {
        match self {
            Self::File(writer) => writer.check().map_err(|failure| failure.of("check")),
            Self::Redis { redis, .. } => redis.command("check", &cmd("PING")).await.map(drop),
        }
    }

    /// Waits until it takes no more writes for as long as this process lives, and says why.
    pub(crate) async fn stopped(&self) -> anyhow::Error {
        match self {
            Self::File(writer) => writer.stopped().await.into(),
            Self::Redis { .. } => pending().await,
        }
    }

    /// Leaves the other servers, and returns once everything is kept.
    pub(crate) async fn end(&self) -> anyhow::Result<()> {
        match self {
            Self::File(writer) => Ok(writer.flush().await?),
            Self::Redis { bus, .. } => Ok(bus.drain().await?),
        }
    }
}
