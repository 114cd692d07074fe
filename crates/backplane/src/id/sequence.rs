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
        let mut last = self.last.load(Ordering::Relaxed);
        loop {
            if last >= limit {
                return Err(last);
            }
            let first = from.max(last + 1);
            let Some(next) = first.checked_add(count - 1).filter(|next| *next <= limit) else {
                return Err(last);
            };
            match self
                .last
                .compare_exchange_weak(last, next, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return Ok(first),
                Err(moved) => last = moved,
            }
        }
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

#[cfg(all(test, loom))]
mod loom_tests {
    use loom::{sync::Arc, thread};

    use super::*;

    #[test]
    fn loom_concurrent_takes_are_disjoint_and_increasing() {
        loom::model(|| {
            let sequence = Arc::new(Sequence::after(0));
            let other = Arc::clone(&sequence);
            // The second thread's clock is ahead, and it takes a batch.
            let handle = thread::spawn(move || {
                let batch = other.take(3, 12, 40).expect("within the limit");
                let single = other.take(1, 11, 40).expect("within the limit");
                assert!(single > batch + 2);
                [batch, batch + 1, batch + 2, single]
            });
            let first = sequence.take(1, 10, 40).expect("within the limit");
            let second = sequence.take(1, 10, 40).expect("within the limit");
            assert!(second > first);
            let mut words = handle.join().expect("no panic").to_vec();
            words.extend([first, second]);
            words.sort_unstable();
            words.dedup();
            assert_eq!(words.len(), 6);
        });
    }

    #[test]
    fn loom_a_limit_is_never_passed() {
        loom::model(|| {
            let sequence = Arc::new(Sequence::after(9));
            let other = Arc::clone(&sequence);
            let handle = thread::spawn(move || [other.take(1, 0, 11), other.take(1, 0, 11)]);
            let here = [sequence.take(1, 0, 11), sequence.take(1, 0, 11)];
            let there = handle.join().expect("no panic");
            let mut issued: Vec<_> = here.into_iter().chain(there).flatten().collect();
            issued.sort_unstable();
            assert_eq!(issued, [10, 11]);
        });
    }

    #[test]
    fn loom_the_end_covers_every_word_that_was_issued() {
        loom::model(|| {
            let sequence = Arc::new(Sequence::after(0));
            let other = Arc::clone(&sequence);
            let handle = thread::spawn(move || (other.take(1, 5, 40), other.take(2, 5, 40)));
            let end = sequence.end();
            let (single, batch) = handle.join().expect("no panic");
            assert!(single.is_err() || single.is_ok_and(|word| word <= end));
            assert!(batch.is_err() || batch.is_ok_and(|word| word < end));
            assert_eq!(sequence.take(1, 5, 40), Err(Sequence::ENDED));
        });
    }
}
