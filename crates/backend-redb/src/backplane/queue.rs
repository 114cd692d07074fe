use std::{pin::pin, sync::Arc, time::Duration};

use ::backplane::{
    Clock, Error, ErrorKind, Result, Signal,
    queue::{
        DeadLetter, Discarded, Enqueued, Extended, Lane, Lease, LeaseKey, Ledger, Moment, NewTask,
        QueueOptions, QueueStats, Settled, Settlement, TaskId, TaskQueue, TaskRecord,
    },
};
use async_trait::async_trait;
use futures::future::{BoxFuture, FutureExt, select};
use parking_lot::{Mutex, MutexGuard};
use redb::{ReadableTable, TableDefinition, WriteTransaction};

use super::task_codec::{decode, encode};
use crate::{Claim, CorruptRow, Failure, Permit, Writer, format};

/// A [`TaskQueue`] in a redb file; share it in an `Arc`.
///
/// The order of the tasks is kept in memory and every task on disk: opening a queue reads all of
/// it, and [`QueueOptions::capacity`] bounds both. What a call did is on disk when it returns;
/// [`stats`](TaskQueue::stats) and [`dead_letters`](TaskQueue::dead_letters) may tell of a call that
/// is not yet.
///
/// # After a restart
///
/// A lease does not outlive the process: its task is due when the queue is opened again, or a dead
/// letter if that was its last attempt. A task that was due stays so. While no process has the queue
/// open, delays go by the wall clock; within one, by the monotonic clock. If the wall clock was set
/// back meanwhile, no task waits longer from the opening on than it was told to, and no key of a
/// settled task is remembered longer than [`QueueOptions::key_retention`].
///
/// # Erasure
///
/// What a purge removed cannot be read through any table again. Its bytes may stay in free pages of
/// the file until those are used again or the database is compacted.
///
/// # Rows that do not decode
///
/// A task that does not decode is passed over when the queue is opened, and told as an error event of
/// `tracing`. Its row stays in the file as it is, for a later opening to read, so that nothing is
/// lost; until then the queue knows neither the task nor its key, and a purge of its lane leaves it.
///
/// # Failures
///
/// The queue ends with its [`Writer`], whatever stopped that: who [waits](TaskQueue::ready) is
/// woken, and every call is `Closed` from then on, also one that needs no disk, because the queue may
/// be ahead of the file. Open the database and the queue again.
#[derive(Debug)]
pub struct RedbQueue {
    writer: Writer,
    table: Arc<str>,
    clock: Arc<dyn Clock>,
    /// What `clock` read when the queue was opened.
    opened: Moment,
    ledger: Mutex<Ledger>,
    stirred: Signal,
    _claim: Claim,
}

impl RedbQueue {
    /// Opens the queue called `name`, which is empty if the file does not know it.
    ///
    /// # Errors
    ///
    /// `Invalid` if the queue is open already or the file is of a
    /// [newer format](crate::NewerFormat), and whatever the [`Writer`] fails with.
    pub async fn open(
        writer: &Writer,
        name: &str,
        clock: Arc<dyn Clock>,
        options: QueueOptions,
    ) -> Result<Self> {
        let table: Arc<str> = format!("backplane.queue.{name}").into();
        let Some(claim) = writer.claim(&table) else {
            return Err(Error::new(ErrorKind::Invalid, "open", "already open"));
        };
        let opened = Moment::new(clock.monotonic(), clock.now());
        let its_table = Arc::clone(&table);
        let (retention, now) = (options.key_retention, since_epoch(opened, &*clock).elapsed);
        let load = writer.run(move |txn| load(txn, &its_table, retention, now));
        let (incarnation, records) = load.await.map_err(|failure| failure.of("open"))?;

        let now = since_epoch(opened, &*clock);
        let ledger = Ledger::restore(options, incarnation, records, now)?;
        Ok(Self {
            writer: writer.clone(),
            table,
            clock,
            opened,
            ledger: Mutex::new(ledger),
            stirred: Signal::default(),
            _claim: claim,
        })
    }

    /// Applies `act` to the ledger, and returns what it returned once that is on disk.
    async fn apply<R>(
        &self,
        op: &'static str,
        act: impl FnOnce(&mut Ledger, Moment) -> Result<R>,
    ) -> Result<R> {
        let (result, stored) = self.begin(op, act)?;
        stored.await.map_err(|failure| failure.of(op))?;
        Ok(result)
    }

    /// Applies `act` to the ledger and queues what changed.
    ///
    /// One lock holds both together, so that work lies in the writer's line in the order of the
    /// ledger's operations: an answer then vouches for every earlier operation it depends on.
    fn begin<R>(
        &self,
        op: &'static str,
        act: impl FnOnce(&mut Ledger, Moment) -> Result<R>,
    ) -> Result<(R, BoxFuture<'static, Result<(), Failure>>)> {
        let permit = self.writer.permit().map_err(|failure| failure.of(op))?;
        let mut ledger = self.lock(op)?;
        let now = since_epoch(self.opened, &*self.clock);
        let result = act(&mut ledger, now)?;
        let stored = self.store(permit, ledger.take_changes(), now.elapsed);
        let stirred = ledger.take_stirred();
        drop(ledger);
        if stirred {
            self.stirred.raise();
        }
        Ok((result, stored))
    }

    fn store(
        &self,
        permit: Permit<'_>,
        changes: Vec<(TaskId, Option<TaskRecord>)>,
        now: Duration,
    ) -> BoxFuture<'static, Result<(), Failure>> {
        if changes.is_empty() {
            return permit.flush().boxed();
        }
        let encoded = |(task, record): (TaskId, Option<_>)| {
            let row = record.as_ref().map(|record| encode(record, now));
            (task, row)
        };
        let changes: Vec<_> = changes.into_iter().map(encoded).collect();
        let table = Arc::clone(&self.table);
        let store = permit.catch_up(move |txn| store(txn, &table, &changes));
        store.boxed()
    }

    /// Looks at the ledger without waiting for the disk.
    fn look<R>(&self, op: &'static str, look: impl FnOnce(&mut Ledger, Moment) -> R) -> Result<R> {
        let mut ledger = self.lock(op)?;
        let now = since_epoch(self.opened, &*self.clock);
        Ok(look(&mut ledger, now))
    }

    fn lock(&self, op: &'static str) -> Result<MutexGuard<'_, Ledger>> {
        self.writer.check().map_err(|failure| failure.of(op))?;
        Ok(self.ledger.lock())
    }
}

#[async_trait]
impl TaskQueue for RedbQueue {
    async fn enqueue(&self, tasks: &[NewTask]) -> Result<Enqueued> {
        self.apply("enqueue", |ledger, now| ledger.enqueue(tasks, now))
            .await
    }

    async fn lease(&self, max: usize, ttl: Duration) -> Result<Vec<Lease>> {
        self.apply("lease", |ledger, now| ledger.lease(max, ttl, now))
            .await
    }

    async fn extend(&self, leases: &[LeaseKey], ttl: Duration) -> Result<Vec<Extended>> {
        self.look("extend", |ledger, now| ledger.extend(leases, ttl, now))
    }

    async fn settle(&self, settlements: &[(LeaseKey, Settlement)]) -> Result<Vec<Settled>> {
        self.apply("settle", |ledger, now| ledger.settle(settlements, now))
            .await
    }

    async fn dead_letters(&self, after: Option<TaskId>, limit: usize) -> Result<Vec<DeadLetter>> {
        self.look("dead_letters", |ledger, now| {
            ledger.dead_letters(after, limit, now)
        })
    }

    async fn redrive(&self, tasks: &[TaskId]) -> Result<usize> {
        self.apply("redrive", |ledger, now| Ok(ledger.redrive(tasks, now)))
            .await
    }

    async fn discard(&self, tasks: &[TaskId]) -> Result<Vec<Discarded>> {
        self.apply("discard", |ledger, now| Ok(ledger.discard(tasks, now)))
            .await
    }

    async fn purge_lane(&self, lane: Lane) -> Result<usize> {
        self.apply("purge_lane", |ledger, now| Ok(ledger.purge_lane(lane, now)))
            .await
    }

    async fn stats(&self) -> Result<QueueStats> {
        self.look("stats", Ledger::stats)
    }

    fn max_attempts(&self) -> u32 {
        self.ledger.lock().max_attempts()
    }

    async fn ready(&self) -> Result<()> {
        let mut stopped = pin!(self.writer.stopped());
        loop {
            let stirred = self.stirred.listen();
            let wait = self.look("ready", Ledger::next_due)?;
            if wait == Some(Duration::ZERO) {
                return Ok(());
            }
            select(pin!(stirred.or_after(wait, &*self.clock)), &mut stopped).await;
        }
    }
}

/// Which incarnation of each queue was opened last, by the name of its table.
const INCARNATIONS: TableDefinition<'_, &str, u32> = TableDefinition::new("backplane.queues");

fn tasks(table: &str) -> TableDefinition<'_, u64, &'static [u8]> {
    TableDefinition::new(table)
}

/// Begins the next incarnation of a queue, and reads what the last one left.
fn load(
    txn: &WriteTransaction,
    table: &str,
    retention: Duration,
    now: Duration,
) -> Result<(u32, Vec<TaskRecord>), Failure> {
    format::check(txn)?;
    let mut incarnations = txn.open_table(INCARNATIONS)?;
    let last = incarnations.get(table)?.map_or(0, |last| last.value());
    let incarnation = last.saturating_add(1);
    incarnations.insert(table, incarnation)?;
    let (mut records, mut shortened) = (Vec::new(), Vec::new());
    for entry in txn.open_table(tasks(table))?.iter()? {
        let (task, row) = entry?;
        let stored = decode(table, task.value(), row.value()).map(Some);
        let Some(mut stored) = CorruptRow::pass_over(stored, None)? else {
            continue;
        };
        if stored.shorten(now, retention) {
            let row = encode(&stored.record, now);
            shortened.push((stored.record.task, Some(row)));
        }
        records.push(stored.record);
    }
    store(txn, table, &shortened)?;
    Ok((incarnation, records))
}

fn store(
    txn: &WriteTransaction,
    table: &str,
    changes: &[(TaskId, Option<Vec<u8>>)],
) -> Result<(), Failure> {
    let mut tasks = txn.open_table(tasks(table))?;
    for (task, record) in changes {
        match record {
            Some(record) => drop(tasks.insert(task.get(), &**record)?),
            None => drop(tasks.remove(task.get())?),
        }
    }
    Ok(())
}

/// The present as a ledger counts it that outlives processes: since the epoch, by the wall clock up
/// to `opened` and by the monotonic clock from then on.
fn since_epoch(opened: Moment, clock: &dyn Clock) -> Moment {
    let before = Duration::from_millis(opened.wall.as_millis());
    let within = clock.monotonic().saturating_sub(opened.elapsed);
    Moment::new(before.saturating_add(within), clock.now())
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::atomic::Ordering};

    use ::backplane::{
        ManualClock,
        conformance::{Fresh, TestTime, queue::options},
        queue::{Admission, Priority},
    };
    use futures::poll;
    use redb::Database;

    use super::*;
    use crate::{
        WriterOptions,
        scratch::{BreakingDisk, Scratch},
    };

    const MINUTE: Duration = Duration::from_secs(60);

    fn writer(path: &Path) -> Writer {
        let database = Arc::new(Database::create(path).unwrap());
        Writer::start(database, WriterOptions::default()).unwrap()
    }

    async fn open(writer: &Writer, clock: &ManualClock) -> Result<RedbQueue> {
        let clock = Arc::new(clock.clone());
        RedbQueue::open(writer, "test", clock, options()).await
    }

    async fn fresh() -> Fresh<dyn TaskQueue> {
        // The file is unlinked at once, and lives as long as it is open.
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(&folder.path().join("data.redb"));
        let clock = ManualClock::default();
        Fresh {
            store: Arc::new(open(&writer, &clock).await.unwrap()),
            time: TestTime::Manual(clock),
        }
    }

    backplane::task_queue_conformance!(fresh());

    #[tokio::test]
    async fn an_opened_queue_goes_on_where_the_last_one_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.redb");
        let clock = ManualClock::default();
        let first = {
            let writer = writer(&path);
            let queue = open(&writer, &clock).await.unwrap();
            let task = |payload: &'static str| NewTask::new(payload).with_key(payload);
            for payload in ["dead", "settled", "leased"] {
                queue.enqueue(&[task(payload)]).await.unwrap();
            }
            let leases = queue.lease(3, MINUTE).await.unwrap();
            let reason = "no".to_owned();
            let settlements = [
                (leases[0].key, Settlement::Bury { reason }),
                (leases[1].key, Settlement::Ack),
            ];
            queue.settle(&settlements).await.unwrap();
            let low = task("low").with_priority(Priority::Low).with_lane(3);
            queue.enqueue(&[low, task("ready")]).await.unwrap();
            let late = task("late").with_delay(MINUTE);
            queue.enqueue(&[late]).await.unwrap();
            leases[2].clone()
        };
        let writer = writer(&path);
        let queue = open(&writer, &clock).await.unwrap();
        let stats = queue.stats().await.unwrap();
        assert_eq!(
            (stats.ready, stats.delayed, stats.leased, stats.dead),
            (3, 1, 0, 1)
        );
        let known = [NewTask::new("again").with_key("settled")];
        let Enqueued::Accepted(admitted) = queue.enqueue(&known).await.unwrap() else {
            panic!("a known key needs no room");
        };
        assert_ne!(admitted[0], Admission::New(admitted[0].task()));
        let stale = queue.settle(&[(first.key, Settlement::Ack)]).await.unwrap();
        assert_eq!(stale, [Settled::Lost]);

        let leases = queue.lease(10, MINUTE).await.unwrap();
        let again = leases.iter().find(|lease| lease.key.task == first.key.task);
        let again = again.expect("the interrupted task is due");
        assert_eq!((&*again.payload, again.attempt), (&b"leased"[..], 2));
        assert!(again.key.token > first.key.token);
        assert_eq!(leases.len(), 3);
        clock.advance(MINUTE * 2);
        let leases = queue.lease(10, MINUTE).await.unwrap();
        assert!(leases.iter().any(|lease| lease.payload == "late"));
    }

    #[tokio::test]
    async fn a_task_that_was_due_is_due_after_the_wall_clock_was_set_back() {
        let scratch = Scratch::new();
        let first = open(&scratch.writer(), &late()).await.unwrap();
        first.enqueue(&[NewTask::new("due")]).await.unwrap();
        drop(first);
        let writer = scratch.writer();
        let queue = open(&writer, &ManualClock::default()).await.unwrap();
        let leases = queue.lease(2, MINUTE).await.unwrap();
        let payloads: Vec<_> = leases.into_iter().map(|lease| lease.payload).collect();
        assert_eq!(payloads, ["due"]);
    }

    /// The clock of a process that was a year ahead.
    fn late() -> ManualClock {
        let clock = ManualClock::default();
        clock.advance(Duration::from_secs(365 * 86_400));
        clock
    }

    #[tokio::test]
    async fn a_task_waits_no_longer_than_it_was_told_after_the_wall_clock_was_set_back() {
        let scratch = Scratch::new();
        let first = open(&scratch.writer(), &late()).await.unwrap();
        first.enqueue(&[NewTask::new("retried")]).await.unwrap();
        let lease = first.lease(1, MINUTE).await.unwrap().remove(0);
        let retry = Settlement::Retry {
            delay: MINUTE,
            reason: "no".to_owned(),
        };
        first.settle(&[(lease.key, retry)]).await.unwrap();
        let delayed = NewTask::new("delayed").with_delay(MINUTE * 2);
        first.enqueue(&[delayed]).await.unwrap();
        drop(first);

        let clock = ManualClock::default();
        // To be opened again does not make it wait anew.
        for (waiting, expected) in [(2, &[][..]), (1, b"retried"), (0, b"delayed")] {
            let writer = scratch.writer();
            let queue = open(&writer, &clock).await.unwrap();
            let leases = queue.lease(9, MINUTE).await.unwrap();
            let payloads: Vec<_> = leases.iter().map(|lease| &*lease.payload).collect();
            assert_eq!(payloads.concat(), expected);
            assert_eq!(queue.stats().await.unwrap().delayed, waiting);
            for lease in leases {
                let done = (lease.key, Settlement::Ack);
                queue.settle(&[done]).await.unwrap();
            }
            clock.advance(MINUTE);
        }
    }

    #[tokio::test]
    async fn a_key_is_remembered_no_longer_than_for_its_time_after_the_wall_clock_was_set_back() {
        let scratch = Scratch::new();
        let known = [NewTask::new("settled").with_key("key")];
        let first = open(&scratch.writer(), &late()).await.unwrap();
        first.enqueue(&known).await.unwrap();
        let lease = first.lease(1, MINUTE).await.unwrap().remove(0);
        let done = (lease.key, Settlement::Ack);
        first.settle(&[done]).await.unwrap();
        drop(first);

        let clock = ManualClock::default();
        for is_new in [false, true] {
            let writer = scratch.writer();
            let queue = open(&writer, &clock).await.unwrap();
            let Enqueued::Accepted(admitted) = queue.enqueue(&known).await.unwrap() else {
                panic!("there is room");
            };
            let new = Admission::New(admitted[0].task());
            assert_eq!(admitted[0] == new, is_new);
            clock.advance(options().key_retention);
        }
    }

    #[tokio::test]
    async fn a_queue_is_open_once_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(&folder.path().join("data.redb"));
        let clock = ManualClock::default();
        let queue = open(&writer, &clock).await.unwrap();
        let second = open(&writer, &clock).await.unwrap_err();
        assert_eq!(second.kind(), ErrorKind::Invalid);
        drop(queue);
        open(&writer, &clock).await.unwrap();
    }

    #[tokio::test]
    async fn after_a_failed_commit_nothing_is_promised() {
        let (disk, broken) = BreakingDisk::new();
        let writer = disk.writer();
        let queue = open(&writer, &ManualClock::default()).await.unwrap();
        queue.enqueue(&[NewTask::new("a")]).await.unwrap();
        broken.store(true, Ordering::Relaxed);
        let failed = queue.enqueue(&[NewTask::new("b")]).await.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::Unavailable, "b may be on disk");
        broken.store(false, Ordering::Relaxed);
        let enqueued = queue.enqueue(&[NewTask::new("b")]).await;
        assert_eq!(enqueued.unwrap_err().kind(), ErrorKind::Closed);
        let leased = queue.lease(1, MINUTE).await;
        assert_eq!(leased.unwrap_err().kind(), ErrorKind::Closed);
    }

    #[tokio::test]
    async fn a_panic_in_the_work_of_another_store_ends_the_queue() {
        let writer = Scratch::new().writer();
        let queue = open(&writer, &ManualClock::default()).await.unwrap();
        queue.enqueue(&[NewTask::new("a")]).await.unwrap();
        let lease = queue.lease(1, MINUTE).await.unwrap().remove(0);
        let mut ready = queue.ready();
        assert!(poll!(&mut ready).is_pending());

        let panics = writer.run(|_| -> Result<(), _> { panic!("on purpose") });
        panics.await.unwrap_err();
        let errors = [
            ready.await.unwrap_err(),
            queue.extend(&[lease.key], MINUTE).await.unwrap_err(),
            queue.stats().await.unwrap_err(),
            queue.dead_letters(None, 1).await.unwrap_err(),
            queue.enqueue(&[NewTask::new("b")]).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::Closed);
            assert!(!error.is_retryable());
        }
    }

    #[tokio::test]
    async fn a_task_that_does_not_decode_is_passed_over_and_kept() {
        const GARBAGE: [u8; 3] = [9, 9, 9];
        let writer = Scratch::new().writer();
        let queue = open(&writer, &ManualClock::default()).await.unwrap();
        queue.enqueue(&[NewTask::new("sound")]).await.unwrap();
        drop(queue);
        let garbage = writer.run(|txn| {
            let mut tasks = txn.open_table(tasks("backplane.queue.test"))?;
            tasks.insert(1, &GARBAGE[..])?;
            Ok(())
        });
        garbage.await.unwrap();
        for _ in 0..2 {
            let queue = open(&writer, &ManualClock::default()).await.unwrap();
            let stats = queue.stats().await.unwrap();
            assert_eq!((stats.ready, stats.dead), (1, 0));
        }
        let kept = writer.run(|txn| {
            let tasks = txn.open_table(tasks("backplane.queue.test"))?;
            Ok(tasks.get(1)?.map(|row| row.value().to_vec()))
        });
        assert_eq!(kept.await.unwrap(), Some(GARBAGE.to_vec()));
    }
}
