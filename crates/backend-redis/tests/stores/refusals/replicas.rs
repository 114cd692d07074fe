//! What becomes of calls while no replica is there that is to have what they change.

use std::time::Duration;

use backend_redis::{
    Redis, RedisActions, RedisGraph, RedisRateLimiter, RedisSharedCache, RedisTimelines,
    RedisTimelinesOptions,
};
use backplane::{
    Timestamp,
    rate::{Quota, RateLimiter},
};
use feed_core::{
    Action, Actions, BuildStart, CacheItem, Entry, ErrorKind, Graph, Hide, PostId, SharedCache,
    TimelineState, TimelineStore, UserId,
};

use futures::future::join_all;

use crate::house::{Server, connect};

use super::MINUTE;

const ANN: UserId = UserId::new(1);
const BOB: UserId = UserId::new(2);
const POST: PostId = PostId::new(10);

async fn waiting_for_one(server: &Server) -> Redis {
    let writer = connect(&[server.engine.url()]).await;
    let redis = server.redis.clone();
    redis.with_replicas(1, Duration::from_millis(20), writer)
}

/// A change that was refused is seen, from both its ends, and is no obstacle to who reads; also where the author
/// has to be asked twice.
#[tokio::test]
async fn readers_of_a_graph_wait_for_no_replica() {
    let server = Server::start().await;
    let graph = RedisGraph::new(waiting_for_one(&server).await);
    server.order("HSET {graph:2} gone 2000000000000000").await;
    let followed = graph.follow(ANN, BOB, None).await.unwrap_err();
    let hidden = graph.hide(BOB, ANN, Hide::Mute, true).await.unwrap_err();
    let refused = [followed, hidden].map(|error| error.kind());
    assert_eq!(refused, [ErrorKind::Unavailable; 2]);

    let circles = graph.circles(&[ANN]).await.unwrap();
    assert!(circles[0].follows(BOB));
    assert_eq!(graph.followers(BOB, None, 9).await.unwrap().len(), 1);
    let degrees = graph.degrees(&[ANN, BOB]).await.unwrap();
    let degrees = degrees.iter().map(|it| (it.followers, it.followees));
    assert!(degrees.eq([(0, 1), (1, 0)]));
    assert_eq!(graph.hidden_from(BOB, &[ANN]).await.unwrap(), [false]);
    assert_eq!(graph.hidden_from(ANN, &[BOB]).await.unwrap(), [true]);

    // The copies may be lost, so they are still to be made.
    for user in [ANN, BOB] {
        let pending = format!("HLEN {{graph:{user}}}:pending");
        assert_eq!(server.ask::<u64>(&pending).await, 1);
    }
    let plain = RedisGraph::new(server.redis.clone());
    plain.circles(&[ANN, BOB]).await.unwrap();
    assert_eq!(
        server
            .ask::<u64>("EXISTS {graph:1}:pending {graph:2}:pending")
            .await,
        0
    );
}

#[tokio::test]
async fn what_may_be_lost_waits_for_no_replica() {
    let server = Server::start().await;
    let redis = waiting_for_one(&server).await;
    let timelines = RedisTimelines::new(redis.clone(), RedisTimelinesOptions::default());
    let (now, stale) = (Timestamp::from_millis(1_000), Timestamp::EPOCH);
    let BuildStart::Started(ticket) = timelines.begin_build(ANN, now, stale).await.unwrap() else {
        panic!("nobody builds it");
    };
    let entries = [Entry::original(POST, BOB)];
    let built = timelines.commit_build(ticket, &entries, PostId::new(1));
    assert!(built.await.unwrap());
    let merged = timelines.merge(ANN, &entries).await.unwrap();
    assert!(matches!(merged, TimelineState::Warm { .. }));

    let cache = RedisSharedCache::new(redis.clone());
    let item = |value: &'static str| CacheItem::new("key", value, MINUTE).unwrap();
    cache.put_many(&[item("old")]).await.unwrap();
    let replaced = cache.replace_many(&[("old".into(), item("new"))]).await;
    assert_eq!(replaced.unwrap(), [true]);

    let quota = Quota::new(1, MINUTE).unwrap();
    let limiter = RedisRateLimiter::new(redis);
    limiter.check(b"ann", quota, 1).await.unwrap();
}

/// Nothing happens any more once all callers have been told, of whom there are more than may wait in turn.
#[tokio::test]
async fn nobody_is_told_before_a_change_has_happened_that_waits_behind_others() {
    let server = Server::start().await;
    let writer = connect(&[server.engine.url()]).await;
    let redis = server.redis.clone();
    let redis = redis.with_replicas(1, Duration::from_millis(200), writer);
    let graph = RedisGraph::new(redis);
    let follow = |author| graph.follow(ANN, UserId::new(author), None);
    for refused in join_all((2..102).map(follow)).await {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    let followees: u64 = server.ask("HLEN {graph:1}:followees").await;
    assert!((1..100).contains(&followees), "{followees}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        server.ask::<u64>("HLEN {graph:1}:followees").await,
        followees
    );
}

/// All has been forgotten by the first call, which no replica knows.
#[tokio::test]
async fn who_forgets_again_waits_again() {
    let server = Server::start().await;
    let plain = RedisActions::new(server.redis.clone());
    let like = Action::like(ANN, Entry::original(POST, BOB));
    plain.record(&[like]).await.unwrap();
    let actions = RedisActions::new(waiting_for_one(&server).await);
    for _ in 0..2 {
        let forgotten = actions.forget(&[POST], 9).await.unwrap_err();
        assert_eq!(forgotten.kind(), ErrorKind::Unavailable);
    }
    assert_eq!(plain.forget(&[POST], 9).await.unwrap(), 0);
}
