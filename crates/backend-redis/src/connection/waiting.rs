use std::{fmt, time::Duration};

use futures::{TryFutureExt as _, future::join_all};
use redis::{Cmd, ErrorKind, RedisError, Value, cmd};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::{AT_ONCE, Answers, Connection, within};

/// A connection for changes that replicas must have.
pub(super) struct Waiting {
    connection: Connection,
    count: u32,
    within: Duration,
    /// So many may wait one behind the other.
    places: Semaphore,
}

/// How long those may have to wait together who are under way at once.
const TOGETHER: Duration = Duration::from_secs(2);

/// How many may be under way, though replicas answer at once.
const UNDER_WAY: u128 = 32;

/// How long who comes behind them waits.
const PLACE_WITHIN: Duration = Duration::from_secs(5);

impl Waiting {
    pub(super) fn new(connection: Connection, count: u32, within: Duration) -> Self {
        let places = TOGETHER.as_nanos() / within.as_nanos().max(1);
        let places = places.clamp(1, UNDER_WAY) as usize;
        Self {
            connection,
            count,
            within,
            places: Semaphore::new(places),
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

    async fn place(&self) -> Result<SemaphorePermit<'_>, RedisError> {
        if let Ok(place) = self.places.try_acquire() {
            return Ok(place);
        }
        let closed = |_| (ErrorKind::Client, "nobody closes the semaphore").into();
        within(PLACE_WITHIN, self.places.acquire().map_err(closed)).await
    }

    /// Sends scripts to one server, and then waits for its replicas: on the connection that has written, as
    /// after a reconnect another server may answer.
    async fn send_together(&self, mut commands: Vec<Cmd>) -> Answers {
        let Ok(_place) = self.place().await else {
            let crowd = "too many changes wait for replicas";
            let error = RedisError::from((ErrorKind::Client, crowd));
            return vec![Err(error); commands.len()];
        };
        // No time at all would be for ever.
        let millis = self.within.as_millis().clamp(1, u128::from(u32::MAX));
        let mut wait = cmd("WAIT");
        wait.arg(self.count).arg(millis.to_string());
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
