use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{HighWater, Layout, Mark, Replaced, SnowflakeGenerator, SnowflakeOptions};
use crate::{Clock, CoarseClock, Error, ErrorKind, Result};

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
}

/// How a [`MarkKeeper`] or a [`LeaseKeeper`](super::LeaseKeeper) behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeeperOptions {
    /// The generator's own options.
    pub generator: SnowflakeOptions,
    /// How much time each move of the mark covers beyond what may be issued now. Two seconds
    /// unless set.
    ///
    /// It is how long the store may be away, and how long a node that crashed and came back at once
    /// may wait for the clock to pass its mark. The mark is moved twice in it.
    pub reserve: Duration,
    /// How long a node lease lasts unless renewed. Ten seconds unless set; renewed three times
    /// in it.
    pub ttl: Duration,
}

impl Default for KeeperOptions {
    fn default() -> Self {
        Self {
            generator: SnowflakeOptions::default(),
            reserve: Duration::from_secs(2),
            ttl: Duration::from_secs(10),
        }
    }
}

impl KeeperOptions {
    /// Sets [`generator`](Self::generator).
    #[must_use]
    pub const fn with_generator(mut self, generator: SnowflakeOptions) -> Self {
        self.generator = generator;
        self
    }

    /// Sets [`reserve`](Self::reserve).
    #[must_use]
    pub const fn with_reserve(mut self, reserve: Duration) -> Self {
        self.reserve = reserve;
        self
    }

    /// Sets [`ttl`](Self::ttl).
    #[must_use]
    pub const fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }
}

/// Between two calls of a keeper on its store, however short its reserve.
pub(super) const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// Whether a keeper still holds its node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "held or not")]
pub enum Held {
    /// The generator goes on.
    Yes,
    /// Another holder has the node; the generator is closed.
    Lost,
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
    pub async fn run(&self, mut report: impl FnMut(&Error)) {
        let period = (self.reserve / 2).max(SHORTEST_PAUSE);
        let mut pause = period;
        loop {
            self.generator.clock().sleep(pause).await;
            pause = match self.extend().await {
                Ok(Held::Yes) => period,
                Ok(Held::Lost) => return,
                Err(error) => {
                    report(&error);
                    (period / 4).max(SHORTEST_PAUSE)
                }
            };
        }
    }

    /// Closes the generator and sets the mark back to the last identifier issued, so that the next
    /// opening need not wait.
    ///
    /// # Errors
    ///
    /// If the store fails. The generator is closed all the same, and the mark stands further ahead
    /// than it need.
    ///
    /// # Cancel safety
    ///
    /// As after an error.
    pub async fn close(&self) -> Result<()> {
        let Some(last) = self.generator.close() else {
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
        Ok(())
    }

    fn hold(&self, mark: Mark) {
        *self.mark.lock() = mark;
        self.generator.allow_until(mark.until);
    }
}
