//! Each store in a file answers as the one in memory does, whatever happens to both, however often
//! the file is closed and opened again on the way.
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

use std::sync::Arc;

use backend_redb::{
    RedbActions, RedbActionsOptions, RedbActivity, RedbActivityOptions, RedbGraph,
    RedbGraphOptions, RedbOutbox, RedbOutboxOptions, Writer, WriterOptions, redb::Database,
};
use backplane::ManualClock;
use feed_core::conformance::{
    actions::Subject,
    histories::{actions, activity, few_cases, graph, outbox},
};
use futures::executor::block_on;
use proptest::proptest;

/// A file that is closed and opened again.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    /// Opens the file, which nobody has open.
    fn open(&self) -> Writer {
        let path = self.folder.path().join("feed.redb");
        let database = Arc::new(Database::create(path).unwrap());
        Writer::start(database, WriterOptions::default()).unwrap()
    }
}

proptest! {
    #![proptest_config(few_cases())]

    #[test]
    fn actions_answer_as_memory_does(history in actions::histories()) {
        let file = Disk::new();
        block_on(actions::play(&history, async || {
            let options = RedbActionsOptions::default();
            let actions = RedbActions::open(&file.open(), "test", options).await.unwrap();
            let actions = Arc::new(actions);
            let counters = Arc::clone(&actions);
            Arc::new(Subject { actions, counters })
        }));
    }

    #[test]
    fn activity_answers_as_memory_does(history in activity::histories()) {
        let (file, clock) = (Disk::new(), ManualClock::default());
        block_on(activity::play(&history, &clock, async || {
            let options = RedbActivityOptions::default()
                .with_max_users(activity::MAX_USERS as u64)
                .with_max_unsaved(4);
            let (file, clock) = (file.open(), Arc::new(clock.clone()));
            Arc::new(RedbActivity::open(&file, "test", clock, options).await.unwrap())
        }));
    }

    #[test]
    fn a_graph_answers_as_memory_does(history in graph::histories()) {
        let file = Disk::new();
        block_on(graph::play(&history, async || {
            let options = RedbGraphOptions::default();
            Arc::new(RedbGraph::open(&file.open(), "test", options).await.unwrap())
        }));
    }

    #[test]
    fn an_outbox_answers_as_memory_does(history in outbox::histories()) {
        let file = Disk::new();
        block_on(outbox::play(&history, outbox::MAX_POSTS, async || {
            let options = RedbOutboxOptions::default()
                .with_max_posts(outbox::MAX_POSTS as u64)
                .with_keys_per_author(outbox::KEYS_PER_AUTHOR as u64)
                .with_retractions_per_author(outbox::RETRACTIONS_PER_AUTHOR as u64);
            Arc::new(RedbOutbox::open(&file.open(), "test", options).await.unwrap())
        }));
    }
}
