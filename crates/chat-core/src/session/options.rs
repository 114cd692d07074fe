use std::time::Duration;

use backplane::hub::ConnectionOptions;

use crate::TokenKey;

/// The bounds of sessions, and how they resume.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionOptions {
    /// By what resume tokens are signed: the same at all nodes. One of this process by default.
    pub key: TokenKey,
    /// How much may wait for one device. Beyond, the session ends, and the device resumes it. Groups beyond
    /// its subscriptions are not live: what happens there comes with the next [check](Self::check).
    pub connection: ConnectionOptions,
    /// Of a conversation in which more has happened than this since the device was told of it, only the newest is
    /// told, and a [jump](crate::sync::Step::Jump) says what was left out. 100 by default.
    pub most: u64,
    /// How long a push that is missing may be late before it is read from the log. 100 ms by default.
    pub hold: Duration,
    /// After how long to look into the inbox, should pushes have been lost without anybody's notice, and to give
    /// the device another token. A minute by default.
    pub check: Duration,
}

impl SessionOptions {
    /// Signs with `key`.
    #[must_use]
    pub fn with_key(mut self, key: TokenKey) -> Self {
        self.key = key;
        self
    }

    /// Lets so much wait for one device.
    #[must_use]
    pub fn with_connection(mut self, connection: ConnectionOptions) -> Self {
        self.connection = connection;
        self
    }

    /// Leaves out all but the newest where more than `most` has happened.
    #[must_use]
    pub const fn with_most(mut self, most: u64) -> Self {
        self.most = most;
        self
    }

    /// Waits so long for pushes that may be late.
    #[must_use]
    pub const fn with_hold(mut self, hold: Duration) -> Self {
        self.hold = hold;
        self
    }

    /// Looks into the inbox that often.
    #[must_use]
    pub const fn with_check(mut self, check: Duration) -> Self {
        self.check = check;
        self
    }
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            key: TokenKey::of_this_process(),
            connection: ConnectionOptions::default(),
            most: 100,
            hold: Duration::from_millis(100),
            check: Duration::from_secs(60),
        }
    }
}
