use std::{cell::Cell, panic::AssertUnwindSafe, pin::pin};

use futures::{channel::oneshot, future::join_all, poll};

use super::*;

/// Counts how often it is read, and answers what is there when the read begins.
#[derive(Clone, Default)]
struct Source {
    reads: Arc<AtomicU64>,
    stored: Arc<AtomicU64>,
}

impl Source {
    fn read(&self, until: oneshot::Receiver<()>) -> impl Future<Output = u64> + Send + 'static {
        let source = self.clone();
        async move {
            source.reads.fetch_add(1, Ordering::Relaxed);
            let found = source.stored.load(Ordering::Relaxed);
            until.await.ok();
            found
        }
    }

    fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }
}

fn under_way<K, V>(reads: &Coalescer<K, V>) -> usize {
    reads.flights.under_way.lock().len()
}

/// One that has ended already.
fn now() -> oneshot::Receiver<()> {
    oneshot::channel().1
}

#[tokio::test]
async fn callers_at_once_share_a_read_and_the_next_reads_again() {
    let (source, reads) = (Source::default(), Coalescer::new());
    let (go, wait) = oneshot::channel();
    let mut first = pin!(reads.run("a", 0, source.read(wait)));
    assert!(poll!(&mut first).is_pending());
    let others = (0..10).map(|_| reads.run("a", 0, source.read(now())));
    let mut others = pin!(join_all(others));
    assert!(poll!(&mut others).is_pending());
    assert_eq!(
        reads.run("b", 0, source.read(now())).await,
        0,
        "another key"
    );
    go.send(()).unwrap();
    assert_eq!(others.await, [0; 10], "though the first is not polled");
    assert_eq!(first.await, 0);
    assert_eq!((source.reads(), under_way(&reads)), (2, 0));
    reads.run("a", 0, source.read(now())).await;
    assert_eq!(source.reads(), 3);
}

#[tokio::test]
async fn who_knows_of_a_write_is_not_handed_a_read_that_began_before_it() {
    let (source, reads) = (Source::default(), Coalescer::new());
    let (go, wait) = oneshot::channel();
    let mut before = pin!(reads.run("a", 0, source.read(wait)));
    assert!(poll!(&mut before).is_pending());
    source.stored.store(1, Ordering::Relaxed);
    let after = reads.run("a", 1, source.read(now()));
    assert_eq!(after.now_or_never(), Some(1));
    go.send(()).unwrap();
    assert_eq!(before.await, 0);
}

#[tokio::test]
async fn who_comes_later_joins_the_newer_read_and_its_end_is_not_forgotten_with_the_older() {
    let (source, reads) = (Source::default(), Coalescer::new());
    let (end_old, old_wait) = oneshot::channel();
    let (end_new, new_wait) = oneshot::channel();
    let mut old = pin!(reads.run("a", 0, source.read(old_wait)));
    assert!(poll!(&mut old).is_pending());
    source.stored.store(1, Ordering::Relaxed);
    let mut new = pin!(reads.run("a", 1, source.read(new_wait)));
    assert!(poll!(&mut new).is_pending());
    end_old.send(()).unwrap();
    assert_eq!(old.await, 0);
    let mut third = pin!(reads.run("a", 0, source.read(now())));
    assert!(poll!(&mut third).is_pending(), "it has joined the new one");
    end_new.send(()).unwrap();
    assert_eq!((third.await, new.await), (1, 1));
    assert_eq!((source.reads(), under_way(&reads)), (2, 0));
}

#[tokio::test]
async fn a_leader_that_is_dropped_leaves_the_read_to_the_others_and_the_last_takes_it_along() {
    let (source, reads) = (Source::default(), Coalescer::new());
    let (go, wait) = oneshot::channel();
    let mut leader = Box::pin(reads.run("a", 0, source.read(wait)));
    assert!(poll!(&mut leader).is_pending());
    let mut other = Box::pin(reads.run("a", 0, source.read(now())));
    assert!(poll!(&mut other).is_pending());
    drop(leader);
    go.send(()).unwrap();
    assert_eq!((other.await, source.reads()), (0, 1));

    let (_go, wait) = oneshot::channel();
    let mut alone = Box::pin(reads.run("a", 0, source.read(wait)));
    assert!(poll!(&mut alone).is_pending());
    drop(alone);
    assert_eq!(under_way(&reads), 0);
    reads.run("a", 0, source.read(now())).await;
    assert_eq!(source.reads(), 3);
}

#[tokio::test]
async fn a_failure_is_shared_and_not_kept() {
    let reads = Coalescer::new();
    let (go, wait) = oneshot::channel::<()>();
    let failing = async {
        wait.await.ok();
        Err::<(), _>(Arc::new("away"))
    };
    let mut first = pin!(reads.run("a", 0, failing));
    assert!(poll!(&mut first).is_pending());
    let mut second = pin!(reads.run("a", 0, async { Ok(()) }));
    assert!(poll!(&mut second).is_pending());
    go.send(()).unwrap();
    let (first, second) = (first.await.unwrap_err(), second.await.unwrap_err());
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(reads.run("a", 0, async { Ok(()) }).await, Ok(()));
}

#[tokio::test]
async fn a_read_that_panics_is_over_for_all_and_not_for_the_next() {
    let reads = Coalescer::<_, u64>::new();
    let panicking = reads.run("a", 0, async { panic!("a read") });
    assert!(AssertUnwindSafe(panicking).catch_unwind().await.is_err());
    assert_eq!(under_way(&reads), 0);
    assert_eq!(reads.run("a", 0, async { 1 }).await, 1);
}

#[tokio::test]
async fn what_was_not_needed_is_dropped_where_it_may_ask_again() {
    /// Asks again when it is dropped, which deadlocks under the lock.
    struct Asks(Coalescer<&'static str, u64>, Cell<bool>);

    impl Drop for Asks {
        fn drop(&mut self) {
            self.1.set(under_way(&self.0) == 1);
        }
    }

    let reads = Coalescer::new();
    let (_go, wait) = oneshot::channel::<()>();
    let slow = async {
        wait.await.ok();
        0
    };
    let mut first = pin!(reads.run("a", 0, slow));
    assert!(poll!(&mut first).is_pending());
    let again = Coalescer {
        flights: Arc::clone(&reads.flights),
    };
    let asks = Asks(again, Cell::new(false));
    let mut second = pin!(reads.run("a", 0, async move {
        drop(asks);
        0
    }));
    assert!(poll!(&mut second).is_pending());
}

#[test]
fn calls_on_threads_read_no_more_often_than_they_must() {
    let (source, reads) = (Source::default(), Coalescer::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for known in 0..500 {
                    source.stored.fetch_max(known, Ordering::AcqRel);
                    let read = {
                        let source = source.clone();
                        async move { source.stored.load(Ordering::Acquire) }
                    };
                    let found = futures::executor::block_on(reads.run("a", known, read));
                    assert!(found >= known, "{found} is older than {known}");
                }
            });
        }
    });
    assert_eq!(under_way(&reads), 0);
}
