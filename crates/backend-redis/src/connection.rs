mod cluster;

use std::{fmt, sync::Arc};

use backplane::Result;
use futures::future::join_all;
use redis::{
    Cmd, Pipeline, RedisError, Value, aio::ConnectionManager, cluster_async::ClusterConnection,
};

use self::cluster::Cluster;
use crate::{failure, script::Call};

/// A connection that the application has made, and the part of the key space that is given to these
/// stores.
///
/// Clones share the connection. Every store of a process may use one.
///
/// ```no_run
/// use backend_redis::{Redis, RedisRateLimiter};
/// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
/// let client = redis::Client::open("redis://127.0.0.1/")?;
/// let redis = Redis::from(client.get_connection_manager().await?).with_prefix("shop:")?;
/// let limiter = RedisRateLimiter::new(redis);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Redis {
    connection: Connection,
    prefix: Arc<str>,
}

#[derive(Clone)]
enum Connection {
    Server(ConnectionManager),
    Cluster(Cluster),
}

/// A prefix has a brace, which would put every key into one slot of a Cluster.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a prefix of keys must not have a brace")]
#[non_exhaustive]
pub struct BraceInPrefix;

impl Redis {
    /// Begins every key with `prefix`, so that others may use the same server.
    ///
    /// # Errors
    ///
    /// [`BraceInPrefix`].
    pub fn with_prefix(mut self, prefix: &str) -> Result<Self, BraceInPrefix> {
        if prefix.contains(['{', '}']) {
            return Err(BraceInPrefix);
        }
        self.prefix = prefix.into();
        Ok(self)
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) const fn is_cluster(&self) -> bool {
        matches!(self.connection, Connection::Cluster(_))
    }

    /// Sends one command, wherever the client sends it.
    pub(crate) async fn command(&self, op: &'static str, command: &Cmd) -> Result<Value> {
        let answer = self.send(command).await;
        answer.map_err(|error| failure::of(op, error))
    }

    /// Runs a script on the server that has its keys: one round trip, and a second one on a server that
    /// does not know the script yet.
    ///
    /// A client learns that an idle connection is gone when it uses it, and makes another. So what only
    /// reads is tried again.
    async fn run(&self, op: &'static str, call: &Call) -> Result<Value> {
        let mut answer = self.send(&call.by_digest()).await;
        if call.only_reads()
            && answer
                .as_ref()
                .is_err_and(RedisError::is_connection_dropped)
        {
            answer = self.send(&call.by_digest()).await;
        }
        if answer.as_ref().is_err_and(failure::is_unknown_script) {
            answer = self.send(&call.in_full()).await;
        }
        answer.map_err(|error| failure::of(op, error))
    }

    /// Sends commands at once, and answers each in the order given: one round trip to a server, and one to
    /// each master of a Cluster that has a key of theirs.
    pub(crate) async fn send_all(&self, commands: &[Cmd]) -> Vec<Result<Value, RedisError>> {
        match &self.connection {
            Connection::Server(connection) => {
                let mut pipeline = Pipeline::with_capacity(commands.len());
                for command in commands {
                    pipeline.add_command(command.clone());
                }
                let mut connection = connection.clone();
                let sent = connection.send_packed_commands(&pipeline, 0, commands.len());
                match sent.await {
                    Ok(answers) => answers.into_iter().map(Value::extract_error).collect(),
                    Err(error) => commands.iter().map(|_| Err(error.clone())).collect(),
                }
            }
            Connection::Cluster(_) => {
                join_all(commands.iter().map(|command| self.send(command))).await
            }
        }
    }

    /// Runs scripts at once, and reads the answer of each, in the order given.
    pub(crate) async fn ask_all<T>(
        &self,
        op: &'static str,
        calls: &[Call],
        read: impl Fn(&Value) -> Option<T>,
    ) -> Vec<Result<T>> {
        let by_digest: Vec<_> = calls.iter().map(Call::by_digest).collect();
        let mut answers = self.send_all(&by_digest).await;
        let unknown =
            |answer: &Result<_, _>| answer.as_ref().is_err_and(failure::is_unknown_script);
        for (answer, call) in answers.iter_mut().zip(calls) {
            let dropped = |error: &RedisError| error.is_connection_dropped();
            if call.only_reads() && answer.as_ref().is_err_and(dropped) {
                *answer = self.send(&call.by_digest()).await;
            }
            if unknown(answer) {
                *answer = self.send(&call.in_full()).await;
            }
        }
        let read = |answer: Result<Value, RedisError>| {
            let answer = answer.map_err(|error| failure::of(op, error))?;
            read(&answer).ok_or_else(|| failure::strange(op, &answer))
        };
        answers.into_iter().map(read).collect()
    }

    /// Runs a script, and reads its answer.
    pub(crate) async fn ask<T>(
        &self,
        op: &'static str,
        call: &Call,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<T> {
        let answer = self.run(op, call).await?;
        read(&answer).ok_or_else(|| failure::strange(op, &answer))
    }

    async fn send(&self, command: &Cmd) -> Result<Value, RedisError> {
        match &self.connection {
            Connection::Server(connection) => command.query_async(&mut connection.clone()).await,
            Connection::Cluster(cluster) => cluster.send(command, &self.prefix).await,
        }
    }
}

impl From<ConnectionManager> for Redis {
    fn from(connection: ConnectionManager) -> Self {
        Self {
            connection: Connection::Server(connection),
            prefix: "".into(),
        }
    }
}

impl From<ClusterConnection> for Redis {
    fn from(connection: ClusterConnection) -> Self {
        Self {
            connection: Connection::Cluster(Cluster::from(connection)),
            prefix: "".into(),
        }
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.connection {
            Connection::Server(_) => "server",
            Connection::Cluster(_) => "cluster",
        };
        f.debug_struct("Redis")
            .field("connection", &kind)
            .field("prefix", &self.prefix)
            .finish()
    }
}
