//! A whole feed, with everything it has on a Cluster.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use backend_redis::{Redis, RedisFeedOptions, feed_parts};
use backplane::SystemClock;
use engines::RedisCluster;
use feed_core::{Feed, FeedOptions, NewPost, PageRequest, PageSize, PostId, Result, UserId};
use futures::future::join_all;
use tokio::sync::oneshot;

use crate::{
    house::{INTERVAL, until},
    on_cluster, on_replicas, replica_lacks,
};

const AUTHORS: u64 = 12;
const VIEWERS: u64 = 24;

/// How many authors a viewer follows.
const FOLLOWEES: u64 = 4;

/// How many posts there are before something happens.
const MANY: usize = 100;

/// An author or two for each master.
const SOME: usize = 24;

async fn feed_on(redis: Redis) -> Feed {
    let feed = FeedOptions::default()
        .with_post_quota(None)
        .with_lease_ttl(Duration::from_secs(5))
        .with_call_timeout(Duration::from_secs(5));
    let options = RedisFeedOptions::default().with_feed(feed);
    let clock = Arc::new(SystemClock::new());
    Feed::new(feed_parts(&redis, clock, options).await.unwrap())
}

fn authors() -> impl Iterator<Item = UserId> {
    (0..AUTHORS).map(UserId::new)
}

fn viewers() -> impl Iterator<Item = UserId> {
    (AUTHORS..AUTHORS + VIEWERS).map(UserId::new)
}

fn followees(viewer: UserId) -> impl Iterator<Item = UserId> {
    (0..FOLLOWEES).map(move |number| UserId::new((viewer.get() + number) % AUTHORS))
}

/// What was posted, and what its authors were told.
#[derive(Debug, Default)]
struct Told {
    acknowledged: Mutex<BTreeMap<UserId, BTreeSet<PostId>>>,
    tried: AtomicUsize,
    is_over: AtomicBool,
}

impl Told {
    /// Publishes one post after the other.
    async fn publish(&self, feed: &Feed, author: UserId) {
        while !self.is_over.load(Ordering::Relaxed) {
            match feed.publish(author, NewPost::new("a post")).await {
                Ok(published) => {
                    let mut acknowledged = self.acknowledged.lock().unwrap();
                    let posts = acknowledged.entry(author).or_default();
                    posts.extend(published.post());
                }
                Err(error) => {
                    assert!(error.is_retryable(), "{error:?}");
                    // One that needs no server comes at once.
                    tokio::time::sleep(INTERVAL).await;
                }
            }
            self.tried.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until so many more posts were tried.
    async fn tries(&self, count: usize) {
        let enough = self.tried.load(Ordering::Relaxed) + count;
        until("posts are published", async || {
            self.tried.load(Ordering::Relaxed) >= enough
        })
        .await;
    }

    /// What a viewer must find.
    fn of(&self, viewer: UserId) -> BTreeSet<PostId> {
        let acknowledged = self.acknowledged.lock().unwrap();
        let posts = followees(viewer).filter_map(|author| acknowledged.get(&author));
        posts.flatten().copied().collect()
    }
}

/// All that a viewer finds at home, page by page.
async fn home(feed: &Feed, viewer: UserId) -> Result<Vec<PostId>> {
    let size = PageSize::new(100).unwrap();
    let (mut posts, mut request) = (Vec::new(), PageRequest::newest());
    loop {
        let page = feed.home(viewer, request.with_size(size)).await?;
        posts.extend(page.entries.iter().map(|entry| entry.post));
        match page.next {
            Some(next) => request = PageRequest::at(next),
            None => return Ok(posts),
        }
    }
}

/// A master loses its only replica, and is killed, while many publish what a replica must have. When that has
/// taken over, every post that was acknowledged is in the home feed of everybody who follows its author, in order
/// and once, whatever was lost of timelines and of the queue.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_post_is_missing_at_home_that_every_replica_had() {
    let cluster = RedisCluster::start(3, 1).unwrap();
    let feed = feed_on(on_replicas(&cluster).await).await;
    // The replica that takes over has none itself.
    let judge = feed_on(on_cluster(&cluster).await).await;
    for viewer in viewers() {
        for author in followees(viewer) {
            // A replica may be late: then it is not known whether the tie is made, and it is made again.
            until("an author is followed", async || {
                feed.follow(viewer, author).await.is_ok()
            })
            .await;
        }
        assert!(home(&judge, viewer).await.unwrap().is_empty());
    }
    let told = Told::default();
    let (stop, stopped) = oneshot::channel::<()>();
    let script = async {
        told.tries(MANY).await;
        replica_lacks(&cluster, told.tries(SOME)).await;
        until("every home is complete", async || {
            let complete = viewers().map(async |viewer| {
                let found = home(&judge, viewer).await?;
                assert!(found.is_sorted_by(|a, b| a > b), "{viewer}: {found:?}");
                let found = found.into_iter().collect();
                Ok(told.of(viewer).is_subset(&found)) as Result<bool>
            });
            let complete = join_all(complete).await;
            complete.into_iter().all(Result::unwrap_or_default)
        })
        .await;
        told.is_over.store(true, Ordering::Relaxed);
        drop(stop);
    };
    let publish = authors().map(|author| told.publish(&feed, author));
    // Workers begin again, as those of a server do.
    let work = async {
        let mut stopped = stopped;
        while stopped.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
            let worked = judge.run(async { drop((&mut stopped).await) }).await;
            if let Err(error) = worked {
                assert!(error.is_retryable(), "{error:?}");
            }
        }
    };
    tokio::join!(script, join_all(publish), work);
    assert!(told.acknowledged.lock().unwrap().len() as u64 == AUTHORS);
}
