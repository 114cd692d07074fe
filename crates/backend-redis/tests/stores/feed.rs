//! A feed whose stores are on Redis shows what a feed in memory shows, on any history, also when it is
//! opened anew on the way. Ids, queue and quotas are in memory, since they are to go by the test's clock.

use std::sync::Arc;

use backend_redis::{RedisFeedOptions, RedisTimelinesOptions, feed_parts};
use backplane::{Clock, ManualClock, SystemClock};
use feed_core::{
    Feed, FeedParts, NewPost, PageRequest, UserId,
    conformance::histories::feed::{CAPACITY, Op, histories, play},
};
use proptest::{prelude::ProptestConfig, proptest};
use tokio::runtime::Runtime;

use crate::house::{CLUSTER, SERVER, connect_apart};

fn options() -> RedisFeedOptions {
    let timelines = RedisTimelinesOptions::default().with_capacity(CAPACITY);
    RedisFeedOptions::default().with_timelines(timelines)
}

async fn play_on(urls: &[String], history: &[Option<Op>], size: usize) {
    let redis = connect_apart(urls).await;
    let mut kept: Option<FeedParts> = None;
    play(history, size, async |clock: &ManualClock| {
        let clock: Arc<dyn Clock> = Arc::new(clock.clone());
        let memory = kept.get_or_insert_with(|| FeedParts::in_memory_at(Arc::clone(&clock)));
        let parts = feed_parts(&redis, clock, options()).await.unwrap();
        FeedParts {
            queue: Arc::clone(&memory.queue),
            ids: Arc::clone(&memory.ids),
            limiter: Arc::clone(&memory.limiter),
            ..parts
        }
    })
    .await;
}

fn few_cases() -> ProptestConfig {
    ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(few_cases())]

    #[test]
    fn a_feed_on_a_server_shows_what_memory_shows(history in histories(), size in 1..6_usize) {
        Runtime::new().unwrap().block_on(play_on(&[SERVER.url()], &history, size));
    }

    #[test]
    fn a_feed_on_a_cluster_shows_what_memory_shows(history in histories(), size in 1..6_usize) {
        Runtime::new().unwrap().block_on(play_on(&CLUSTER.urls(), &history, size));
    }
}

/// With everything on Redis: two processes are one feed.
#[tokio::test]
async fn what_one_process_publishes_another_delivers_and_shows() {
    let redis = connect_apart(&[SERVER.url()]).await;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let open = async || {
        let parts = feed_parts(&redis, Arc::clone(&clock), options()).await;
        Feed::new(parts.unwrap())
    };
    let (oslo, lima) = (open().await, open().await);
    let (ann, bob) = (UserId::new(1), UserId::new(2));
    lima.follow(bob, ann).await.unwrap();
    assert!(
        lima.home(bob, PageRequest::newest())
            .await
            .unwrap()
            .entries
            .is_empty()
    );
    let published = oslo.publish(ann, NewPost::new("hello")).await.unwrap();
    let post = published.post().unwrap();
    lima.work(100).await.unwrap();
    let page = oslo.home(bob, PageRequest::newest()).await.unwrap();
    assert_eq!(page.entries[0].post, post);
    assert_ne!(lima.next_post_id().unwrap(), oslo.next_post_id().unwrap());
    // What tells of a loss, as a new queue does, waits for publications that may be under way.
    let stats = oslo.parts().queue.stats().await.unwrap();
    assert_eq!((stats.ready, stats.delayed), (0, 1));
}
