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
