//! The work that waits, and how it is done together.
//!
//! [`Line::serve`] is all that the writer's thread does. It takes what waits as one group and gives
//! it to [`commit`], which has the group done and answers each job once it is on disk; if that comes
//! to a [`Stop`], it closes the line for good and tells everybody why. `commit` calls [`attempt`] with
//! as many jobs as one transaction shall hold, again without each one that failed. `attempt` begins
//! the transaction, has every job [`run`](Job::run) in it in the order of the line, and commits it,
//! or undoes it at the first that fails. A job's `run` calls what the store handed in.

use std::{
    collections::VecDeque,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use ::backplane::{ErrorKind, Signal};
use futures::channel::oneshot;
use parking_lot::{Condvar, Mutex};
use redb::{Database, WriteTransaction};

use super::WriterOptions;
use crate::Failure;

/// The work that waits for the thread.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) state: Mutex<LineState>,
    filled: Condvar,
    closes: Signal,
    pub(super) options: WriterOptions,
}

#[derive(Default)]
pub(super) struct LineState {
    pub(super) jobs: VecDeque<Box<dyn Job>>,
    pub(super) reserved: usize,
    /// Why no more work is taken, for good. Nothing else says so.
    pub(super) closed: Option<Failure>,
}

impl fmt::Debug for LineState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineState")
            .field("jobs", &self.jobs.len())
            .field("reserved", &self.reserved)
            .field("closed", &self.closed)
            .finish()
    }
}

impl Line {
    pub(super) fn new(options: WriterOptions) -> Self {
        // The fields are public, and a line that takes nothing would be served for ever.
        let WriterOptions { pending, group } = options;
        let options = options.with_pending(pending).with_group(group);
        Self {
            state: Mutex::default(),
            filled: Condvar::new(),
            closes: Signal::default(),
            options,
        }
    }

    /// Adds a job to the end, unless the line is closed: then it is answered so.
    pub(super) fn push(&self, job: Box<dyn Job>) {
        let mut state = self.state.lock();
        match state.closed.clone() {
            None => {
                state.jobs.push_back(job);
                self.filled.notify_one();
            }
            Some(reason) => {
                drop(state);
                job.answer(Some(reason));
            }
        }
    }

    /// Does the work that comes until the line is closed and empty, or until it must stop.
    pub(super) fn serve(&self, database: &Database) {
        let _closes = CloseWhenDone(self);
        while let Some(mut jobs) = self.next_group() {
            let Err(stop) = commit(database, &mut jobs) else {
                continue;
            };
            // Before anybody learns of it, so that nobody goes on as though nothing happened.
            let reason = self.close(stop.reason());
            let in_doubt = match stop {
                Stop::Undone(_) => None,
                Stop::InDoubt(size, failure) => Some((size, failure)),
            };
            for (index, job) in jobs.into_iter().enumerate() {
                let answer = match &in_doubt {
                    Some((size, failure)) if index < *size => failure.clone(),
                    _ => reason.clone(),
                };
                job.answer(Some(answer));
            }
            return;
        }
    }

    /// Waits for work; `None` if none will come.
    pub(super) fn next_group(&self) -> Option<Vec<Box<dyn Job>>> {
        let mut state = self.state.lock();
        while state.jobs.is_empty() {
            if state.closed.is_some() {
                return None;
            }
            self.filled.wait(&mut state);
        }
        let size = state.jobs.len().min(self.options.group);
        Some(state.jobs.drain(..size).collect())
    }

    /// Closes the line for good, unless it is, and says why it was closed.
    pub(super) fn close(&self, reason: Failure) -> Failure {
        let reason = self.state.lock().closed.get_or_insert(reason).clone();
        self.filled.notify_one();
        self.closes.raise();
        reason
    }

    /// Waits until the line is closed, and says why it was.
    pub(super) async fn closed(&self) -> Failure {
        loop {
            let closes = self.closes.listen();
            let reason = self.state.lock().closed.clone();
            if let Some(reason) = reason {
                return reason;
            }
            closes.await;
        }
    }
}

/// Answers what is left in the line, however the thread ends.
struct CloseWhenDone<'a>(&'a Line);

impl Drop for CloseWhenDone<'_> {
    fn drop(&mut self) {
        let reason = self.0.close(Failure::bare(ErrorKind::Closed));
        let unanswered = std::mem::take(&mut self.0.state.lock().jobs);
        for job in unanswered {
            job.answer(Some(reason.clone()));
        }
    }
}

/// Commits all `jobs` that do not fail, and answers each. Leaves those without an answer that come
/// to nothing because no more can be done.
///
/// They share one transaction, which is run again without a job that fails. So that jobs which fail
/// do not make the others run again for ever, what ran before every [`RERUNS`]th of them is committed
/// by itself, and so never runs again. With `n` jobs, of which `f` fail, that makes at most
/// `n * (RERUNS + 2)` runs and `f / RERUNS + 1` commits.
fn commit(database: &Database, jobs: &mut Vec<Box<dyn Job>>) -> Result<(), Stop> {
    let mut failed = 0;
    let mut size = jobs.len();
    while size > 0 {
        match attempt(database, &mut jobs[..size]) {
            Attempt::Committed => {
                for job in jobs.drain(..size) {
                    job.answer(None);
                }
                failed = 0;
                size = jobs.len();
            }
            Attempt::FailedAt(index, failure) => {
                jobs.remove(index).answer(Some(failure));
                failed += 1;
                size = match failed {
                    RERUNS.. if index > 0 => index,
                    _ => size - 1,
                };
            }
            Attempt::Stopped(stop) => return Err(stop),
        }
    }
    Ok(())
}

/// How many jobs may fail before what ran before them is committed by itself: one `fsync` more for
/// so many reruns less.
const RERUNS: usize = 16;

enum Attempt {
    Committed,
    /// One job failed; nothing is on disk.
    FailedAt(usize, Failure),
    Stopped(Stop),
}

/// Why no more work can be done.
enum Stop {
    /// Nothing of the transaction is on disk.
    Undone(Failure),
    /// All of the transaction is on disk, or nothing: so many jobs from the first.
    InDoubt(usize, Failure),
}

impl Stop {
    /// What all later work is answered.
    fn reason(&self) -> Failure {
        let (Self::Undone(failure) | Self::InDoubt(_, failure)) = self;
        failure.clone().closing()
    }
}

fn attempt(database: &Database, jobs: &mut [Box<dyn Job>]) -> Attempt {
    // Without `set_quick_repair`, which would record in every commit what spares an opening after a
    // crash its scan, and for that costs each commit a second `fsync`: every caller would wait longer
    // so that a rare opening is shorter.
    let transaction = match database.begin_write() {
        Ok(transaction) => transaction,
        Err(error) => return Attempt::Stopped(Stop::Undone(error.into())),
    };
    for (index, job) in jobs.iter_mut().enumerate() {
        let Err(failed) = job.run(&transaction) else {
            continue;
        };
        return match (transaction.abort(), failed) {
            (_, Failed::Stops(failure)) => Attempt::Stopped(Stop::Undone(failure)),
            (Err(error), _) => Attempt::Stopped(Stop::Undone(error.into())),
            (Ok(()), Failed::Alone(failure)) => Attempt::FailedAt(index, failure),
        };
    }
    if !jobs.iter().any(|job| job.writes()) {
        return Attempt::Committed;
    }
    match transaction.commit() {
        Ok(()) => Attempt::Committed,
        Err(error) => Attempt::Stopped(Stop::InDoubt(jobs.len(), error.into())),
    }
}

/// One caller's work.
pub(super) trait Job: Send {
    fn run(&mut self, transaction: &WriteTransaction) -> Result<(), Failed>;

    /// Whether a run may have changed the transaction.
    fn writes(&self) -> bool;

    /// Tells the caller what the last run returned, or that it came to nothing.
    fn answer(self: Box<Self>, failure: Option<Failure>);
}

/// How a job failed.
pub(super) enum Failed {
    /// It is undone, and the others go on.
    Alone(Failure),
    /// Memory beside the file is ahead of it now, so nothing may go on.
    Stops(Failure),
}

pub(super) struct Work<T, F> {
    pub(super) kind: WorkKind,
    pub(super) run: F,
    pub(super) outcome: Option<T>,
    pub(super) answer: oneshot::Sender<Result<T, Failure>>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum WorkKind {
    /// Changes nothing.
    Flush,
    /// Decides by what is on disk.
    Write,
    /// Writes what memory holds already.
    CatchUp,
}

impl<T, F> Job for Work<T, F>
where
    T: Send,
    F: FnMut(&WriteTransaction) -> Result<T, Failure> + Send,
{
    fn run(&mut self, transaction: &WriteTransaction) -> Result<(), Failed> {
        // Nobody sees again what a panic left behind: the writer stops.
        match catch_unwind(AssertUnwindSafe(|| (self.run)(transaction))) {
            Ok(Ok(outcome)) => {
                self.outcome = Some(outcome);
                Ok(())
            }
            Ok(Err(failure)) if self.kind == WorkKind::CatchUp => Err(Failed::Stops(failure)),
            Ok(Err(failure)) => Err(Failed::Alone(failure)),
            Err(_) => Err(Failed::Stops(Failure::panic())),
        }
    }

    fn writes(&self) -> bool {
        self.kind != WorkKind::Flush
    }

    fn answer(self: Box<Self>, failure: Option<Failure>) {
        let answer = match (failure, self.outcome) {
            (None, Some(outcome)) => Ok(outcome),
            (Some(failure), _) => Err(failure),
            (None, None) => Err(Failure::bare(ErrorKind::Closed)),
        };
        // A caller that has gone away needs no answer.
        let _ = self.answer.send(answer);
    }
}
