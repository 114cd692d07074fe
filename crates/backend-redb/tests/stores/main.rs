//! Each store in a file answers as the one in memory does, whatever happens to same, however often
//! the file is closed and opened again on the way.
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

mod actions;
mod activity;
mod graph;
mod outbox;

use std::{fmt::Debug, sync::Arc};

use backend_redb::{Writer, WriterOptions, redb::Database};
use feed_core::{ErrorKind, PostId, Result, UserId};
use futures::executor::block_on;
use proptest::{collection::vec, prelude::*, sample::select, test_runner::FileFailurePersistence};

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

/// What a call answers, or how it fails.
fn answer<T>(call: impl Future<Output = Result<T>>) -> Result<T, ErrorKind> {
    block_on(call).map_err(|error| error.kind())
}

/// Fails unless both stores answer `$call` in the same way.
macro_rules! same {
    ($memory:expr, $disk:expr, $store:ident => $call:expr) => {{
        let expected = $crate::answer({
            let $store = $memory;
            $call
        });
        let answered = $crate::answer({
            let $store = $disk;
            $call
        });
        proptest::prop_assert_eq!(answered, expected);
    }};
}
use same;

const USERS: [u64; 3] = [0, (1 << 53) + 1, u64::MAX];
const POSTS: [u64; 6] = [0, 1, 1 << 53, (1 << 53) + 1, 1 << 63, u64::MAX];

fn user() -> impl Strategy<Value = UserId> {
    select(&USERS[..]).prop_map(UserId::new)
}

fn post() -> impl Strategy<Value = PostId> {
    select(&POSTS[..]).prop_map(PostId::new)
}

/// A log of calls; `None` closes the file and opens it again.
fn log<T: Clone + Debug>(op: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<Option<T>>> {
    vec(prop::option::weighted(0.93, op), 1..100)
}

/// Does what `log` says on the store that `open` opens, and answers the store as it is then.
fn replay<T, S>(
    log: &[Option<T>],
    open: impl Fn() -> S,
    mut apply: impl FnMut(&S, &T) -> Result<(), TestCaseError>,
) -> Result<S, TestCaseError> {
    let mut store = open();
    for op in log {
        if let Some(op) = op {
            apply(&store, op)?;
        } else {
            drop(store);
            store = open();
        }
    }
    Ok(store)
}

fn few_cases() -> ProptestConfig {
    ProptestConfig {
        cases: 32,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    }
}
