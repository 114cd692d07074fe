//! Users at their work.

use std::{
    hint,
    panic::resume_unwind,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use anyhow::bail;
use backplane::{Clock, SystemClock};
use feed_core::{Feed, NewPost, PageRequest, PostId, Published, UserId};
use futures::executor::block_on;

use super::{
    beat::Beat,
    latency::Latencies,
    mix::{Operation, Script, user},
    progress::Progress,
};

/// How long the operations of a beat took.
#[derive(Debug)]
pub(super) struct Timings {
    /// From when a read was due.
    pub(super) reads: Latencies,
    /// From when a post was due.
    pub(super) posts: Latencies,
    /// From when a client began to read.
    pub(super) reading: Latencies,
}

/// With so little left to wait, sleep would last too long.
const SHORTEST_SLEEP: Duration = Duration::from_micros(500);

/// Does all of `script` as fast as so many clients can, each one thing after the other.
///
/// It shows how much can be done, and nothing about how long one thing takes: a client that is held up
/// asks for nothing meanwhile, so what would have waited is not there to be timed.
pub(super) fn hurry(
    feed: &Feed,
    script: &Script,
    clients: usize,
    progress: &Progress,
) -> anyhow::Result<()> {
    let places = AtomicUsize::new(0);
    let client = || {
        block_on(async {
            while let Some((place, operation)) = next(script, &places) {
                act(feed, operation, script.post(place)).await?;
                progress.done(place as u64);
            }
            anyhow::Ok(())
        })
    };
    in_parallel(clients, client)?;
    Ok(())
}

/// Begins each operation of `script` when it is due, or else as soon as a client is free, and times
/// it from when it was due. So what waits behind something slow is timed with its wait.
pub(super) fn keep_beat(
    feed: &Feed,
    script: &Script,
    (beat, clock): (Beat, &SystemClock),
    clients: usize,
    progress: &Progress,
) -> anyhow::Result<Timings> {
    let places = AtomicUsize::new(0);
    let client = || {
        block_on(async {
            let mut timings = Timings::none();
            while let Some((place, operation)) = next(script, &places) {
                let due = beat.due(place);
                let began = wait_until(clock, due);
                act(feed, operation, script.post(place)).await?;
                timings.note(operation, clock.monotonic(), (due, began));
                progress.done(place as u64);
            }
            anyhow::Ok(timings)
        })
    };
    let mut all = Timings::none();
    for timings in in_parallel(clients, client)? {
        all.reads.add(&timings.reads);
        all.posts.add(&timings.posts);
        all.reading.add(&timings.reading);
    }
    Ok(all)
}

/// Publishes a post that the application keeps, once there is room for its fanout.
pub(super) async fn publish(feed: &Feed, author: UserId, post: PostId) -> anyhow::Result<()> {
    loop {
        match feed.publish(author, NewPost::elsewhere(post)).await? {
            Published::Accepted(_) => return Ok(()),
            Published::Busy { retry_after } => feed.parts().clock.sleep(retry_after).await,
            refused => bail!("a post was refused: {refused:?}"),
        }
    }
}

impl Timings {
    fn none() -> Self {
        Self {
            reads: Latencies::new(),
            posts: Latencies::new(),
            reading: Latencies::new(),
        }
    }

    fn note(&mut self, operation: Operation, ended: Duration, (due, began): (Duration, Duration)) {
        let waited = ended.saturating_sub(due);
        match operation {
            Operation::Post { .. } => self.posts.record(waited, 1),
            Operation::Read { .. } => {
                self.reads.record(waited, 1);
                self.reading.record(ended.saturating_sub(began), 1);
            }
        }
    }
}

async fn act(feed: &Feed, operation: Operation, post: PostId) -> anyhow::Result<()> {
    match operation {
        Operation::Post { author } => publish(feed, user(author), post).await,
        Operation::Read { viewer } => {
            let page = feed.home(user(viewer), PageRequest::newest()).await?;
            hint::black_box(page);
            Ok(())
        }
    }
}

/// The next operation that nobody has taken.
fn next(script: &Script, places: &AtomicUsize) -> Option<(usize, Operation)> {
    let place = places.fetch_add(1, Ordering::Relaxed);
    let operation = script.operations.get(place)?;
    Some((place, *operation))
}

/// Sleeps for most of the time, and is awake when it comes. The rest is spent on the processor: given
/// up, it might not be had back in time. Answers what time it is.
fn wait_until(clock: &SystemClock, due: Duration) -> Duration {
    loop {
        let now = clock.monotonic();
        let left = due.saturating_sub(now);
        if left.is_zero() {
            return now;
        }
        match left.checked_sub(SHORTEST_SLEEP) {
            Some(sleep) => thread::sleep(sleep),
            None => hint::spin_loop(),
        }
    }
}

/// What each of so many threads makes of it.
fn in_parallel<T: Send>(
    threads: usize,
    work: impl Fn() -> anyhow::Result<T> + Sync,
) -> anyhow::Result<Vec<T>> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(&work)).collect();
        let joined = threads.into_iter().map(|thread| {
            let made = thread.join();
            made.unwrap_or_else(|panic| resume_unwind(panic))
        });
        joined.collect()
    })
}
