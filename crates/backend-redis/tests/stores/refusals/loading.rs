//! A server that starts again, and is asked before it has loaded what it had saved.

use std::error::Error as _;

use backend_redis::{Redis, RedisGraph, RedisOutbox, RedisOutboxOptions};
use backplane::ErrorKind;
use engines::Flavour;
use feed_core::{Entry, Graph, Outbox, PostId, Publication, UserId};
use redis::{RedisError, ServerErrorKind, cmd};

use crate::house::{Server, until};

use super::{
    queue, ready_after_one_more, refusal,
    social::{ANN, BOB, refusals_of_writes},
};

/// So many, with bodies so large, that a server that takes its time is busy with them for a while.
const POSTS: u64 = 120;
const BODY: usize = 1_000;

fn outbox(redis: &Redis) -> RedisOutbox {
    RedisOutbox::new(redis.clone(), RedisOutboxOptions::default())
}

/// Appends the posts, each of another author.
async fn publish(redis: &Redis) {
    for post in 1..=POSTS {
        let entry = Entry::original(PostId::new(post), UserId::new(post));
        let publication = Publication::new(entry, vec![b'.'; BODY].into());
        outbox(redis).append(&[publication]).await.unwrap();
    }
}

/// How many posts are there, whole.
async fn count_posts(redis: &Redis) -> Result<u64, feed_core::Error> {
    let posts: Vec<_> = (1..=POSTS).map(PostId::new).collect();
    let found = outbox(redis).posts(&posts).await?;
    let whole = found.iter().flatten().filter(|p| p.body.len() == BODY);
    Ok(whole.count() as u64)
}

/// Waits until a call is told that its server loads, which is an error that may pass.
async fn until_told_of_loading(redis: &Redis) {
    until("a call is told that its server loads", async || {
        let asked = redis.command("ask", cmd("GET").arg("any")).await;
        let error = asked.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.is_retryable());
        let source = error.source().and_then(|source| source.downcast_ref());
        let loading = redis::ErrorKind::Server(ServerErrorKind::BusyLoading);
        source.is_some_and(|error: &RedisError| error.kind() == loading)
    })
    .await;
}

#[tokio::test]
async fn a_server_that_loads_is_unavailable_and_then_has_all_that_it_saved() {
    for flavour in [Flavour::Redis, Flavour::Valkey] {
        let server = Server::start_as(flavour).await;
        let (redis, queue) = (&server.redis, queue(&server.redis));
        let graph = RedisGraph::new(redis.clone());
        publish(redis).await;
        graph.follow(ANN, BOB, None).await.unwrap();
        assert_eq!(ready_after_one_more(&queue).await, 1);
        server.engine.save().unwrap();

        server.engine.restart_loading().unwrap();
        until_told_of_loading(redis).await;
        assert_eq!(refusal(&queue).await, ErrorKind::Unavailable);
        let unavailable = feed_core::ErrorKind::Unavailable;
        assert_eq!(refusals_of_writes(redis).await, [unavailable; 7]);
        assert_eq!(count_posts(redis).await.unwrap_err().kind(), unavailable);
        until_told_of_loading(redis).await;

        server.engine.finish_loading().unwrap();
        assert_eq!(count_posts(redis).await.unwrap(), POSTS);
        let ann = graph.circles(&[ANN]).await.unwrap().remove(0);
        assert!(ann.follows(BOB), "what was saved");
        assert!(!ann.blocks(BOB), "what was refused");
        assert_eq!(ready_after_one_more(&queue).await, 2);
    }
}
