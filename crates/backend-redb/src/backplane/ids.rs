use std::{
    pin::pin,
    sync::Arc,
    thread::{self, JoinHandle},
};

use ::backplane::{
    Clock, Error, ErrorKind, Result,
    id::{Id, IdError, IdGenerator, KeeperOptions, Layout, MarkKeeper},
};
use futures::{channel::oneshot, executor::block_on, future::select};

use super::RedbHighWater;
use crate::Writer;

/// Identifiers of a node that survives restarts: a [`MarkKeeper`] over a [`RedbHighWater`], and the
/// thread that runs it.
///
/// Its mark costs a commit twice per [`reserve`](KeeperOptions::reserve), also while nothing is
/// issued, as said there. Dropping it stops the
/// thread and waits for the last commit, which sets the mark back, so that the next opening can issue
/// at once; after a crash, it may have to wait for the clock, for the reserve at most.
///
/// ```
/// use std::sync::Arc;
/// use backend_redb::{RedbIds, Writer, WriterOptions, redb::Database};
/// use backplane::{SystemClock, id::{IdGenerator, KeeperOptions, Layout}};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("data.redb");
/// let writer = Writer::start(Arc::new(Database::create(path)?), WriterOptions::default())?;
/// let (clock, options) = (Arc::new(SystemClock::new()), KeeperOptions::default());
/// let ids = RedbIds::open(&writer, "posts", Layout::TWITTER, 0, clock.clone(), &options).await?;
/// let last = ids.next_id()?;
/// drop(ids);
///
/// let ids = RedbIds::open(&writer, "posts", Layout::TWITTER, 0, clock, &options).await?;
/// assert!(ids.next_id()? > last);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct RedbIds {
    keeper: Arc<MarkKeeper<Arc<dyn Clock>>>,
    /// Taken to stop the thread.
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl RedbIds {
    /// Opens `node`, whose mark is called `name`.
    ///
    /// # Errors
    ///
    /// `Invalid` if the layout has no room for `node`, `Corrupt` if what is stored is not a mark,
    /// `Unavailable` if the system gives no thread, and whatever the [`Writer`] fails with.
    pub async fn open(
        writer: &Writer,
        name: &str,
        layout: Layout,
        node: u32,
        clock: Arc<dyn Clock>,
        options: &KeeperOptions,
    ) -> Result<Self> {
        let mark = Arc::new(RedbHighWater::new(writer, name));
        let keeper = Arc::new(MarkKeeper::open(mark, layout, node, clock, options).await?);
        let (stop, stopped) = oneshot::channel();
        let its_keeper = Arc::clone(&keeper);
        let handle = thread::Builder::new()
            .name("redb-ids".to_owned())
            .spawn(move || block_on(keep(&its_keeper, stopped)))
            .map_err(|error| Error::new(ErrorKind::Unavailable, "open", error))?;
        Ok(Self {
            keeper,
            running: Some((stop, handle)),
        })
    }
}

/// Keeps the mark ahead until `stopped`, and sets it back then.
async fn keep(keeper: &MarkKeeper<Arc<dyn Clock>>, stopped: oneshot::Receiver<()>) {
    // A mark that cannot be moved shows in the generator, which refuses.
    let run = keeper.run(|_| ());
    select(pin!(run), stopped).await;
    // A mark that cannot be set back is only further ahead than it need.
    let _ = keeper.close().await;
}

impl Drop for RedbIds {
    fn drop(&mut self) {
        if let Some((stop, handle)) = self.running.take() {
            drop(stop);
            // A panic of the thread has been reported.
            let _ = handle.join();
        }
    }
}

impl IdGenerator for RedbIds {
    fn next_id(&self) -> Result<Id, IdError> {
        self.keeper.generator().next_id()
    }

    fn fill(&self, ids: &mut [Id]) -> Result<(), IdError> {
        self.keeper.generator().fill(ids)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ::backplane::{
        ManualClock, SystemClock,
        conformance::{Fresh, TestTime},
        id::SnowflakeOptions,
    };

    use super::*;
    use crate::scratch::Scratch;

    /// Cases move their clock and ask at once, before any thread could move the mark.
    fn far_ahead() -> KeeperOptions {
        KeeperOptions::default().with_reserve(Duration::from_secs(365 * 86_400))
    }

    async fn open(writer: &Writer, clock: &ManualClock, options: &KeeperOptions) -> RedbIds {
        let clock = Arc::new(clock.clone());
        let ids = RedbIds::open(writer, "test", Layout::TWITTER, 0, clock, options);
        ids.await.unwrap()
    }

    ::backplane::id_generator_conformance!(async {
        let clock = ManualClock::default();
        let ids = open(&Scratch::new().writer(), &clock, &far_ahead()).await;
        Fresh::<dyn IdGenerator> {
            store: Arc::new(ids),
            time: TestTime::Manual(clock),
        }
    });

    #[tokio::test]
    async fn a_generator_that_was_dropped_is_succeeded_at_once() {
        let writer = Scratch::new().writer();
        let clock = ManualClock::default();
        let mut last = Id::new(0);
        for _ in 0..3 {
            let ids = open(&writer, &clock, &far_ahead()).await;
            clock.advance(Duration::from_millis(1));
            let next = ids.next_id().unwrap();
            assert!(next > last);
            last = next;
        }
    }

    #[tokio::test]
    async fn the_thread_moves_the_mark_on_and_ends_with_a_successor() {
        let writer = Scratch::new().writer();
        let clock = SystemClock::new();
        let reserve = Duration::from_millis(20);
        let options = KeeperOptions::default()
            .with_generator(SnowflakeOptions::default().with_max_ahead(Duration::ZERO))
            .with_reserve(reserve);
        let open = || {
            let clock = Arc::new(clock.clone());
            RedbIds::open(&writer, "test", Layout::TWITTER, 0, clock, &options)
        };
        let first = open().await.unwrap();
        let marked = clock.now().saturating_add(reserve);
        while clock.now() <= marked || first.next_id().is_err() {
            thread::yield_now();
        }
        let second = loop {
            // The first may move its mark while the second takes it over.
            if let Ok(second) = open().await {
                break second;
            }
        };
        while first.next_id() != Err(IdError::Closed) {
            thread::yield_now();
        }
        while second.next_id().is_err() {
            thread::yield_now();
        }
    }
}
