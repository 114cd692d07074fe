use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use backplane::{Clock, SystemClock};
use feed_core::{Audience, Change, FeedEvent, FeedEvents, PostId, Result};
use parking_lot::Mutex;

use super::{beat::Beat, latency::Latencies};

/// Counts the timelines that fanout writes, and times how late each has the post.
#[derive(Debug)]
pub(super) struct Deliveries {
    clock: SystemClock,
    count: AtomicU64,
    timing: Mutex<Option<(Beat, Latencies)>>,
}

impl Deliveries {
    pub(super) fn new(clock: SystemClock) -> Self {
        Self {
            clock,
            count: AtomicU64::new(0),
            timing: Mutex::default(),
        }
    }

    /// How many there were so far.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Times the posts of `beat` from now on.
    pub(super) fn time(&self, beat: Beat) {
        *self.timing.lock() = Some((beat, Latencies::new()));
    }

    /// From when the posts were due until a follower's timeline had them, one value for each
    /// timeline. Ends the timing.
    pub(super) fn lag(&self) -> Option<Latencies> {
        let timed = self.timing.lock().take();
        timed.map(|(_, lag)| lag)
    }

    fn note(&self, post: PostId, timelines: usize) {
        let timelines = timelines as u64;
        self.count.fetch_add(timelines, Ordering::Relaxed);
        if let Some((beat, lag)) = &mut *self.timing.lock()
            && let Some(due) = beat.post_due(post)
        {
            lag.record(self.clock.monotonic().saturating_sub(due), timelines);
        }
    }
}

#[async_trait]
impl FeedEvents for Deliveries {
    async fn emit(&self, events: &[FeedEvent]) -> Result<()> {
        for event in events {
            if let FeedEvent::Post {
                entry,
                change: Change::Published,
                audience: Audience::Followers(followers),
            } = event
            {
                self.note(entry.post, followers.len());
            }
        }
        Ok(())
    }
}
