//! What every reservation and every completion changes: one word.

use std::fmt;

use super::ReserveError;
use crate::locks::{AtomicU64, Ordering};

/// How far the numbers of a conversation are reserved and completed.
///
/// Watermark, count and flags change together or not at all. So whoever completes out of order and
/// whoever advances the watermark cannot miss each other, as they could if each wrote one place and
/// read another: of two changes of one word, one comes first, and the second is told of it. The
/// protocol of the flags is:
///
/// - Numbers that are next after the watermark complete by one compare-and-swap, if no flag is up.
/// - Otherwise they complete under the lock of the ledger. [`LATE`](Word::LATE) is put up before the
///   watermark is looked at there, and from then on it moves under that lock only. It is taken down,
///   in the same step that moves the watermark, when the ledger holds no more completed numbers.
/// - [`WAITING`](Word::WAITING) is put up under the lock, before the watermark is looked at, by
///   whoever waits for it.
///
/// Every change is a read-modify-write, so a release goes on through all that follow it: whoever
/// acquires a watermark sees what was written before each completion up to it.
#[derive(Debug)]
pub(super) struct Progress {
    word: AtomicU64,
    /// The last number that is leased.
    limit: AtomicU64,
}

impl Progress {
    /// All numbers up to `watermark` are complete, and those up to `limit` may be reserved.
    pub(super) fn new(watermark: u64, limit: u64) -> Self {
        Self {
            word: AtomicU64::new(Word::new(watermark, 0).0),
            limit: AtomicU64::new(limit.min(Word::LAST)),
        }
    }

    /// Takes the next `count` numbers, and returns the first.
    ///
    /// Relaxed, since it publishes nothing: what makes a lease durable happened before the limit was
    /// raised, and an old limit only refuses too early.
    #[inline]
    pub(super) fn reserve(&self, count: u32, window: u32) -> Result<u64, ReserveError> {
        let mut word = Word(self.word.load(Ordering::Relaxed));
        loop {
            let outstanding = word.outstanding() + u64::from(count);
            let last = word.watermark() + outstanding;
            let limit = self.limit.load(Ordering::Relaxed);
            if outstanding > window.into() || last > limit || word.has(Word::CLOSED) {
                return Err(refusal(word, count, window));
            }
            match self.word.compare_exchange_weak(
                word.0,
                word.reserved(count.into()).0,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(last + 1 - u64::from(count)),
                Err(changed) => word = Word(changed),
            }
        }
    }

    /// Completes `count` numbers from `first` on, if they are the next and nobody has to be told.
    #[inline]
    pub(super) fn complete_next(&self, first: u64, count: u64) -> bool {
        // What there is if nobody else is about.
        let mut word = Word::new(first - 1, count);
        loop {
            match self.word.compare_exchange_weak(
                word.0,
                word.advanced(count).0,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(changed) => word = Word(changed),
            }
            if word.watermark() != first - 1 || word.flags() != 0 {
                return false;
            }
        }
    }

    /// Moves the watermark on by `count` and takes `flags` down, which are up. Under the ledger's
    /// lock, with [`LATE`](Word::LATE) up.
    ///
    /// Relaxed, since whoever completed one of the numbers has released what it wrote, by putting that
    /// flag up.
    pub(super) fn advance(&self, count: u64, flags: u64) {
        let change = Word(0).advanced(count).0.wrapping_sub(flags);
        self.word.fetch_add(change, Ordering::Relaxed);
    }

    /// Puts `flag` up. Returns what there was before, with the flag.
    pub(super) fn raise(&self, flag: u64) -> Word {
        Word(self.word.fetch_or(flag, Ordering::AcqRel) | flag)
    }

    /// Allows numbers up to `limit`.
    pub(super) fn allow(&self, limit: u64) {
        let limit = limit.min(Word::LAST);
        self.limit.fetch_max(limit, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn load(&self) -> Word {
        Word(self.word.load(Ordering::Acquire))
    }
}

/// Why `count` numbers could not be had.
#[cold]
fn refusal(word: Word, count: u32, window: u32) -> ReserveError {
    let outstanding = word.outstanding();
    if word.has(Word::CLOSED) {
        ReserveError::Closed
    } else if count > window {
        ReserveError::TooMany { window }
    } else if outstanding + u64::from(count) > window.into() {
        ReserveError::WindowFull {
            outstanding: u32::try_from(outstanding).unwrap_or(window),
            window,
        }
    } else if word.reserved(count.into()).last() > Word::LAST {
        ReserveError::End
    } else {
        ReserveError::AwaitingLease
    }
}

/// A watermark of 48 bits, how many numbers after it are reserved in 13, and three flags.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) struct Word(u64);

impl Word {
    /// The ledger holds numbers that are complete, but not next.
    pub(super) const LATE: u64 = 1;
    /// Somebody waits for the watermark.
    pub(super) const WAITING: u64 = 1 << 1;
    /// Nothing is reserved any more.
    pub(super) const CLOSED: u64 = 1 << 2;
    /// The last number there is.
    pub(super) const LAST: u64 = (1 << 48) - 1;
    /// The most that can be reserved at a time.
    pub(super) const MOST: u32 = (1 << 13) - 1;

    const FLAGS: u64 = Self::LATE | Self::WAITING | Self::CLOSED;
    const OUTSTANDING: u64 = 1 << 3;
    const WATERMARK: u64 = 1 << 16;

    const fn new(watermark: u64, outstanding: u64) -> Self {
        Self(watermark * Self::WATERMARK + outstanding * Self::OUTSTANDING)
    }

    pub(super) const fn watermark(self) -> u64 {
        self.0 / Self::WATERMARK
    }

    pub(super) const fn outstanding(self) -> u64 {
        self.0 % Self::WATERMARK / Self::OUTSTANDING
    }

    /// The last number that was reserved.
    pub(super) const fn last(self) -> u64 {
        self.watermark() + self.outstanding()
    }

    pub(super) const fn has(self, flag: u64) -> bool {
        self.0 & flag != 0
    }

    const fn flags(self) -> u64 {
        self.0 & Self::FLAGS
    }

    const fn reserved(self, count: u64) -> Self {
        Self(self.0 + count * Self::OUTSTANDING)
    }

    const fn advanced(self, count: u64) -> Self {
        Self(
            self.0
                .wrapping_add(count * (Self::WATERMARK - Self::OUTSTANDING)),
        )
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Word")
            .field("watermark", &self.watermark())
            .field("outstanding", &self.outstanding())
            .field("flags", &self.flags())
            .finish()
    }
}
