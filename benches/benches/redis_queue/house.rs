use std::{env, time::Duration};

use backend_redis::{
    RedisQueue,
    redis::{self, InfoDict, aio::ConnectionManager},
};
use backplane::{
    Clock, SystemClock,
    queue::{Enqueued, NewTask, QueueOptions, Settled, Settlement, TaskQueue},
};
use bench_peers::queues::{Apalis, Care, Streams, connect};
use futures::future::try_join_all;
use tokio::runtime::Runtime;

/// How many tasks a round has.
pub(crate) const TASKS: u32 = 3_200;

/// How many of them are enqueued, or taken, at a time.
const BATCH: usize = 100;

/// How many enqueue single tasks at once.
const CALLERS: usize = 64;

const LEASE: Duration = Duration::from_secs(30);

/// A server on which everybody has a queue.
pub(crate) struct House {
    runtime: Runtime,
    clock: SystemClock,
    connection: ConnectionManager,
    tasks: usize,
    ours: RedisQueue,
    apalis: Apalis,
    apalis_lean: Apalis,
    streams: Streams,
    /// Stopped last.
    _server: engines::Redis,
}

#[derive(Clone)]
enum Queue {
    Ours(RedisQueue),
    Apalis(Apalis),
    Streams(Streams),
}

impl House {
    pub(crate) fn new() -> Self {
        let runtime = Runtime::new().expect("there are threads");
        let server = engines::Redis::start().expect("Redis is installed");
        let url = server.url();
        let connect = || {
            let connected = runtime.block_on(connect(&url));
            connected.expect("Redis answers")
        };
        // Benches that run once in a test need no crowd.
        let is_test = env::args().any(|argument| argument == "--test");
        Self {
            clock: SystemClock::new(),
            connection: connect(),
            tasks: if is_test { 2 * CALLERS } else { TASKS as usize },
            ours: RedisQueue::new(connect().into(), "bench", QueueOptions::default()),
            apalis: Apalis::new(connect(), BATCH, Care::Default),
            apalis_lean: Apalis::new(connect(), BATCH, Care::Lean),
            streams: Streams::new(connect(), BATCH),
            _server: server,
            runtime,
        }
    }

    /// What `clock` says that `operation` took with all tasks of a round.
    pub(crate) fn round(&mut self, name: &str, operation: &str, clock: &str) -> Duration {
        let mut queue = match name {
            "backplane" => Queue::Ours(self.ours.clone()),
            "apalis" => Queue::Apalis(self.apalis.clone()),
            "streams" => Queue::Streams(self.streams.clone()),
            _ => Queue::Apalis(self.apalis_lean.clone()),
        };
        self.empty();
        if operation == "process" {
            self.runtime.block_on(queue.enqueue(self.tasks));
        }
        let before = self.clock(clock);
        match operation {
            "batches" => self.runtime.block_on(queue.enqueue(self.tasks)),
            "singles" => self.enqueue_singly(&queue),
            _ => self.runtime.block_on(queue.process(self.tasks)),
        }
        self.clock(clock).saturating_sub(before)
    }

    fn enqueue_singly(&self, queue: &Queue) {
        let callers = (0..CALLERS).map(|_| {
            let (mut queue, tasks) = (queue.clone(), self.tasks / CALLERS);
            self.runtime.spawn(async move {
                for _ in 0..tasks {
                    queue.enqueue(1).await;
                }
            })
        });
        let callers = try_join_all(callers);
        self.runtime.block_on(callers).expect("no caller panics");
    }

    fn empty(&mut self) {
        let flush = redis::cmd("FLUSHALL");
        let flushed = flush.exec_async(&mut self.connection);
        self.runtime.block_on(flushed).expect("Redis answers");
    }

    fn clock(&mut self, name: &str) -> Duration {
        if name == "wall" {
            return self.clock.monotonic();
        }
        let mut info = redis::cmd("INFO");
        info.arg("cpu");
        let info = info.query_async::<InfoDict>(&mut self.connection);
        let info = self.runtime.block_on(info).expect("Redis answers");
        let seconds = ["used_cpu_sys", "used_cpu_user"].map(|name| info.get::<f64>(name));
        Duration::from_secs_f64(seconds.into_iter().flatten().sum())
    }
}

impl Queue {
    /// Enqueues so many tasks, a batch in a call.
    async fn enqueue(&mut self, tasks: usize) {
        for at in (0..tasks).step_by(BATCH) {
            let some = BATCH.min(tasks - at);
            match self {
                Self::Ours(queue) => {
                    let batch = vec![NewTask::new(payload()); some];
                    let enqueued = queue.enqueue(&batch).await.expect("Redis answers");
                    assert!(matches!(enqueued, Enqueued::Accepted(new) if new.len() == some));
                }
                Self::Apalis(queue) if some == 1 => {
                    queue.push(payload()).await.expect("Redis answers");
                }
                Self::Streams(queue) => {
                    let batch = vec![payload(); some];
                    queue.push_bulk(batch).await.expect("Redis answers");
                }
                Self::Apalis(queue) => {
                    let batch = vec![payload(); some];
                    queue.push_bulk(batch).await.expect("Redis answers");
                }
            }
        }
    }

    /// Works off so many tasks, which are all there are.
    async fn process(&mut self, tasks: usize) {
        let done = match self {
            Self::Ours(queue) => work(queue).await,
            Self::Apalis(queue) => queue.work(tasks).await.expect("Redis answers"),
            Self::Streams(queue) => queue.work().await.expect("Redis answers"),
        };
        assert_eq!(done, tasks);
    }
}

async fn work(queue: &RedisQueue) -> usize {
    let mut done = 0;
    loop {
        let leases = queue.lease(BATCH, LEASE).await.expect("Redis answers");
        if leases.is_empty() {
            return done;
        }
        let acks = leases.iter().map(|lease| (lease.key, Settlement::Ack));
        let acks: Vec<_> = acks.collect();
        let settled = queue.settle(&acks).await.expect("Redis answers");
        assert!(settled.iter().all(|settled| *settled == Settled::Done));
        done += settled.len();
    }
}

fn payload() -> String {
    "x".repeat(64)
}
