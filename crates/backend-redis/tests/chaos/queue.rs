//! Workers of a queue.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use backend_redis::{Redis, RedisQueue};
use backplane::{
    Clock, Error, SystemClock, Timestamp,
    queue::{Enqueued, Lane, NewTask, QueueOptions, Settled, Settlement, TaskId, TaskQueue},
};
use engines::{Proxy, RedisCluster, Way};

use crate::{
    house::{INTERVAL, master_of, take_over, until},
    on_cluster, on_server,
    trouble::{TROUBLES, Trouble},
};

const LEASE: Duration = Duration::from_secs(1);

fn queue(redis: Redis, name: &str) -> RedisQueue {
    let options = QueueOptions::default()
        .with_capacity(100_000)
        .with_max_attempts(1_000);
    RedisQueue::new(redis, name, options)
}

/// What those who use a queue were told.
#[derive(Debug, Default)]
struct Told {
    /// The tasks that were accepted, by the number that is their key.
    accepted: Mutex<HashMap<TaskId, u64>>,
    /// How often it was said of a task that it is done.
    done: Mutex<HashMap<TaskId, u32>>,
    /// The tasks whose settlement failed, so that it may have been done.
    perhaps: Mutex<HashSet<TaskId>>,
    leases: Mutex<HashSet<(TaskId, u64)>>,
    numbers: AtomicU64,
    failures: AtomicU64,
    is_over: AtomicBool,
}

impl Told {
    fn note(&self, error: &Error) {
        assert!(error.is_retryable(), "{error:?}");
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    fn done(&self) -> usize {
        self.done.lock().unwrap().len()
    }

    /// Adds tasks, each under a key until it is accepted.
    async fn produce(&self, queue: &RedisQueue) {
        while !self.is_over.load(Ordering::Relaxed) {
            let number = self.numbers.fetch_add(1, Ordering::Relaxed);
            let key = number.to_be_bytes().to_vec();
            let task = NewTask::new(key.clone()).with_key(key);
            loop {
                match queue.enqueue(std::slice::from_ref(&task)).await {
                    Ok(Enqueued::Accepted(admitted)) => {
                        let before = self
                            .accepted
                            .lock()
                            .unwrap()
                            .insert(admitted[0].task(), number);
                        assert!(before.is_none(), "two tasks of one number");
                        break;
                    }
                    Ok(full) => panic!("{full:?}"),
                    Err(error) => self.note(&error),
                }
            }
            tokio::time::sleep(INTERVAL / 10).await;
        }
    }

    /// Does tasks until there are none any more, and none are added.
    async fn work(&self, queue: &RedisQueue) {
        loop {
            match queue.lease(5, LEASE).await {
                Ok(leases) if leases.is_empty() => {
                    tokio::time::sleep(INTERVAL).await;
                }
                Ok(leases) => {
                    let keys: Vec<_> = leases.iter().map(|lease| lease.key).collect();
                    for key in &keys {
                        let is_new = self
                            .leases
                            .lock()
                            .unwrap()
                            .insert((key.task, key.token.get()));
                        assert!(is_new, "a token was handed out twice");
                    }
                    let settlements: Vec<_> =
                        keys.iter().map(|key| (*key, Settlement::Ack)).collect();
                    match queue.settle(&settlements).await {
                        Ok(settled) => {
                            for (key, settled) in keys.iter().zip(settled) {
                                if settled == Settled::Done {
                                    *self.done.lock().unwrap().entry(key.task).or_default() += 1;
                                }
                            }
                        }
                        Err(error) => {
                            self.note(&error);
                            self.perhaps
                                .lock()
                                .unwrap()
                                .extend(keys.iter().map(|key| key.task));
                        }
                    }
                }
                Err(error) => self.note(&error),
            }
        }
    }

    /// Waits until as many more tasks are done.
    async fn progress(&self, count: usize) {
        let enough = self.done() + count;
        until("tasks are done", async || self.done() >= enough).await;
    }

    /// Has tasks added and done while `story` goes on, and until all are done. `judge` sees the queue itself.
    async fn while_working(
        &self,
        [producer, worker, judge]: [&RedisQueue; 3],
        story: impl AsyncFnOnce(),
    ) {
        let script = async {
            self.progress(20).await;
            story().await;
            self.progress(20).await;
            self.is_over.store(true, Ordering::Relaxed);
        };
        let working = async {
            tokio::join!(script, self.produce(producer));
            until("no task is left", async || {
                let stats = judge.stats().await.unwrap();
                stats.ready + stats.delayed + stats.leased == 0
            })
            .await;
        };
        tokio::select! {
            () = working => {}
            () = self.work(worker) => unreachable!("it works for ever"),
        }
        assert_eq!(judge.stats().await.unwrap().dead, 0);
    }

    /// The tasks that were accepted, and are neither done nor perhaps done.
    fn lost(&self) -> Vec<TaskId> {
        let (done, perhaps) = (self.done.lock().unwrap(), self.perhaps.lock().unwrap());
        let accepted = self.accepted.lock().unwrap();
        let is_lost = |task: &&TaskId| !done.contains_key(task) && !perhaps.contains(task);
        accepted.keys().filter(is_lost).copied().collect()
    }
}

/// The server is well, but what is between it and those who add and do tasks is not: no task is lost that
/// was accepted, and none is said to be done twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_task_is_lost_over_a_bad_network() {
    let server = engines::Redis::start().unwrap();
    let proxy = Proxy::start(server.address()).unwrap();
    let producer = queue(on_server(&proxy.url()).await, "work");
    let worker = queue(on_server(&proxy.url()).await, "work");
    let judge = queue(on_server(&server.url()).await, "work");
    let told = Told::default();
    told.while_working([&producer, &worker, &judge], async || {
        for trouble in TROUBLES {
            let failures = told.failures();
            trouble.begin(&proxy);
            if trouble.fails_calls() {
                until("calls fail", async || told.failures() > failures + 3).await;
                tokio::time::sleep(LEASE).await;
            } else {
                told.progress(20).await;
            }
            Trouble::end(&proxy);
            told.progress(20).await;
        }
    })
    .await;
    assert_eq!(told.lost(), []);
    let done = told.done.lock().unwrap();
    assert!(done.values().all(|times| *times == 1), "{done:?}");
}

/// The server loses everything: work goes on, and nothing of before is taken for something of after.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_goes_on_after_a_server_has_lost_everything() {
    let server = engines::Redis::start().unwrap();
    let url = server.url();
    let queues = futures::future::join_all([(); 3].map(|()| on_server(&url))).await;
    let queues: Vec<_> = queues
        .into_iter()
        .map(|redis| queue(redis, "work"))
        .collect();
    let told = Told::default();
    let mut restarted = Timestamp::EPOCH;
    told.while_working([&queues[0], &queues[1], &queues[2]], async || {
        let leases = queues[0].lease(5, LEASE).await.unwrap();
        server.restart_empty().unwrap();
        restarted = SystemClock::new().now();
        told.progress(20).await;
        let settlements = leases.iter().map(|lease| (lease.key, Settlement::Ack));
        let settled = queues[0]
            .settle(&settlements.collect::<Vec<_>>())
            .await
            .unwrap();
        assert!(
            settled.iter().all(|settled| *settled == Settled::Lost),
            "{settled:?}"
        );
    })
    .await;
    // An id is the time in microseconds.
    let lost: Vec<_> = told.lost();
    let is_before = |task: &TaskId| task.get() / 1_000 <= restarted.as_millis();
    assert!(lost.iter().all(is_before), "{lost:?} {restarted:?}");
    let done = told.done.lock().unwrap();
    assert!(done.values().all(|times| *times == 1), "{done:?}");
}

/// A master is taken for dead and goes on later: work goes on with the replica, and what was accepted after it
/// took over is done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_goes_on_while_a_master_hangs_and_after_it() {
    let cluster = RedisCluster::start(3, 1).unwrap();
    let node = master_of("queue:work");
    let queues = futures::future::join_all([(); 3].map(|()| on_cluster(&cluster))).await;
    let queues: Vec<_> = queues
        .into_iter()
        .map(|redis| queue(redis, "work"))
        .collect();
    let told = Told::default();
    let mut before = HashSet::new();
    told.while_working([&queues[0], &queues[1], &queues[2]], async || {
        cluster.pause(node).unwrap();
        told.progress(20).await;
        cluster.resume(node).unwrap();
        told.progress(20).await;
        before.extend(told.accepted.lock().unwrap().keys().copied());
    })
    .await;
    let lost = told.lost();
    assert!(lost.iter().all(|task| before.contains(task)), "{lost:?}");
}

/// A lane is purged, slice by slice, while a replica takes over that has its tasks in another order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_goes_on_at_a_replica_that_takes_over() {
    const TASKS: usize = 4_000;
    const LATER: Duration = Duration::from_secs(3_600);
    let cluster = RedisCluster::start_behind_proxies(3, 1).unwrap();
    let queue = queue(on_cluster(&cluster).await, "work");
    let [gone, kept] = [7, 8].map(Lane::new);
    for lane in [gone, kept] {
        let task = NewTask::new("a task").with_lane(lane).with_delay(LATER);
        for _ in 0..TASKS / 1_000 {
            queue.enqueue(&vec![task.clone(); 1_000]).await.unwrap();
        }
    }
    let node = master_of("queue:work");
    cluster.proxies()[node].delay(Way::ToClient, INTERVAL);
    let takes_over = async {
        tokio::time::sleep(3 * INTERVAL).await;
        take_over(&cluster.urls()[node + 3]).await;
    };
    let (purged, ()) = tokio::join!(queue.purge_lane(gone), takes_over);
    purged.unwrap();
    assert_eq!(queue.stats().await.unwrap().delayed, TASKS);
}
