//! Numbers that tell a holder of something leased from its predecessors.

use std::fmt;

/// Proof of one grant of a lease; a later grant of the same thing has a larger token, also after an engine
/// has lost the earlier one.
///
/// A holder that stalled past its lease still has the old token, so whatever it does next is
/// refused. Pass the token on to stores that can compare it, and they are protected as well
/// (Kleppmann, "How to do distributed locking", 2016).
///
/// ```
/// use backplane::FencingToken;
/// let (stalled, successor) = (FencingToken::new(33), FencingToken::new(34));
/// assert!(stalled < successor);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FencingToken(u64);

impl FencingToken {
    /// Wraps a raw token.
    #[must_use]
    pub const fn new(raw: u64) -> Self {
        Self(raw)
    }

    /// The raw token.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
