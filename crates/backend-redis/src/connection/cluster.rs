//! A Cluster, to which commands for many slots are sent in one pipeline a master.

use std::{collections::BTreeMap, future::Future};

use futures::future::join_all;
use redis::{
    Cmd, Pipeline, RedisError, Value, cluster::ClusterClient,
    cluster_routing::SingleNodeRoutingInfo,
};

use super::{
    Answers,
    client::{Client, slot},
    node::Node,
    put, those,
};

/// A connection to a Cluster.
#[derive(Clone)]
pub(super) struct Cluster(Client<Node>);

impl Cluster {
    pub(super) async fn connect(client: &ClusterClient) -> Result<Self, RedisError> {
        let client: Client<_> = client.get_async_generic_connection().await?.into();
        client.begin().await;
        Ok(Self(client))
    }

    pub(super) async fn send(&self, command: &Cmd) -> Result<Value, RedisError> {
        self.0.send(command).await
    }

    /// Sends a command to one of the nodes.
    pub(super) async fn send_to(
        &self,
        node: SingleNodeRoutingInfo,
        command: Cmd,
    ) -> Result<Value, RedisError> {
        self.0.send_to(node, command).await
    }

    /// Sends commands to the master of the first one's key, and answers each.
    pub(super) async fn pipe(&self, pipeline: Pipeline) -> Result<Vec<Value>, RedisError> {
        let values = self.0.pipe(pipeline).await?;
        Ok(values.into_iter().map(Node::unwrap).collect())
    }

    /// Sends commands to one of the nodes, and answers each.
    pub(super) async fn pipe_to(
        &self,
        node: SingleNodeRoutingInfo,
        pipeline: Pipeline,
    ) -> Result<Vec<Value>, RedisError> {
        let values = self.0.pipe_to(node, pipeline, None).await?;
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
        if !refused.is_empty() {
            self.0.doubt_slots();
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
        let Some(slots) = self.0.slots().await else {
            return (0..commands.len()).map(|place| vec![place]).collect();
        };
        let mut parts = BTreeMap::<_, Vec<_>>::new();
        for (place, command) in commands.iter().enumerate() {
            parts
                .entry(slots.master(slot(command)))
                .or_default()
                .push(place);
        }
        parts.into_values().collect()
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
