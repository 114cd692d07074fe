//! A Cluster, to which commands for many slots are sent in one pipeline a master.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{FutureExt as _, TryFutureExt as _, future::join_all};
use redis::cluster_routing::SingleNodeRoutingInfo;
use redis::{
    Arg, AsyncConnectionConfig, Cmd, IntoConnectionInfo, Pipeline, RedisError, RedisFuture, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster::ClusterClient,
    cluster_async::Connect,
    cmd,
};

use super::{
    Answers,
    client::{Client, slot},
    put, those,
};
use crate::slots::SlotMap;

/// A connection to a Cluster.
#[derive(Clone)]
pub(super) struct Cluster {
    client: Client<Node>,
    /// Which servers got the last pipelines; none, if a command was sent to the wrong one.
    slots: Arc<Mutex<Option<Arc<SlotMap>>>>,
}

impl Cluster {
    pub(super) async fn connect(client: &ClusterClient) -> Result<Self, RedisError> {
        Ok(Self {
            client: client.get_async_generic_connection().await?.into(),
            slots: Arc::default(),
        })
    }

    pub(super) async fn send(&self, command: &Cmd) -> Result<Value, RedisError> {
        self.client.send(command).await
    }

    /// Sends a command to one of the nodes.
    pub(super) async fn send_to(
        &self,
        node: SingleNodeRoutingInfo,
        command: Cmd,
    ) -> Result<Value, RedisError> {
        self.client.send_to(node, command).await
    }

    /// Sends commands to the master of the first one's key, and answers each.
    pub(super) async fn pipe(&self, pipeline: Pipeline) -> Result<Vec<Value>, RedisError> {
        let values = self.client.pipe(pipeline).await?;
        Ok(values.into_iter().map(Node::unwrap).collect())
    }

    /// Sends commands at once, those of each master together. What a server refuses, since the slot has
    /// moved or it cannot serve it now, is sent again by itself, as the client sees fit.
    pub(super) async fn send_all<F: Future<Output = Answers>>(
        &self,
        commands: &[Cmd],
        send: impl Fn(Vec<Cmd>) -> F,
    ) -> Answers {
        let parts = self.parts(commands).await;
        let sent = parts.iter().map(|places| {
            let some = places.iter().map(|&place| commands[place].clone());
            send(some.collect())
        });
        let sent = join_all(sent).await.into_iter().flatten();
        let mut answers: Vec<_> = parts.into_iter().flatten().zip(sent).collect();
        answers.sort_unstable_by_key(|(place, _)| *place);
        let mut answers: Answers = answers.into_iter().map(|(_, answer)| answer).collect();
        let refused = those(&answers, |error, _| is_refused(error));
        let lost = those(&answers, |error, _| error.code().is_none());
        if !refused.is_empty() || !lost.is_empty() {
            self.look_again();
        }
        let again = refused
            .iter()
            .map(|&place| send(vec![commands[place].clone()]));
        let again = join_all(again).await.into_iter().flatten().collect();
        put(&mut answers, refused, again);
        answers
    }

    /// Of each master, the commands that go there; each by itself, if nobody says which do.
    async fn parts(&self, commands: &[Cmd]) -> Vec<Vec<usize>> {
        let Ok(slots) = self.slots().await else {
            return (0..commands.len()).map(|place| vec![place]).collect();
        };
        let mut parts = BTreeMap::<_, Vec<_>>::new();
        for (place, command) in commands.iter().enumerate() {
            parts
                .entry(slots.address(slot(command)))
                .or_default()
                .push(place);
        }
        parts.into_values().collect()
    }

    fn look_again(&self) {
        *self.slots.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn slots(&self) -> Result<Arc<SlotMap>, RedisError> {
        let known = self
            .slots
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(slots) = known {
            return Ok(slots);
        }
        let answer = self.send(cmd("CLUSTER").arg("SLOTS")).await?;
        let slots = Arc::new(SlotMap::read(&answer).unwrap_or_default());
        *self.slots.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&slots));
        Ok(slots)
    }
}

/// Whether a command was not run, and may be elsewhere or later.
fn is_refused(error: &RedisError) -> bool {
    let code = error.code().unwrap_or_default();
    [
        "MOVED",
        "ASK",
        "TRYAGAIN",
        "CLUSTERDOWN",
        "LOADING",
        "READONLY",
        "MASTERDOWN",
    ]
    .contains(&code)
}

/// A connection to one node, on which each command of a pipeline has an answer of its own.
///
/// The client sends a whole pipeline to another node where one of its commands was refused by the first,
/// so that the other commands are run twice or refused there. It does not look into arrays, so a
/// pipeline's errors are put into some; unless nothing but a `WAIT` follows the first command.
#[derive(Clone)]
pub(super) struct Node(MultiplexedConnection);

impl Node {
    fn is_of_one(pipeline: &Pipeline) -> bool {
        let is_wait = |command: &Cmd| command.args_iter().next() == Some(Arg::Simple(b"WAIT"));
        pipeline.cmd_iter().skip(1).all(is_wait)
    }

    fn wrap(value: Value) -> Value {
        match value {
            Value::ServerError(_) => Value::Array(vec![value]),
            value => value,
        }
    }

    /// Undoes [`wrap`](Self::wrap): no command of this crate answers an error in an array.
    fn unwrap(value: Value) -> Value {
        match value {
            Value::Array(mut values) if matches!(values[..], [Value::ServerError(_)]) => {
                values.swap_remove(0)
            }
            value => value,
        }
    }
}

impl Connect for Node {
    fn connect_with_config<'a, T>(info: T, config: AsyncConnectionConfig) -> RedisFuture<'a, Self>
    where
        T: IntoConnectionInfo + Send + 'a,
    {
        MultiplexedConnection::connect_with_config(info, config)
            .map_ok(Self)
            .boxed()
    }
}

impl ConnectionLike for Node {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        self.0.req_packed_command(command)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        let sent = self.0.req_packed_commands(pipeline, offset, count);
        if Self::is_of_one(pipeline) {
            return sent;
        }
        sent.map_ok(|values| values.into_iter().map(Self::wrap).collect())
            .boxed()
    }

    fn get_db(&self) -> i64 {
        self.0.get_db()
    }
}
