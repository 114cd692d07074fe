//! What the answers of a server mean to a caller, and that nothing is lost or used twice over them.

mod bus;
mod feed;
mod flavours;
mod leases;
mod loading;
mod queue;
mod replicas;
mod social;

use std::time::Duration;

use backend_redis::{BraceInPrefix, Redis, RedisQueue};
use backplane::{
    ErrorKind,
    queue::{NewTask, QueueOptions, TaskQueue},
};
use engines::Proxy;

use crate::house::{Server, connect, until};

const MINUTE: Duration = Duration::from_secs(60);

fn queue(redis: &Redis) -> RedisQueue {
    RedisQueue::new(redis.clone(), "work", QueueOptions::default())
}

/// A connection of a user who may not do everything.
async fn guest(server: &Server, rights: &str) -> Redis {
    let user = format!("ACL SETUSER guest reset on nopass {rights}");
    server.order(&user).await;
    let url = server.engine.url();
    connect(&[url.replace("redis://", "redis://guest:any@")]).await
}

/// How adding a task fails, which it must.
async fn refusal(queue: &RedisQueue) -> ErrorKind {
    let refused = queue.enqueue(&[NewTask::new("refused")]).await;
    refused.unwrap_err().kind()
}

/// How many tasks there are once another was added.
async fn ready_after_one_more(queue: &RedisQueue) -> usize {
    queue.enqueue(&[NewTask::new("accepted")]).await.unwrap();
    queue.stats().await.unwrap().ready
}

#[tokio::test]
async fn a_server_out_of_memory_is_full_and_nothing_was_added() {
    let server = Server::start().await;
    let queue = queue(&server.redis);
    server.order("CONFIG SET maxmemory 1").await;
    assert_eq!(refusal(&queue).await, ErrorKind::Full);
    server.order("CONFIG SET maxmemory 0").await;
    assert_eq!(ready_after_one_more(&queue).await, 1);
}

#[tokio::test]
async fn a_server_that_became_a_replica_is_unavailable() {
    let server = Server::start().await;
    let queue = queue(&server.redis);
    assert_eq!(ready_after_one_more(&queue).await, 1);
    server.order("REPLICAOF 127.0.0.1 1").await;
    assert_eq!(refusal(&queue).await, ErrorKind::Unavailable);
    server.order("REPLICAOF NO ONE").await;
    assert_eq!(ready_after_one_more(&queue).await, 2);
}

/// A name leads to another server, which was the replica of the first, and is its master now.
#[tokio::test]
async fn a_server_that_became_a_replica_is_left() {
    let [old, new] = [Server::start().await, Server::start().await];
    let proxy = Proxy::start(old.engine.address()).unwrap();
    let queue = queue(&connect(&[proxy.url()]).await);
    assert_eq!(ready_after_one_more(&queue).await, 1);
    proxy.lead_to(new.engine.address());
    let port = new.engine.address().port();
    old.order(&format!("REPLICAOF 127.0.0.1 {port}")).await;
    assert_eq!(refusal(&queue).await, ErrorKind::Unavailable);
    until("the new master answers", async || {
        queue.enqueue(&[NewTask::new("accepted")]).await.is_ok()
    })
    .await;
    let there = self::queue(&new.redis);
    assert_eq!(there.stats().await.unwrap().ready, 1);
}

/// Whose password is wrong for a while is let in again.
#[tokio::test]
async fn a_password_that_is_right_again_is_taken() {
    let server = Server::start().await;
    server.order("CONFIG SET requirepass right").await;
    let url = server.engine.url().replace("redis://", "redis://:right@");
    let queue = queue(&connect(&[url]).await);
    assert_eq!(ready_after_one_more(&queue).await, 1);
    server.order("CONFIG SET requirepass wrong").await;
    server.order("CLIENT KILL TYPE normal").await;
    until("the password is refused", async || {
        refusal(&queue).await == ErrorKind::Invalid
    })
    .await;
    server.order("CONFIG SET requirepass right").await;
    until("the password is taken", async || {
        queue.stats().await.is_ok_and(|stats| stats.ready == 1)
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_gone_is_unavailable() {
    let server = Server::start().await;
    let queue = queue(&server.redis);
    drop(server.engine);
    assert_eq!(refusal(&queue).await, ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_user_without_the_right_is_invalid() {
    let server = Server::start().await;
    let guest = guest(&server, "~* +@all -@scripting").await;
    assert_eq!(refusal(&queue(&guest)).await, ErrorKind::Invalid);
}

#[tokio::test]
async fn a_key_of_somebody_elses_is_corrupt() {
    let server = Server::start().await;
    server.order("SET {queue:work} stranger").await;
    assert_eq!(refusal(&queue(&server.redis)).await, ErrorKind::Corrupt);
}

#[tokio::test]
async fn scripts_that_were_flushed_are_sent_again() {
    let server = Server::start().await;
    let queue = queue(&server.redis);
    assert_eq!(ready_after_one_more(&queue).await, 1);
    server.order("SCRIPT FLUSH").await;
    assert_eq!(ready_after_one_more(&queue).await, 2);
}

#[tokio::test]
async fn a_prefix_with_a_brace_is_refused() {
    let server = Server::start().await;
    for prefix in ["{", "a}b"] {
        let refused = server.redis.clone().with_prefix(prefix);
        assert!(matches!(refused, Err(BraceInPrefix { .. })));
    }
}
