//! The client of a Cluster whose masters may hang or die.

use std::{sync::Arc, time::Duration};

use backplane::{Clock, SystemClock};
use futures::{
    future::{join_all, select},
    lock::Mutex,
};
use redis::{
    Arg, Cmd, Pipeline, RedisError, Value,
    aio::ConnectionLike,
    cluster_async::{ClusterConnection, Connect},
    cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, Slot, SlotAddr},
    cmd,
};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::slots::slot_of;

/// How many requests may be under way in a client of a Cluster. Others of the application share it.
const UNDER_WAY: usize = 32;

/// How many servers are asked for the masters. One of them may be what hangs, and another serve the key
/// that it is asked for.
const ASKED: usize = 6;

/// How long it is waited for their answers, which come at once or not at all.
const PATIENCE: Duration = Duration::from_millis(200);

/// The client of a Cluster, which is given only so much to do at a time, and made to look for the masters
/// when one of them does not answer.
///
/// With about a hundred requests under way when a server dies, redis 1.8 waits for ever: while it looks for
/// the slots anew, it holds back requests that hold what it waits for. And by itself it looks only when a
/// connection breaks, or when a server says that another serves a slot. A master that hangs, or whose
/// machine is gone, does neither: the client would go on asking it long after a replica has taken over.
#[derive(Clone)]
pub(super) struct Client<C> {
    connection: ClusterConnection<C>,
    room: Arc<Semaphore>,
    looking: Arc<Mutex<()>>,
}

impl<C: ConnectionLike + Connect + Clone + Send + Sync + Unpin + 'static> Client<C> {
    /// Sends a command to the master of its key.
    pub(super) async fn send(&self, command: &Cmd) -> Result<Value, RedisError> {
        let answer = {
            let (mut connection, _room) = self.enter().await;
            command.query_async(&mut connection).await
        };
        self.heed(answer, command).await
    }

    /// Sends a command to `node`.
    pub(super) async fn send_to(
        &self,
        node: SingleNodeRoutingInfo,
        command: Cmd,
    ) -> Result<Value, RedisError> {
        let (mut connection, _room) = self.enter().await;
        let node = RoutingInfo::SingleNode(node);
        connection.route_command(command, node).await
    }

    /// Sends commands to the master of the first one's key. An error of the whole is answered once.
    pub(super) async fn pipe(&self, pipeline: Pipeline) -> Result<Vec<Value>, RedisError> {
        let (count, first) = (pipeline.len(), pipeline.cmd_iter().next().cloned());
        let slot = first.as_ref().and_then(|first| Slot::new(slot(first)));
        let master = slot.map(|slot| Route::with_slot(slot, SlotAddr::Master));
        let node = SingleNodeRoutingInfo::from(master);
        let answers = {
            let (mut connection, _room) = self.enter().await;
            connection.route_pipeline(pipeline, 0, count, node).await
        };
        match first {
            Some(first) => self.heed(answers, &first).await,
            None => answers,
        }
    }

    /// The connection, once there is room for a request, and the room.
    async fn enter(&self) -> (ClusterConnection<C>, SemaphorePermit<'_>) {
        let room = self.room.acquire().await;
        let room = room.expect("nobody closes the semaphore");
        (self.connection.clone(), room)
    }

    /// Looks for the masters if there was no answer to `command`.
    async fn heed<T>(&self, answer: Result<T, RedisError>, command: &Cmd) -> Result<T, RedisError> {
        if answer.as_ref().is_err_and(RedisError::is_timeout) {
            self.look(first_key(command)).await;
        }
        answer
    }

    /// Asks some servers for a key that most of them do not serve. They say who does, upon which the
    /// client looks at all slots anew.
    async fn look(&self, key: &[u8]) {
        let Some(_alone) = self.looking.try_lock() else {
            return;
        };
        let ask = |_| {
            let exists = cmd("EXISTS").arg(key).take();
            let mut connection = self.connection.clone();
            let anyone = RoutingInfo::SingleNode(SingleNodeRoutingInfo::Random);
            async move { connection.route_command(exists, anyone).await }
        };
        let answers = join_all((0..ASKED).map(ask));
        select(answers, SystemClock::new().sleep(PATIENCE)).await;
    }
}

impl<C> From<ClusterConnection<C>> for Client<C> {
    fn from(connection: ClusterConnection<C>) -> Self {
        Self {
            connection,
            room: Arc::new(Semaphore::new(UNDER_WAY)),
            looking: Arc::default(),
        }
    }
}

/// The slot of a command's first key.
pub(super) fn slot(command: &Cmd) -> u16 {
    slot_of(first_key(command))
}

/// Nothing, if it has none.
fn first_key(command: &Cmd) -> &[u8] {
    let argument = |place| match command.args_iter().nth(place) {
        Some(Arg::Simple(argument)) => argument,
        _ => &[],
    };
    let is_script = argument(0).starts_with(b"EVAL");
    argument(if is_script { 3 } else { 1 })
}
