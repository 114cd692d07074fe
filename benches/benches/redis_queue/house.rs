use std::{env, time::Duration};

use backend_redis::{
    RedisQueue,
    redis::{self, InfoDict, aio::ConnectionManager},
};
use backplane::{
    Clock, SystemClock,
    queue::{Enqueued, NewTask, QueueOptions, Settled, Settlement, TaskQueue},
};
use bench_peers::queues::{Apalis, Bullmq, Care, Streams, connect};
use futures::future::try_join_all;
use tokio::runtime::Runtime;

/// How many tasks a round has.
pub(crate) const TASKS: u32 = 3_200;

/// How many of them are enqueued, or taken, at a time.
const BATCH: usize = 100;

/// How many enqueue single tasks at once.
const CALLERS: usize = 64;

/// The one that is not everywhere.
const BULLMQ: &str = "bullmq";

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
    /// None, if this machine has none.
    bullmq: Option<Bullmq>,
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
            bullmq: Bullmq::start(&url).expect("it has pipes"),
            _server: server,
            runtime,
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        name != BULLMQ || self.bullmq.is_some()
    }

    /// What `clock` says that `operation` took with all tasks of a round.
    pub(crate) fn round(&mut self, name: &str, operation: &str, clock: &str) -> Duration {
        self.empty();
        let parts = match operation {
            "whole" => ["singles", "process"].as_slice(),
            _ => &[operation],
        };
        if operation == "process" {
            self.work(name, "batches");
        }
        let before = self.clock(clock);
        for part in parts {
            self.work(name, part);
        }
        self.clock(clock).saturating_sub(before)
    }

    fn work(&mut self, name: &str, operation: &str) {
        let mut queue = match name {
            "backplane" => Queue::Ours(self.ours.clone()),
            "apalis" => Queue::Apalis(self.apalis.clone()),
            "apalis_lean" => Queue::Apalis(self.apalis_lean.clone()),
            BULLMQ => return self.tell_bullmq(operation),
            _ => Queue::Streams(self.streams.clone()),
        };
        match operation {
            "batches" => self.runtime.block_on(queue.enqueue(self.tasks)),
            "singles" => self.enqueue_singly(&queue),
            _ => self.runtime.block_on(queue.process(self.tasks)),
        }
    }

    fn tell_bullmq(&mut self, operation: &str) {
        let bullmq = self.bullmq.as_mut().expect("it was asked for");
        let told = match operation {
            "batches" => bullmq.push_batches(self.tasks, BATCH, &payload()),
            "singles" => bullmq.push_singles(self.tasks, CALLERS, &payload()),
            _ => bullmq.work(self.tasks, BATCH),
        };
        told.expect("BullMQ answers");
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
