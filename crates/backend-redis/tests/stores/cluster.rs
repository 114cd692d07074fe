//! What callers of a Cluster learn while one of its masters hangs, or a connection to it does not last.

use std::{future::pending, slice, time::Duration};

use backend_redis::{Redis, RedisQueue};
use backplane::{
    ErrorKind,
    queue::{NewTask, QueueOptions, TaskQueue},
};
use engines::{RedisCluster, Way};
use futures::future::{Either, join_all, select, select_all};

use tokio::time::timeout;

use crate::house::{Operator, connect, connect_one_by_one, master_of, until};

/// More than may be under way at once.
const CALLERS: usize = 60;

/// A queue on this master.
fn queue_on(redis: &Redis, node: usize) -> RedisQueue {
    let mut names = (0..).map(|number| format!("work{number}"));
    let name = names.find(|name| master_of(&format!("queue:{name}")) == node);
    RedisQueue::new(redis.clone(), &name.unwrap(), QueueOptions::default())
}

/// Who asks another master has an answer before any of those whose master hangs is told so; also when some have
/// been told so already.
async fn asks_another(redis: Redis, cluster: RedisCluster) {
    let queues: Vec<_> = (0..3).map(|node| queue_on(&redis, node)).collect();
    for queue in &queues {
        queue.stats().await.unwrap();
    }
    for url in cluster.urls() {
        // Else the others soon take it for dead, and do not answer either.
        let operator = Operator::of(&url).await;
        operator
            .order("CONFIG SET cluster-node-timeout 60000")
            .await;
    }
    cluster.pause(0).unwrap();
    for _ in 0..2 {
        let stuck = (0..CALLERS).map(|_| Box::pin(queues[0].stats()));
        let asks = async {
            for _ in 0..5 {
                let asked = queues[1..].iter().map(TaskQueue::stats);
                for answer in join_all(asked).await {
                    answer.unwrap();
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        match select(Box::pin(asks), select_all(stuck)).await {
            Either::Left(((), stuck)) => {
                let (told, _, rest) = stuck.await;
                assert_eq!(told.unwrap_err().kind(), ErrorKind::Unavailable);
                join_all(rest).await;
            }
            Either::Right(((told, ..), _)) => panic!("{told:?} came first"),
        }
    }
    cluster.resume(0).unwrap();
    until("the master answers", async || {
        queues[0].stats().await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_master_that_hangs_keeps_nobody_waiting_who_asks_another() {
    let cluster = RedisCluster::start(3, 0).unwrap();
    asks_another(connect(&cluster.urls()).await, cluster).await;
}

#[tokio::test]
async fn nor_over_a_connection_of_the_applications() {
    let cluster = RedisCluster::start(3, 0).unwrap();
    asks_another(connect_one_by_one(&cluster).await, cluster).await;
}

/// Callers who wait less than the client find a replica that has taken over from a master which hangs.
#[tokio::test]
async fn who_is_in_a_hurry_finds_the_new_master() {
    let cluster = RedisCluster::start(3, 1).unwrap();
    let queue = queue_on(&connect(&cluster.urls()).await, 0);
    queue.stats().await.unwrap();
    cluster.pause(0).unwrap();
    until("the new master answers", async || {
        let stats = timeout(Duration::from_millis(300), queue.stats()).await;
        stats.is_ok_and(|stats| stats.is_ok())
    })
    .await;
}

/// A command that may have been run is not sent again, whatever has become of its answer.
#[tokio::test]
async fn no_task_is_added_twice_by_one_call() {
    let cluster = RedisCluster::start_behind_proxies(3, 0).unwrap();
    let queue = queue_on(&connect(&cluster.urls()).await, 0);
    let proxy = &cluster.proxies()[0];
    let task = NewTask::new("a task");
    queue.enqueue(slice::from_ref(&task)).await.unwrap();
    for is_cut in [false, true] {
        proxy.hold(Way::ToClient);
        let _ = proxy.take_traffic();
        let trouble = async {
            if is_cut {
                until("the task is on its way", async || {
                    proxy.take_traffic().commands.contains_key("EVALSHA")
                })
                .await;
                // It arrives, and its answer is held.
                tokio::time::sleep(Duration::from_millis(300)).await;
                proxy.cut();
                proxy.pass(Way::ToClient);
            }
            pending::<()>().await;
        };
        let added = Box::pin(queue.enqueue(slice::from_ref(&task)));
        let Either::Left((added, _)) = select(added, Box::pin(trouble)).await else {
            unreachable!("trouble has no end");
        };
        assert_eq!(added.unwrap_err().kind(), ErrorKind::Unavailable);
        proxy.pass(Way::ToClient);
    }
    until("the master answers", async || queue.stats().await.is_ok()).await;
    assert_eq!(queue.stats().await.unwrap().ready, 3);
}
