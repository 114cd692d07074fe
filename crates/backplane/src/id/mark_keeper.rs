use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{
    Held, HighWater, KeeperOptions, Layout, Mark, Replaced, SnowflakeGenerator, keeper::keep,
};
use crate::{Clock, CoarseClock, Error, ErrorKind, Result, Timestamp};

/// A generator whose node survives restarts, and the care of its durable mark.
///
/// Opening finds the mark that the node's last generator left, counts everything up to it as
/// issued, and moves it ahead. From then on [`run`](Self::run) keeps it ahead, so that issuing
/// never waits for the store: if the store hangs for longer than half the reserve, identifiers are
/// refused ([`AwaitingMark`](super::IdError::AwaitingMark)) rather than issued past the mark.
///
/// Two generators of one node cannot both issue: opening the second takes the mark over, and the
/// first keeps what is below the mark it had and closes when it next looks.
///
/// ```
/// use std::sync::Arc;
/// use backplane::{CoarseClock, id::{KeeperOptions, Layout, MarkKeeper}, memory::MemoryHighWater};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(MemoryHighWater::default()); // or a `FileHighWater`
/// let clock = CoarseClock::new();
/// let options = KeeperOptions::default();
/// let keeper = MarkKeeper::open(store, Layout::TWITTER, 7, clock, &options).await?;
/// let ids = Arc::clone(keeper.generator());
/// // Somewhere else: keeper.run(|error| eprintln!("{error}")).await
/// ids.next_id()?;
/// keeper.close().await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct MarkKeeper<C = CoarseClock> {
    generator: Arc<SnowflakeGenerator<C>>,
    store: Arc<dyn HighWater>,
    mark: Mutex<Mark>,
    reserve: Duration,
    /// The last identifier issued by a generator that is closed, until the mark was set back to it.
    unsettled: Mutex<Option<Timestamp>>,
}

impl<C: Clock> MarkKeeper<C> {
    /// Opens the node whose mark is in `store`.
    ///
    /// # Errors
    ///
    /// If the store fails or the layout has no room for `node` ([`ErrorKind::Invalid`]); also if
    /// another generator opened the node in the same moment ([`ErrorKind::Unavailable`]). The mark
    /// may have moved, so that a later opening may have to wait for the clock to pass it.
    ///
    /// # Cancel safety
    ///
    /// As after an error.
    pub async fn open(
        store: Arc<dyn HighWater>,
        layout: Layout,
        node: u32,
        clock: C,
        options: &KeeperOptions,
    ) -> Result<Self> {
        let last = store.load().await?;
        let floor = last.map(|mark| mark.until);
        let generator = SnowflakeGenerator::kept(layout, node, clock, &options.generator, floor)
            .map_err(|error| Error::new(ErrorKind::Invalid, "open", error))?;
        let ahead = generator.furthest().saturating_add(options.reserve);
        let mark = Mark {
            until: floor.map_or(ahead, |floor| floor.max(ahead)),
            holder: last.map_or(1, |mark| mark.holder.wrapping_add(1)),
        };
        if store.replace(last, mark).await? != Replaced::Done {
            return Err(Error::bare(ErrorKind::Unavailable, "open"));
        }
        generator.allow_until(mark.until);
        Ok(Self {
            generator: Arc::new(generator),
            store,
            mark: Mutex::new(mark),
            reserve: options.reserve,
            unsettled: Mutex::new(None),
        })
    }

    /// The generator.
    #[must_use]
    pub const fn generator(&self) -> &Arc<SnowflakeGenerator<C>> {
        &self.generator
    }

    /// Moves the mark ahead once. [`run`](Self::run) does this by itself.
    ///
    /// # Errors
    ///
    /// If the store fails. The generator goes on up to the mark it has.
    ///
    /// # Cancel safety
    ///
    /// The mark may have moved; the next call finds out.
    pub async fn extend(&self) -> Result<Held> {
        if self.generator.is_closed() {
            return Ok(Held::Lost);
        }
        let held = *self.mark.lock();
        let ahead = self.generator.furthest().saturating_add(self.reserve);
        let next = Mark {
            until: ahead.max(held.until),
            ..held
        };
        match self.store.replace(Some(held), next).await? {
            Replaced::Done => self.hold(next),
            // Durable after all: an earlier attempt whose outcome was not known.
            Replaced::Moved { mark: Some(mark) } if mark.holder == held.holder => self.hold(mark),
            Replaced::Moved { .. } => {
                self.generator.close();
                return Ok(Held::Lost);
            }
        }
        Ok(Held::Yes)
    }

    /// Keeps the mark ahead until the node is lost to another generator.
    ///
    /// A failure of the store is told to `report` and tried again, sooner than a success.
    pub async fn run(&self, report: impl FnMut(&Error)) {
        let clock = self.generator.clock();
        keep(clock, self.reserve / 2, || self.extend(), report).await;
    }

    /// Closes the generator and sets the mark back to the last identifier issued, so that the next
    /// opening need not wait.
    ///
    /// # Errors
    ///
    /// If the store fails. The generator is closed all the same, and the mark stands further ahead
    /// than it need; closing again tries again to set it back.
    ///
    /// # Cancel safety
    ///
    /// As after an error.
    pub async fn close(&self) -> Result<()> {
        let unsettled = {
            let mut unsettled = self.unsettled.lock();
            *unsettled = self.generator.close().or(*unsettled);
            *unsettled
        };
        let Some(last) = unsettled else {
            return Ok(());
        };
        let held = *self.mark.lock();
        let settled = Mark {
            until: last,
            ..held
        };
        let replaced = self.store.replace(Some(held), settled).await?;
        if let Replaced::Moved { mark: Some(mark) } = replaced
            && mark.holder == held.holder
        {
            self.store.replace(Some(mark), settled).await?;
        }
        *self.unsettled.lock() = None;
        Ok(())
    }

    fn hold(&self, mark: Mark) {
        *self.mark.lock() = mark;
        self.generator.allow_until(mark.until);
    }
}
