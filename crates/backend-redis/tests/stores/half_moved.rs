//! A slot that is on its way to another master, which may have some of its keys: what is about several keys
//! is refused until the slot has arrived, and leaves nothing half done.

use std::{fmt::Debug, time::Duration};

use backend_redis::{
    Redis, RedisActions, RedisGraph, RedisOutbox, RedisOutboxOptions, RedisPresence,
    RedisPresenceOptions, RedisQueue,
};
use backplane::{
    directory::Incarnation,
    queue::{NewTask, QueueOptions, Settled, Settlement, TaskQueue},
};
use chat_core::presence::{
    NodeJoined, Presence, PresenceState, Report, Reported, StateRead, Status,
};
use engines::RedisCluster;
use feed_core::{
    Action, ActionKind, Actions, Entry, ErrorKind, Graph, Outbox, PostId, Publication, UserId,
};

use crate::house::{MovingSlot, cluster_client};

const ANN: UserId = UserId::new(1);
const BOB: UserId = UserId::new(2);
const POST: PostId = PostId::new(7);

/// A Cluster, and a client that does not try again what is refused for as long as a test wants.
async fn start() -> (RedisCluster, Redis) {
    let cluster = RedisCluster::start(3, 0).unwrap();
    let client = cluster_client(&cluster).retries(0).build().unwrap();
    let redis = Redis::cluster(&client).await.unwrap();
    (cluster, redis)
}

fn is_refused<T: Debug>(answer: Result<T, impl Into<feed_core::Error>>) {
    let error = answer.map_err(Into::into).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_queue() {
    let (cluster, redis) = start().await;
    let queue = RedisQueue::new(redis, "work", QueueOptions::default());
    let tasks = ["a", "b"].map(|payload| NewTask::new(payload).with_key(payload));
    queue.enqueue(&tasks[..1]).await.unwrap();
    let leased = queue.lease(1, Duration::from_secs(60)).await.unwrap();
    let acks = [(leased[0].key, Settlement::Ack)];

    let on_its_way = MovingSlot::begin(&cluster, "queue:work").await;
    is_refused(queue.enqueue(&tasks[1..]).await);
    is_refused(queue.settle(&acks).await);
    is_refused(queue.lease(1, Duration::from_secs(60)).await);
    on_its_way.give_up().await;

    assert_eq!(queue.stats().await.unwrap().leased, 1);
    assert_eq!(queue.settle(&acks).await.unwrap(), [Settled::Done]);
    assert_eq!(queue.stats().await.unwrap().ready, 0);
}

#[tokio::test]
async fn a_part_of_presence() {
    let (cluster, redis) = start().await;
    let options = RedisPresenceOptions::default().with_parts(1);
    let presence = RedisPresence::new(redis, options);
    let ttl = Duration::from_secs(60);
    let joined = presence.join("a", Incarnation::new(1), ttl).await.unwrap();
    let NodeJoined::Held(lease) = joined else {
        panic!("nobody else is there");
    };
    let ann = chat_core::UserId::new(1);
    let report = async |sequence, status| {
        let state = PresenceState::new(status, None, false);
        let report = Report::new(ann, sequence, state);
        presence.report(&lease, &[report]).await
    };
    report(1, Status::Online).await.unwrap();

    let on_its_way = MovingSlot::begin(&cluster, "presence:0").await;
    let refused = report(2, Status::Away).await.unwrap_err();
    assert_eq!(refused.kind(), chat_core::ErrorKind::Unavailable);
    assert_eq!(on_its_way.arrived().await, 0);
    on_its_way.give_up().await;

    let seen = presence.states(&[StateRead::new(ann)]).await.unwrap();
    assert_eq!(seen[0].unwrap().state.status, Status::Online);
    let again = report(2, Status::Away).await.unwrap();
    let Reported::Held(changes) = again else {
        panic!("nothing was lost");
    };
    assert_eq!(changes[0].published.state.status, Status::Away);
}

#[tokio::test]
async fn a_graph() {
    let (cluster, redis) = start().await;
    let graph = RedisGraph::new(redis);
    graph.follow(ANN, BOB, None).await.unwrap();

    let on_its_way = MovingSlot::begin(&cluster, "graph:1").await;
    is_refused(graph.unfollow(ANN, BOB).await);
    on_its_way.give_up().await;

    assert!(graph.unfollow(ANN, BOB).await.unwrap());
    let degrees = graph.degrees(&[ANN, BOB]).await.unwrap();
    let counts = degrees.iter().map(|it| (it.followees, it.followers));
    assert_eq!(counts.collect::<Vec<_>>(), [(0, 0), (0, 0)]);
}

#[tokio::test]
async fn an_outbox() {
    let (cluster, redis) = start().await;
    let outbox = RedisOutbox::new(redis, RedisOutboxOptions::default());
    let item = Publication::new(Entry::original(POST, ANN), "a body".into());
    outbox.append(std::slice::from_ref(&item)).await.unwrap();

    let on_its_way = MovingSlot::begin(&cluster, "outbox:1").await;
    is_refused(outbox.posts(&[POST]).await);
    is_refused(outbox.revise(ANN, POST, "another".into()).await);
    is_refused(outbox.retract(ANN, POST).await);
    on_its_way.give_up().await;

    let posts = outbox.posts(&[POST]).await.unwrap();
    assert_eq!(posts[0].as_ref().unwrap().body, "a body");
}

#[tokio::test]
async fn actions() {
    let (cluster, redis) = start().await;
    let actions = RedisActions::new(redis);
    let like = Action::like(BOB, Entry::original(POST, ANN));
    actions.record(&[like]).await.unwrap();

    let on_its_way = MovingSlot::begin(&cluster, "acted:7").await;
    is_refused(actions.withdraw(&[like]).await);
    on_its_way.give_up().await;

    assert_eq!(actions.withdraw(&[like]).await.unwrap(), [true]);
    let liked = actions.acted(BOB, ActionKind::Like, &[POST]).await;
    assert_eq!(liked.unwrap(), [None]);
}
