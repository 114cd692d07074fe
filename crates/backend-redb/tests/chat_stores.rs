//! The stores of a chat in a file answer as those in memory do, whatever happens to both, however often
//! the file is closed and opened again on the way.
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

use std::sync::Arc;

use backend_redb::{
    RedbInbox, RedbInboxOptions, RedbMessageLog, RedbMessageLogOptions, Writer, WriterOptions,
    redb::Database,
};
use chat_core::conformance::histories::{few_cases, inbox, log};
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
        let path = self.folder.path().join("chat.redb");
        let database = Arc::new(Database::create(path).unwrap());
        Writer::start(database, WriterOptions::default()).unwrap()
    }
}

proptest! {
    #![proptest_config(few_cases())]

    #[test]
    fn the_log_answers_as_memory_does(history in log::histories()) {
        let file = Disk::new();
        block_on(log::play(&history, async || {
            let options = RedbMessageLogOptions::default();
            let log = RedbMessageLog::open(&file.open(), "test", options).await;
            Arc::new(log.unwrap())
        }));
    }

    #[test]
    fn the_inbox_answers_as_memory_does(history in inbox::histories()) {
        let file = Disk::new();
        block_on(inbox::play(&history, async || {
            let options = RedbInboxOptions::default()
                .with_max_copies(inbox::MAX_COPIES)
                .with_max_devices(inbox::MAX_DEVICES);
            let inbox = RedbInbox::open(&file.open(), "test", options).await;
            Arc::new(inbox.unwrap())
        }));
    }
}
