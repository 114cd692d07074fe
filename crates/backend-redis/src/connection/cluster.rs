//! A Cluster, to which commands for many slots are sent in one pipeline a master.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{FutureExt as _, TryFutureExt as _, future::join_all};
use redis::{
    AsyncConnectionConfig, Cmd, IntoConnectionInfo, Pipeline, RedisError, RedisFuture, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster::ClusterClient,
    cluster_async::Connect,
    cluster_routing::{Route, SingleNodeRoutingInfo, Slot, SlotAddr},
    cmd,
};

use super::client::{Client, first_key};
use crate::slots::{SlotMap, slot_of};

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
    #[cfg(feature = "feed")]
    pub(super) async fn send_to(
        &self,
        node: SingleNodeRoutingInfo,
        command: Cmd,
    ) -> Result<Value, RedisError> {
        self.client.send_to(node, command).await
    }

    /// Sends commands to the master of their keys, which are of one slot.
    pub(super) async fn pipe(&self, pipeline: &Pipeline) -> Result<Vec<Value>, RedisError> {
        let values = self.client.pipe(pipeline).await?;
        Ok(values.into_iter().map(Node::unwrap).collect())
    }

    /// Sends commands at once, one pipeline to each master. What a server refuses, since the slot has moved
    /// or it cannot serve it now, is sent again by itself, as the client sees fit.
    pub(super) async fn send_all(&self, commands: &[Cmd]) -> Vec<Result<Value, RedisError>> {
        let mut answers = match self.parts(commands).await {
            Ok(parts) => self.send_parts(commands, &parts).await,
            Err(_) => vec![None; commands.len()],
        };
        let refused = answers.iter().zip(commands);
        let refused = refused.filter(|(answer, _)| answer.is_none());
        let again = join_all(refused.map(|(_, command)| self.send(command))).await;
        let mut again = again.into_iter();
        let last = |answer: &mut Option<_>| answer.take().or_else(|| again.next());
        answers.iter_mut().filter_map(last).collect()
    }

    /// Of each master, the commands that go there.
    async fn parts(&self, commands: &[Cmd]) -> Result<Vec<Vec<usize>>, RedisError> {
        let slots = self.slots().await?;
        let mut parts = BTreeMap::<_, Vec<_>>::new();
        for (place, command) in commands.iter().enumerate() {
            parts
                .entry(slots.address(slot(command)))
                .or_default()
                .push(place);
        }
        Ok(parts.into_values().collect())
    }

    /// The answers to commands, none where a command was refused.
    async fn send_parts(&self, commands: &[Cmd], parts: &[Vec<usize>]) -> Vec<Answer> {
        let sent = parts.iter().map(|places| {
            let mut pipeline = Pipeline::with_capacity(places.len());
            for &place in places {
                pipeline.add_command(commands[place].clone());
            }
            let slot = places
                .first()
                .and_then(|&place| Slot::new(slot(&commands[place])));
            let master = slot.map(|slot| Route::with_slot(slot, SlotAddr::Master));
            self.client
                .pipe_to(SingleNodeRoutingInfo::from(master), pipeline)
        });
        let mut answers = vec![None; commands.len()];
        for (places, sent) in parts.iter().zip(join_all(sent).await) {
            match sent {
                Ok(values) => {
                    for (&place, value) in places.iter().zip(values) {
                        answers[place] = self.answer(value);
                    }
                }
                Err(error) => {
                    self.look_again();
                    for &place in places {
                        answers[place] = Some(Err(error.clone()));
                    }
                }
            }
        }
        answers
    }

    fn answer(&self, value: Value) -> Answer {
        let answer = Node::unwrap(value).extract_error();
        if answer.as_ref().is_err_and(is_refused) {
            self.look_again();
            return None;
        }
        Some(answer)
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

type Answer = Option<Result<Value, RedisError>>;

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

fn slot(command: &Cmd) -> u16 {
    slot_of(first_key(command))
}

/// A connection to one node, on which each command of a pipeline has an answer of its own.
///
/// The client sends a whole pipeline to another node where one of its commands was refused by the first,
/// so that the other commands are run twice or refused there. It does not look into arrays, so a
/// pipeline's errors are put into some.
#[derive(Clone)]
pub(super) struct Node(MultiplexedConnection);

impl Node {
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
        sent.map_ok(|values| values.into_iter().map(Self::wrap).collect())
            .boxed()
    }

    fn get_db(&self) -> i64 {
        self.0.get_db()
    }
}
