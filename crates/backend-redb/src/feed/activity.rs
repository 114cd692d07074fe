mod record;
mod unsaved;

use std::{fmt, sync::Arc, time::Duration};

use ::backplane::{Clock, Timestamp};
use async_trait::async_trait;
use feed_core::{Activity, Error, ErrorKind, Habit, PostId, Result, Rhythm, UserId};
use futures::future::{BoxFuture, FutureExt};
use parking_lot::{Mutex, MutexGuard};
use redb::{ReadOnlyTable, ReadTransaction, ReadableTableMetadata};

use crate::{
    Claim, CorruptRow, Failure, Permit, Writer,
    feed::activity::{
        record::{ActivityTables, Record},
        unsaved::Unsaved,
    },
    store::Store,
};

/// An [`Activity`] in a redb file.
///
/// Markers and erasures are on disk when the call returns. Notes are not: every page that is read
/// makes one, so they are kept in memory and written together, at the first call that comes
/// [`lag`](RedbActivityOptions::lag) after the last write, with the next marker, or when the store is
/// dropped. No timer writes them: if no call comes, they stay in memory. A crash loses the notes since, up to
/// [`max_unsaved`](RedbActivityOptions::max_unsaved): users were here, but it is not known.
///
/// Everybody sees notes and markers at once, those that are not on disk yet included. What is on disk
/// is read there, on the caller's thread.
///
/// A user whose row does not decode is a stranger to [`rhythms`](Activity::rhythms) and nobody to
/// [`note`](Activity::note), which many users share, and told as an error event of `tracing`. What is
/// asked or marked about that user alone is `Corrupt`; to erase the user removes the row.
///
/// # Failures
///
/// The store ends with its [`Writer`], whatever stopped that: every call is `Closed` from then on,
/// also one that needs no disk, because what was read before may be ahead of the file. Open the
/// database and the store again.
///
/// ```
/// use std::sync::Arc;
/// use backend_redb::{RedbActivity, RedbActivityOptions, Writer, WriterOptions, redb::Database};
/// use backplane::SystemClock;
/// use feed_core::{Activity, PostId, UserId};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("feed.redb");
/// let writer = Writer::start(Arc::new(Database::create(path)?), WriterOptions::default())?;
/// let (clock, options) = (Arc::new(SystemClock::new()), RedbActivityOptions::default());
/// let activity = RedbActivity::open(&writer, "main", clock, options).await?;
/// let ann = UserId::new(1);
/// activity.mark_read(ann, PostId::new(9)).await?;
/// assert_eq!(activity.mark_read(ann, PostId::new(5)).await?, PostId::new(9));
/// # Ok(()) }
/// ```
pub struct RedbActivity {
    store: Store<ActivityTables>,
    clock: Arc<dyn Clock>,
    options: RedbActivityOptions,
    state: Mutex<State>,
    _claim: Claim,
}

/// The bounds of a [`RedbActivity`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RedbActivityOptions {
    /// How many users are kept; one more is refused as
    /// [`ErrorKind::Full`](feed_core::ErrorKind::Full). 1,000,000,000 by default.
    pub max_users: u64,
    /// How long notes wait for others; the first call after that writes them. One second by default.
    pub lag: Duration,
    /// How many notes may wait in memory; a call that comes then waits for the disk. 10,000 by default.
    pub max_unsaved: usize,
}

struct State {
    unsaved: Unsaved,
    /// How many users there are, on disk and unsaved.
    known: u64,
    /// When notes were last handed to the writer, by the monotonic clock.
    saved_at: Duration,
}

impl RedbActivity {
    /// Opens the activity called `name`, of which there is none if the file does not know it.
    ///
    /// # Errors
    ///
    /// `Invalid` if it is open already, and whatever the [`Writer`] fails with.
    pub async fn open(
        writer: &Writer,
        name: &str,
        clock: Arc<dyn Clock>,
        options: RedbActivityOptions,
    ) -> Result<Self> {
        const OP: &str = "open";
        // The field is public, and without room for one every note would wait for it for ever.
        let max_unsaved = options.max_unsaved;
        let options = options.with_max_unsaved(max_unsaved);
        let tables = ActivityTables::new(name);
        let Some(claim) = writer.claim(tables.users.name()) else {
            return Err(Error::new(ErrorKind::Invalid, OP, "already open"));
        };
        let store = Store::open(writer, tables).await?;
        let known = store.read(OP, |txn, tables| Ok(tables.users.read(txn)?.len()?))?;
        let state = State {
            unsaved: Unsaved::default(),
            known,
            saved_at: clock.monotonic(),
        };
        Ok(Self {
            store,
            clock,
            options,
            state: Mutex::new(state),
            _claim: claim,
        })
    }

    /// Waits for the disk while too much is unsaved.
    async fn wait_for_room(&self, op: &'static str) -> Result<()> {
        loop {
            let (number, saved) = {
                let mut state = self.lock(op)?;
                state.unsaved.settle();
                if state.unsaved.len() < self.options.max_unsaved {
                    return Ok(());
                }
                let permit = self.store.writer().permit();
                let permit = permit.map_err(|failure| failure.of(op))?;
                self.save(&mut state, permit)
            };
            self.finish(op, number, saved).await?;
        }
    }

    /// Changes what is known of `user`, if there is room for one more.
    fn change(
        &self,
        state: &mut State,
        user: UserId,
        (before, after): (Record, Record),
    ) -> Result<(), Failure> {
        if after == before {
            return Ok(());
        }
        if after.is_known && !before.is_known {
            if state.known >= self.options.max_users {
                return Err(Failure::bare(::backplane::ErrorKind::Full));
            }
            state.known += 1;
        } else if before.is_known && !after.is_known {
            state.known = state.known.saturating_sub(1);
        }
        state.unsaved.change(user, after);
        Ok(())
    }

    /// Notes that each user whose row decodes does so.
    fn note_all(
        &self,
        state: &mut State,
        users: &[UserId],
        noted: impl Fn(Record) -> Record,
    ) -> Result<(), Failure> {
        for &user in users {
            let found = self.record(state, user).map(Some);
            if let Some(before) = CorruptRow::pass_over(found, None)? {
                self.change(state, user, (before, noted(before)))?;
            }
        }
        self.save_if_due(state)
    }

    fn record(&self, state: &State, user: UserId) -> Result<Record, Failure> {
        match state.unsaved.get(user) {
            Some(record) => Ok(record),
            None => self.on_disk(&self.users(&self.store.begin_read()?)?, user),
        }
    }

    /// The records of all `users` at one instant.
    fn records(
        &self,
        op: &'static str,
        users: &[UserId],
        read_one: impl Fn(Result<Record, Failure>) -> Result<Record, Failure>,
    ) -> Result<Vec<Record>> {
        let (unsaved, txn) = {
            let state = self.lock(op)?;
            let unsaved: Vec<_> = users.iter().map(|&user| state.unsaved.get(user)).collect();
            // Begun under the lock: what is not unsaved by now is on disk by now.
            (unsaved, self.store.begin_read())
        };
        let read = || {
            let table = self.users(&txn?)?;
            let records = unsaved.into_iter().zip(users);
            let records = records.map(|(unsaved, &user)| match unsaved {
                Some(record) => Ok(record),
                None => read_one(self.on_disk(&table, user)),
            });
            records.collect::<Result<_, Failure>>()
        };
        read().map_err(|failure| failure.of(op).into())
    }

    fn users(&self, txn: &ReadTransaction) -> Result<ReadOnlyTable<u64, &'static [u8]>, Failure> {
        self.store.tables().users.read(txn)
    }

    fn on_disk(
        &self,
        users: &ReadOnlyTable<u64, &'static [u8]>,
        user: UserId,
    ) -> Result<Record, Failure> {
        self.store.tables().record(users, user)
    }

    /// Changes what is known of `user` and writes all that is unsaved. Answers once that is on disk.
    async fn change_and_save(
        &self,
        op: &'static str,
        user: UserId,
        change: impl FnOnce(Result<Record, Failure>) -> Result<(Record, Record), Failure>,
    ) -> Result<Record> {
        self.wait_for_room(op).await?;
        let (record, number, saved) = {
            let permit = self.store.writer().permit();
            let permit = permit.map_err(|failure| failure.of(op))?;
            let mut state = self.lock(op)?;
            let records = change(self.record(&state, user)).map_err(|failure| failure.of(op))?;
            let changed = self.change(&mut state, user, records);
            changed.map_err(|failure| failure.of(op))?;
            let (number, saved) = self.save(&mut state, permit);
            (records.1, number, saved)
        };
        self.finish(op, number, saved).await?;
        Ok(record)
    }

    /// Waits until all changes up to this one are on disk.
    async fn finish(
        &self,
        op: &'static str,
        number: u64,
        saved: BoxFuture<'static, Result<(), Failure>>,
    ) -> Result<()> {
        saved.await.map_err(|failure| failure.of(op))?;
        self.lock(op)?.unsaved.forget(number);
        Ok(())
    }

    /// Hands all that the writer does not have to it, and says up to which change that is.
    ///
    /// The lock is held, so that work lies in the writer's line in the order of the changes.
    fn save(
        &self,
        state: &mut State,
        permit: Permit<'_>,
    ) -> (u64, BoxFuture<'static, Result<(), Failure>>) {
        state.saved_at = self.clock.monotonic();
        let (number, records) = state.unsaved.take();
        if records.is_empty() {
            return (number, permit.flush().boxed());
        }
        let tables = Arc::clone(self.store.tables());
        let saved = permit.catch_up(move |txn| {
            let mut users = tables.users.write(txn)?;
            for (user, record) in &records {
                if record.is_known {
                    users.insert(user.get(), &*record.encode())?;
                } else {
                    users.remove(user.get())?;
                }
            }
            Ok(())
        });
        (number, saved.boxed())
    }

    /// Hands notes to the writer if they have waited long enough and it is done with earlier ones.
    fn save_if_due(&self, state: &mut State) -> Result<(), Failure> {
        state.unsaved.settle();
        let waited = self.clock.monotonic().saturating_sub(state.saved_at);
        if waited < self.options.lag || !state.unsaved.has_new() || state.unsaved.saving.is_some() {
            return Ok(());
        }
        match self.store.writer().permit() {
            Ok(permit) => state.unsaved.saving = Some(self.save(state, permit)),
            // The next call tries again.
            Err(failure) if failure.kind() == ::backplane::ErrorKind::Full => {}
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    fn lock(&self, op: &'static str) -> Result<MutexGuard<'_, State>> {
        let open = self.store.writer().check();
        open.map_err(|failure| failure.of(op))?;
        Ok(self.state.lock())
    }
}

#[async_trait]
impl Activity for RedbActivity {
    async fn note(&self, habit: Habit, users: &[UserId], at: Timestamp) -> Result<()> {
        const OP: &str = "note";
        self.wait_for_room(OP).await?;
        let mut state = self.lock(OP)?;
        let noted = self.note_all(&mut state, users, |record| record.noted(habit, at));
        noted.map_err(|failure| failure.of(OP).into())
    }

    async fn rhythms(&self, habit: Habit, users: &[UserId]) -> Result<Vec<Option<Rhythm>>> {
        let or_stranger = |found| CorruptRow::pass_over(found, Record::NONE);
        let records = self.records("rhythms", users, or_stranger)?;
        Ok(records.iter().map(|record| record.rhythm(habit)).collect())
    }

    async fn mark_read(&self, viewer: UserId, post: PostId) -> Result<PostId> {
        let marked = self.change_and_save("mark read", viewer, |found| {
            let before = found?;
            Ok((before, before.read_to(post)))
        });
        Ok(marked.await?.marker)
    }

    async fn marker(&self, viewer: UserId) -> Result<PostId> {
        let records = self.records("marker", &[viewer], |found| found)?;
        Ok(records.first().map_or(PostId::MIN, |record| record.marker))
    }

    async fn erase(&self, user: UserId) -> Result<()> {
        let erased = self.change_and_save("erase", user, |found| {
            // Whatever the row says, it goes.
            let before = CorruptRow::make_up(found, || Ok(Record::EMPTY))?;
            Ok((before, Record::NONE))
        });
        erased.await.map(drop)
    }
}

impl Drop for RedbActivity {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        if state.unsaved.has_new()
            && let Ok(permit) = self.store.writer().last_permit()
        {
            // The writer does what is queued before it ends.
            drop(self.save(&mut state, permit));
        }
    }
}

impl fmt::Debug for RedbActivity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbActivity")
            .field("store", &self.store)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl RedbActivityOptions {
    /// Room for `users` users.
    #[must_use]
    pub const fn with_max_users(mut self, users: u64) -> Self {
        self.max_users = users;
        self
    }

    /// Lets notes wait for `time`.
    #[must_use]
    pub const fn with_lag(mut self, time: Duration) -> Self {
        self.lag = time;
        self
    }

    /// Lets `notes` wait; 0 counts as 1.
    #[must_use]
    pub fn with_max_unsaved(mut self, notes: usize) -> Self {
        self.max_unsaved = notes.max(1);
        self
    }
}

impl Default for RedbActivityOptions {
    fn default() -> Self {
        Self {
            max_users: 1_000_000_000,
            lag: Duration::from_secs(1),
            max_unsaved: 10_000,
        }
    }
}

#[cfg(test)]
mod tests;
