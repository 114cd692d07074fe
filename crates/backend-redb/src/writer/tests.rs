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

#[test]
fn bounds_of_nothing_count_as_one() {
    let line = Line::new(WriterOptions {
        pending: 0,
        group: 0,
    });
    let permit = Permit::of(&line, line.options.pending).unwrap();
    let refused = Permit::of(&line, line.options.pending).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Full);
    drop(permit.run(|_| Ok(())));
    assert_eq!(line.next_group().map(|jobs| jobs.len()), Some(1));
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
