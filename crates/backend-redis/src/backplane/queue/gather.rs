//! Calls that are made while another is under way, and sent together.

use std::{
    collections::VecDeque,
    iter, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use backplane::{Error, ErrorKind, Result};
use redis::Value;
use tokio::{
    runtime::Handle,
    sync::oneshot::{self, Sender},
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
    waiting: VecDeque<Caller>,
}

#[derive(Debug)]
struct Caller {
    part: Arguments,
    things: usize,
    answer: Sender<Answer>,
    /// Which goes on at least as long as the caller waits.
    runtime: Handle,
}

type Answer = Result<Value, Arc<Error>>;

/// How many bytes of parts one script is given, unless one part alone has more.
const BYTES: usize = 4 << 20;

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
        let (sender, answer) = oneshot::channel();
        let caller = Caller {
            part,
            things,
            answer: sender,
            runtime: Handle::current(),
        };
        if self.line_up(caller) {
            // Not sent from here: others wait for the answer, and nobody may poll this caller again.
            drop(Turn::of(self, queue));
        }
        match answer.await {
            Ok(answer) => answer.map_err(|error| Error::new(error.kind(), self.op, error)),
            Err(ended) => Err(Error::new(ErrorKind::Unavailable, self.op, ended)),
        }
    }

    /// Whether it is the caller's turn to have something sent.
    fn line_up(&self, caller: Caller) -> bool {
        let mut state = self.lock();
        state.waiting.push_back(caller);
        !mem::replace(&mut state.is_under_way, true)
    }

    /// The answer to each part.
    async fn send(&self, queue: &RedisQueue, batch: &[Caller]) -> Result<Vec<Value>> {
        let parts = batch.iter().map(|caller| &caller.part);
        let call = parts.fold((self.begin)(queue), Call::all);
        match queue.redis.run(self.op, &call).await? {
            Value::Array(answers) if answers.len() == batch.len() => Ok(answers),
            strange => Err(failure::strange(self.op, &strange)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Who waits longest and still does. If nobody does, nothing is under way any more.
    fn first(&mut self) -> Option<Caller> {
        let mut waiting = iter::from_fn(|| self.waiting.pop_front());
        let first = waiting.find(|caller| !caller.answer.is_closed());
        self.is_under_way = first.is_some();
        first
    }

    /// Those who go with the first.
    fn join(&mut self, first: Caller) -> Vec<Caller> {
        let mut things = BATCH.saturating_sub(first.things);
        let mut bytes = BYTES.saturating_sub(first.part.size());
        let mut batch = vec![first];
        while let Some(next) = self.waiting.front()
            && next.things <= things
            && next.part.size() <= bytes
        {
            things -= next.things;
            bytes -= next.part.size();
            let next = self.waiting.pop_front();
            batch.extend(next.filter(|caller| !caller.answer.is_closed()));
        }
        batch
    }
}

/// The right to send. When it ends, it goes to whoever waits longest, and a task of their runtime sends.
struct Turn {
    gather: Arc<Gather>,
    queue: RedisQueue,
}

impl Turn {
    fn of(gather: &Arc<Gather>, queue: &RedisQueue) -> Self {
        Self {
            gather: Arc::clone(gather),
            queue: queue.clone(),
        }
    }

    async fn serve(self, first: Caller) {
        // Those line up first who have had their answers just now.
        yield_now().await;
        let batch = self.gather.lock().join(first);
        match self.gather.send(&self.queue, &batch).await {
            Ok(answers) => {
                for (caller, answer) in batch.into_iter().zip(answers) {
                    // Who does not wait any more needs no answer.
                    let _ = caller.answer.send(Ok(answer));
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for caller in batch {
                    let _ = caller.answer.send(Err(Arc::clone(&error)));
                }
            }
        }
        // In the same step: with the last answer this runtime may be left to itself.
        drop(self);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let first = self.gather.lock().first();
        if let Some(first) = first {
            let runtime = first.runtime.clone();
            let turn = Self::of(&self.gather, &self.queue);
            runtime.spawn(turn.serve(first));
        }
    }
}
