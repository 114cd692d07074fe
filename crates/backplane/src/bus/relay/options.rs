use std::time::Duration;

use fastrand::Rng;

use crate::{BackoffOptions, bus::RecoveryOptions};

/// What was done must not be due again at once, or nothing else would be.
pub(super) const SHORTEST: Duration = Duration::from_millis(1);

/// The bounds and times of a [`Relay`](super::Relay).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RelayOptions {
    /// How long a topic stays subscribed that nobody on the node wants any more. Default 1 s.
    pub linger: Duration,
    /// How often the position of a topic without messages is compared with the bus; at most every
    /// millisecond. Up to a quarter earlier, so that topics that were joined together are not
    /// compared together. Default 40 s.
    pub check_every: Duration,
    /// How long to wait before a call that failed is made again, or a topic is tried again that was
    /// refused; at least a millisecond, and there is no last attempt, whatever the options say. Default:
    /// doubling from 100 ms to 30 s.
    pub backoff: BackoffOptions,
    /// The seed of these times. Default: drawn by the operating system.
    pub seed: u64,
    /// Most payload bytes that one call to the history may bring, which bounds how many recoveries
    /// share a call: each may need what [`recovery`](Self::recovery) grants it, or one payload if that
    /// is larger. A call for a single topic may bring that much in any case. Default 64 MiB.
    pub max_read_bytes: usize,
    /// The bounds of a recovery of one topic.
    pub recovery: RecoveryOptions,
}

impl RelayOptions {
    /// Stays subscribed for `linger` after the last subscriber has gone.
    #[must_use]
    pub fn with_linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// Compares positions every `interval`.
    #[must_use]
    pub fn with_check_every(mut self, interval: Duration) -> Self {
        self.check_every = interval;
        self
    }

    /// Repeats failed calls after delays as `backoff` says.
    #[must_use]
    pub fn with_backoff(mut self, backoff: BackoffOptions) -> Self {
        self.backoff = backoff;
        self
    }

    /// Draws these times from `seed`.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Asks one call to the history for at most `bytes` of payload.
    #[must_use]
    pub fn with_max_read_bytes(mut self, bytes: usize) -> Self {
        self.max_read_bytes = bytes;
        self
    }

    /// Bounds recoveries by `recovery`.
    #[must_use]
    pub fn with_recovery(mut self, recovery: RecoveryOptions) -> Self {
        self.recovery = recovery;
        self
    }

    /// How long until the next comparison of a position.
    pub(super) fn next_check(&self, jitter: &mut Rng) -> Duration {
        let spread = u64::try_from(self.check_every.as_nanos() / 4).unwrap_or(u64::MAX);
        let earlier = Duration::from_nanos(jitter.u64(..=spread));
        self.check_every.saturating_sub(earlier).max(SHORTEST)
    }

    /// How long to wait after `failures` earlier ones.
    pub(super) fn delay(&self, failures: u32, jitter: &mut Rng) -> Duration {
        let delay = self.backoff.delay(failures, None, jitter);
        delay.max(SHORTEST)
    }
}

impl Default for RelayOptions {
    fn default() -> Self {
        Self {
            linger: Duration::from_secs(1),
            check_every: Duration::from_secs(40),
            backoff: BackoffOptions::default(),
            seed: fastrand::u64(..),
            max_read_bytes: 64 << 20,
            recovery: RecoveryOptions::default(),
        }
    }
}
