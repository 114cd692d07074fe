//! Task queues on a Redis server.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use apalis_core::{
    backend::TaskSink,
    worker::{builder::WorkerBuilder, context::WorkerContext},
};
use apalis_redis::{Config, RedisStorage};

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

impl Apalis {
    /// The queue of the server at `url`, whose workers fetch `batch` tasks at a time.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached.
    pub async fn connect(url: &str, batch: usize, care: Care) -> io::Result<Self> {
        let connection = apalis_redis::connect(url).await.map_err(io::Error::other)?;
        let is_default = care == Care::Default;
        let config = Config::default()
            .batch_size(batch)
            .lock_tasks(is_default)
            .emit_events(is_default);
        let storage = RedisStorage::new(connection).with_config(config);
        Ok(Self { storage })
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
