use std::{borrow::Cow, fmt, sync::Arc};

use backplane::{Error, ErrorKind, Result};
use futures::future::join_all;
use redis::{
    Cmd, Pipeline, RedisError, Value, aio::ConnectionManager, cluster::ClusterClient,
    cluster_async::ClusterConnection,
};

use crate::{cluster::Cluster, failure, script::Call, slots::SlotMap};

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
    /// Of a Cluster too, but commands go one by one.
    Single(ClusterConnection),
}

/// A prefix has a brace, which would put every key into one slot of a Cluster.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a prefix of keys must not have a brace")]
#[non_exhaustive]
pub struct BraceInPrefix;

impl Redis {
    /// Connects to a Cluster. A call about many keys sends one pipeline to each master that has some of
    /// them; with a [`ClusterConnection`] it sends each command by itself.
    ///
    /// # Errors
    ///
    /// If no node can be reached.
    pub async fn cluster(client: &ClusterClient) -> Result<Self, RedisError> {
        Ok(Connection::Cluster(Cluster::connect(client).await?).into())
    }

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
        !matches!(self.connection, Connection::Server(_))
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
    /// each master of a Cluster that has a key of theirs, more where slots move. The commands about one key
    /// are run in the order given, unless its slot moves.
    pub(crate) async fn send_all(
        &self,
        commands: impl Into<Cow<'_, [Cmd]>>,
    ) -> Vec<Result<Value, RedisError>> {
        let commands = commands.into();
        match &self.connection {
            _ if commands.is_empty() => Vec::new(),
            Connection::Server(connection) => {
                let count = commands.len();
                let mut pipeline = Pipeline::with_capacity(count);
                for command in commands.into_owned() {
                    pipeline.add_command(command);
                }
                let mut connection = connection.clone();
                match connection.send_packed_commands(&pipeline, 0, count).await {
                    Ok(answers) => answers.into_iter().map(Value::extract_error).collect(),
                    Err(error) => vec![Err(error); count],
                }
            }
            Connection::Cluster(cluster) => cluster.send_all(&commands).await,
            Connection::Single(_) => {
                join_all(commands.iter().map(|command| self.send(command))).await
            }
        }
    }

    /// Which server of a Cluster serves which slot.
    pub(crate) async fn slots(&self, op: &'static str) -> Result<SlotMap> {
        let mut command = redis::cmd("CLUSTER");
        let answer = self.command(op, command.arg("SLOTS")).await?;
        SlotMap::read(&answer).ok_or_else(|| Error::bare(ErrorKind::Corrupt, op))
    }

    /// Runs scripts at once, and reads the answer of each, in the order given.
    pub(crate) async fn ask_all<T>(
        &self,
        op: &'static str,
        calls: &[Call],
        read: impl Fn(&Value) -> Option<T>,
    ) -> Vec<Result<T>> {
        let by_digest: Vec<_> = calls.iter().map(Call::by_digest).collect();
        let mut answers = self.send_all(by_digest).await;
        let again = answers.iter().zip(calls);
        let again = again.filter(|(answer, call)| is_sent_again(answer, call));
        let again: Vec<_> = again.map(|(_, call)| call.in_full()).collect();
        let mut again = self.send_all(again).await.into_iter();
        for (answer, call) in answers.iter_mut().zip(calls) {
            if is_sent_again(answer, call) {
                *answer = again.next().expect("one was sent for each");
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

    /// Sends a command to one of the nodes of a Cluster, or to the server.
    #[cfg(feature = "feed")]
    pub(crate) async fn command_at(
        &self,
        op: &'static str,
        node: redis::cluster_routing::RoutingInfo,
        command: Cmd,
    ) -> Result<Value> {
        let answer = match &self.connection {
            Connection::Server(_) => self.send(&command).await,
            Connection::Cluster(cluster) => cluster.send_to(node, command).await,
            Connection::Single(connection) => connection.clone().route_command(command, node).await,
        };
        answer.map_err(|error| failure::of(op, error))
    }

    async fn send(&self, command: &Cmd) -> Result<Value, RedisError> {
        match &self.connection {
            Connection::Server(connection) => command.query_async(&mut connection.clone()).await,
            Connection::Cluster(cluster) => cluster.send(command).await,
            Connection::Single(connection) => command.query_async(&mut connection.clone()).await,
        }
    }
}

impl From<Connection> for Redis {
    fn from(connection: Connection) -> Self {
        Self {
            connection,
            prefix: "".into(),
        }
    }
}

impl From<ConnectionManager> for Redis {
    fn from(connection: ConnectionManager) -> Self {
        Connection::Server(connection).into()
    }
}

impl From<ClusterConnection> for Redis {
    fn from(connection: ClusterConnection) -> Self {
        Connection::Single(connection).into()
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.connection {
            Connection::Server(_) => "server",
            Connection::Cluster(_) | Connection::Single(_) => "cluster",
        };
        f.debug_struct("Redis")
            .field("connection", &kind)
            .field("prefix", &self.prefix)
            .finish()
    }
}

/// Whether a server did not know the script; or the connection was gone, and nothing was to be written.
fn is_sent_again(answer: &Result<Value, RedisError>, call: &Call) -> bool {
    answer.as_ref().is_err_and(|error| {
        failure::is_unknown_script(error) || (call.only_reads() && error.is_connection_dropped())
    })
}
