//! Task queues on a Redis server.

mod bullmq;

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use apalis_core::{
    backend::TaskSink,
    worker::{builder::WorkerBuilder, context::WorkerContext},
};
use apalis_redis::{Config, RedisStorage};
use redis::{
    Client, IntoConnectionInfo, RedisResult,
    aio::{ConnectionManager, ConnectionManagerConfig},
    io::tcp::TcpSettings,
};

pub use self::bullmq::Bullmq;

/// `apalis-redis`, with tasks that are texts.
///
/// It moves all tasks that are due in one command, which Lua refuses above 7,999: a larger backlog is
/// never worked off.
#[derive(Clone, Debug)]
pub struct Apalis {
    storage: RedisStorage<String>,
}

/// What `apalis-redis` does for a task besides.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Care {
    /// A lock on each task and an event of each step, as it comes.
    Default,
    /// Neither. Its documentation proposes to lock no tasks that are shorter than a heartbeat; that events
    /// can be left out as well, it only says.
    Lean,
}

/// A connection that sends at once what it is given, and has the patience of a busy machine.
///
/// # Errors
///
/// If the server cannot be reached.
pub async fn connect(url: &str) -> RedisResult<ConnectionManager> {
    let info = url.into_connection_info()?;
    let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
    let patience = Some(Duration::from_secs(10));
    let config = ConnectionManagerConfig::new().set_response_timeout(patience);
    let client = Client::open(info)?;
    client.get_connection_manager_with_config(config).await
}

impl Apalis {
    /// The queue of a server, whose workers fetch `batch` tasks at a time.
    #[must_use]
    pub fn new(connection: ConnectionManager, batch: usize, care: Care) -> Self {
        let is_default = care == Care::Default;
        let config = Config::default()
            .batch_size(batch)
            .lock_tasks(is_default)
            .emit_events(is_default);
        let storage = RedisStorage::new(connection).with_config(config);
        Self { storage }
    }

    /// Enqueues tasks by one call of the server.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached.
    pub async fn push_bulk(&mut self, tasks: Vec<String>) -> io::Result<()> {
        self.storage
            .push_bulk(tasks)
            .await
            .map_err(io::Error::other)
    }

    /// Enqueues one task.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached.
    pub async fn push(&mut self, task: String) -> io::Result<()> {
        self.storage.push(task).await.map_err(io::Error::other)
    }

    /// Lets one worker do so many tasks, which is done when their results are on the server. Answers how
    /// many are there.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached or the worker fails.
    pub async fn work(&mut self, tasks: usize) -> io::Result<usize> {
        let done = Arc::new(AtomicUsize::new(0));
        let task = move |_: String, worker: WorkerContext| {
            let is_last = done.fetch_add(1, Ordering::Relaxed) + 1 == tasks;
            async move {
                if is_last {
                    worker.stop()?;
                }
                Ok::<_, apalis_core::error::BoxDynError>(())
            }
        };
        let worker = WorkerBuilder::new("bench")
            .backend(self.storage.clone())
            .build(task);
        worker.run().await.map_err(io::Error::other)?;
        let mut count = redis::cmd("SCARD");
        count.arg(self.storage.get_config().done_jobs_set());
        let count = count.query_async(self.storage.get_connection()).await;
        count.map_err(io::Error::other)
    }
}

/// A stream and a group of consumers, by the commands that Redis has for it: each task is claimed by one
/// consumer, and deleted when it is done. A stream has no delays, lanes, priorities or deduplication keys, and
/// whoever claims what another has left must look for it.
#[derive(Clone)]
pub struct Streams {
    connection: ConnectionManager,
    batch: usize,
}

const STREAM: &str = "streams:tasks";
const GROUP: &str = "workers";

/// An id, and names and values.
type Claimed = (String, Vec<String>);

impl Streams {
    /// The stream of a server, of which a worker claims `batch` tasks at a time.
    #[must_use]
    pub const fn new(connection: ConnectionManager, batch: usize) -> Self {
        Self { connection, batch }
    }

    /// Enqueues tasks by one pipeline.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached.
    pub async fn push_bulk(&mut self, tasks: Vec<String>) -> io::Result<()> {
        let mut adding = redis::pipe();
        for task in tasks {
            adding
                .cmd("XADD")
                .arg(STREAM)
                .arg("*")
                .arg("task")
                .arg(task)
                .ignore();
        }
        let added = adding.query_async(&mut self.connection).await;
        added.map_err(io::Error::other)
    }

    /// Does all tasks, which is done when the server has deleted them. Answers how many there were.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached.
    pub async fn work(&mut self) -> io::Result<usize> {
        let mut grouping = redis::cmd("XGROUP");
        grouping.arg("CREATE").arg(STREAM).arg(GROUP).arg(0);
        let grouped = grouping.query_async::<()>(&mut self.connection).await;
        grouped.map_err(io::Error::other)?;
        let mut claiming = redis::cmd("XREADGROUP");
        claiming.arg("GROUP").arg(GROUP).arg("worker");
        claiming
            .arg("COUNT")
            .arg(self.batch)
            .arg("STREAMS")
            .arg(STREAM)
            .arg(">");
        let mut done = 0;
        loop {
            let claimed =
                claiming.query_async::<Option<[(String, Vec<Claimed>); 1]>>(&mut self.connection);
            let claimed = claimed.await.map_err(io::Error::other)?;
            let tasks = claimed.map_or_else(Vec::new, |[(_, tasks)]| tasks);
            if tasks.is_empty() {
                return Ok(done);
            }
            done += tasks.len();
            let ids: Vec<_> = tasks.into_iter().map(|(id, _)| id).collect();
            let mut ending = redis::pipe();
            ending.cmd("XACK").arg(STREAM).arg(GROUP).arg(&ids).ignore();
            ending.cmd("XDEL").arg(STREAM).arg(&ids).ignore();
            let ended = ending.query_async::<()>(&mut self.connection).await;
            ended.map_err(io::Error::other)?;
        }
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams")
            .field("batch", &self.batch)
            .finish_non_exhaustive()
    }
}
