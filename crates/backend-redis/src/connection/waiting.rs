use std::{fmt, time::Duration};

use futures::future::join_all;
use redis::{Cmd, ErrorKind, RedisError, Value, cmd};

use super::{AT_ONCE, Answers, Connection};

/// A connection for changes that replicas must have.
pub(super) struct Waiting {
    connection: Connection,
    count: u32,
    within: Duration,
}

impl Waiting {
    pub(super) const fn new(connection: Connection, count: u32, within: Duration) -> Self {
        Self {
            connection,
            count,
            within,
        }
    }

    pub(super) async fn send_one(&self, script: Cmd) -> Result<Value, RedisError> {
        let answer = self.send_together(vec![script]).await.pop();
        answer.expect("a command has an answer")
    }

    /// Sends scripts at once, and answers each in the order given.
    pub(super) async fn send(&self, scripts: &[Cmd]) -> Answers {
        let mut answers = Vec::with_capacity(scripts.len());
        for scripts in scripts.chunks(AT_ONCE) {
            match &self.connection {
                Connection::Server(_) => {
                    answers.extend(self.send_together(scripts.to_vec()).await);
                }
                Connection::Cluster(cluster) => {
                    let send = |scripts| self.send_together(scripts);
                    answers.extend(cluster.send_all(scripts, send).await);
                }
                Connection::OneByOne(_) => {
                    let each = scripts.iter().map(|script| self.send_one(script.clone()));
                    answers.extend(join_all(each).await);
                }
            }
        }
        answers
    }

    /// Sends scripts to one server, and then waits for its replicas: on the connection that has written, as
    /// after a reconnect another server may answer.
    async fn send_together(&self, mut commands: Vec<Cmd>) -> Answers {
        // No time at all would be for ever.
        let within = self.within.as_millis().clamp(1, u128::from(u32::MAX));
        let mut wait = cmd("WAIT");
        wait.arg(self.count).arg(within.to_string());
        commands.push(wait);
        let mut answers = self.connection.send_together(commands).await;
        let acknowledged = match answers.pop() {
            Some(Ok(Value::Int(replicas))) => replicas,
            _ => 0,
        };
        if acknowledged < i64::from(self.count) {
            for answer in answers.iter_mut().filter(|answer| answer.is_ok()) {
                let too_few = "too few replicas have acknowledged the change";
                *answer = Err((ErrorKind::Io, too_few).into());
            }
        }
        answers
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting")
            .field("count", &self.count)
            .field("within", &self.within)
            .finish_non_exhaustive()
    }
}
