//! Rate limits by the generic cell rate algorithm.
//!
//! A [`Quota`] is a bucket that holds a burst and refills at an even pace. The algorithm (GCRA, from
//! ITU-T recommendation I.371) keeps one instant per key instead of a level and a date: the
//! *theoretical arrival time*, at which the bucket would be full again. A key whose instant has
//! passed is as good as new and takes no room.

mod gcra;
mod quota;

use std::{fmt, time::Duration};

use async_trait::async_trait;

use crate::Result;

pub(crate) use gcra::Tat;
pub use quota::{Quota, QuotaError};

/// The longest key in bytes that a [`RateLimiter`] takes.
pub const MAX_KEY_BYTES: usize = 256;

/// What a [`RateLimiter`] answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Decision {
    /// Go ahead; the cost has been taken.
    Allowed {
        /// How much could be taken at once right now.
        remaining: u32,
    },
    /// Not now; nothing has been taken.
    Limited {
        /// The shortest wait after which the same cost passes, if nobody else takes any of it
        /// before, rounded up to what the engine's clock tells apart. Enough for an HTTP
        /// `Retry-After`, rounded up to seconds.
        retry_after: Duration,
    },
    /// Never: the cost is more than the quota's burst. Nothing has been taken.
    Oversized,
}

impl Decision {
    /// Whether the cost has been taken.
    #[must_use]
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::Allowed { .. })
    }
}

/// Decides whether a key may do something now.
///
/// Keys are any bytes, at most [`MAX_KEY_BYTES`], and independent of each other. The quota comes with
/// each call: changing it needs no migration, and what a key has used up under the old quota stays
/// used up, as the time it takes to refill.
#[async_trait]
pub trait RateLimiter: fmt::Debug + Send + Sync {
    /// Takes `cost` from the `quota` of `key` if that much is there.
    ///
    /// Looking and taking is one atomic step: callers that check one key at the same time never get
    /// more between them than the quota holds. A cost of zero takes nothing and is always allowed: it
    /// asks what remains.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) for a key over [`MAX_KEY_BYTES`],
    /// [`Full`](crate::ErrorKind::Full) if there is no room for another key, and
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if the engine is. Whether to let work pass that
    /// could not be checked is for the caller to say.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the cost taken or not, never in part.
    async fn check(&self, key: &[u8], quota: Quota, cost: u32) -> Result<Decision>;
}
