//! One server, which may become the replica of another.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use backplane::{Clock, SystemClock};
use redis::{
    Client, Cmd, ErrorKind, Pipeline, RedisError, RedisResult, Value,
    aio::{ConnectionManager, ConnectionManagerConfig},
};

use crate::failure;

/// For how long at least a connection is kept.
const PAUSE: Duration = Duration::from_secs(1);

/// A connection to the server that a name or an address leads to.
///
/// The client makes another when one is lost. A server that becomes a replica keeps its connections, while the
/// name may lead to the new master; and who is not let in once, as while passwords change, is never let in again.
/// So then the connection is left for another, if it is known how to make one.
#[derive(Clone)]
pub(super) struct Server {
    current: Arc<Mutex<Current>>,
    origin: Option<Arc<Origin>>,
    clock: SystemClock,
}

struct Current {
    connection: ConnectionManager,
    since: Duration,
}

struct Origin {
    client: Client,
    config: ConnectionManagerConfig,
}

impl Server {
    pub(super) async fn connect(
        client: Client,
        config: ConnectionManagerConfig,
    ) -> RedisResult<Self> {
        let connection = client.get_connection_manager_with_config(config.clone());
        let mut server = Self::from(connection.await?);
        server.origin = Some(Arc::new(Origin { client, config }));
        Ok(server)
    }

    pub(super) async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        let answer = command.query_async(&mut self.connection()).await;
        if answer.as_ref().is_err_and(is_useless) {
            self.leave();
        }
        answer
    }

    /// Sends commands at once, and answers each.
    pub(super) async fn pipe(&self, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
        let (mut connection, count) = (self.connection(), pipeline.len());
        let answers = connection.send_packed_commands(pipeline, 0, count).await;
        let is_refusal = |answer: &Value| match answer {
            Value::ServerError(error) => is_useless(&error.clone().into()),
            _ => false,
        };
        let has_refused = match &answers {
            Ok(answers) => answers.iter().any(is_refusal),
            Err(error) => is_useless(error),
        };
        if has_refused {
            self.leave();
        }
        answers
    }

    fn connection(&self) -> ConnectionManager {
        self.current().connection.clone()
    }

    /// Begins another connection. What is under way on this one comes to its end there.
    fn leave(&self) {
        let Some(origin) = &self.origin else { return };
        let (mut current, now) = (self.current(), self.clock.monotonic());
        if now.saturating_sub(current.since) < PAUSE {
            return;
        }
        let (client, config) = (origin.client.clone(), origin.config.clone());
        match ConnectionManager::new_lazy_with_config(client, config) {
            Ok(connection) => {
                tracing::info!("a server of no use is left");
                (current.connection, current.since) = (connection, now);
            }
            Err(error) => tracing::warn!(%error, "a server of no use is not left"),
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_useless(error: &RedisError) -> bool {
    failure::is_of_replica(error) || error.kind() == ErrorKind::AuthenticationFailed
}

impl From<ConnectionManager> for Server {
    fn from(connection: ConnectionManager) -> Self {
        let since = Duration::ZERO;
        Self {
            current: Arc::new(Mutex::new(Current { connection, since })),
            origin: None,
            clock: SystemClock::new(),
        }
    }
}
