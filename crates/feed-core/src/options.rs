use std::time::Duration;

use backplane::{BackoffOptions, rate::Quota};

/// The bounds of a [`Feed`](crate::Feed).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FeedOptions {
    /// The longest body of a post, in bytes. 65,536 by default.
    pub max_body: usize,
    /// How many authors a viewer may follow. 10,000 by default.
    pub max_followees: u64,
    /// How often an author may post or repost; `None` for no limit. 300 in three hours by default.
    pub post_quota: Option<Quota>,
    /// How many followers a worker serves before it gives way to other authors: one piece of a fanout.
    /// 1,000 by default.
    pub followers_per_piece: usize,
    /// How long after their last visit a viewer's timeline is kept up. 14 days by default.
    pub active_for: Duration,
    /// How many of an author's posts a follow copies into the timeline. 200 by default.
    pub backfill_posts: usize,
    /// How many entries a build reads. 800 by default, which is the
    /// [capacity](crate::MemoryTimelinesOptions::capacity) of a timeline in memory. Set both alike: of
    /// more the timeline keeps its capacity, and with less it is not full.
    pub build_entries: usize,
    /// A build older than this is presumed abandoned, and may be started again. 30 seconds by default.
    pub build_timeout: Duration,
    /// Among how many entries of a page at most one shows the same post. 80 by default.
    pub repost_span: usize,
    /// How many hidden entries a page may scan beyond its size before it ends short. 2,000 by default.
    /// Reposts at the end of such a page are judged by what was scanned.
    pub scan_budget: usize,
    /// How many of a home feed's newest entries are ranked. 500 by default, at most 10,000.
    pub rank_window: usize,
    /// For how long a ranked order is kept. 30 minutes by default.
    pub rank_ttl: Duration,
    /// How long a worker holds a task before another may take it over. 60 seconds by default. A
    /// piece that takes half as long has failed, and is tried again; but for what follows a
    /// [loss](crate::Feed::task_after_loss), for which a worker holds on for a
    /// [`call_timeout`](Self::call_timeout).
    pub lease_ttl: Duration,
    /// How long to wait before a failed piece is tried again. Doubling from 200 milliseconds to a
    /// minute by default. Its own limits on retries do not apply; [`attempts`](Self::attempts) does.
    pub backoff: BackoffOptions,
    /// How often a piece is tried before the author's posts so far are left to readers to pull, or
    /// the fanout goes on without those who could not be told. 8 by default; less where the queue itself
    /// allows fewer.
    pub attempts: u32,
    /// How long a call may take, at most. 5 minutes by default.
    ///
    /// Two things wait so long for calls to end. The task of a post that has not arrived waits, and then
    /// gives up on it: a publication that takes longer fails. And what was done to a deleted post is
    /// forgotten so long after the deletion. Until then its task waits in the queue and counts against
    /// the queue's capacity: 100,000 tasks have room for 333 deletes a second and nothing else.
    ///
    /// So long may a store take to turn all timelines cold, after a
    /// [loss](crate::Feed::task_after_loss). It begins again where it takes longer, so give more to stores
    /// that need more, up to an hour.
    pub call_timeout: Duration,
}

impl FeedOptions {
    /// The same with what would stop a feed raised or lowered to what works, whichever way it was set.
    pub(crate) fn workable(mut self) -> Self {
        const SECOND: Duration = Duration::from_secs(1);
        self.followers_per_piece = self.followers_per_piece.max(1);
        self.build_entries = self.build_entries.max(1);
        self.scan_budget = self.scan_budget.max(1);
        self.rank_window = self.rank_window.min(MOST_RANKED);
        self.rank_ttl = self.rank_ttl.max(SECOND);
        self.lease_ttl = self.lease_ttl.max(SECOND);
        self.call_timeout = self.call_timeout.max(SECOND);
        self
    }

    /// Takes bodies of up to `bytes`.
    #[must_use]
    pub const fn with_max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Lets a viewer follow up to `authors`.
    #[must_use]
    pub const fn with_max_followees(mut self, authors: u64) -> Self {
        self.max_followees = authors;
        self
    }

    /// Lets an author post as often as `quota` says; `None` for no limit.
    #[must_use]
    pub const fn with_post_quota(mut self, quota: Option<Quota>) -> Self {
        self.post_quota = quota;
        self
    }

    /// Serves up to `followers` with a piece; 0 counts as 1.
    #[must_use]
    pub const fn with_followers_per_piece(mut self, followers: usize) -> Self {
        self.followers_per_piece = followers;
        self
    }

    /// Keeps timelines up for `time` after a visit.
    #[must_use]
    pub const fn with_active_for(mut self, time: Duration) -> Self {
        self.active_for = time;
        self
    }

    /// Copies up to `posts` posts at a follow.
    #[must_use]
    pub const fn with_backfill_posts(mut self, posts: usize) -> Self {
        self.backfill_posts = posts;
        self
    }

    /// Builds timelines of up to `entries`; 0 counts as 1.
    #[must_use]
    pub const fn with_build_entries(mut self, entries: usize) -> Self {
        self.build_entries = entries;
        self
    }

    /// Presumes a build abandoned after `time`.
    #[must_use]
    pub const fn with_build_timeout(mut self, time: Duration) -> Self {
        self.build_timeout = time;
        self
    }

    /// Shows a post at most once among `entries`.
    #[must_use]
    pub const fn with_repost_span(mut self, entries: usize) -> Self {
        self.repost_span = entries;
        self
    }

    /// Lets a page scan `entries` that it does not show.
    #[must_use]
    pub const fn with_scan_budget(mut self, entries: usize) -> Self {
        self.scan_budget = entries;
        self
    }

    /// Ranks the newest `entries`, at most 10,000.
    #[must_use]
    pub const fn with_rank_window(mut self, entries: usize) -> Self {
        self.rank_window = entries;
        self
    }

    /// Keeps a ranked order for `time`; less than a second counts as one.
    #[must_use]
    pub const fn with_rank_ttl(mut self, time: Duration) -> Self {
        self.rank_ttl = time;
        self
    }

    /// Gives a worker half of `time` for a piece; less than a second counts as one.
    #[must_use]
    pub const fn with_lease_ttl(mut self, time: Duration) -> Self {
        self.lease_ttl = time;
        self
    }

    /// Waits as `backoff` says before a failed piece is tried again.
    #[must_use]
    pub const fn with_backoff(mut self, backoff: BackoffOptions) -> Self {
        self.backoff = backoff;
        self
    }

    /// Tries a piece `attempts` times.
    #[must_use]
    pub const fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Gives calls `time` to end; less than a second counts as one.
    #[must_use]
    pub const fn with_call_timeout(mut self, time: Duration) -> Self {
        self.call_timeout = time;
        self
    }
}

/// So that a ranked order fits a shared cache.
const MOST_RANKED: usize = 10_000;

impl Default for FeedOptions {
    fn default() -> Self {
        Self {
            max_body: 64 * 1024,
            max_followees: 10_000,
            post_quota: Quota::new(300, Duration::from_secs(3 * 60 * 60)).ok(),
            followers_per_piece: 1_000,
            active_for: Duration::from_secs(14 * 24 * 60 * 60),
            backfill_posts: 200,
            build_entries: 800,
            build_timeout: Duration::from_secs(30),
            repost_span: 80,
            scan_budget: 2_000,
            rank_window: 500,
            rank_ttl: Duration::from_secs(30 * 60),
            lease_ttl: Duration::from_secs(60),
            backoff: BackoffOptions::default()
                .with_base(Duration::from_millis(200))
                .with_max_delay(Duration::from_secs(60)),
            attempts: 8,
            call_timeout: Duration::from_secs(300),
        }
    }
}
