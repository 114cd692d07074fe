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

use self::line::{Line, Work, WorkKind};
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
/// affect the others of its transaction, which are run again without it.
///
/// # When it stops
///
/// A commit that fails stops the writer for good, because what is in memory beside the database may
/// be ahead of it from then on; so does work that panics. [`stopped`](Self::stopped) tells, and says
/// why. Whoever waited for that commit learns that it is not known whether their work is on disk
/// (`Unavailable`, as a rule). Everybody else is [`ErrorKind::Closed`], with the reason as its
/// source: no retry on this writer, or on a store of it, can succeed.
///
/// That holds for a full disk too, also when there is room again: redb refuses all that comes after
/// a write or `fsync` that failed, and no call takes that back. The way on is to drop the stores and
/// the writer, and to open the file again, for which the process need not end.
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
    /// [`ErrorKind::Full`]. Their bytes are not counted: each holds what its caller handed in, which
    /// the limits of that store bound.
    pub pending: usize,
    /// How many pieces of work one transaction takes; 4,096 by default. It bounds what one that
    /// fails makes run again: pieces run at most 18 times each on average, however many fail.
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
    /// last outcome counts. If it panics, the writer stops, and nothing of the transaction is on
    /// disk.
    ///
    /// # Errors
    ///
    /// What `work` returned; `Full` if too much waits, and `Closed` if the writer has stopped:
    /// nothing was written. If the commit of this work failed, what that failed with, `Unavailable`
    /// as a rule: the writer has stopped, and the database must be opened again to learn whether the
    /// work is on disk.
    ///
    /// # Cancel safety
    ///
    /// The work is queued when this returns, before the future is polled. Dropping the future does
    /// not take it back.
    pub fn run<T: Send + 'static>(
        &self,
        work: impl FnMut(&WriteTransaction) -> Result<T, Failure> + Send + 'static,
    ) -> impl Future<Output = Result<T, Failure>> + Send + 'static {
        let answer = self
            .permit()
            .map(|permit| permit.queue(WorkKind::Write, work));
        async { wait(answer?).await }
    }

    /// Completes once all that was queued before this call is on disk. Costs no `fsync` if it is.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes nothing back.
    pub fn flush(&self) -> impl Future<Output = Result<(), Failure>> + Send + 'static {
        let answer = self.permit();
        let answer = answer.map(|permit| permit.queue(WorkKind::Flush, |_| Ok(())));
        async { wait(answer?).await }
    }

    /// Completes when the writer has stopped for good, with the reason; at once if it has. The
    /// reason is [`ErrorKind::Closed`], and its source says what happened: the disk failed or is
    /// full, or work panicked. There is no source if the last clone of the writer was dropped.
    ///
    /// A process that has nothing to do without its file ends here, or opens the file again as
    /// [said above](Self#when-it-stops). The future does not keep the writer from being dropped,
    /// and runs under any executor.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use backend_redb::{Writer, WriterOptions, redb::Database};
    /// # use backplane::ErrorKind;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("data.redb");
    /// let writer = Writer::start(Arc::new(Database::create(path)?), WriterOptions::default())?;
    /// let stopped = writer.stopped(); // in a server: select! on it beside the signals
    /// drop(writer);
    /// assert_eq!(stopped.await.kind(), ErrorKind::Closed);
    /// # Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub fn stopped(&self) -> impl Future<Output = Failure> + Send + use<> {
        let line = Arc::clone(&self.thread.line);
        async move { line.closed().await }
    }

    /// Whether work is still taken: for a store that answers from memory, which is ahead of the file
    /// once the writer has stopped.
    ///
    /// # Errors
    ///
    /// The reason, as [`stopped`](Self::stopped) tells it, if the writer has stopped.
    pub fn check(&self) -> Result<(), Failure> {
        self.thread
            .line
            .state
            .lock()
            .closed
            .clone()
            .map_or(Ok(()), Err)
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
    /// `Full` if too much waits, and `Closed` if the writer has stopped.
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
        wait(self.queue(WorkKind::Write, work))
    }

    /// As [`run`](Self::run), for work that writes what the caller holds in memory already, and on
    /// which later work builds. If it fails, memory is ahead of the file, so the writer stops.
    ///
    /// # Errors
    ///
    /// As stated there; if `work` fails, `Closed` with that failure as its source.
    pub fn catch_up<T: Send + 'static>(
        self,
        work: impl FnMut(&WriteTransaction) -> Result<T, Failure> + Send + 'static,
    ) -> impl Future<Output = Result<T, Failure>> + Send + 'static {
        wait(self.queue(WorkKind::CatchUp, work))
    }

    /// See [`Writer::flush`], which cannot be `Full` any more.
    ///
    /// # Errors
    ///
    /// As stated there.
    pub fn flush(self) -> impl Future<Output = Result<(), Failure>> + Send + 'static {
        wait(self.queue(WorkKind::Flush, |_| Ok(())))
    }

    fn queue<T: Send + 'static>(
        self,
        kind: WorkKind,
        work: impl FnMut(&WriteTransaction) -> Result<T, Failure> + Send + 'static,
    ) -> oneshot::Receiver<Result<T, Failure>> {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(Work {
            kind,
            run: work,
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
    use std::{
        error::Error as _,
        pin::pin,
        sync::{
            atomic::{AtomicU64, Ordering},
            mpsc,
        },
        task::Poll,
    };

    use futures::{FutureExt, future::join_all, poll};
    use redb::{ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};

    use super::*;
    use crate::scratch::BreakingDisk;

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
    async fn work_that_fails_makes_the_others_run_again_a_bounded_number_of_times() {
        for size in [250, 500, 1_000_u64] {
            for fails in [|n| n % 2 == 1, |n| n % 2 == 0, |n| n >= 200, |_| true] {
                let (runs, stored) = fail_together(size, fails).await;
                assert!(runs <= 18 * size, "{runs} runs of {size} pieces");
                assert!(
                    stored
                        .into_iter()
                        .eq((0..=size).filter(|&n| n == 0 || !fails(n)))
                );
            }
        }
    }

    /// How often `size` pieces of work ran that share a group, of which some fail after they wrote,
    /// and what was on disk when the last was answered.
    async fn fail_together(size: u64, fails: fn(u64) -> bool) -> (u64, Vec<u64>) {
        let writer = writer(WriterOptions::default());
        put(&writer, 0).await.unwrap();
        let release = block(&writer);
        let runs = Arc::new(AtomicU64::new(0));
        let calls: Vec<_> = (1..=size)
            .map(|number| {
                let runs = Arc::clone(&runs);
                writer.run(move |txn| {
                    runs.fetch_add(1, Ordering::Relaxed);
                    txn.open_table(NUMBERS)?.insert(number, number)?;
                    if fails(number) {
                        return Err(Failure::bare(ErrorKind::Full));
                    }
                    Ok(())
                })
            })
            .collect();
        drop(release);
        for (number, done) in (1..).zip(join_all(calls).await) {
            assert_eq!(done.is_err(), fails(number), "{number}");
        }
        (runs.load(Ordering::Relaxed), stored(&writer))
    }

    #[tokio::test]
    async fn what_is_committed_before_the_rest_is_on_disk_when_it_is_answered() {
        let (disk, broken) = BreakingDisk::new();
        let writer = disk.writer();
        put(&writer, 0).await.unwrap();
        let release = block(&writer);
        let mut calls = vec![put(&writer, 1).boxed()];
        for _ in 0..16 {
            let fails = writer.run(|_| Err(Failure::bare(ErrorKind::Full)));
            calls.push(fails.boxed());
        }
        // Runs again once the first piece is on disk.
        let database = Arc::clone(writer.database());
        let breaks = writer.run(move |txn| {
            let read = database.begin_read()?.open_table(NUMBERS)?;
            broken.store(read.get(1)?.is_some(), Ordering::Relaxed);
            txn.open_table(NUMBERS)?.insert(2, 2)?;
            Ok(2)
        });
        drop(release);
        let first = calls.remove(0).await;
        assert_eq!(first.unwrap(), 2);
        assert_eq!(breaks.await.unwrap_err().kind(), ErrorKind::Unavailable);
        for failed in join_all(calls).await {
            assert_eq!(failed.unwrap_err().kind(), ErrorKind::Full);
        }
        assert_eq!(stored(&writer), [0, 1]);
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
    async fn a_panic_stops_the_writer_and_leaves_nothing() {
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
        let reason = writer.check().unwrap_err();
        assert_eq!(cause(&reason), "a piece of work panicked");
    }

    #[tokio::test]
    async fn who_waits_for_the_stop_learns_the_reason() {
        let writer = writer(WriterOptions::default());
        let mut stopped = pin!(writer.stopped());
        assert!(poll!(&mut stopped).is_pending());
        writer.check().unwrap();
        let panics = writer.run(|_| -> Result<(), _> { panic!("on purpose") });
        assert_eq!(panics.await.unwrap_err().kind(), ErrorKind::Closed);
        let Poll::Ready(reason) = poll!(&mut stopped) else {
            panic!("it has stopped before anybody learns of the panic");
        };
        for reason in [reason, writer.stopped().await] {
            assert_eq!(reason.kind(), ErrorKind::Closed);
            assert_eq!(cause(&reason), "a piece of work panicked");
        }
    }

    #[tokio::test]
    async fn a_dropped_writer_has_stopped_for_no_other_reason() {
        let writer = writer(WriterOptions::default());
        let stopped = writer.stopped();
        drop(writer);
        let reason = stopped.await;
        assert_eq!(reason.kind(), ErrorKind::Closed);
        assert!(reason.source().is_none());
    }

    #[tokio::test]
    async fn a_failed_commit_is_in_doubt_and_closes_to_all_others() {
        let (disk, broken) = BreakingDisk::new();
        let writer = disk.writer();
        put(&writer, 1).await.unwrap();
        let stopped = writer.stopped();
        broken.store(true, Ordering::Relaxed);
        let in_doubt = put(&writer, 2).await.unwrap_err();
        assert_eq!(in_doubt.kind(), ErrorKind::Unavailable);
        broken.store(false, Ordering::Relaxed);
        let later = put(&writer, 3).await.unwrap_err();
        for failure in [later, stopped.await, writer.check().unwrap_err()] {
            assert_eq!(failure.kind(), ErrorKind::Closed);
            assert!(!failure.of("put").is_retryable());
        }
    }

    #[tokio::test]
    async fn what_waits_while_a_commit_fails_is_not_done() {
        let (disk, broken) = BreakingDisk::new();
        let writer = disk.writer();
        let release = block(&writer);
        let queued = put(&writer, 1);
        broken.store(true, Ordering::Relaxed);
        drop(release);
        assert_eq!(queued.await.unwrap_err().kind(), ErrorKind::Closed);
    }

    #[tokio::test]
    async fn a_disk_with_room_again_is_opened_again_in_the_same_process() {
        let (disk, broken) = BreakingDisk::new();
        let same_disk = disk.clone();
        let writer = disk.writer();
        put(&writer, 1).await.unwrap();
        broken.store(true, Ordering::Relaxed);
        put(&writer, 2).await.unwrap_err();
        drop(writer);
        broken.store(false, Ordering::Relaxed);
        let writer = same_disk.writer();
        put(&writer, 3).await.unwrap();
        assert_eq!(stored(&writer), [1, 3]);
    }

    #[tokio::test]
    async fn memory_that_the_file_cannot_catch_up_with_stops_the_writer() {
        let writer = writer(WriterOptions::default());
        put(&writer, 1).await.unwrap();
        let release = block(&writer);
        let together = put(&writer, 2);
        let permit = writer.permit().unwrap();
        let fails = permit.catch_up(|_| Err::<(), _>(Failure::corrupt("on purpose")));
        drop(release);
        for failure in [fails.await.unwrap_err(), together.await.unwrap_err()] {
            assert_eq!(failure.kind(), ErrorKind::Closed);
            assert_eq!(cause(&failure), "stored data corrupt");
        }
        assert_eq!(stored(&writer), [1]);
        writer.check().unwrap_err();
    }

    fn cause(failure: &Failure) -> String {
        failure.source().expect("it has a cause").to_string()
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
