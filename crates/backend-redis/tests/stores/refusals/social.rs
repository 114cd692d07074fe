use backend_redis::{Redis, RedisActions, RedisActivity, RedisGraph};
use backplane::Timestamp;
use feed_core::{
    Action, Actions, Activity, Counters, Entry, Graph, Habit, Hide, ListId, PostId, Route,
    RouteStamp, UserId,
};
use futures::join;

use crate::house::Server;

pub(super) const ANN: UserId = UserId::new(1);
pub(super) const BOB: UserId = UserId::new(2);
const CAT: UserId = UserId::new(3);
const POST: PostId = PostId::new(10);
const LIST: ListId = ListId::new(7);

fn like(actor: UserId) -> [Action; 1] {
    [Action::like(actor, Entry::original(POST, BOB))]
}

/// How everything that a feed's social stores can be asked to write fails; all of it must.
pub(super) async fn refusals_of_writes(redis: &Redis) -> Vec<feed_core::ErrorKind> {
    let graph = RedisGraph::new(redis.clone());
    let actions = RedisActions::new(redis.clone());
    let activity = RedisActivity::new(redis.clone());
    let (like, member) = (like(CAT), [CAT]);
    let refused = join!(
        graph.follow(ANN, CAT, None),
        graph.hide(ANN, CAT, Hide::Block, true),
        graph.set_list(ANN, LIST, &member),
        graph.route_author(CAT, RouteStamp::default(), Route::Pull),
        actions.record(&like),
        activity.note(Habit::Visit, &member, Timestamp::EPOCH),
        activity.mark_read(CAT, POST),
    );
    let refused = [
        refused.0.map(drop),
        refused.1.map(drop),
        refused.2,
        refused.3.map(drop),
        refused.4.map(drop),
        refused.5,
        refused.6.map(drop),
    ];
    let refused = refused.into_iter();
    refused.map(|refused| refused.unwrap_err().kind()).collect()
}

#[tokio::test]
async fn full_memory_takes_nothing_and_gives_everything_back() {
    let server = Server::start().await;
    let graph = RedisGraph::new(server.redis.clone());
    let actions = RedisActions::new(server.redis.clone());
    graph.follow(ANN, BOB, None).await.unwrap();
    graph.hide(ANN, BOB, Hide::Mute, true).await.unwrap();
    graph.set_list(ANN, LIST, &[BOB, CAT, ANN]).await.unwrap();
    let pulled = graph.route_author(BOB, RouteStamp::default(), Route::Pull);
    assert!(pulled.await.unwrap().is_some());
    actions.record(&like(ANN)).await.unwrap();
    // A note of nothing.
    server
        .order("HSET {actions:3}:posts stranger 00000001")
        .await;
    server.order("CONFIG SET maxmemory 1").await;
    let refused = refusals_of_writes(&server.redis).await;
    assert_eq!(refused, [feed_core::ErrorKind::Full; 7]);
    let ann = graph.circles(&[ANN]).await.unwrap().remove(0);
    assert!(ann.follows(BOB) && !ann.follows(CAT) && !ann.blocks(CAT));
    assert_eq!(graph.list(ANN, LIST).await.unwrap(), [BOB, CAT, ANN]);
    assert_eq!(actions.counts(&[POST]).await.unwrap()[0].likes, 1);

    assert!(graph.unfollow(ANN, BOB).await.unwrap());
    assert!(graph.hide(ANN, BOB, Hide::Mute, false).await.unwrap());
    assert_eq!(actions.withdraw(&like(ANN)).await.unwrap(), [true]);
    assert_eq!(actions.erase(CAT, 9).await.unwrap(), 0);
    assert_eq!(graph.erase(BOB, 9).await.unwrap(), 1);
    assert_eq!(graph.erase(BOB, 9).await.unwrap(), 0);
    assert_eq!(graph.author_route(BOB).await.unwrap().0, Route::PUSH);
    assert_eq!(graph.list(ANN, LIST).await.unwrap(), [CAT, ANN]);
    assert_eq!(graph.erase(ANN, 1).await.unwrap(), 1);
    assert_eq!(graph.list(ANN, LIST).await.unwrap(), [CAT]);
    assert_eq!(graph.degrees(&[BOB]).await.unwrap()[0].followers, 0);
}

#[tokio::test]
async fn a_feed_without_its_server_is_unavailable() {
    let server = Server::start().await;
    let redis = server.redis.clone();
    drop(server);
    let refused = refusals_of_writes(&redis).await;
    assert_eq!(refused, [feed_core::ErrorKind::Unavailable; 7]);
}

#[tokio::test]
async fn what_somebody_else_has_written_is_corrupt() {
    let server = Server::start().await;
    let graph = RedisGraph::new(server.redis.clone());
    let actions = RedisActions::new(server.redis.clone());
    let activity = RedisActivity::new(server.redis.clone());
    for strange in [
        "HSET {graph:1}:followees author edge",
        "ZADD {graph:1}:followers 0 stranger",
        "HSET {graph:1}:ties Xstranger 1",
        "HSET {graph:1}:lists stranger members",
        "HSET {acted:10}:reposts stranger 1",
        "HSET activity:1 v stranger",
        "HSET activity:1 m guest",
    ] {
        server.order("FLUSHALL").await;
        server.order(strange).await;
        let list = ListId::new(u64::from_be_bytes(*b"stranger"));
        let actor = UserId::new(u64::from_be_bytes(*b"stranger"));
        let repost = feed_core::ActionKind::Repost;
        let answers = [
            graph.circles(&[ANN]).await.map(drop),
            graph.followers(ANN, None, 9).await.map(drop),
            graph.list(ANN, list).await.map(drop),
            actions.acted(actor, repost, &[POST]).await.map(drop),
            activity.rhythms(Habit::Visit, &[ANN]).await.map(drop),
            activity.marker(ANN).await.map(drop),
        ];
        let mut failed = answers.into_iter().filter_map(Result::err);
        assert_eq!(
            failed.next().unwrap().kind(),
            feed_core::ErrorKind::Corrupt,
            "{strange}"
        );
        assert!(failed.next().is_none(), "{strange}");
    }
}

/// Lists that come and go leave no more behind than one.
#[tokio::test]
async fn lists_that_are_gone_take_no_room() {
    let server = Server::start().await;
    let graph = RedisGraph::new(server.redis.clone());
    let mut fields = Vec::new();
    for list in (10..30).map(ListId::new) {
        graph.set_list(ANN, list, &[BOB]).await.unwrap();
        graph.set_list(ANN, list, &[]).await.unwrap();
        graph.set_list(ANN, list, &[BOB, CAT]).await.unwrap();
        assert_eq!(graph.erase(ANN, 9).await.unwrap(), 2);
        graph.set_list(ANN, list, &[CAT]).await.unwrap();
        assert_eq!(graph.erase(CAT, 9).await.unwrap(), 1);
        fields.push(server.ask::<u64>("HLEN {graph:1}").await);
    }
    assert_eq!(fields, [fields[0]; 20]);
}
