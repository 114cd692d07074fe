use std::time::Duration;

use backplane::{
    ErrorKind,
    queue::{Extended, Lane, NewTask, Priority, Settled, Settlement, TaskQueue},
};

use super::{MINUTE, queue, refusal};
use crate::house::{Server, until};

/// What a worker does goes on, also once a lease has passed: else nothing would get free.
#[tokio::test]
async fn work_goes_on_where_memory_is_full() {
    let server = Server::start().await;
    let queue = queue(&server.redis);
    queue
        .enqueue(&vec![NewTask::new("a task"); 6])
        .await
        .unwrap();
    let passed = queue.lease(1, Duration::from_millis(1)).await.unwrap();
    let held = queue.lease(4, MINUTE).await.unwrap();
    server.order("CONFIG SET maxmemory 1").await;
    until("the lease has passed", async || {
        queue.stats().await.unwrap().ready == 2
    })
    .await;
    let keys: Vec<_> = held.iter().map(|lease| lease.key).collect();
    let extended = queue.extend(&keys, MINUTE).await.unwrap();
    assert_eq!(extended, [Extended::Held; 4]);
    let (delay, reason) = (MINUTE, "later".to_owned());
    let bury = Settlement::Bury {
        reason: reason.clone(),
    };
    let settlements = [
        (keys[0], Settlement::Ack),
        (keys[1], Settlement::Release { delay }),
        (keys[2], Settlement::Retry { delay, reason }),
        (keys[3], bury),
    ];
    let settled = queue.settle(&settlements).await.unwrap();
    assert_eq!(settled, [Settled::Done; 4]);
    let dead = queue.dead_letters(None, 9).await.unwrap();
    assert_eq!(queue.redrive(&[dead[0].task]).await.unwrap(), 1);
    let again = queue.lease(1, MINUTE).await.unwrap();
    assert_eq!(again[0].payload, passed[0].payload);
    assert_eq!(refusal(&queue).await, ErrorKind::Full);
    assert_eq!(queue.purge_lane(Lane::default()).await.unwrap(), 5);
}

/// Where the clock of a server is far behind what it was, as that of another may be which took over, delays and
/// leases end in their time, and no number is given again that the former may have given last.
#[tokio::test]
async fn a_clock_that_is_set_back_keeps_nobody_waiting() {
    let server = Server::start().await;
    let queue = queue(&server.redis);
    let (last, a_second) = (4_000_000_000_000_000, 1_000_000);
    server
        .order(&format!("HSET {{queue:work}} now {last} task {last}"))
        .await;
    let task = NewTask::new("a task").with_delay(Duration::from_millis(20));
    queue.enqueue(&[task]).await.unwrap();
    let twice = async {
        for _ in 0..2 {
            queue.ready().await.unwrap();
            let leased = queue.lease(1, Duration::from_millis(20)).await.unwrap();
            let key = leased[0].key;
            assert!(key.task.get() > last + a_second, "{key:?}");
            assert!(key.token.get() > last + a_second, "{key:?}");
        }
    };
    tokio::time::timeout(MINUTE, twice).await.unwrap();
}

/// A queue begins with the task that tells of a loss, since one that has lost everything looks new, and
/// has it again on a server that may not have all that another had.
#[tokio::test]
async fn a_queue_tells_of_tasks_that_may_be_lost() {
    let server = Server::start().await;
    let lost = NewTask::new("tasks may be lost").with_priority(Priority::High);
    let queue = queue(&server.redis).with_after_loss(lost);
    let payloads = async || {
        let leases = queue.lease(9, MINUTE).await.unwrap();
        let payloads = leases.into_iter().map(|lease| lease.payload);
        payloads.collect::<Vec<_>>()
    };
    // A server is believed for a tenth of a second.
    let told = async || loop {
        let payloads = payloads().await;
        if !payloads.is_empty() {
            return payloads;
        }
    };
    queue.enqueue(&[NewTask::new("one")]).await.unwrap();
    assert_eq!(payloads().await, ["tasks may be lost", "one"]);
    queue.enqueue(&[NewTask::new("two")]).await.unwrap();
    assert_eq!(payloads().await, ["two"]);
    server.order("REPLICAOF 127.0.0.1 1").await;
    server.order("REPLICAOF NO ONE").await;
    assert_eq!(told().await, ["tasks may be lost"]);
    server.order("FLUSHALL").await;
    assert_eq!(told().await, ["tasks may be lost"]);
    assert_eq!(payloads().await, [""; 0]);
}
