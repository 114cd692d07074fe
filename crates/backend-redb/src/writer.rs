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
        let line = &self.thread.line;
        Permit::of(line, line.options.pending)
    }

    /// As [`permit`](Self::permit), but room that is there however much waits: for the last work of a
    /// store that is dropped, of which each has one piece.
    #[cfg(feature = "feed")]
    pub(crate) fn last_permit(&self) -> Result<Permit<'_>, Failure> {
        Permit::of(&self.thread.line, usize::MAX)
    }
}

/// Room for one piece of work in the line of a [`Writer`].
#[derive(Debug)]
#[must_use = "it holds room that others could use"]
pub struct Permit<'a> {
    line: &'a Line,
}

impl<'a> Permit<'a> {
    fn of(line: &'a Line, bound: usize) -> Result<Self, Failure> {
        let mut state = line.state.lock();
        if let Some(reason) = &state.closed {
            return Err(reason.clone());
        }
        if state.jobs.len() + state.reserved >= bound {
            return Err(Failure::bare(ErrorKind::Full));
        }
        state.reserved += 1;
        Ok(Self { line })
    }

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
mod tests;
