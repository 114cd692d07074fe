use std::{fmt, slice, time::Duration};

use futures::future::join_all;
use redis::{Cmd, ErrorKind, RedisError, Value, cmd};

use super::{AT_ONCE, Connection};
use crate::{failure, script::Call};

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

    pub(super) async fn send_one(
        &self,
        call: &Call,
        form: fn(&Call) -> Cmd,
    ) -> Result<Value, RedisError> {
        let command = form(call);
        let answer = self.send_to_one(slice::from_ref(&command)).await.pop();
        let answer = answer.expect("a command has an answer");
        if !answer.as_ref().is_err_and(failure::is_moved) {
            return answer;
        }
        // A client learns that a slot has moved from the answer to a command of its own, not from one of many.
        self.connection.send(&call.looking()).await?;
        let answer = self.send_to_one(&[command]).await.pop();
        answer.expect("a command has an answer")
    }

    /// Sends scripts at once, and answers each in the order given.
    pub(super) async fn send(
        &self,
        calls: &[&Call],
        form: fn(&Call) -> Cmd,
    ) -> Vec<Result<Value, RedisError>> {
        let mut answers = Vec::with_capacity(calls.len());
        for calls in calls.chunks(AT_ONCE) {
            match &self.connection {
                Connection::Server(_) => {
                    let commands: Vec<_> = calls.iter().map(|call| form(call)).collect();
                    answers.extend(self.send_to_one(&commands).await);
                }
                Connection::Cluster(_) | Connection::Single(_) => {
                    let each = calls.iter().map(|call| self.send_one(call, form));
                    answers.extend(join_all(each).await);
                }
            }
        }
        answers
    }

    /// Sends commands to one server, and then waits for its replicas: on the connection that has written, as
    /// after a reconnect another server may answer.
    async fn send_to_one(&self, commands: &[Cmd]) -> Vec<Result<Value, RedisError>> {
        let mut pipeline = super::pipeline(commands.into());
        // No time at all would be for ever.
        let within = self.within.as_millis().clamp(1, u128::from(u32::MAX));
        let mut wait = cmd("WAIT");
        wait.arg(self.count).arg(within.to_string());
        pipeline.add_command(wait);
        let mut answers = match self.connection.pipe(&pipeline).await {
            Ok(answers) => answers,
            Err(error) => return commands.iter().map(|_| Err(error.clone())).collect(),
        };
        let acknowledged = match answers.pop() {
            Some(Value::Int(replicas)) => replicas,
            _ => 0,
        };
        let is_enough = acknowledged >= i64::from(self.count);
        let answer = |answer: Value| match answer.extract_error() {
            Ok(_) if !is_enough => {
                let too_few = "too few replicas have acknowledged the change";
                Err((ErrorKind::Io, too_few).into())
            }
            answer => answer,
        };
        answers.into_iter().map(answer).collect()
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
