//! Calls that are made while another is under way, and sent together.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use backplane::{Error, ErrorKind, Result};
use redis::Value;
use tokio::{
    runtime::Handle,
    sync::oneshot::{self, Receiver, Sender},
    task::yield_now,
};

use super::{BATCH, RedisQueue};
use crate::{
    failure,
    script::{Arguments, Call},
};

/// One kind of script, of which one is under way at a time. Whoever calls meanwhile waits, and then goes
/// with all others who do: a script of many parts costs little more than one of one part.
#[derive(Debug)]
pub(super) struct Gather {
    op: &'static str,
    /// The call without its parts.
    begin: fn(&RedisQueue) -> Call,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    is_under_way: bool,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    part: Arguments,
    things: usize,
    answer: Sender<Answer>,
}

type Answer = Result<Value, Arc<Error>>;

impl Gather {
    pub(super) fn new(op: &'static str, begin: fn(&RedisQueue) -> Call) -> Self {
        Self {
            op,
            begin,
            state: Mutex::default(),
        }
    }

    /// What the script answers to `part`, which is about so many `things`. The part of a caller that goes
    /// away is sent or is not; those of others are.
    pub(super) async fn ask(
        self: &Arc<Self>,
        queue: &RedisQueue,
        part: Arguments,
        things: usize,
    ) -> Result<Value> {
        let runtime = Handle::current();
        let answer = match self.line_up(part, things) {
            Ok(part) => {
                let _turn = Turn {
                    gather: Arc::clone(self),
                    queue: queue.clone(),
                    runtime,
                };
                return match self.send(queue, [&part]).await?.pop() {
                    Some(answer) => Ok(answer),
                    None => Err(Error::bare(ErrorKind::Corrupt, self.op)),
                };
            }
            Err(answer) => answer.await,
        };
        match answer {
            Ok(answer) => answer.map_err(|error| Error::new(error.kind(), self.op, error)),
            Err(ended) => Err(Error::new(ErrorKind::Unavailable, self.op, ended)),
        }
    }

    /// The part again, if it is the caller's turn, or else where its answer comes.
    fn line_up(&self, part: Arguments, things: usize) -> Result<Arguments, Receiver<Answer>> {
        let mut state = self.lock();
        if !mem::replace(&mut state.is_under_way, true) {
            return Ok(part);
        }
        let (sender, answer) = oneshot::channel();
        state.waiting.push_back(Waiting {
            part,
            things,
            answer: sender,
        });
        Err(answer)
    }

    /// The answer to each part.
    async fn send(
        &self,
        queue: &RedisQueue,
        parts: impl IntoIterator<Item = &Arguments>,
    ) -> Result<Vec<Value>> {
        let parts = parts.into_iter();
        let call = parts.fold((self.begin)(queue), Call::all);
        match queue.redis.run(self.op, &call).await? {
            Value::Array(answers) => Ok(answers),
            strange => Err(failure::strange(self.op, &strange)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Those who go next; nobody, if nobody waits.
    fn next(&mut self) -> Vec<Waiting> {
        let (mut batch, mut room) = (Vec::new(), BATCH);
        while let Some(next) = self.waiting.front()
            && (batch.is_empty() || next.things <= room)
        {
            room = room.saturating_sub(next.things);
            batch.extend(self.waiting.pop_front());
        }
        self.is_under_way = !batch.is_empty();
        batch
    }
}

/// The right to send. When it ends, it goes to those who wait.
struct Turn {
    gather: Arc<Gather>,
    queue: RedisQueue,
    runtime: Handle,
}

impl Turn {
    /// Sends the parts of all of `batch`, and lets those who have their answers line up again.
    async fn serve(self, batch: Vec<Waiting>) {
        let parts = batch.iter().map(|waiting| &waiting.part);
        match self.gather.send(&self.queue, parts).await {
            Ok(answers) => {
                for (waiting, answer) in batch.into_iter().zip(answers) {
                    // Who does not wait any more needs no answer.
                    let _ = waiting.answer.send(Ok(answer));
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for waiting in batch {
                    let _ = waiting.answer.send(Err(Arc::clone(&error)));
                }
            }
        }
        yield_now().await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let batch = self.gather.lock().next();
        if !batch.is_empty() {
            let turn = Self {
                gather: Arc::clone(&self.gather),
                queue: self.queue.clone(),
                runtime: self.runtime.clone(),
            };
            self.runtime.spawn(turn.serve(batch));
        }
    }
}
