use std::{collections::VecDeque, ops::RangeInclusive, sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{Id, IdCounter, IdError, IdGenerator, blocks::Blocks};
use crate::{Clock, Error, ErrorKind, Result, Signal};

/// The [`IdGenerator`] after a database's auto-increment: small numbers from a counter that all nodes
/// share, which it takes a block at a time so that issuing does not wait for the database.
///
/// A node issues from its block while others issue from theirs. So identifiers increase on each node, and
/// over all of them only to within the blocks that are in hand: two for each node. They carry no time,
/// and tell whoever sees two of them how many were issued in between. A block is lost with the process
/// that has it, so there are gaps, as there are in any database whose transactions may fail.
#[derive(Debug)]
pub struct AutoIncrement {
    blocks: Blocks,
    /// In order, each above what came before.
    waiting: Mutex<VecDeque<RangeInclusive<u64>>>,
    block: u32,
    /// Raised when a block was begun, or could not be.
    turned: Signal,
}

impl AutoIncrement {
    fn new(block: u32) -> Self {
        Self {
            blocks: Blocks::none(),
            waiting: Mutex::default(),
            block,
            turned: Signal::default(),
        }
    }

    /// The next identifier.
    ///
    /// # Errors
    ///
    /// [`IdError::AwaitingMark`] if the blocks in hand are used up. Nothing is issued.
    #[inline]
    pub fn next_id(&self) -> Result<Id, IdError> {
        self.take(1).map(Id::new)
    }

    /// Fills `ids` with the next identifiers in one step. They follow each other without a gap.
    ///
    /// # Errors
    ///
    /// As for [`next_id`](Self::next_id); [`IdError::BatchTooLarge`] if they are more than a block.
    /// Nothing is issued, and `ids` is as it was.
    pub fn fill(&self, ids: &mut [Id]) -> Result<(), IdError> {
        if ids.is_empty() {
            return Ok(());
        }
        let first = self.take(ids.len() as u64)?;
        for (id, raw) in ids.iter_mut().zip(first..) {
            *id = Id::new(raw);
        }
        Ok(())
    }

    #[inline]
    fn take(&self, count: u64) -> Result<u64, IdError> {
        match self.blocks.take(count) {
            Some(first) => Ok(first),
            None => self.turn(count),
        }
    }

    /// Takes from the next block.
    #[cold]
    #[inline(never)]
    fn turn(&self, count: u64) -> Result<u64, IdError> {
        let max = u64::from(self.block);
        if count > max {
            return Err(IdError::BatchTooLarge { max });
        }
        let taken = {
            let mut waiting = self.waiting.lock();
            loop {
                // Somebody else may have turned.
                let taken = self.blocks.take(count);
                let Some(block) = taken.is_none().then(|| waiting.pop_front()).flatten() else {
                    break taken;
                };
                self.blocks.install(&block);
            }
        };
        self.turned.raise();
        taken.ok_or(IdError::AwaitingMark)
    }

    /// Adds a block of numbers that nobody else has.
    fn offer(&self, block: RangeInclusive<u64>) {
        let mut waiting = self.waiting.lock();
        // One that was overtaken on its way, and would lead back.
        if *block.start() <= self.blocks.end() {
            return;
        }
        let at = waiting.partition_point(|other| other.start() < block.start());
        waiting.insert(at, block);
    }

    fn needs_block(&self) -> bool {
        self.waiting.lock().is_empty()
    }
}

impl IdGenerator for AutoIncrement {
    fn next_id(&self) -> Result<Id, IdError> {
        self.next_id()
    }

    fn fill(&self, ids: &mut [Id]) -> Result<(), IdError> {
        self.fill(ids)
    }
}

/// The blocks of an [`AutoIncrement`], taken from an [`IdCounter`] ahead of need.
///
/// [`run`](Self::run) takes a block as soon as another is begun, so that there is always one to go on
/// with: while the counter is away, a whole block is left. If that is used up too, identifiers are
/// refused ([`IdError::AwaitingMark`]).
///
/// ```
/// use std::sync::Arc;
/// use backplane::{id::AutoIncrementKeeper, memory::MemoryIdCounter};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let counter = Arc::new(MemoryIdCounter::default()); // or one in a database
/// let keeper = AutoIncrementKeeper::open(counter, 1_000).await?;
/// let ids = Arc::clone(keeper.generator());
/// // Somewhere else: keeper.run(&clock, |error| eprintln!("{error}")).await
/// assert_eq!(ids.next_id()?.get(), 1);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct AutoIncrementKeeper {
    generator: Arc<AutoIncrement>,
    counter: Arc<dyn IdCounter>,
}

impl AutoIncrementKeeper {
    /// Takes the first block of `block` identifiers, at least one.
    ///
    /// A larger block writes less, and leaves larger gaps, between nodes and after restarts. With a block
    /// of 1 every identifier is a step of the counter, as with a database's own auto-increment. It is
    /// taken ahead of need all the same, so that one node may still issue a smaller one than another has;
    /// where that matters, [`take`](IdCounter::take) each from the counter itself.
    ///
    /// # Errors
    ///
    /// If the counter fails; [`ErrorKind::Corrupt`] if it gives a number that cannot be one. A block may
    /// be lost.
    ///
    /// # Cancel safety
    ///
    /// As after an error.
    pub async fn open(counter: Arc<dyn IdCounter>, block: u32) -> Result<Self> {
        let generator = Arc::new(AutoIncrement::new(block.max(1)));
        let keeper = Self { generator, counter };
        keeper.extend().await?;
        Ok(keeper)
    }

    /// The generator.
    #[must_use]
    pub const fn generator(&self) -> &Arc<AutoIncrement> {
        &self.generator
    }

    /// Takes a block, unless there is one to go on with. [`run`](Self::run) does this by itself.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open). The generator goes on with what it has.
    ///
    /// # Cancel safety
    ///
    /// A block may be lost.
    pub async fn extend(&self) -> Result<()> {
        if !self.generator.needs_block() {
            return Ok(());
        }
        let block = self.generator.block;
        let first = self.counter.take(block).await?;
        let last = first.checked_add(u64::from(block) - 1);
        let last = last.filter(|last| first > 0 && *last < u64::MAX);
        let last = last.ok_or_else(|| Error::bare(ErrorKind::Corrupt, "take"))?;
        self.generator.offer(first..=last);
        Ok(())
    }

    /// Keeps a block ready, for ever. A failure of the counter is told to `report`, and tried again
    /// after a tenth of a second.
    pub async fn run(&self, clock: &dyn Clock, mut report: impl FnMut(&Error)) {
        loop {
            let turned = self.generator.turned.listen();
            if !self.generator.needs_block() {
                turned.await;
            } else if let Err(error) = self.extend().await {
                report(&error);
                clock.sleep(PAUSE).await;
            }
        }
    }
}

/// Between two calls on a counter that fails.
const PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
