use std::{cell::Cell, sync::Arc};

use super::{Id, IdError, SnowflakeGenerator};
use crate::{Clock, CoarseClock};

/// Identifiers for one thread, taken from a shared [`SnowflakeGenerator`] a block at a time.
///
/// For loops that need many: neither the clock nor the shared word is touched but once a block.
/// The identifiers of one `LocalIds` increase, and no two sources of one generator share any, but
/// those of two sources interleave block by block rather than call by call.
///
/// An identifier carries the time at which its *block* was taken. A thread that pauses longer than
/// its identifiers may be old calls [`discard`](Self::discard) before it goes on. Blocks end with
/// the generator that they came from: once it is closed, they are not used up.
///
/// ```
/// use std::sync::Arc;
/// use backplane::id::{Layout, SnowflakeGenerator};
/// let shared = Arc::new(SnowflakeGenerator::new(Layout::TWITTER, 0)?);
/// let local = shared.local(64);
/// let first = local.next_id()?;
/// assert!(local.next_id()? > first);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct LocalIds<C = CoarseClock> {
    /// Consecutive identifiers: those of one unit of time, up to `end`.
    next: Cell<u64>,
    end: Cell<u64>,
    /// The words of the block that lie in later units.
    word: Cell<u64>,
    left: Cell<u32>,
    block: u32,
    generator: Arc<SnowflakeGenerator<C>>,
}

impl<C: Clock> LocalIds<C> {
    pub(super) const fn new(generator: Arc<SnowflakeGenerator<C>>, block: u32) -> Self {
        Self {
            next: Cell::new(0),
            end: Cell::new(0),
            word: Cell::new(0),
            left: Cell::new(0),
            block: if block == 0 { 1 } else { block },
            generator,
        }
    }

    /// The next identifier.
    ///
    /// # Errors
    ///
    /// See [`IdError`], when a block is used up and no other can be had, not even one identifier.
    #[inline]
    pub fn next_id(&self) -> Result<Id, IdError> {
        let next = self.next.get();
        if next == self.end.get() || self.generator.is_closed() {
            return self.refill();
        }
        self.next.set(next + 1);
        Ok(Id::new(next))
    }

    /// Gives up the rest of the block: the next identifier carries the time of its call.
    pub fn discard(&self) {
        self.left.set(0);
        self.end.set(self.next.get());
    }

    #[cold]
    fn refill(&self) -> Result<Id, IdError> {
        if self.generator.is_closed() {
            self.discard();
        }
        if self.left.get() == 0 {
            let (word, left) = self.generator.take_some(self.block)?;
            self.word.set(word);
            self.left.set(left);
        }
        let (word, left) = (self.word.get(), self.left.get());
        let run =
            u32::try_from(self.generator.splice().run(word)).map_or(left, |run| run.min(left));
        self.word.set(word + u64::from(run));
        self.left.set(left - run);
        let id = self.generator.splice().id(word);
        self.next.set(id.get() + 1);
        self.end.set(id.get() + u64::from(run));
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        ManualClock, Timestamp,
        id::{Bits, Layout, SnowflakeOptions},
    };

    const UNIT: Duration = Duration::from_millis(1);

    /// Four identifiers a millisecond, two milliseconds ahead.
    fn shared(clock: &ManualClock) -> Arc<SnowflakeGenerator<ManualClock>> {
        let bits = Bits {
            time: 50,
            node: 4,
            sequence: 2,
        };
        let layout = Layout::new(Timestamp::EPOCH, UNIT, bits);
        let options = SnowflakeOptions::default().with_max_ahead(2 * UNIT);
        let generator = SnowflakeGenerator::with_clock(layout, 9, clock.clone(), &options);
        Arc::new(generator.unwrap())
    }

    fn times(ids: &LocalIds<ManualClock>, count: usize) -> Vec<u64> {
        let id = |_| {
            ids.generator
                .layout()
                .decode(ids.next_id().unwrap())
                .unwrap()
        };
        (0..count)
            .map(id)
            .map(|parts| parts.time.as_millis())
            .collect()
    }

    #[test]
    fn a_block_carries_over_into_the_next_unit_like_single_calls_do() {
        let clock = ManualClock::new(Timestamp::from_millis(100));
        let (local, single) = (shared(&clock).local(10), shared(&clock));
        for _ in 0..10 {
            assert_eq!(local.next_id(), single.next_id());
        }
    }

    #[test]
    fn where_a_whole_block_is_not_to_be_had_single_identifiers_are() {
        let clock = ManualClock::new(Timestamp::from_millis(100));
        let local = shared(&clock).local(10);
        assert_eq!(times(&local, 12), [[100; 4], [101; 4], [102; 4]].concat());
        let retry_after = UNIT;
        assert_eq!(local.next_id(), Err(IdError::Exhausted { retry_after }));
        clock.advance(retry_after);
        assert_eq!(times(&local, 4), [103; 4]);
    }

    #[test]
    fn a_discarded_block_is_not_drawn_from_again() {
        let clock = ManualClock::new(Timestamp::from_millis(100));
        let local = shared(&clock).local(8);
        assert_eq!(times(&local, 1), [100]);
        clock.advance(10 * UNIT);
        assert_eq!(times(&local, 1), [100]);
        local.discard();
        assert_eq!(times(&local, 5), [110, 110, 110, 110, 111]);
    }

    #[test]
    fn a_block_of_none_is_a_block_of_one() {
        let clock = ManualClock::new(Timestamp::from_millis(100));
        assert_eq!(times(&shared(&clock).local(0), 2), [100, 100]);
    }
}
