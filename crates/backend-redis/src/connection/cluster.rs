//! A Cluster whose masters may hang.

use std::{sync::Arc, time::Duration};

use backplane::{Clock, SystemClock};
use futures::{
    future::{join_all, select},
    lock::Mutex,
};
use redis::{
    Cmd, RedisError, Value,
    cluster_async::ClusterConnection,
    cluster_routing::{RoutingInfo, SingleNodeRoutingInfo},
    cmd,
};

/// How many servers are asked. One of them may be what hangs, and another serve the key that it is asked for.
const ASKED: usize = 6;

/// How long it is waited for their answers, which come at once or not at all.
const PATIENCE: Duration = Duration::from_millis(200);

/// The client of a Cluster, which is made to look for the masters when one of them does not answer.
///
/// By itself it does so when a connection breaks, or when a server says that another serves a slot. A
/// master that hangs, or whose machine is gone, does neither: the client would go on asking it long after
/// a replica has taken over.
#[derive(Clone)]
pub(super) struct Cluster {
    connection: ClusterConnection,
    looking: Arc<Mutex<()>>,
}

impl Cluster {
    /// Sends a command to the master of its key. `prefix` begins keys that this user may ask for.
    pub(super) async fn send(&self, command: &Cmd, prefix: &str) -> Result<Value, RedisError> {
        let answer = command.query_async(&mut self.connection.clone()).await;
        if answer.as_ref().is_err_and(RedisError::is_timeout) {
            self.look(prefix).await;
        }
        answer
    }

    /// Asks some servers for keys that most of them do not serve. They say who does, upon which the client
    /// looks at all slots anew.
    async fn look(&self, prefix: &str) {
        let Some(_alone) = self.looking.try_lock() else {
            return;
        };
        let ask = |_| {
            let mut exists = cmd("EXISTS");
            exists.arg(format!("{prefix}{:016x}", fastrand::u64(..)));
            let mut connection = self.connection.clone();
            let anyone = RoutingInfo::SingleNode(SingleNodeRoutingInfo::Random);
            async move { connection.route_command(exists, anyone).await }
        };
        let answers = join_all((0..ASKED).map(ask));
        select(answers, SystemClock::new().sleep(PATIENCE)).await;
    }
}

impl From<ClusterConnection> for Cluster {
    fn from(connection: ClusterConnection) -> Self {
        Self {
            connection,
            looking: Arc::default(),
        }
    }
}
