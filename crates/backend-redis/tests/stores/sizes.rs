//! What the keys of the ground floor, and of who is there, take of a server's memory is what docs/redis.md says.

use std::{collections::BTreeMap, time::Duration};

use backend_redis::{
    Redis, RedisBus, RedisBusOptions, RedisDirectory, RedisIdCounter, RedisNodeLeases,
    RedisPresence, RedisPresenceOptions, RedisQueue, RedisRateLimiter,
};
use backplane::{
    Timestamp, Topic,
    bus::{Bus, HistoryRead, IdempotencyKey, Outgoing},
    directory::{Directory, DirectoryOptions, Incarnation, Joined, Node},
    id::{IdCounter, NodeLeases},
    queue::{NewTask, QueueOptions, Settlement, TaskQueue},
    rate::{Quota, RateLimiter},
};
use chat_core::{
    UserId,
    presence::{NodeJoined, Presence, PresenceState, Report, Status},
};

use crate::house::{Server, client};

const PAGE: &str = include_str!("../../../../docs/redis.md");

const HEADING: &str = "| what | bytes |\n";

const MINUTE: Duration = Duration::from_secs(60);

/// Few enough to be stored densely, and too many for that.
const COUNTS: [u64; 2] = [100, 1_000];

/// A server, and what was measured there.
struct Scale {
    server: Server,
    measured: BTreeMap<String, u64>,
}

impl Scale {
    async fn new() -> Self {
        Self {
            server: Server::start().await,
            measured: BTreeMap::new(),
        }
    }

    fn redis(&self) -> Redis {
        self.server.redis.clone()
    }

    /// Writes down what all keys take for each of so many things, besides some bytes. Answers all bytes.
    async fn weigh(&mut self, what: impl Into<String>, things: u64, besides: u64) -> u64 {
        let bytes = self.bytes().await;
        let each = (bytes - besides).div_ceil(things);
        self.measured.insert(what.into(), each);
        bytes
    }

    async fn bytes(&self) -> u64 {
        let keys: Vec<String> = self.server.ask("KEYS *").await;
        let mut bytes = 0;
        for key in keys {
            let usage = format!("MEMORY USAGE {key} SAMPLES 0");
            bytes += self.server.ask::<u64>(&usage).await;
        }
        bytes
    }

    async fn empty(&self) {
        self.server.order("FLUSHALL").await;
    }
}

#[tokio::test]
async fn keys_take_what_the_page_says() {
    let mut scale = Scale::new().await;
    rate(&mut scale).await;
    id_counter(&mut scale).await;
    for count in COUNTS {
        node_leases(&mut scale, count).await;
        directory(&mut scale, count).await;
        presence(&mut scale, count).await;
    }
    queue(&mut scale).await;
    bus(&mut scale).await;
    let stated = table();
    assert_eq!(stated.len(), scale.measured.len(), "{:#?}", scale.measured);
    for (what, bytes) in &scale.measured {
        // Another release, or allocator, may differ by a little.
        let is_near = |stated: u64| stated.abs_diff(*bytes) <= bytes / 10;
        let stated = stated.get(what).copied();
        assert!(
            stated.is_some_and(is_near),
            "{what}: {bytes}, not {stated:?}: {:#?}",
            scale.measured
        );
    }
}

async fn rate(scale: &mut Scale) {
    scale.empty().await;
    let (limiter, quota) = (
        RedisRateLimiter::new(scale.redis()),
        Quota::new(9, MINUTE).unwrap(),
    );
    for user in 0..100 {
        let key = format!("user:{user:05}");
        limiter.check(key.as_bytes(), quota, 1).await.unwrap();
    }
    scale.weigh("a bucket of the rate limiter", 100, 0).await;
}

async fn node_leases(scale: &mut Scale, count: u64) {
    scale.empty().await;
    let nodes = u32::try_from(count).unwrap();
    let leases = RedisNodeLeases::new(scale.redis(), "ids", nodes);
    for _ in 0..count {
        leases.acquire(MINUTE, Timestamp::EPOCH).await.unwrap();
    }
    let what = format!("a leased node, of {}", thousands(count));
    scale.weigh(what, count, 0).await;
}

async fn id_counter(scale: &mut Scale) {
    scale.empty().await;
    let counter = RedisIdCounter::new(scale.redis(), "orders");
    counter.take(1_000_000).await.unwrap();
    scale.weigh("a counter of ids", 1, 0).await;
}

/// Users with ids of 64 bits, who are online at one node.
async fn presence(scale: &mut Scale, count: u64) {
    scale.empty().await;
    let options = RedisPresenceOptions::default().with_parts(1);
    let presence = RedisPresence::new(scale.redis(), options);
    let joined = presence.join("a", Incarnation::new(1), MINUTE).await;
    let NodeJoined::Held(lease) = joined.unwrap() else {
        panic!("nobody else is there");
    };
    let now = Timestamp::from_millis(1_790_000_000_000);
    let state = PresenceState::new(Status::Online, Some(now), true);
    let report = |number| Report::new(UserId::new(number << 40), number, state);
    let reports: Vec<_> = (1..=count).map(report).collect();
    presence.report(&lease, &reports).await.unwrap();
    let what = format!("a user who is there, of {} in a part", thousands(count));
    scale.weigh(what, count, 0).await;
}

async fn directory(scale: &mut Scale, count: u64) {
    scale.empty().await;
    let options = DirectoryOptions::default().with_nodes(1_000);
    let directory = RedisDirectory::new(scale.redis(), options);
    for number in 0..count {
        let node = Node::new(
            format!("node:{number:05}"),
            Incarnation::new(1),
            "10.0.0.1:8080",
        );
        let joined = directory.join("chat", node, MINUTE).await.unwrap();
        assert!(matches!(joined, Joined::Member(_)), "{joined:?}");
    }
    let what = format!("a node of a service, of {}", thousands(count));
    scale.weigh(what, count, 0).await;
}

async fn queue(scale: &mut Scale) {
    scale.empty().await;
    let queue = RedisQueue::new(scale.redis(), "work", QueueOptions::default());
    let task = |number: u64| NewTask::new(vec![b'x'; 100]).with_lane(number);
    let tasks: Vec<_> = (0..1_000).map(task).collect();
    queue.enqueue(&tasks).await.unwrap();
    let what = "a task of 100 bytes, each in a lane of its own";
    scale.weigh(what, 1_000, 0).await;
    scale.empty().await;
    let tasks: Vec<_> = (0..1_000)
        .map(|number| task(7).with_key(format!("key:{number:05}")))
        .collect();
    queue.enqueue(&tasks).await.unwrap();
    let what = "a task of 100 bytes with a key, all in one lane";
    scale.weigh(what, 1_000, 0).await;
    let leases = queue.lease(1_000, MINUTE).await.unwrap();
    let acks = leases.iter().map(|lease| (lease.key, Settlement::Ack));
    queue.settle(&acks.collect::<Vec<_>>()).await.unwrap();
    let what = "a deduplication key of a settled task";
    scale.weigh(what, 1_000, 0).await;
}

async fn bus(scale: &mut Scale) {
    scale.empty().await;
    let client = client(&scale.server.engine.url());
    let bus = RedisBus::new(scale.redis(), client, RedisBusOptions::default());
    let topic: Topic = "room:00001".parse().unwrap();
    let read = HistoryRead::top(topic.clone());
    bus.history(&[read]).await.unwrap();
    let empty = scale.weigh("a topic", 1, 0).await;
    let message = Outgoing::new(topic, vec![b'x'; 100]);
    // As many as the history has.
    let messages = vec![message.clone(); 100];
    bus.publish(&messages).await.unwrap();
    let full = scale
        .weigh("a message of 100 bytes, of 100", 100, empty)
        .await;
    let mut number = 0_u64;
    for count in COUNTS {
        while number < count {
            number += 1;
            let key = IdempotencyKey::of(number.to_be_bytes());
            let keyed = message.clone().with_key(key);
            bus.publish(&[keyed]).await.unwrap();
        }
        let what = format!("an idempotency key, of {}", thousands(count));
        scale.weigh(what, count, full).await;
    }
}

fn thousands(count: u64) -> String {
    match count {
        1_000.. => format!("{},{:03}", count / 1_000, count % 1_000),
        _ => count.to_string(),
    }
}

/// What the page says that each thing takes.
fn table() -> BTreeMap<String, u64> {
    let (_, rows) = PAGE.split_once(HEADING).unwrap();
    let rows = rows.lines().skip(1);
    let rows = rows.map_while(|row| {
        row.strip_prefix("| ")?
            .strip_suffix(" |")?
            .split_once(" | ")
    });
    rows.map(|(what, bytes)| (what.to_owned(), bytes.parse().unwrap()))
        .collect()
}
