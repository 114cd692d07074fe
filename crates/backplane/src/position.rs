//! Where a reader stands in a topic's stream of messages.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which incarnation of a stream an offset belongs to.
///
/// A stream that may have lost acknowledged messages takes a new epoch, so that an offset of the
/// old one is never mistaken for an offset of the new one.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Epoch(u64);

impl Epoch {
    /// Wraps a raw epoch. Epochs are compared for equality only; their order means nothing.
    #[must_use]
    pub const fn new(raw: u64) -> Self {
        Self(raw)
    }

    /// The raw epoch.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A point in one topic's stream: the offset of the last message a reader has seen.
///
/// Offsets start at 1 and grow by 1 with every message; offset 0 is the point before the first.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Position {
    /// The incarnation of the stream.
    pub epoch: Epoch,
    /// How many messages of it lie at or before this point.
    pub offset: u64,
}

impl Position {
    /// The point after `offset` messages of `epoch`.
    #[must_use]
    pub const fn new(epoch: Epoch, offset: u64) -> Self {
        Self { epoch, offset }
    }

    /// The point one message later.
    #[must_use]
    pub const fn next(self) -> Self {
        Self::new(self.epoch, self.offset + 1)
    }
}
