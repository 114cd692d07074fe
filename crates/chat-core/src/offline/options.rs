use std::time::Duration;

/// The bounds of an [`Offline`](super::Offline).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OfflineOptions {
    /// How long a device that is connected has to receive a message before its user is notified. A minute by
    /// default.
    pub patience: Duration,
    /// Of what is said in conversations of more members nobody is notified. 1,000 by default.
    pub max_members: u32,
    /// How many members are looked at in one piece of work. 200 by default.
    pub crowd: usize,
    /// How long a piece of work may take before another worker takes it over. 30 seconds by default.
    pub lease: Duration,
    /// How long to wait after a failure. 5 seconds by default.
    pub retry: Duration,
}

impl OfflineOptions {
    /// Gives connected devices so much time.
    #[must_use]
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Notifies members of conversations of up to so many.
    #[must_use]
    pub const fn with_max_members(mut self, members: u32) -> Self {
        self.max_members = members;
        self
    }

    /// Looks at so many members at once.
    #[must_use]
    pub const fn with_crowd(mut self, members: usize) -> Self {
        self.crowd = members;
        self
    }

    /// Lets a piece of work take so long.
    #[must_use]
    pub const fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Waits so long after a failure.
    #[must_use]
    pub const fn with_retry(mut self, retry: Duration) -> Self {
        self.retry = retry;
        self
    }
}

impl Default for OfflineOptions {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(60),
            max_members: 1_000,
            crowd: 200,
            lease: Duration::from_secs(30),
            retry: Duration::from_secs(5),
        }
    }
}
