//! Timelines that are pushed to, read, and built again when they are cold.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use backend_redis::{Redis, RedisTimelines, RedisTimelinesOptions};
use backplane::{Clock, SystemClock};
use engines::RedisCluster;
use feed_core::{
    BuildStart, Entry, PostId, Result, Seek, TimelineState, TimelineStore, UserId, Window,
};
use futures::future::join_all;

use crate::{
    house::{INTERVAL, master_of, until},
    on_cluster, replica_lacks,
};

const OWNERS: u64 = 30;
const CAPACITY: usize = 80;

/// More than a timeline holds, and more than it takes between two times that it is packed.
const MANY: u64 = 100;

fn owners() -> Vec<UserId> {
    (0..OWNERS).map(UserId::new).collect()
}

fn node_of(owner: UserId) -> usize {
    master_of(&format!("tl:{owner}"))
}

fn entry(post: u64) -> Entry {
    Entry::original(PostId::new(post), UserId::new(1_000 + post % 10))
}

fn timelines(redis: Redis) -> RedisTimelines {
    let options = RedisTimelinesOptions::default().with_capacity(CAPACITY);
    RedisTimelines::new(redis, options)
}

/// What an outbox has, and what happened to the timelines.
#[derive(Debug, Default)]
struct Told {
    /// Up to which post all are in the outbox.
    published: AtomicU64,
    /// Of each owner the posts that their timeline has, unless it is cold.
    pushed: Mutex<BTreeMap<UserId, BTreeSet<PostId>>>,
    /// How often each owner's timeline was found cold.
    cold: Mutex<BTreeMap<UserId, u32>>,
    is_over: AtomicBool,
}

impl Told {
    /// Publishes one post after the other, and pushes it to all.
    async fn push(&self, timelines: &RedisTimelines) {
        while !self.is_over.load(Ordering::Relaxed) {
            let entry = entry(self.published.fetch_add(1, Ordering::Relaxed) + 1);
            let failed = match timelines.push_many(&owners(), entry).await {
                Ok(report) => report.failed,
                Err(error) => {
                    assert!(error.is_retryable(), "{error:?}");
                    owners()
                }
            };
            let mut pushed = self.pushed.lock().unwrap();
            for owner in owners() {
                if !failed.contains(&owner) {
                    pushed.entry(owner).or_default().insert(entry.post);
                }
            }
        }
    }

    /// Reads the timelines of some owners, one after the other, and builds those that are cold.
    async fn read(&self, timelines: &RedisTimelines, owners: &[UserId]) {
        while !self.is_over.load(Ordering::Relaxed) {
            for &owner in owners {
                self.look(timelines, owner).await;
            }
            tokio::time::sleep(INTERVAL / 10).await;
        }
    }

    /// Answers whether the timeline was warm.
    async fn look(&self, timelines: &RedisTimelines, owner: UserId) -> bool {
        let pushed = self.pushed.lock().unwrap().get(&owner).cloned();
        match timelines.window(owner, Seek::Newest, usize::MAX).await {
            Ok(window) => match window.state {
                TimelineState::Warm { floor } => {
                    self.check(owner, &window, floor, &pushed.unwrap_or_default());
                    return true;
                }
                TimelineState::Cold => {
                    *self.cold.lock().unwrap().entry(owner).or_default() += 1;
                    self.build(timelines, owner).await;
                }
                // The end of the build has failed.
                TimelineState::Building => self.build(timelines, owner).await,
            },
            Err(error) => assert!(error.is_retryable(), "{error:?}"),
        }
        false
    }

    /// A warm timeline has all that it was said to have before it was read, in order, and no more than it may.
    fn check(&self, owner: UserId, window: &Window, floor: PostId, pushed: &BTreeSet<PostId>) {
        let posts: Vec<_> = window.entries.iter().map(|entry| entry.post).collect();
        assert!(posts.is_sorted_by(|a, b| a > b), "{owner}: {posts:?}");
        assert!(posts.len() <= CAPACITY, "{owner}: {posts:?}");
        assert!(posts.iter().all(|post| *post >= floor), "{owner}: {floor}");
        let published = self.published.load(Ordering::Relaxed);
        for entry in &window.entries {
            assert_eq!(*entry, self::entry(entry.post.get()), "{owner}");
            assert!(entry.post.get() <= published, "{owner}: {entry:?}");
        }
        let missing: Vec<_> = pushed
            .range(floor..)
            .filter(|post| !posts.contains(post))
            .collect();
        assert!(missing.is_empty(), "{owner}: {missing:?} of {floor}…");
    }

    /// Builds a timeline out of the outbox, if nobody has begun to before.
    async fn build(&self, timelines: &RedisTimelines, owner: UserId) {
        if let Err(error) = self.try_build(timelines, owner).await {
            assert!(error.is_retryable(), "{error:?}");
        }
    }

    async fn try_build(&self, timelines: &RedisTimelines, owner: UserId) -> Result<()> {
        let now = SystemClock::new().now();
        if let BuildStart::Started(ticket) = timelines.begin_build(owner, now, now).await? {
            let last = self.published.load(Ordering::Relaxed);
            let first = last.saturating_sub(CAPACITY as u64 / 2) + 1;
            let entries: Vec<_> = (first..=last).map(entry).collect();
            let floor = PostId::new(first);
            timelines.commit_build(ticket, &entries, floor).await?;
        }
        Ok(())
    }

    /// Waits until that much more is published.
    async fn progress(&self) {
        let enough = self.published.load(Ordering::Relaxed) + MANY;
        until("posts are published", async || {
            self.published.load(Ordering::Relaxed) >= enough
        })
        .await;
    }

    /// Something happens to one of three masters while timelines are used: those that were there turn cold, once
    /// each, and are built again; the others notice nothing.
    async fn while_used(cluster: &RedisCluster, happens: impl AsyncFnOnce(&Self)) {
        let told = Self::default();
        let (pusher, reader) = (on_cluster(cluster).await, on_cluster(cluster).await);
        let (pusher, reader) = (timelines(pusher), timelines(reader));
        for owner in owners() {
            assert!(!told.look(&reader, owner).await, "it is there already");
        }
        let all = owners();
        let readers = all.chunks(5).map(|owners| told.read(&reader, owners));
        let script = async {
            told.progress().await;
            happens(&told).await;
            told.progress().await;
            until("every timeline is warm", async || {
                let looks = all.iter().map(|&owner| warm(&reader, owner));
                join_all(looks).await.into_iter().all(|is_warm| is_warm)
            })
            .await;
            told.progress().await;
            told.is_over.store(true, Ordering::Relaxed);
        };
        tokio::join!(script, told.push(&pusher), join_all(readers));
        for owner in owners() {
            assert!(told.look(&reader, owner).await, "{owner} is warm");
            let times = told.cold.lock().unwrap()[&owner];
            if node_of(owner) == 0 {
                assert!(times > 1, "{owner}: what it lacks was not noticed");
            } else {
                assert_eq!(times, 1, "{owner}: it was not lost");
            }
        }
    }
}

async fn warm(timelines: &RedisTimelines, owner: UserId) -> bool {
    let window = timelines.window(owner, Seek::Newest, 0).await;
    window.is_ok_and(|window| matches!(window.state, TimelineState::Warm { .. }))
}

/// Its replica takes over, and lacks what it was told last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timelines_are_cold_that_a_replica_lacks_the_end_of() {
    let cluster = RedisCluster::start(3, 1).unwrap();
    Told::while_used(&cluster, async |told| {
        replica_lacks(&cluster, told.progress()).await;
    })
    .await;
}

/// It starts again before anybody has missed it, and has lost everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timelines_are_cold_that_a_server_has_lost() {
    let cluster = RedisCluster::start(3, 0).unwrap();
    Told::while_used(&cluster, async |_| cluster.restart_empty(0).unwrap()).await;
}
