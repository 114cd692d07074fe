//! Numbers out of one block after the other.

use std::ops::RangeInclusive;

#[cfg(all(test, loom))]
use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(all(test, loom)))]
use std::sync::atomic::{AtomicU64, Ordering};

use super::sequence::Sequence;

/// The block that numbers are taken from, which another replaces when it is used up. Blocks follow
/// each other upwards, and what lies between two of them belongs to others.
///
/// Whoever takes reads the end of a block before its start, and whoever installs a block writes its
/// start before its end. So the start that is read belongs to the same block as the end or to a later
/// one, and with that one, which begins past that end, nothing is taken.
#[derive(Debug)]
pub(super) struct Blocks {
    sequence: Sequence,
    start: AtomicU64,
    end: AtomicU64,
}

impl Blocks {
    /// No block yet.
    pub(super) fn none() -> Self {
        Self {
            sequence: Sequence::after(0),
            start: AtomicU64::new(0),
            end: AtomicU64::new(0),
        }
    }

    /// The first of the next `count` numbers of the block, if it has so many.
    #[inline]
    pub(super) fn take(&self, count: u64) -> Option<u64> {
        let end = self.end.load(Ordering::Acquire);
        let start = self.start.load(Ordering::Relaxed);
        self.sequence.take(count, start, end).ok()
    }

    /// Goes on with `block`, which lies above the one there is. Numbers that are left are lost, unless
    /// `block` adjoins them. Two blocks are not installed at once.
    pub(super) fn install(&self, block: &RangeInclusive<u64>) {
        if *block.start() != self.end() + 1 {
            self.start.store(*block.start(), Ordering::Relaxed);
        }
        self.end.store(*block.end(), Ordering::Release);
    }

    /// The last number of the block.
    pub(super) fn end(&self) -> u64 {
        self.end.load(Ordering::Relaxed)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_from_blocks_and_from_nowhere_between_them() {
        let blocks = Blocks::none();
        assert_eq!(blocks.take(1), None);
        blocks.install(&(11..=13));
        assert_eq!(blocks.take(2), Some(11));
        assert_eq!(blocks.take(2), None, "one is left");
        blocks.install(&(21..=22));
        assert_eq!(blocks.take(1), Some(21));
        blocks.install(&(23..=24));
        assert_eq!(blocks.take(3), Some(22), "over blocks that adjoin");
        assert_eq!(blocks.take(1), None);
    }
}
