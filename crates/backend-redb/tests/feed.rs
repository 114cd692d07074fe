//! A feed in a file shows what a feed in memory shows, on any history, however often the file is
//! closed and opened again on the way.
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

use std::{path::Path, sync::Arc, time::Duration};

use backend_redb::{RedbFeedOptions, Writer, WriterOptions, feed_parts, redb::Database};
use backplane::{ManualClock, id::KeeperOptions};
use feed_core::{
    FeedParts, MemoryTimelinesOptions, UserId,
    conformance::histories::feed::{CAPACITY, Op, histories, play},
};
use futures::executor::block_on;
use proptest::{prelude::ProptestConfig, proptest};

async fn open(path: &Path, clock: &ManualClock) -> FeedParts {
    let database = Arc::new(Database::create(path).unwrap());
    let writer = Writer::start(database, WriterOptions::default()).unwrap();
    // Histories take days at once, and no thread is quick enough to keep a mark ahead of that.
    let ids = KeeperOptions::default().with_reserve(Duration::from_secs(100 * 365 * 86_400));
    let options = RedbFeedOptions::default()
        .with_ids(ids)
        .with_timelines(MemoryTimelinesOptions::default().with_capacity(CAPACITY));
    let parts = feed_parts(&writer, Arc::new(clock.clone()), options);
    parts.await.unwrap()
}

fn play_in_a_file(history: &[Option<Op>], size: usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("feed.redb");
    block_on(play(history, size, async |clock| open(&path, clock).await));
}

#[test]
fn a_small_history_outlives_the_process() {
    let [ann, bob, cat] = [0, 1, 2].map(UserId::new);
    let first = 0;
    let history = [
        Op::Publish(ann, None),
        Op::Follow(bob, ann, false),
        Op::Follow(cat, bob, false),
        Op::Publish(ann, Some(1)),
        Op::Work(9),
        Op::Home(bob),
        Op::Repost(bob, first),
        Op::Like(cat, first),
        Op::Work(9),
        Op::Home(cat),
        Op::Publish(bob, None),
        Op::MarkRead(cat, first),
        Op::Delete(first),
        Op::Unfollow(bob, ann),
    ];
    play_in_a_file(&history.map(Some), 2);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_file_shows_what_memory_shows(history in histories(), size in 1..6_usize) {
        play_in_a_file(&history, size);
    }
}
