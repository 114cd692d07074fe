//! What the answers of a server mean to a caller, and that nothing is lost or used twice over them.

mod feed;
mod flavours;
mod loading;

use std::{sync::Arc, time::Duration};

use backend_redis::{
    BraceInPrefix, Redis, RedisActions, RedisActivity, RedisBus, RedisBusOptions, RedisDirectory,
    RedisGraph, RedisIds, RedisNodeLeases, RedisQueue,
};
use backplane::{
    Clock, ErrorKind, SystemClock, Timestamp, Topic,
    bus::{Bus, HistoryRead, IdempotencyKey, Outgoing, Published},
    directory::{Directory, DirectoryOptions, Incarnation, Joined, Membership, Node},
    id::{Acquired, IdGenerator, KeeperOptions, Layout, NodeLease, NodeLeases},
    queue::{Extended, Lane, NewTask, Priority, QueueOptions, Settled, Settlement, TaskQueue},
};
use feed_core::{
    Action, Actions, Activity, Counters, Entry, Graph, Habit, Hide, ListId, PostId, Route,
    RouteStamp, UserId,
};
use futures::join;

use crate::house::{Server, client, connect, until};

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

/// A user who may use no channels publishes nothing, and leaves a stream to which others can.
#[tokio::test]
async fn a_publication_that_is_forbidden_leaves_a_whole_stream() {
    let server = Server::start().await;
    let guest = guest(&server, "~* +@all resetchannels").await;
    let bus = |redis: Redis| {
        let client = client(&server.engine.url());
        RedisBus::new(redis, client, RedisBusOptions::default())
    };
    let (guest, owner) = (bus(guest), bus(server.redis.clone()));
    let publish = async |bus: &RedisBus, key| {
        let message = Outgoing::new("room".parse().unwrap(), "x");
        let message = message.with_key(IdempotencyKey::new(key));
        let published = bus.publish(&[message]).await.unwrap().remove(0);
        published.map_err(|error| error.kind())
    };
    assert_eq!(publish(&guest, 1).await, Err(ErrorKind::Invalid));
    assert_eq!(publish(&guest, 2).await, Err(ErrorKind::Invalid));
    let third = publish(&owner, 3).await.unwrap().position();
    let read = HistoryRead::new("room".parse().unwrap(), None, 9);
    let page = owner.history(&[read]).await.unwrap().remove(0).unwrap();
    assert_eq!((page.top, page.messages.len()), (third, 3));
    let first = publish(&owner, 1).await.unwrap();
    assert!(matches!(first, Published::Duplicate(position) if position.offset < third.offset));
}

/// Delays and leases end in their time where the clock of a server is far behind what it was.
#[tokio::test]
async fn a_clock_that_is_set_back_keeps_nobody_waiting() {
    let server = Server::start().await;
    let queue = queue(&server.redis);
    server.order("HSET {queue:work} now 4000000000000000").await;
    let task = NewTask::new("a task").with_delay(Duration::from_millis(20));
    queue.enqueue(&[task]).await.unwrap();
    let twice = async {
        for _ in 0..2 {
            queue.ready().await.unwrap();
            let leased = queue.lease(1, Duration::from_millis(20)).await.unwrap();
            assert_eq!(leased.len(), 1);
        }
    };
    tokio::time::timeout(MINUTE, twice).await.unwrap();
}

/// A topic that there is no room for is not made, nor a message added to one that is there; what is there
/// can be read.
#[tokio::test]
async fn a_bus_out_of_memory_is_full_and_nothing_was_added() {
    let server = Server::start().await;
    let client = client(&server.engine.url());
    let bus = RedisBus::new(server.redis.clone(), client, RedisBusOptions::default());
    let [known, other]: [Topic; 2] = ["known", "other"].map(|name| name.parse().unwrap());
    let publish = async |topic: &Topic, key| {
        let message = Outgoing::new(topic.clone(), "x").with_key(IdempotencyKey::new(key));
        let published = bus.publish(&[message]).await.unwrap().remove(0);
        published.map_err(|error| error.kind())
    };
    let top = async |topic: &Topic| {
        let read = HistoryRead::new(topic.clone(), None, 9);
        let page = bus.history(&[read]).await.unwrap().remove(0);
        page.map(|page| (page.top, page.messages.len()))
            .map_err(|error| error.kind())
    };
    let first = publish(&known, 1).await.unwrap().position();
    server.order("CONFIG SET maxmemory 1").await;
    assert_eq!(publish(&known, 2).await, Err(ErrorKind::Full));
    assert_eq!(publish(&other, 3).await, Err(ErrorKind::Full));
    assert_eq!(top(&other).await, Err(ErrorKind::Full));
    let subscribed = bus
        .subscribe(std::slice::from_ref(&other))
        .await
        .unwrap()
        .remove(0);
    assert_eq!(subscribed.unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(top(&known).await, Ok((first, 1)));
    assert_eq!(publish(&known, 1).await, Ok(Published::Duplicate(first)));
    server.order("CONFIG SET maxmemory 0").await;
    let second = publish(&known, 2).await.unwrap();
    assert_eq!(second.position().offset, first.offset + 1);
    assert_eq!(top(&known).await, Ok((second.position(), 2)));
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

async fn join(directory: &RedisDirectory) -> Membership {
    let node = Node::new("a", Incarnation::new(1), "");
    match directory.join("chat", node, MINUTE).await.unwrap() {
        Joined::Member(membership) => membership,
        other => panic!("{other:?}"),
    }
}

async fn node_token(leases: &RedisNodeLeases) -> u64 {
    match leases.acquire(MINUTE, Timestamp::EPOCH).await.unwrap() {
        Acquired::Granted(lease) => lease.token,
        Acquired::AllTaken { .. } => panic!("one node is free"),
    }
}

/// A late settlement, renewal or view of before the loss must not be taken for one of after it.
#[tokio::test]
async fn numbers_go_on_above_all_that_were_lost() {
    let server = Server::start().await;
    let queue = queue(&server.redis);
    let directory = RedisDirectory::new(server.redis.clone(), DirectoryOptions::default());
    let leases = RedisNodeLeases::new(server.redis.clone(), "ids", 1);
    let mut seen = Vec::new();
    for _ in 0..2 {
        assert_eq!(ready_after_one_more(&queue).await, 1);
        let leased = queue.lease(1, MINUTE).await.unwrap()[0].key;
        let membership = join(&directory).await;
        let epoch = directory.members("chat").await.unwrap().epoch;
        seen.push([
            leased.task.get(),
            leased.token.get(),
            membership.token.get(),
            epoch.get(),
            node_token(&leases).await,
        ]);
        server.order("FLUSHALL").await;
    }
    for (before, after) in seen[0].iter().zip(seen[1]) {
        assert!(after > *before, "{seen:?}");
    }
}

async fn lease(nodes: &RedisNodeLeases) -> Option<NodeLease> {
    match nodes.acquire(MINUTE, Timestamp::EPOCH).await.unwrap() {
        Acquired::Granted(lease) => Some(lease),
        Acquired::AllTaken { .. } => None,
    }
}

/// Where there are to be fewer nodes than there were, nobody is given one of the others.
#[tokio::test]
async fn nodes_are_leased_out_of_so_many() {
    let server = Server::start().await;
    let nodes = |count| RedisNodeLeases::new(server.redis.clone(), "ids", count);
    let (many, few) = (nodes(3), nodes(1));
    let mut leased = Vec::new();
    for node in 0..3 {
        leased.extend(lease(&many).await);
        assert_eq!(leased[node].node as usize, node);
    }
    many.release(&leased[2], Timestamp::EPOCH).await.unwrap();
    many.release(&leased[1], Timestamp::EPOCH).await.unwrap();
    assert_eq!(lease(&few).await, None);
    many.release(&leased[0], Timestamp::EPOCH).await.unwrap();
    assert_eq!(lease(&few).await.unwrap().node, 0);
    let others = RedisNodeLeases::new(server.redis.clone(), "others", 1);
    assert_eq!(lease(&others).await.unwrap().node, 0);
    for _ in 0..2 {
        assert_ne!(lease(&many).await.unwrap().node, 0);
    }
}

const ANN: UserId = UserId::new(1);
const BOB: UserId = UserId::new(2);
const CAT: UserId = UserId::new(3);
const POST: PostId = PostId::new(10);
const LIST: ListId = ListId::new(7);

fn like(actor: UserId) -> [Action; 1] {
    [Action::like(actor, Entry::original(POST, BOB))]
}

/// How everything that a feed's social stores can be asked to write fails; all of it must.
async fn refusals_of_writes(redis: &Redis) -> Vec<feed_core::ErrorKind> {
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

/// A node whose lease the server has lost leases another, and issues nothing twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_go_on_after_their_lease_was_lost() {
    let server = Server::start().await;
    let options = KeeperOptions::default().with_ttl(Duration::from_millis(300));
    let clock = SystemClock::new();
    let time = Arc::new(clock.clone());
    let ids = RedisIds::open(server.redis.clone(), Layout::TWITTER, time, options);
    let ids = ids.await.unwrap();
    let mut last = ids.next_id().unwrap();
    server.order("FLUSHALL").await;
    let mut was_lost = false;
    loop {
        match ids.next_id() {
            Ok(id) => {
                assert!(id > last);
                last = id;
                if was_lost {
                    return;
                }
            }
            Err(_) => was_lost = true,
        }
        clock.sleep(Duration::from_millis(1)).await;
    }
}
