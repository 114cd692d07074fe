use std::time::Duration;

use backplane::BackoffOptions;

/// The bounds of a [`ClientSync`](super::ClientSync).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientSyncOptions {
    /// How long an event that is missing may be late before it is asked for. 500 ms by default.
    pub hold: Duration,
    /// How long after an answer to ask again what happened in the inbox, should the last push be lost
    /// and nothing follow it. A minute by default.
    pub check: Duration,
    /// The most events of one conversation to ask for at once. 100 by default.
    pub limit: usize,
    /// Of a conversation in which more has happened than this, only the newest is asked for, and a
    /// [jump](super::Step::Jump) says what was left out. Nothing is left out by default.
    pub most: u64,
    /// The most conversations to ask about at once. 50 by default.
    pub conversations: usize,
    /// How long to wait after a failure. Doubling from a second to a minute by default, drawn at random
    /// below that. Its limits on retries do not apply: a client goes on trying.
    pub backoff: BackoffOptions,
    /// The seed of what is drawn. From the operating system by default.
    pub seed: u64,
}

impl ClientSyncOptions {
    /// Waits so long for what may be late.
    #[must_use]
    pub const fn with_hold(mut self, hold: Duration) -> Self {
        self.hold = hold;
        self
    }

    /// Asks again so long after an answer.
    #[must_use]
    pub const fn with_check(mut self, check: Duration) -> Self {
        self.check = check;
        self
    }

    /// Asks for at most so many events of one conversation at once.
    #[must_use]
    pub const fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Leaves out all but the newest where more than `most` has happened.
    #[must_use]
    pub const fn with_most(mut self, most: u64) -> Self {
        self.most = most;
        self
    }

    /// Asks about at most so many conversations at once.
    #[must_use]
    pub const fn with_conversations(mut self, conversations: usize) -> Self {
        self.conversations = conversations;
        self
    }

    /// Waits so after failures.
    #[must_use]
    pub fn with_backoff(mut self, backoff: BackoffOptions) -> Self {
        self.backoff = backoff;
        self
    }

    /// Draws from `seed`.
    #[must_use]
    pub const fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

impl Default for ClientSyncOptions {
    fn default() -> Self {
        Self {
            hold: Duration::from_millis(500),
            check: Duration::from_secs(60),
            limit: 100,
            most: u64::MAX,
            conversations: 50,
            backoff: BackoffOptions::default()
                .with_base(Duration::from_secs(1))
                .with_max_delay(Duration::from_secs(60)),
            seed: fastrand::u64(..),
        }
    }
}
