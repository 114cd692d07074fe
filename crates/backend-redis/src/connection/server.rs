//! One server, which may become the replica of another.

use std::{sync::Arc, time::Duration};

use backplane::{Clock, SystemClock};
use futures::lock::Mutex;
use redis::{
    Cmd, Pipeline, RedisError, Value,
    aio::{ConnectionLike, ConnectionManager},
    cmd,
};

use crate::failure;

/// For how long at least a connection is kept.
const PAUSE: Duration = Duration::from_secs(1);

/// A connection to the server that a name or an address leads to.
///
/// The client makes another when one is lost. A server that becomes a replica keeps its connections, while the
/// name may lead to the new master: so it is left when it refuses a change.
#[derive(Clone)]
pub(super) struct Server {
    connection: ConnectionManager,
    /// Held while it is left: when it was the last time.
    left: Arc<Mutex<Option<Duration>>>,
    clock: SystemClock,
}

impl Server {
    pub(super) async fn send(&self, command: &Cmd) -> Result<Value, RedisError> {
        let answer = command.query_async(&mut self.connection.clone()).await;
        if answer.as_ref().is_err_and(failure::is_of_replica) {
            self.leave().await;
        }
        answer
    }

    /// Sends commands at once, and answers each.
    pub(super) async fn pipe(&self, pipeline: &Pipeline) -> Result<Vec<Value>, RedisError> {
        let (mut connection, count) = (self.connection.clone(), pipeline.len());
        let answers = connection.send_packed_commands(pipeline, 0, count).await?;
        let is_refusal = |answer: &Value| match answer {
            Value::ServerError(error) => failure::is_of_replica(&error.clone().into()),
            _ => false,
        };
        if answers.iter().any(is_refusal) {
            self.leave().await;
        }
        Ok(answers)
    }

    /// Has the server end the connection, and the client notice.
    async fn leave(&self) {
        let Some(mut left) = self.left.try_lock() else {
            return;
        };
        let now = self.clock.monotonic();
        if left.is_none_or(|last| now.saturating_sub(last) >= PAUSE) {
            *left = Some(now);
            tracing::info!("the server is a replica: connecting anew");
            let mut connection = self.connection.clone();
            for last in ["QUIT", "PING"] {
                // The second one fails.
                let _ = connection.req_packed_command(&cmd(last)).await;
            }
        }
    }
}

impl From<ConnectionManager> for Server {
    fn from(connection: ConnectionManager) -> Self {
        Self {
            connection,
            left: Arc::default(),
            clock: SystemClock::new(),
        }
    }
}
