//! The calls of the ground floor.

use std::time::Duration;

use backend_redis::{
    RedisBus, RedisBusOptions, RedisDirectory, RedisIdCounter, RedisNodeLeases, RedisQueue,
    RedisRateLimiter,
};
use backplane::{
    Timestamp, Topic,
    bus::{Bus, HistoryRead, Outgoing},
    directory::{Directory, DirectoryOptions, Incarnation, Joined, Node, NodeChange, ViewEpoch},
    id::{Acquired, IdCounter, NodeLeases},
    queue::{NewTask, QueueOptions, Settlement, TaskQueue},
    rate::{Quota, RateLimiter},
};

use super::meter::Meter;

const MINUTE: Duration = Duration::from_secs(60);

pub(crate) async fn first_call(meter: &mut Meter) {
    let limiter = RedisRateLimiter::new(meter.redis());
    let check = limiter.check(b"ann", Quota::new(9, MINUTE).unwrap(), 1);
    meter
        .cost(
            "`RateLimiter::check`, of a script that is not known yet",
            check,
        )
        .await;
}

pub(crate) async fn calls(meter: &mut Meter) {
    rate(meter).await;
    node_leases(meter).await;
    id_counter(meter).await;
    directory(meter).await;
    queue(meter).await;
    bus(meter).await;
}

async fn rate(meter: &mut Meter) {
    let limiter = RedisRateLimiter::new(meter.redis());
    let quota = Quota::new(9, MINUTE).unwrap();
    meter
        .cost("`RateLimiter::check`", limiter.check(b"ann", quota, 1))
        .await;
}

async fn node_leases(meter: &mut Meter) {
    let (leases, until) = (
        RedisNodeLeases::new(meter.redis(), "ids", 4),
        Timestamp::EPOCH,
    );
    let acquired = meter
        .cost("`NodeLeases::acquire`", leases.acquire(MINUTE, until))
        .await;
    let Acquired::Granted(lease) = acquired else {
        panic!("a node is free");
    };
    meter
        .cost("`NodeLeases::renew`", leases.renew(&lease, MINUTE, until))
        .await;
    meter
        .cost("`NodeLeases::release`", leases.release(&lease, until))
        .await;
}

async fn id_counter(meter: &mut Meter) {
    let counter = RedisIdCounter::new(meter.redis(), "ids");
    meter.cost("`IdCounter::take`", counter.take(1_000)).await;
}

async fn directory(meter: &mut Meter) {
    let directory = RedisDirectory::new(meter.redis(), DirectoryOptions::default());
    let node = Node::new("a", Incarnation::new(1), "");
    let joined = meter
        .cost("`Directory::join`", directory.join("chat", node, MINUTE))
        .await;
    let Joined::Member(member) = joined else {
        panic!("there is room");
    };
    let changes = [NodeChange::Weight(7)];
    meter
        .cost("`Directory::renew`", directory.renew(&member, MINUTE))
        .await;
    meter
        .cost("`Directory::update`", directory.update(&member, &changes))
        .await;
    meter
        .cost("`Directory::members`", directory.members("chat"))
        .await;
    let changed = directory.changed("chat", ViewEpoch::new(0));
    meter
        .cost("`Directory::changed`, for each look", changed)
        .await;
    meter
        .cost("`Directory::leave`", directory.leave(&member))
        .await;
}

async fn queue(meter: &mut Meter) {
    let options = QueueOptions::default().with_max_attempts(9);
    let queue = RedisQueue::new(meter.redis(), "work", options);
    let tasks: Vec<_> = (0..1_001).map(|_| NewTask::new("task")).collect();
    meter
        .cost("`TaskQueue::enqueue`", queue.enqueue(&tasks[1..]))
        .await;
    queue.enqueue(&tasks[..1]).await.unwrap();
    meter
        .cost("`TaskQueue::ready`, for each look", queue.ready())
        .await;
    let mut leases = meter
        .cost("`TaskQueue::lease`", queue.lease(1_000, MINUTE))
        .await;
    leases.extend(queue.lease(1, MINUTE).await.unwrap());
    let keys: Vec<_> = leases.iter().map(|lease| lease.key).collect();
    meter
        .cost(
            "`TaskQueue::extend`, of 1,001 leases",
            queue.extend(&keys, MINUTE),
        )
        .await;
    meter.cost("`TaskQueue::stats`", queue.stats()).await;
    let reason = "broken".into();
    let bury = Settlement::Bury { reason };
    let settlements: Vec<_> = keys.iter().map(|key| (*key, bury.clone())).collect();
    meter
        .cost(
            "`TaskQueue::settle`, of 1,001 leases",
            queue.settle(&settlements),
        )
        .await;
    let letters = queue.dead_letters(None, 1_001);
    let letters = meter
        .cost("`TaskQueue::dead_letters`, up to 1,001", letters)
        .await;
    let dead: Vec<_> = letters.iter().map(|letter| letter.task).collect();
    meter
        .cost("`TaskQueue::redrive`, of 1,001 tasks", queue.redrive(&dead))
        .await;
    meter
        .cost("`TaskQueue::discard`, of 1,001 tasks", queue.discard(&dead))
        .await;
    let lane = leases[0].lane;
    queue.enqueue(&tasks[..10]).await.unwrap();
    meter
        .cost(
            "`TaskQueue::purge_lane`, of 10 tasks",
            queue.purge_lane(lane),
        )
        .await;
}

async fn bus(meter: &mut Meter) {
    let options = RedisBusOptions::default().with_probe_every(Duration::from_secs(3_600));
    let bus = RedisBus::new(meter.redis(), meter.client(), options);
    let topics: Vec<Topic> = (0..9)
        .map(|number| format!("room:{number}").parse().unwrap())
        .collect();
    // Connections are made, and slots were looked at.
    bus.subscribe(&topics).await.unwrap();
    bus.unsubscribe(&topics).await.unwrap();
    let messages = topics.iter().map(|topic| Outgoing::new(topic.clone(), "x"));
    let messages: Vec<_> = messages
        .chain([Outgoing::new(topics[0].clone(), "y")])
        .collect();
    meter
        .cost("`Bus::publish`, to 9 topics", bus.publish(&messages))
        .await;
    meter
        .cost("`Bus::subscribe`, to 9 topics", bus.subscribe(&topics))
        .await;
    let reads: Vec<_> = topics.iter().cloned().map(HistoryRead::top).collect();
    meter
        .cost("`Bus::history`, of 9 topics", bus.history(&reads))
        .await;
    meter
        .cost(
            "`Bus::unsubscribe`, from 9 topics",
            bus.unsubscribe(&topics),
        )
        .await;
    meter.cost("`Bus::drain`", bus.drain()).await;
}
