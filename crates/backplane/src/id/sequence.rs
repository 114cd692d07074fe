//! The one word that all threads of a generator share.

#[cfg(all(test, loom))]
use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(all(test, loom)))]
use std::sync::atomic::{AtomicU64, Ordering};

/// The last word issued, alone on its cache line.
///
/// A word is time and sequence side by side, so that adding one carries from a full sequence into
/// the next unit of time, and the order of words is the order of identifiers. The greatest word is
/// never issued: it marks a sequence that has ended.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Sequence {
    last: AtomicU64,
}

impl Sequence {
    /// What stands in place of the last word once the sequence has ended.
    pub(super) const ENDED: u64 = u64::MAX;

    /// A sequence of which the words up to `last` count as issued.
    pub(super) fn after(last: u64) -> Self {
        Self {
            last: AtomicU64::new(last),
        }
    }

    /// Takes `count` consecutive words from `from` on, or from behind the last one issued if that
    /// is greater; none of them past `limit`, which is below [`ENDED`](Self::ENDED). Returns the first, or the last word issued.
    ///
    /// Relaxed ordering is enough. All threads agree on the order in which one atomic changes, so
    /// no word is taken twice, and a thread that learnt of a word takes a greater one.
    #[inline]
    pub(super) fn take(&self, count: u64, from: u64, limit: u64) -> Result<u64, u64> {
        let more = count - 1;
        let mut last = self.last();
        // The last word that may be the first of so many; what does not change is asked but once.
        let Some(latest) = limit.checked_sub(more).filter(|latest| from <= *latest) else {
            return Err(last);
        };
        while last < latest {
            let first = from.max(last + 1);
            match self.last.compare_exchange_weak(
                last,
                first + more,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(first),
                Err(moved) => last = moved,
            }
        }
        Err(last)
    }

    /// The last word issued.
    pub(super) fn last(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }

    /// Ends the sequence: no word is issued any more. Returns the last one issued.
    ///
    /// A `take` that is under way either came before, and its words are within what this returns,
    /// or fails.
    pub(super) fn end(&self) -> u64 {
        self.last.swap(Self::ENDED, Ordering::Relaxed)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn words_follow_the_clock_or_the_last_word() {
        let sequence = Sequence::after(0);
        assert_eq!(sequence.take(1, 100, 200), Ok(100));
        assert_eq!(sequence.take(1, 50, 200), Ok(101));
        assert_eq!(sequence.take(3, 101, 200), Ok(102));
        assert_eq!(sequence.take(1, 101, 200), Ok(105));
    }

    #[test]
    fn a_refusal_takes_nothing() {
        let sequence = Sequence::after(0);
        assert_eq!(sequence.take(11, 100, 109), Err(0));
        assert_eq!(sequence.take(10, 100, 109), Ok(100));
        assert_eq!(sequence.take(1, 100, 109), Err(109));
    }

    #[test]
    fn the_greatest_word_is_never_issued() {
        let (limit, sequence) = (Sequence::ENDED - 1, Sequence::after(Sequence::ENDED - 2));
        assert_eq!(sequence.take(2, 0, limit), Err(limit - 1));
        assert_eq!(sequence.take(u64::MAX, 0, limit), Err(limit - 1));
        assert_eq!(sequence.take(1, 0, limit), Ok(limit));
        assert_eq!(sequence.take(1, 0, limit), Err(limit));
    }

    #[test]
    fn nothing_is_issued_after_the_end() {
        let sequence = Sequence::after(0);
        assert_eq!(sequence.take(5, 10, 100), Ok(10));
        assert_eq!(sequence.end(), 14);
        assert_eq!(
            sequence.take(1, 10, Sequence::ENDED - 1),
            Err(Sequence::ENDED)
        );
    }
}
