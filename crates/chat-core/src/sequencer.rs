//! Dense numbers for stores that cannot give a number and store its row in one step.

use std::ops::Range;

use backplane::{Epoch, Position, Signal};

use self::{
    claim::Claim,
    ledger::Ledger,
    progress::{Progress, Word},
};
use crate::locks::Mutex;

mod claim;
mod keeper;
mod ledger;
mod marks;
mod options;
mod permit;
mod progress;
mod ranges;
mod reached;
mod reserve_error;
mod sequencers;
mod tombstones;

pub use keeper::SequenceKeeper;
pub use marks::{MarkReplaced, SequenceMark, SequenceMarks};
pub use options::SequencerOptions;
pub use permit::Permit;
pub use reached::Reached;
pub use reserve_error::ReserveError;
pub use sequencers::{Sequencers, SequencersOptions};
pub use tombstones::Tombstones;

/// The two-phase sequencer of one conversation: numbers are reserved, then committed or made
/// tombstones, and readers see up to the watermark.
///
/// A log that stores a message and gives it its number in one step needs none of this. It is for
/// stores of rows, such as Cassandra and `ScyllaDB`, where the number comes first and the row is
/// written after: by several writers at once, in any order, and with writes that fail, or are slow, or
/// whose outcome nobody learns.
///
/// ```
/// use backplane::{Epoch, Position};
/// use chat_core::sequencer::{Sequencer, SequencerOptions};
/// let start = Position::new(Epoch::new(7), 0);
/// let sequencer = Sequencer::new(start, SequencerOptions::default());
/// let (first, second) = (sequencer.reserve(1)?, sequencer.reserve(1)?);
/// // Here the rows are written.
/// second.commit();
/// assert_eq!(sequencer.watermark(), 0);
/// first.commit();
/// assert_eq!(sequencer.watermark(), 2);
/// # Ok::<_, chat_core::sequencer::ReserveError>(())
/// ```
///
/// # The watermark
///
/// It is the greatest number of which all up to it are committed or tombstones, and never goes back. A
/// reader who asks for it first, and then reads rows up to it and none after, sees a number only when
/// nothing below can appear any more. Whoever has seen the watermark sees all that was written before
/// the commits that it covers. [`reached`](Self::reached) waits for it, without polling.
///
/// # Numbers that are given up
///
/// Numbers whose permit is dropped become tombstones at once, and the watermark passes them: a number
/// up to it that has no row is a tombstone. That is right where a write that was given up cannot happen
/// any more. Of most stores over a network it is not true: the row may appear after the watermark has
/// passed. That is what a [`SequenceKeeper`] is for, which lets the watermark wait until the numbers are
/// [decided](Tombstones) in the store, where readers find tombstones as rows.
///
/// # Bounds and costs
///
/// At most [`window`](SequencerOptions::window) numbers are outstanding; more are refused, and nothing
/// waits. A reservation, and a commit of the numbers that are next, are a compare-and-swap each. What
/// completes out of order, or while somebody waits, takes a lock for the time of a few comparisons, and
/// no lock is held while anybody writes a row.
#[derive(Debug)]
pub struct Sequencer {
    progress: Progress,
    epoch: Epoch,
    window: u32,
    /// Whether the watermark waits at numbers that are given up.
    holds: bool,
    ledger: Mutex<Ledger>,
    /// Raised when numbers are given up, or a claim on them is.
    abandonment: Signal,
}

impl Sequencer {
    /// The last number there is: 281 trillion.
    pub const LAST: u64 = Word::LAST;

    /// Numbers after `start`, up to which all are complete. It knows of no lease: whoever makes it
    /// vouches that nobody else gives numbers of the conversation, and that none after `start` was
    /// given in this epoch.
    #[must_use]
    pub fn new(start: Position, options: SequencerOptions) -> Self {
        Self {
            progress: Progress::new(start.offset.min(Self::LAST), Self::LAST),
            epoch: start.epoch,
            window: options.checked_window(),
            holds: false,
            ledger: Mutex::default(),
            abandonment: Signal::default(),
        }
    }

    /// Reserves the next `count` numbers. Of none, the permit is empty.
    ///
    /// # Errors
    ///
    /// See [`ReserveError`]. Nothing is reserved.
    #[inline]
    pub fn reserve(&self, count: u32) -> Result<Permit<'_>, ReserveError> {
        let first = self.progress.reserve(count, self.window)?;
        Ok(Permit::new(self, first, count))
    }

    /// Which incarnation of the conversation the numbers belong to.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The greatest number of which all up to it are committed or tombstones.
    #[must_use]
    pub fn watermark(&self) -> u64 {
        self.progress.load().watermark()
    }

    /// The watermark with its epoch: what a reader keeps.
    #[must_use]
    pub fn position(&self) -> Position {
        Position::new(self.epoch, self.watermark())
    }

    /// How many numbers are neither committed nor tombstones.
    #[must_use]
    pub fn outstanding(&self) -> u32 {
        u32::try_from(self.progress.load().outstanding()).unwrap_or(u32::MAX)
    }

    /// Waits until the watermark is at `number` or past it; for ever, if nobody ever completes it.
    pub const fn reached(&self, number: u64) -> Reached<'_> {
        Reached::new(self, number)
    }

    #[inline]
    fn complete(&self, first: u64, count: u64) {
        if count > 0 && !self.progress.complete_next(first, count) {
            self.complete_late(first..first + count);
        }
    }

    #[cold]
    #[inline(never)]
    fn complete_late(&self, numbers: Range<u64>) {
        let woken = self.ledger.lock().complete(&self.progress, numbers);
        for waker in woken {
            waker.wake();
        }
    }

    #[cold]
    fn give_up(&self, numbers: Range<u64>) {
        if self.holds {
            self.ledger.lock().abandon(numbers);
            self.abandonment.raise();
        } else {
            self.complete_late(numbers);
        }
    }
}

/// What a keeper of the conversation does with its sequencer.
impl Sequencer {
    /// Numbers after `start` that are leased, of which none is yet. The watermark waits at numbers that
    /// are given up.
    fn kept(start: Position, options: SequencerOptions) -> Self {
        Self {
            progress: Progress::new(start.offset, start.offset),
            holds: true,
            ..Self::new(start, options)
        }
    }

    /// Allows numbers up to `limit`, whose lease is durable.
    fn allow(&self, limit: u64) {
        self.progress.allow(limit);
    }

    /// Refuses reservations from now on. Returns the watermark and the last number that was reserved.
    fn close(&self) -> (u64, u64) {
        let word = self.progress.raise(Word::CLOSED);
        (word.watermark(), word.last())
    }

    fn is_closed(&self) -> bool {
        self.progress.load().has(Word::CLOSED)
    }

    /// Takes on numbers that were given up, which nobody else is about to settle.
    fn claim(&self) -> Option<Claim<'_>> {
        let numbers = self.ledger.lock().claim()?;
        Some(Claim::new(self, numbers))
    }
}

#[cfg(test)]
mod tests;
