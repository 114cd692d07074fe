//! The work that waits, and how it is done together.

use std::{collections::VecDeque, fmt};

use ::backplane::ErrorKind;
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
    pub(super) options: WriterOptions,
}

#[derive(Default)]
pub(super) struct LineState {
    pub(super) jobs: VecDeque<Box<dyn Job>>,
    pub(super) reserved: usize,
    /// Why no more work is taken.
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
        Self {
            state: Mutex::default(),
            filled: Condvar::new(),
            options,
        }
    }

    /// Adds a job to the end, unless the line is closed: then nobody answers it.
    pub(super) fn push(&self, job: Box<dyn Job>) {
        let mut state = self.state.lock();
        if state.closed.is_none() {
            state.jobs.push_back(job);
            self.filled.notify_one();
        }
    }

    /// Does the work that comes until the line is closed and empty, or a commit fails.
    pub(super) fn serve(&self, database: &Database) {
        let _closes = CloseWhenDone(self);
        while let Some(jobs) = self.next_group() {
            let (jobs, failure) = commit(database, jobs);
            let has_failed = failure.is_some();
            if let Some(failure) = failure.clone() {
                // Before anybody learns of it, so that nobody goes on as though nothing happened.
                self.close(failure);
            }
            for job in jobs {
                job.answer(failure.clone());
            }
            if has_failed {
                return;
            }
        }
    }

    /// Waits for work; `None` if none will come.
    fn next_group(&self) -> Option<Vec<Box<dyn Job>>> {
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

    pub(super) fn close(&self, reason: Failure) {
        self.state.lock().closed.get_or_insert(reason);
        self.filled.notify_one();
    }
}

/// Answers what is left in the line, however the thread ends.
struct CloseWhenDone<'a>(&'a Line);

impl Drop for CloseWhenDone<'_> {
    fn drop(&mut self) {
        self.0.close(Failure::bare(ErrorKind::Closed));
        let mut state = self.0.state.lock();
        let unanswered = std::mem::take(&mut state.jobs);
        drop(state);
        drop(unanswered);
    }
}

/// Commits in one transaction all jobs that do not fail, and answers those that do. Returns the
/// others, and why the transaction failed, if it did.
fn commit(
    database: &Database,
    mut jobs: Vec<Box<dyn Job>>,
) -> (Vec<Box<dyn Job>>, Option<Failure>) {
    loop {
        match attempt(database, &mut jobs) {
            Attempt::Committed => return (jobs, None),
            Attempt::Failed(failure) => return (jobs, Some(failure)),
            Attempt::FailedAt(index, failure) => jobs.remove(index).answer(Some(failure)),
        }
    }
}

enum Attempt {
    Committed,
    /// One job failed; nothing is on disk.
    FailedAt(usize, Failure),
    /// The transaction failed.
    Failed(Failure),
}

fn attempt(database: &Database, jobs: &mut [Box<dyn Job>]) -> Attempt {
    if jobs.is_empty() {
        return Attempt::Committed;
    }
    let transaction = match database.begin_write() {
        Ok(transaction) => transaction,
        Err(error) => return Attempt::Failed(error.into()),
    };
    for (index, job) in jobs.iter_mut().enumerate() {
        if let Err(failure) = job.run(&transaction) {
            return match transaction.abort() {
                Ok(()) => Attempt::FailedAt(index, failure),
                Err(error) => Attempt::Failed(error.into()),
            };
        }
    }
    if !jobs.iter().any(|job| job.writes()) {
        return Attempt::Committed;
    }
    match transaction.commit() {
        Ok(()) => Attempt::Committed,
        Err(error) => Attempt::Failed(error.into()),
    }
}

/// One caller's work.
pub(super) trait Job: Send {
    fn run(&mut self, transaction: &WriteTransaction) -> Result<(), Failure>;

    /// Whether a run may have changed the transaction.
    fn writes(&self) -> bool;

    /// Tells the caller what the last run returned, or that it came to nothing.
    fn answer(self: Box<Self>, failure: Option<Failure>);
}

pub(super) struct Work<T, F> {
    pub(super) run: F,
    pub(super) writes: bool,
    pub(super) outcome: Option<T>,
    pub(super) answer: oneshot::Sender<Result<T, Failure>>,
}

impl<T, F> Job for Work<T, F>
where
    T: Send,
    F: FnMut(&WriteTransaction) -> Result<T, Failure> + Send,
{
    fn run(&mut self, transaction: &WriteTransaction) -> Result<(), Failure> {
        self.outcome = Some((self.run)(transaction)?);
        Ok(())
    }

    fn writes(&self) -> bool {
        self.writes
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
