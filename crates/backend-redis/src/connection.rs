mod client;
mod cluster;
mod node;
mod server;
mod waiting;

use std::{borrow::Cow, fmt, future::Future, io, pin::pin, sync::Arc, time::Duration};

use backplane::{Clock, Error, ErrorKind, Result, SystemClock};
use futures::future::{Either, join_all, select};
use redis::cluster_routing::SingleNodeRoutingInfo;
use redis::{
    Cmd, Pipeline, RedisError, Value,
    aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection},
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
};

use crate::{failure, script::Call, slots::SlotMap};

use self::{client::Client, cluster::Cluster, server::Server, waiting::Waiting};

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
    /// How changes go that replicas must have.
    waiting: Option<Arc<Waiting>>,
}

#[derive(Clone)]
enum Connection {
    Server(Server),
    Cluster(Cluster),
    /// Of a Cluster too, but commands go one by one.
    OneByOne(Client<MultiplexedConnection>),
}

/// A prefix has a brace, which would put every key into one slot of a Cluster.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a prefix of keys must not have a brace")]
#[non_exhaustive]
pub struct BraceInPrefix;

/// Of each command its answer.
type Answers = Vec<Result<Value, RedisError>>;

/// Most commands that are sent at once: more would keep others waiting who share the connection and the
/// server.
const AT_ONCE: usize = 1_000;

/// How many nodes of a Cluster may turn out to be gone while something is read.
const NODES_LOST: usize = 8;

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

    /// Connects to one server, and again where that is of no use any more.
    pub(crate) async fn server(
        client: redis::Client,
        config: ConnectionManagerConfig,
    ) -> Result<Self, RedisError> {
        Ok(Connection::Server(Server::connect(client, config).await?).into())
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

    /// Sends each script that changes something over the connection of `writer`, and lets it fail as
    /// [`Unavailable`](backplane::ErrorKind::Unavailable) unless `count` replicas of its server have the change
    /// `within` some time. By default a change need not be on any replica.
    ///
    /// A change that failed so has taken effect all the same, and another call may find it. What all replicas
    /// of a server have acknowledged is not lost when one of them takes over. What may be lost anyway is not
    /// waited for: timelines, the items of a [`RedisSharedCache`](crate::RedisSharedCache), and what a
    /// [`RedisRateLimiter`](crate::RedisRateLimiter) has counted.
    ///
    /// The server is told to `WAIT` on the connection that has written, and answers nothing else on it
    /// meanwhile: for about a round trip to the replicas, and for all of `within`, a millisecond at least, where
    /// one is missing. So no other store should use the connection of `writer`, which is one to the same server
    /// or Cluster; its prefix does not count. As many calls are under way as wait two seconds in turn, one at
    /// least and 32 at most, and others wait five for a place: so its response timeout is longer than `within`,
    /// and than two seconds. The scripts of one call wait once for each server; those over a
    /// [`ClusterConnection`] wait one after the other. A call that finds nothing to change waits too.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// use backend_redis::Redis;
    /// # async fn open(client: redis::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let writer = Redis::from(client.get_connection_manager().await?);
    /// let redis = Redis::from(client.get_connection_manager().await?);
    /// let redis = redis.with_replicas(1, Duration::from_millis(200), writer);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with_replicas(mut self, count: u32, within: Duration, writer: Self) -> Self {
        self.waiting = Some(Arc::new(Waiting::new(writer.connection, count, within)));
        self
    }

    /// What every key begins with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) const fn is_cluster(&self) -> bool {
        !matches!(self.connection, Connection::Server(_))
    }

    /// Sends a command of the application's own, to whichever server has its key.
    ///
    /// # Errors
    ///
    /// Those that the stores have, as an error of `op`.
    pub async fn command(&self, op: &'static str, command: &Cmd) -> Result<Value> {
        let answer = self.connection.send(command).await;
        answer.map_err(|error| failure::of(op, error))
    }

    /// Sends a command that changes something, as [`with_replicas`](Self::with_replicas) says for scripts.
    pub(crate) async fn change(&self, op: &'static str, command: Cmd) -> Result<Value> {
        let answer = match &self.waiting {
            Some(waiting) => waiting.send_one(command).await,
            None => self.connection.send(&command).await,
        };
        answer.map_err(|error| failure::of(op, error))
    }

    /// Runs a script on the server that has its keys: one round trip, and a second one on a server that
    /// does not know the script yet.
    ///
    /// A client learns that an idle connection is gone when it uses it, and makes another. So what only
    /// reads is tried again.
    pub(crate) async fn run(&self, op: &'static str, call: &Call) -> Result<Value> {
        let mut answer = self.send_call(call, Call::by_digest).await;
        let mut round = 0;
        while call.only_reads() && answer.as_ref().is_err_and(|error| is_lost(error, round)) {
            answer = self.send_call(call, Call::by_digest).await;
            round += 1;
        }
        if answer.as_ref().is_err_and(failure::is_unknown_script) {
            answer = self.send_call(call, Call::in_full).await;
        }
        answer.map_err(|error| failure::of(op, error))
    }

    async fn send_call(&self, call: &Call, form: fn(&Call) -> Cmd) -> Result<Value, RedisError> {
        match &self.waiting {
            Some(waiting) if !call.may_be_lost() => waiting.send_one(form(call)).await,
            _ => self.connection.send(&form(call)).await,
        }
    }

    async fn send_calls(&self, calls: &[&Call], form: fn(&Call) -> Cmd) -> Answers {
        let commands: Vec<_> = calls.iter().map(|call| form(call)).collect();
        match &self.waiting {
            Some(waiting) if !calls.iter().all(|call| call.may_be_lost()) => {
                waiting.send(&commands).await
            }
            _ => self.send_all(commands).await,
        }
    }

    /// Sends commands at once, and answers each in the order given: for each thousand, one round trip to a
    /// server, and one to each master of a Cluster that has a key of theirs, more where slots move. The
    /// commands about one key are run in the order given, unless its slot moves.
    pub(crate) async fn send_all(&self, commands: impl Into<Cow<'_, [Cmd]>>) -> Answers {
        let commands = commands.into();
        if commands.len() <= AT_ONCE {
            return self.connection.send_all(commands).await;
        }
        let mut answers = Vec::with_capacity(commands.len());
        for commands in commands.chunks(AT_ONCE) {
            answers.extend(self.connection.send_all(commands.into()).await);
        }
        answers
    }

    /// Which server of a Cluster serves which slot.
    pub(crate) async fn slots(&self, op: &'static str) -> Result<SlotMap> {
        let slots = redis::cmd("CLUSTER").arg("SLOTS").take();
        let anyone = SingleNodeRoutingInfo::Random;
        let answer = self.command_at(op, anyone, slots).await?;
        SlotMap::read(&answer).ok_or_else(|| Error::bare(ErrorKind::Corrupt, op))
    }

    /// Runs scripts at once, and reads the answer of each, in the order given.
    pub(crate) async fn ask_all<T>(
        &self,
        op: &'static str,
        calls: &[Call],
        read: impl Fn(&Value) -> Option<T>,
    ) -> Vec<Result<T>> {
        let every: Vec<_> = calls.iter().collect();
        let mut answers = self.send_calls(&every, Call::by_digest).await;
        for round in 0.. {
            let lost = those(&answers, |error, place| {
                calls[place].only_reads() && is_lost(error, round)
            });
            if lost.is_empty() {
                break;
            }
            let some: Vec<_> = lost.iter().map(|&place| &calls[place]).collect();
            let again = self.send_calls(&some, Call::by_digest).await;
            put(&mut answers, lost, again);
        }
        // One in full is enough for a server, and which of them are of one server is not known here.
        loop {
            let unknown = those(&answers, |error, _| failure::is_unknown_script(error));
            let some: Vec<_> = unknown.iter().map(|&place| &calls[place]).collect();
            let Some((first, rest)) = some.split_first() else {
                break;
            };
            let mut again = self.send_calls(&[*first], Call::in_full).await;
            again.extend(self.send_calls(rest, Call::by_digest).await);
            put(&mut answers, unknown, again);
        }
        read_each(op, answers, read)
    }

    /// Sends commands that only read at once, and reads the answer of each, in the order given. Those
    /// whose connection is gone are sent again, as [`run`](Self::run) does.
    pub(crate) async fn read_all<T>(
        &self,
        op: &'static str,
        commands: &[Cmd],
        read: impl Fn(&Value) -> Option<T>,
    ) -> Vec<Result<T>> {
        let mut answers = self.send_all(commands).await;
        for round in 0.. {
            let lost = those(&answers, |error, _| is_lost(error, round));
            if lost.is_empty() {
                break;
            }
            let some = lost.iter().map(|&place| commands[place].clone());
            let again = self.send_all(some.collect::<Vec<_>>()).await;
            put(&mut answers, lost, again);
        }
        read_each(op, answers, read)
    }

    /// Sends one such command, and reads its answer.
    pub(crate) async fn read_one<T>(
        &self,
        op: &'static str,
        command: Cmd,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<T> {
        let mut answers = self.read_all(op, &[command], read).await;
        answers.pop().expect("a command has an answer")
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
    pub(crate) async fn command_at(
        &self,
        op: &'static str,
        node: SingleNodeRoutingInfo,
        command: Cmd,
    ) -> Result<Value> {
        let answer = match &self.connection {
            Connection::Server(_) => self.connection.send(&command).await,
            Connection::Cluster(cluster) => cluster.send_to(node, command).await,
            Connection::OneByOne(client) => client.send_to(node, command).await,
        };
        answer.map_err(|error| failure::of(op, error))
    }

    /// Sends commands at once to one of the nodes, or to the server, and answers each.
    pub(crate) async fn all_at(
        &self,
        op: &'static str,
        node: SingleNodeRoutingInfo,
        commands: Vec<Cmd>,
    ) -> Result<Vec<Value>> {
        let pipeline = pipeline(commands);
        let answers = match &self.connection {
            Connection::Server(server) => server.pipe(&pipeline).await,
            Connection::Cluster(cluster) => cluster.pipe_to(node, pipeline).await,
            Connection::OneByOne(client) => client.pipe_to(node, pipeline, None).await,
        };
        let whole = |answers: Vec<Value>| answers.into_iter().map(Value::extract_error).collect();
        let answers = answers.and_then(whole);
        answers.map_err(|error| failure::of(op, error))
    }
}

fn pipeline(commands: Vec<Cmd>) -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(commands.len());
    for command in commands {
        pipeline.add_command(command);
    }
    pipeline
}

impl Connection {
    async fn send(&self, command: &Cmd) -> Result<Value, RedisError> {
        match self {
            Self::Server(server) => server.send(command).await,
            Self::Cluster(cluster) => cluster.send(command).await,
            Self::OneByOne(client) => client.send(command).await,
        }
    }

    async fn send_all(&self, commands: Cow<'_, [Cmd]>) -> Answers {
        match self {
            _ if commands.is_empty() => Vec::new(),
            Self::Server(_) => self.send_together(commands.into_owned()).await,
            Self::Cluster(cluster) => {
                let send = |commands| self.send_together(commands);
                cluster.send_all(&commands, send).await
            }
            Self::OneByOne(_) => join_all(commands.iter().map(|command| self.send(command))).await,
        }
    }

    /// Sends commands to one server: that of the first one's key.
    async fn send_together(&self, commands: Vec<Cmd>) -> Answers {
        let count = commands.len();
        let pipeline = pipeline(commands);
        let sent = match self {
            Self::Server(server) => server.pipe(&pipeline).await,
            Self::Cluster(cluster) => cluster.pipe(pipeline).await,
            Self::OneByOne(client) => client.pipe(pipeline).await,
        };
        match sent {
            Ok(answers) => answers.into_iter().map(Value::extract_error).collect(),
            Err(error) => vec![Err(error); count],
        }
    }
}

/// Whether a command's connection was lost, so that it may be sent again after so many rounds. In a Cluster each
/// round may meet another node whose connection is gone.
fn is_lost(error: &RedisError, rounds: usize) -> bool {
    match node::unanswered(error) {
        Some(cause) => rounds < NODES_LOST && cause.is_connection_dropped(),
        None => rounds == 0 && error.is_connection_dropped(),
    }
}

/// What comes of `sent` if it does in time.
async fn within<T>(
    patience: Duration,
    sent: impl Future<Output = Result<T, RedisError>>,
) -> Result<T, RedisError> {
    let late = SystemClock::new().sleep(patience);
    match select(pin!(sent), late).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
    }
}

/// The places of answers that are such errors.
fn those(
    answers: &[Result<Value, RedisError>],
    is_one: impl Fn(&RedisError, usize) -> bool,
) -> Vec<usize> {
    let answers = answers.iter().enumerate();
    let those = answers.filter(|(place, answer)| {
        let error = answer.as_ref().err();
        error.is_some_and(|error| is_one(error, *place))
    });
    those.map(|(place, _)| place).collect()
}

fn put<T>(into: &mut [T], places: Vec<usize>, answers: Vec<T>) {
    for (place, answer) in places.into_iter().zip(answers) {
        into[place] = answer;
    }
}

fn read_each<T>(
    op: &'static str,
    answers: Answers,
    read: impl Fn(&Value) -> Option<T>,
) -> Vec<Result<T>> {
    let read = |answer: Result<Value, RedisError>| {
        let answer = answer.map_err(|error| failure::of(op, error))?;
        read(&answer).ok_or_else(|| failure::strange(op, &answer))
    };
    answers.into_iter().map(read).collect()
}

impl From<Connection> for Redis {
    fn from(connection: Connection) -> Self {
        Self {
            connection,
            prefix: "".into(),
            waiting: None,
        }
    }
}

impl From<ConnectionManager> for Redis {
    fn from(connection: ConnectionManager) -> Self {
        Connection::Server(connection.into()).into()
    }
}

impl From<ClusterConnection> for Redis {
    fn from(connection: ClusterConnection) -> Self {
        Connection::OneByOne(connection.into()).into()
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.connection {
            Connection::Server(_) => "server",
            Connection::Cluster(_) | Connection::OneByOne(_) => "cluster",
        };
        f.debug_struct("Redis")
            .field("connection", &kind)
            .field("prefix", &self.prefix)
            .field("waiting", &self.waiting)
            .finish()
    }
}
