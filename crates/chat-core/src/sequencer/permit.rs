use std::{mem, ops::Range};

use backplane::Position;

use super::Sequencer;

/// The right to some numbers of a conversation, each of which becomes a message or a tombstone.
///
/// One that is dropped, with a cancelled future or in a panic, is given up: see
/// [`Sequencer`](Sequencer#numbers-that-are-given-up).
#[derive(Debug)]
#[must_use = "numbers of a permit that is dropped become tombstones"]
pub struct Permit<'a> {
    sequencer: &'a Sequencer,
    first: u64,
    count: u32,
}

impl<'a> Permit<'a> {
    pub(super) const fn new(sequencer: &'a Sequencer, first: u64, count: u32) -> Self {
        Self {
            sequencer,
            first,
            count,
        }
    }

    /// The numbers, from the first to before the end.
    #[must_use]
    pub fn numbers(&self) -> Range<u64> {
        self.first..self.end()
    }

    /// The position of the first number.
    #[must_use]
    pub const fn position(&self) -> Position {
        Position::new(self.sequencer.epoch(), self.first)
    }

    /// Completes the numbers: their rows are stored, and may be read once all before them are
    /// complete too.
    #[inline]
    pub fn commit(self) {
        self.complete();
    }

    /// Completes the numbers as tombstones: there are no messages of these numbers, and there never
    /// will be. What the store needs so that a late write cannot bring one back, such as a row that
    /// says so, must be stored already.
    pub fn tombstone(self) {
        self.complete();
    }

    /// Takes the numbers after the first `count` out, into a permit of their own: where some of the
    /// rows could be stored, and others not.
    ///
    /// # Panics
    ///
    /// If there are fewer than `count`.
    pub fn split_off(&mut self, count: u32) -> Self {
        assert!(count <= self.count, "more numbers than the permit has");
        let rest = Self::new(
            self.sequencer,
            self.first + u64::from(count),
            self.count - count,
        );
        self.count = count;
        rest
    }

    const fn end(&self) -> u64 {
        self.first + self.count as u64
    }

    #[inline]
    fn complete(mut self) {
        let count = mem::take(&mut self.count);
        self.sequencer.complete(self.first, count.into());
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.count > 0 {
            self.sequencer.give_up(self.numbers());
        }
    }
}
