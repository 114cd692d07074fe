use std::time::Duration;

/// The bounds of a [`Hydrator`](crate::Hydrator).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HydratorOptions {
    /// For posts. By default 64 MiB, for 10 minutes here and an hour in the shared cache: a page
    /// knows the newest version of each post, so age makes no body stale.
    pub posts: CacheOptions,
    /// For users. By default 32 MiB, for a minute here and 5 minutes in the shared cache. Together
    /// this is how long an old profile may be shown after an edit of which no node was
    /// [notified](crate::Hydrator::forget_users); if one node was, the first alone.
    pub users: CacheOptions,
    /// For how long after [`forget_users`](crate::Hydrator::forget_users) and
    /// [`forget_posts`](crate::Hydrator::forget_posts) nothing that is read is cached. 5 seconds by
    /// default. Set it longer than replicas of the source lag behind. About 8,000 ids are noted one by
    /// one; after more than that within the time, nothing new is cached for as long.
    pub hold: Duration,
    /// How long after its start a fetch is shared: callers that lack the same join it, and what it brings
    /// is stored for other nodes. 5 seconds by default. Later callers start a fetch of their own. Until
    /// the fetch has brought something, or this time has passed, no other node stores the same.
    pub fetch_timeout: Duration,
    /// How long the shared cache may take for a call before it counts as failed. 50 milliseconds by
    /// default.
    pub patience: Duration,
}

/// The bounds of the cache of one kind of content.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CacheOptions {
    /// How many bytes the content in this process may take, with what it takes to keep it: about 200
    /// for a post besides its body, 140 for a user besides their profile. Content larger than a
    /// sixteenth of it is not kept here.
    pub max_bytes: usize,
    /// How long after it was asked for content is kept in this process.
    pub ttl: Duration,
    /// How long it is kept that something is not there. 5 seconds by default.
    pub absent_ttl: Duration,
    /// How long content is kept in the shared cache, if there is one.
    pub shared_ttl: Duration,
}

impl HydratorOptions {
    /// Keeps posts within these bounds.
    #[must_use]
    pub const fn with_posts(mut self, posts: CacheOptions) -> Self {
        self.posts = posts;
        self
    }

    /// Keeps users within these bounds.
    #[must_use]
    pub const fn with_users(mut self, users: CacheOptions) -> Self {
        self.users = users;
        self
    }

    /// The same with what would stop a hydrator raised to what works, whichever way it was set.
    pub(super) fn workable(mut self) -> Self {
        const LEAST: Duration = Duration::from_millis(1);
        self.hold = self.hold.max(LEAST);
        self.fetch_timeout = self.fetch_timeout.max(LEAST);
        self
    }

    /// Caches nothing for `time` after it was forgotten; less than a millisecond counts as one.
    #[must_use]
    pub const fn with_hold(mut self, time: Duration) -> Self {
        self.hold = time;
        self
    }

    /// Joins and shares a fetch for `time`; less than a millisecond counts as one.
    #[must_use]
    pub const fn with_fetch_timeout(mut self, time: Duration) -> Self {
        self.fetch_timeout = time;
        self
    }

    /// Waits for the shared cache for `time`.
    #[must_use]
    pub const fn with_patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }
}

impl Default for HydratorOptions {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        Self {
            posts: CacheOptions {
                max_bytes: 64 << 20,
                ttl: 10 * MINUTE,
                absent_ttl: Duration::from_secs(5),
                shared_ttl: 60 * MINUTE,
            },
            users: CacheOptions {
                max_bytes: 32 << 20,
                ttl: MINUTE,
                absent_ttl: Duration::from_secs(5),
                shared_ttl: 5 * MINUTE,
            },
            hold: Duration::from_secs(5),
            fetch_timeout: Duration::from_secs(5),
            patience: Duration::from_millis(50),
        }
    }
}

impl CacheOptions {
    /// Takes up to `bytes` in this process.
    #[must_use]
    pub const fn with_max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Keeps content in this process for `time`.
    #[must_use]
    pub const fn with_ttl(mut self, time: Duration) -> Self {
        self.ttl = time;
        self
    }

    /// Keeps for `time` that something is not there.
    #[must_use]
    pub const fn with_absent_ttl(mut self, time: Duration) -> Self {
        self.absent_ttl = time;
        self
    }

    /// Keeps content in the shared cache for `time`.
    #[must_use]
    pub const fn with_shared_ttl(mut self, time: Duration) -> Self {
        self.shared_ttl = time;
        self
    }
}
