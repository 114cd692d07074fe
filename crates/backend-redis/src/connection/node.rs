//! One node of a Cluster.

use std::{
    error::Error,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt as _, TryFutureExt as _};
use redis::{
    Arg, AsyncConnectionConfig, Cmd, IntoConnectionInfo, Pipeline, RedisError, RedisFuture, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster_async::Connect,
};

use super::within;

/// How long a node may take to say that it is there.
const SIGN_WITHIN: Duration = Duration::from_secs(2);

/// A connection to one node, which tells the client what it needs to know to do no harm.
///
/// The client sends a command again whose connection was lost, or whose answer is late. It may have been run
/// then. So it is told another error, by which nobody is asked again. It makes another connection when the next
/// command is refused, which has not been sent.
///
/// While the client looks for the masters it asks each node whether it is there, and sends nothing else
/// meanwhile. So a node is given little time for that.
///
/// The client sends a whole pipeline to another node where one of its commands was refused by the first,
/// so that the other commands are run twice or refused there. It does not look into arrays, so a
/// pipeline's errors are put into some; unless nothing but a `WAIT` follows the first command.
#[derive(Clone)]
pub(super) struct Node {
    connection: MultiplexedConnection,
    is_lost: Arc<AtomicBool>,
}

/// A command was sent, and may have been run.
#[derive(Debug, thiserror::Error)]
#[error("no answer has come: the command may have been run")]
struct Unanswered(#[source] RedisError);

/// Why nobody knows whether a command was run. (The source of an io error is that of what it wraps.)
pub(super) fn unanswered(error: &RedisError) -> Option<&RedisError> {
    error.source()?.source()?.downcast_ref()
}

impl Node {
    fn lost() -> RedisError {
        io::Error::from(io::ErrorKind::NotConnected).into()
    }

    /// What the client takes for final, of an error that is no server's answer; unless that is only late, the
    /// connection is lost.
    fn finally(is_lost: &AtomicBool, error: RedisError) -> RedisError {
        if !error.is_timeout() {
            is_lost.store(true, Ordering::Relaxed);
        }
        io::Error::new(io::ErrorKind::Unsupported, Unanswered(error)).into()
    }

    fn is_of_one(pipeline: &Pipeline) -> bool {
        let is_wait = |command: &Cmd| first(command) == b"WAIT";
        pipeline.cmd_iter().skip(1).all(is_wait)
    }

    fn wrap(value: Value) -> Value {
        match value {
            Value::ServerError(_) => Value::Array(vec![value]),
            value => value,
        }
    }

    /// Undoes [`wrap`](Self::wrap): no command of this crate answers an error in an array.
    pub(super) fn unwrap(value: Value) -> Value {
        match value {
            Value::Array(mut values) if matches!(values[..], [Value::ServerError(_)]) => {
                values.swap_remove(0)
            }
            value => value,
        }
    }
}

/// Nothing, if there is none.
fn first(command: &Cmd) -> &[u8] {
    match command.args_iter().next() {
        Some(Arg::Simple(name)) => name,
        _ => &[],
    }
}

impl Connect for Node {
    fn connect_with_config<'a, T>(info: T, config: AsyncConnectionConfig) -> RedisFuture<'a, Self>
    where
        T: IntoConnectionInfo + Send + 'a,
    {
        let node = |connection| Self {
            connection,
            is_lost: Arc::default(),
        };
        MultiplexedConnection::connect_with_config(info, config)
            .map_ok(node)
            .boxed()
    }
}

impl ConnectionLike for Node {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        if matches!(first(command), b"PING" | b"CLUSTER") {
            let sent = self.connection.req_packed_command(command);
            return within(SIGN_WITHIN, sent).boxed();
        }
        if self.is_lost.load(Ordering::Relaxed) {
            return async { Err(Self::lost()) }.boxed();
        }
        let sent = self.connection.req_packed_command(command);
        sent.map_err(|error| Self::finally(&self.is_lost, error))
            .boxed()
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        if self.is_lost.load(Ordering::Relaxed) {
            return async { Err(Self::lost()) }.boxed();
        }
        let sent = self
            .connection
            .req_packed_commands(pipeline, offset, count)
            .map_err(|error| Self::finally(&self.is_lost, error));
        if Self::is_of_one(pipeline) {
            return sent.boxed();
        }
        sent.map_ok(|values| values.into_iter().map(Self::wrap).collect())
            .boxed()
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }
}
