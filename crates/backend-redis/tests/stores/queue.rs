//! Many callers of one queue.

use std::{
    mem,
    panic::{self, AssertUnwindSafe},
    pin::pin,
    thread,
    time::Duration,
};

use backend_redis::RedisQueue;
use backplane::{
    ErrorKind,
    queue::{Admission, Enqueued, NewTask, QueueOptions, Settled, Settlement, TaskId, TaskQueue},
};
use futures::{future::join_all, poll};
use redis::InfoDict;

use crate::house::{Server, connect, until};

const MINUTE: Duration = Duration::from_secs(60);

/// A queue, and a server of its own that knows the scripts.
struct Work {
    server: Server,
    queue: RedisQueue,
}

impl Work {
    async fn begin() -> Self {
        let server = Server::start().await;
        let redis = server.redis.clone();
        let work = Self {
            server,
            queue: RedisQueue::new(redis, "work", QueueOptions::default()),
        };
        work.add(1).await;
        let leases = work.queue.lease(1, MINUTE).await.unwrap();
        let acks = [(leases[0].key, Settlement::Ack)];
        work.queue.settle(&acks).await.unwrap();
        work
    }

    /// Adds one task by each of so many calls at once.
    async fn add(&self, calls: usize) -> Vec<TaskId> {
        let tasks: Vec<_> = (0..calls).map(|_| [NewTask::new("a task")]).collect();
        let enqueued = join_all(tasks.iter().map(|task| self.queue.enqueue(task))).await;
        enqueued.into_iter().map(|it| id(&it.unwrap())).collect()
    }

    async fn scripts(&self) -> u64 {
        let stats: InfoDict = self.server.ask("INFO commandstats").await;
        let evalsha: String = stats.get("cmdstat_evalsha").unwrap();
        let calls = evalsha.split(',').find_map(|it| it.strip_prefix("calls="));
        calls.unwrap().parse().unwrap()
    }
}

fn id(enqueued: &Enqueued) -> TaskId {
    match enqueued {
        Enqueued::Accepted(admissions) => match admissions[..] {
            [Admission::New(task)] => task,
            ref other => panic!("{other:?}"),
        },
        full @ Enqueued::Full { .. } => panic!("{full:?}"),
    }
}

/// What is called at once goes in one script, and each caller has its own answer.
#[tokio::test]
async fn callers_go_together() {
    let work = Work::begin().await;
    let before = work.scripts().await;
    let mut added = work.add(64).await;
    assert_eq!(work.scripts().await, before + 1);
    let leases = work.queue.lease(100, MINUTE).await.unwrap();
    let mut leased: Vec<_> = leases.iter().map(|lease| lease.key.task).collect();
    added.sort_unstable();
    leased.sort_unstable();
    assert_eq!(leased, added);

    let before = work.scripts().await;
    let mut acks: Vec<_> = leases
        .iter()
        .map(|lease| [(lease.key, Settlement::Ack)])
        .collect();
    acks.push(acks[40].clone());
    let settled = join_all(acks.iter().map(|ack| work.queue.settle(ack))).await;
    let settled: Vec<_> = settled.into_iter().map(|it| it.unwrap()[0]).collect();
    assert_eq!(settled[..64], [Settled::Done; 64]);
    assert_eq!(settled[64], Settled::Lost);
    assert_eq!(work.scripts().await, before + 1);
}

/// Whoever goes away takes nobody along, whether it has sent or waits.
#[tokio::test]
async fn a_caller_that_goes_away_leaves_the_others_alone() {
    let work = Work::begin().await;
    let task = [NewTask::new("a task")];
    for _ in 0..20 {
        let others = {
            let mut first = pin!(work.queue.enqueue(&task));
            assert!(poll!(&mut first).is_pending());
            let mut waits = pin!(work.queue.enqueue(&task));
            assert!(poll!(&mut waits).is_pending());
            let mut others = Box::pin(work.add(8));
            assert!(poll!(&mut others).is_pending());
            others
        };
        assert_eq!(others.await.len(), 8);
    }
    assert_eq!(work.add(1).await.len(), 1, "somebody can call again");
}

/// Whoever has begun a call and does something else first keeps nobody waiting.
#[tokio::test]
async fn a_caller_that_nobody_polls_leaves_the_others_alone() {
    let work = Work::begin().await;
    let task = [NewTask::new("a task")];
    let mut held = pin!(work.queue.enqueue(&task));
    assert!(poll!(&mut held).is_pending());
    let others = tokio::time::timeout(MINUTE, work.add(8)).await.unwrap();
    assert_eq!(others.len(), 8);
    held.await.unwrap();
    assert_eq!(work.queue.stats().await.unwrap().ready, 9);
}

/// A call may be made on any runtime, which need not go on afterwards.
#[test]
fn callers_of_several_runtimes_leave_each_other_alone() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let server = runtime();
    let work = server.block_on(Work::begin());
    let task = [NewTask::new("a task")];
    let panics = panic::catch_unwind(AssertUnwindSafe(|| {
        futures::executor::block_on(work.queue.enqueue(&task))
    }));
    assert!(panics.is_err(), "there is no runtime");
    // What goes on is the server's, which has the connection.
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(|| server.block_on(stopped));
        for _ in 0..3 {
            let left = runtime();
            let call = async { tokio::time::timeout(MINUTE, work.queue.enqueue(&task)).await };
            left.block_on(call).unwrap().unwrap();
            mem::forget(left);
        }
        stop.send(()).unwrap();
    });
}

/// When a script fails, all of those fail who went in it, and none of those who come later.
#[tokio::test]
async fn callers_fail_together() {
    let work = Work::begin().await;
    work.server.engine.pause().unwrap();
    let tasks = [
        [NewTask::new("a")],
        [NewTask::new("b")],
        [NewTask::new("c")],
    ];
    let failed = join_all(tasks.iter().map(|task| work.queue.enqueue(task))).await;
    for failed in failed {
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    work.server.engine.resume().unwrap();
    until("a task is added", async || {
        work.queue.enqueue(&tasks[0]).await.is_ok()
    })
    .await;
}

/// However many tasks become due at the same moment, all are due.
#[tokio::test]
async fn a_moment_may_have_more_than_a_script_ends() {
    const TASKS: usize = 2_500;
    const SHORTLY: Duration = Duration::from_millis(50);
    let server = engines::Redis::start().unwrap();
    let redis = connect(&[server.url()]).await;
    let options = QueueOptions::default().with_batch(TASKS);
    let queue = RedisQueue::new(redis, "work", options);
    let lease = async |ttl| {
        let mut leased = Vec::new();
        while leased.len() < TASKS {
            queue.ready().await.unwrap();
            leased.extend(queue.lease(1_000, ttl).await.unwrap());
        }
        leased
    };
    let tasks = vec![NewTask::new("a task").with_delay(SHORTLY); TASKS];
    queue.enqueue(&tasks).await.unwrap();
    let twice = async {
        lease(SHORTLY).await;
        lease(MINUTE).await;
    };
    tokio::time::timeout(MINUTE, twice).await.unwrap();
}
