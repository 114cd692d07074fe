//! One thread that writes for everybody.

use std::{
    collections::BTreeSet,
    io,
    sync::Arc,
    thread::{self, JoinHandle},
};

use ::backplane::ErrorKind;
use futures::channel::oneshot;
use parking_lot::Mutex;
use redb::{Database, WriteTransaction};

use self::line::{Line, Work};
use crate::Failure;

mod line;

/// Runs the writes of all stores of one database; clones share the thread. Start one per database.
///
/// Work that is queued while a transaction is being committed goes into the next one together.
/// Nothing waits for company: a single caller's work is committed at once.
///
/// # Order
///
/// Work runs in the order of the calls of [`run`](Self::run). It is answered once the transaction
/// that holds it is on disk, so an answer also vouches for all that was queued before.
///
/// # Atomicity
///
/// A piece of work is on disk as a whole or not at all. One that fails is undone and does not
/// affect the others of its transaction, which are run again without it. A commit that fails stops
/// the writer, because what is in memory beside the database may be ahead of it from then on.
///
/// ```
/// use std::sync::Arc;
/// use backend_redb::{Writer, WriterOptions, redb::{Database, ReadableTable, TableDefinition}};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("data.redb");
/// const VISITS: TableDefinition<&str, u64> = TableDefinition::new("visits");
/// let writer = Writer::start(Arc::new(Database::create(path)?), WriterOptions::default())?;
/// let visit = writer.run(|txn| {
///     let mut visits = txn.open_table(VISITS)?;
///     let count = visits.get("home")?.map_or(0, |count| count.value()) + 1;
///     visits.insert("home", count)?;
///     Ok(count)
/// });
/// assert_eq!(visit.await?, 1);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Writer {
    thread: Arc<WriterThread>,
}

/// The bounds of a [`Writer`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct WriterOptions {
    /// How many pieces of work may wait; 16,384 by default. Further ones are refused as
    /// [`ErrorKind::Full`].
    pub pending: usize,
    /// How many pieces of work one transaction takes; 4,096 by default. It bounds what one that
    /// fails makes run again.
    pub group: usize,
}

impl WriterOptions {
    /// Lets at most `pieces` of work wait; 0 counts as 1.
    #[must_use]
    pub fn with_pending(mut self, pieces: usize) -> Self {
        self.pending = pieces.max(1);
        self
    }

    /// Puts at most `pieces` of work into one transaction; 0 counts as 1.
    #[must_use]
    pub fn with_group(mut self, pieces: usize) -> Self {
        self.group = pieces.max(1);
        self
    }
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            pending: 16_384,
            group: 4_096,
        }
    }
}

impl Writer {
    /// Starts the thread that writes to `database`. It ends, after what is queued by then, when the
    /// last clone of the writer is dropped; that drop waits for it.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn start(database: Arc<Database>, options: WriterOptions) -> io::Result<Self> {
        let line = Arc::new(Line::new(options));
        let (its_line, its_database) = (Arc::clone(&line), Arc::clone(&database));
        let handle = thread::Builder::new()
            .name("redb-writer".to_owned())
            .spawn(move || its_line.serve(&its_database))?;
        let thread = Arc::new(WriterThread {
            line,
            database,
            handle: Some(handle),
            claimed: Mutex::default(),
        });
        Ok(Self { thread })
    }

    /// The database, for reading.
    #[must_use]
    pub fn database(&self) -> &Arc<Database> {
        &self.thread.database
    }

    /// Queues `work`, and returns what it returned once it is on disk.
    ///
    /// `work` runs on the writer's thread and must not block. It may run more than once, each time
    /// on a transaction without its earlier writes, so it must not change anything else; only the
    /// last outcome counts. If it panics, the writer stops: this and all other work, now and later,
    /// is [`ErrorKind::Closed`], and nothing of the transaction is on disk.
    ///
    /// # Errors
    ///
    /// What `work` returned; `Full` if too much waits, and `Closed` if the writer has stopped:
    /// nothing was written. `Unavailable` if a commit failed, this or an earlier one: the writer
    /// has stopped, and the database must be opened again to learn what is on disk.
    ///
    /// # Cancel safety
    ///
    /// The work is queued when this returns, before the future is polled. Dropping the future does
    /// not take it back.
    pub fn run<T: Send + 'static>(
        &self,
        work: impl FnMut(&WriteTransaction) -> Result<T, Failure> + Send + 'static,
    ) -> impl Future<Output = Result<T, Failure>> + Send + 'static {
        let answer = self.permit().map(|permit| permit.queue(true, work));
        async { wait(answer?).await }
    }

    /// Completes once all that was queued before this call is on disk. Costs no `fsync` if it is.
    ///
    /// # Errors
    ///
    /// `Full`, `Closed` and `Unavailable`, as for [`run`](Self::run).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes nothing back.
    pub fn flush(&self) -> impl Future<Output = Result<(), Failure>> + Send + 'static {
        let answer = self.permit().map(|permit| permit.queue(false, |_| Ok(())));
        async { wait(answer?).await }
    }

    /// Claims `table`, if nobody has it: for a store that keeps in memory what lies there, and so
    /// must be the only one.
    #[must_use]
    pub fn claim(&self, table: &str) -> Option<Claim> {
        let is_free = self.thread.claimed.lock().insert(table.to_owned());
        is_free.then(|| Claim {
            thread: Arc::clone(&self.thread),
            table: table.to_owned(),
        })
    }

    /// Reserves room for one piece of work, for a store that must know that its work will be taken
    /// before it changes what it holds in memory.
    ///
    /// # Errors
    ///
    /// `Full` if too much waits; `Closed` or `Unavailable` if the writer has stopped.
    pub fn permit(&self) -> Result<Permit<'_>, Failure> {
        let line = &*self.thread.line;
        let mut state = line.state.lock();
        if let Some(reason) = &state.closed {
            return Err(reason.clone());
        }
        if state.jobs.len() + state.reserved >= line.options.pending {
            return Err(Failure::bare(ErrorKind::Full));
        }
        state.reserved += 1;
        Ok(Permit { line })
    }
}

/// Room for one piece of work in the line of a [`Writer`].
#[derive(Debug)]
#[must_use = "it holds room that others could use"]
pub struct Permit<'a> {
    line: &'a Line,
}

impl Permit<'_> {
    /// See [`Writer::run`], which cannot be `Full` any more.
    ///
    /// # Errors
    ///
    /// As stated there.
    pub fn run<T: Send + 'static>(
        self,
        work: impl FnMut(&WriteTransaction) -> Result<T, Failure> + Send + 'static,
    ) -> impl Future<Output = Result<T, Failure>> + Send + 'static {
        wait(self.queue(true, work))
    }

    /// See [`Writer::flush`], which cannot be `Full` any more.
    ///
    /// # Errors
    ///
    /// As stated there.
    pub fn flush(self) -> impl Future<Output = Result<(), Failure>> + Send + 'static {
        wait(self.queue(false, |_| Ok(())))
    }

    fn queue<T: Send + 'static>(
        self,
        writes: bool,
        work: impl FnMut(&WriteTransaction) -> Result<T, Failure> + Send + 'static,
    ) -> oneshot::Receiver<Result<T, Failure>> {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(Work {
            run: work,
            writes,
            outcome: None,
            answer,
        });
        self.line.push(job);
        answered
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.line.state.lock().reserved -= 1;
    }
}

async fn wait<T>(answer: oneshot::Receiver<Result<T, Failure>>) -> Result<T, Failure> {
    let closed = |_| Err(Failure::bare(ErrorKind::Closed));
    answer.await.unwrap_or_else(closed)
}

/// Ends with the last clone of its [`Writer`].
#[derive(Debug)]
struct WriterThread {
    line: Arc<Line>,
    database: Arc<Database>,
    handle: Option<JoinHandle<()>>,
    claimed: Mutex<BTreeSet<String>>,
}

/// The right to use a table alone among the stores of one [`Writer`], until it is dropped.
#[derive(Debug)]
pub struct Claim {
    thread: Arc<WriterThread>,
    table: String,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.thread.claimed.lock().remove(&self.table);
    }
}

impl Drop for WriterThread {
    fn drop(&mut self) {
        self.line.close(Failure::bare(ErrorKind::Closed));
        if let Some(handle) = self.handle.take()
            && handle.thread().id() != thread::current().id()
        {
            // A panic of the thread has been reported, and has closed the line.
            let _ = handle.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures::future::join_all;
    use redb::{ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};

    use super::*;

    const NUMBERS: TableDefinition<'_, u64, u64> = TableDefinition::new("numbers");

    fn writer(options: WriterOptions) -> Writer {
        let backend = redb::backends::InMemoryBackend::new();
        let database = Database::builder().create_with_backend(backend).unwrap();
        Writer::start(Arc::new(database), options).unwrap()
    }

    fn put(
        writer: &Writer,
        number: u64,
    ) -> impl Future<Output = Result<u64, Failure>> + Send + 'static {
        writer.run(move |txn| {
            let mut numbers = txn.open_table(NUMBERS)?;
            numbers.insert(number, number)?;
            Ok(numbers.len()?)
        })
    }

    fn stored(writer: &Writer) -> Vec<u64> {
        let read = writer.database().begin_read().unwrap();
        let numbers = read.open_table(NUMBERS).unwrap();
        let keys = numbers.iter().unwrap();
        keys.map(|entry| entry.unwrap().0.value()).collect()
    }

    /// Keeps the thread busy until the returned sender is dropped.
    fn block(writer: &Writer) -> mpsc::Sender<()> {
        let (release, released) = mpsc::channel::<()>();
        let (started, has_started) = mpsc::channel::<()>();
        drop(writer.run(move |_| {
            let _ = started.send(());
            let _ = released.recv();
            Ok(())
        }));
        has_started.recv().unwrap();
        release
    }

    #[tokio::test]
    async fn work_is_done_in_the_order_of_the_calls() {
        let writer = writer(WriterOptions::default().with_group(3));
        let calls: Vec<_> = (0..100).map(|number| put(&writer, number)).collect();
        let lengths: Vec<_> = join_all(calls).await;
        let lengths: Vec<_> = lengths.into_iter().map(Result::unwrap).collect();
        assert!(lengths.into_iter().eq(1..=100));
        assert_eq!(stored(&writer).len(), 100);
    }

    #[tokio::test]
    async fn who_waits_together_shares_a_transaction() {
        let writer = writer(WriterOptions::default());
        let release = block(&writer);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let calls: Vec<_> = (0..50)
            .map(|number| {
                let (seen, database) = (Arc::clone(&seen), Arc::clone(writer.database()));
                writer.run(move |txn| {
                    txn.open_table(NUMBERS)?.insert(number, number)?;
                    let read = database.begin_read()?;
                    seen.lock().push(read.open_table(NUMBERS).is_ok());
                    Ok(())
                })
            })
            .collect();
        drop(release);
        for call in join_all(calls).await {
            call.unwrap();
        }
        assert_eq!(*seen.lock(), [false; 50], "nobody saw another committed");
        assert_eq!(stored(&writer).len(), 50);
    }

    #[tokio::test]
    async fn work_that_fails_is_undone_alone() {
        let writer = writer(WriterOptions::default());
        let release = block(&writer);
        let before = put(&writer, 1);
        let fails = writer.run(|txn| {
            txn.open_table(NUMBERS)?.insert(2, 2)?;
            Err::<(), _>(Failure::corrupt("on purpose"))
        });
        let after = put(&writer, 3);
        drop(release);
        assert_eq!(fails.await.unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!((before.await.unwrap(), after.await.unwrap()), (1, 2));
        assert_eq!(stored(&writer), [1, 3]);
    }

    #[tokio::test]
    async fn too_much_work_is_refused_and_not_done() {
        let writer = writer(WriterOptions::default().with_pending(2));
        let release = block(&writer);
        let permit = writer.permit().unwrap();
        let waits = put(&writer, 1);
        let refused = put(&writer, 2).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Full);
        drop(permit);
        let permitted = writer.permit().unwrap().run(|_| Ok(()));
        drop(release);
        permitted.await.unwrap();
        waits.await.unwrap();
        assert_eq!(stored(&writer), [1]);
    }

    #[tokio::test]
    async fn a_panic_closes_the_writer_and_leaves_nothing() {
        let writer = writer(WriterOptions::default());
        put(&writer, 1).await.unwrap();
        let release = block(&writer);
        let together = put(&writer, 2);
        let panics = writer.run(|_| -> Result<(), _> { panic!("on purpose") });
        drop(release);
        assert_eq!(panics.await.unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(together.await.unwrap_err().kind(), ErrorKind::Closed);
        let later = put(&writer, 3).await.unwrap_err();
        assert_eq!(later.kind(), ErrorKind::Closed);
        assert_eq!(stored(&writer), [1]);
    }

    #[tokio::test]
    async fn a_flush_waits_for_what_was_queued_before() {
        let writer = writer(WriterOptions::default().with_group(1));
        let release = block(&writer);
        drop(put(&writer, 1));
        let flush = writer.flush();
        drop(release);
        flush.await.unwrap();
        assert_eq!(stored(&writer), [1]);
    }

    #[test]
    fn dropping_the_writer_finishes_what_is_queued() {
        let writer = writer(WriterOptions::default());
        let database = Arc::clone(writer.database());
        for number in 0..10 {
            drop(put(&writer, number));
        }
        drop(writer);
        let read = database.begin_read().unwrap();
        assert_eq!(read.open_table(NUMBERS).unwrap().len().unwrap(), 10);
    }
}
