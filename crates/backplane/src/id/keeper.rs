//! What both keepers of a node have in common.

use std::{future::Future, time::Duration};

use super::SnowflakeOptions;
use crate::{Clock, Error, Result, Sleep};

/// How a [`MarkKeeper`](super::MarkKeeper) or a [`LeaseKeeper`](super::LeaseKeeper) behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeeperOptions {
    /// The generator's own options.
    pub generator: SnowflakeOptions,
    /// How much time each move of the mark covers beyond what may be issued now. Two seconds
    /// unless set.
    ///
    /// It is how long the store may be away, and how long a node that crashed and came back at once
    /// may wait for the clock to pass its mark. The mark is moved twice in it, also while nothing is
    /// issued: what it allows ends at a point of time, so one that rested would be behind the clock
    /// after a pause, and the first identifier after that would be refused until the store has
    /// answered. A longer reserve writes less and lets a node wait longer after a crash.
    pub reserve: Duration,
    /// How long a node lease lasts unless renewed; more than zero. Ten seconds unless set. It is
    /// renewed three times in it, and more often where half the [`reserve`](Self::reserve) is less
    /// than a third of it, since each renewal moves the mark: each second, unless set.
    pub ttl: Duration,
}

impl Default for KeeperOptions {
    fn default() -> Self {
        Self {
            generator: SnowflakeOptions::default(),
            reserve: Duration::from_secs(2),
            ttl: Duration::from_secs(10),
        }
    }
}

impl KeeperOptions {
    /// Sets [`generator`](Self::generator).
    #[must_use]
    pub const fn with_generator(mut self, generator: SnowflakeOptions) -> Self {
        self.generator = generator;
        self
    }

    /// Sets [`reserve`](Self::reserve).
    #[must_use]
    pub const fn with_reserve(mut self, reserve: Duration) -> Self {
        self.reserve = reserve;
        self
    }

    /// Sets [`ttl`](Self::ttl).
    #[must_use]
    pub const fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }
}

/// Whether a keeper still holds its node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "held or not")]
pub enum Held {
    /// The generator goes on.
    Yes,
    /// The generator is closed: by [`close`](super::MarkKeeper::close), or because another holder has
    /// the node.
    Lost,
}

/// Calls `extend` once a `period` until the node is lost; sooner after a failure, which is told to
/// `report`.
pub(super) async fn keep<C, F>(
    clock: &C,
    period: Duration,
    extend: impl Fn() -> F,
    mut report: impl FnMut(&Error),
) where
    C: Clock,
    F: Future<Output = Result<Held>>,
{
    let period = period.clamp(SHORTEST_PAUSE, Sleep::LONGEST);
    let mut pause = period;
    loop {
        clock.sleep(pause).await;
        pause = match extend().await {
            Ok(Held::Yes) => period,
            Ok(Held::Lost) => return,
            Err(error) => {
                report(&error);
                (period / 4).max(SHORTEST_PAUSE)
            }
        };
    }
}

/// Between two calls of a keeper on its store, however short its reserve.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
