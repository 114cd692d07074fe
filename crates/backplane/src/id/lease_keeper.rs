use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{
    Acquired, Held, KeeperOptions, Layout, NodeLease, NodeLeases, Renewed, SnowflakeGenerator,
    keeper::keep,
};
use crate::{Clock, CoarseClock, Error, ErrorKind, Result, Timestamp};

/// A generator whose node is leased, and the care of the lease.
///
/// Two generators with one node cannot both issue an identifier, whatever becomes of clocks,
/// networks and paused processes: a lease comes with the points of time it covers, the store never
/// hands out the same point of one node twice, and the generator stays within what the store has
/// confirmed. On top of that it refuses with [`LeaseExpired`](super::IdError::LeaseExpired) from
/// the moment at which, by its own monotonic clock, the lease may have run out. (Identifiers that a
/// batch or a [`LocalIds`](super::LocalIds) took before that moment may still be drawn from it.)
///
/// ```
/// use std::sync::Arc;
/// use backplane::{CoarseClock, id::{KeeperOptions, Layout, LeaseKeeper}, memory::MemoryNodeLeases};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let clock = CoarseClock::new();
/// let leases = Arc::new(MemoryNodeLeases::new(1_024, Arc::new(clock.clone())));
/// let options = KeeperOptions::default();
/// let opened = LeaseKeeper::open(leases, Layout::DISCORD, clock, &options).await?;
/// let keeper = opened.granted().ok_or("every node is taken")?;
/// let ids = Arc::clone(keeper.generator());
/// // Somewhere else: keeper.run(|error| eprintln!("{error}")).await
/// assert_eq!(ids.layout().decode(ids.next_id()?)?.node, keeper.lease().node);
/// keeper.close().await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct LeaseKeeper<C = CoarseClock> {
    generator: Arc<SnowflakeGenerator<C>>,
    leases: Arc<dyn NodeLeases>,
    lease: NodeLease,
    reserve: Duration,
    ttl: Duration,
    /// The last identifier issued by a generator that is closed, until the node was given back.
    unreleased: Mutex<Option<Timestamp>>,
}

/// What became of a [`LeaseKeeper::open`].
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "granted or not")]
pub enum Opened<C = CoarseClock> {
    /// The generator has a node.
    Granted(LeaseKeeper<C>),
    /// Every node is held.
    AllTaken {
        /// When the first of the leases runs out, unless it is renewed.
        retry_after: Duration,
    },
}

impl<C> Opened<C> {
    /// The keeper, if a node was to be had.
    #[must_use]
    pub fn granted(self) -> Option<LeaseKeeper<C>> {
        match self {
            Self::Granted(keeper) => Some(keeper),
            Self::AllTaken { .. } => None,
        }
    }
}

impl<C: Clock> LeaseKeeper<C> {
    /// Leases a node and makes its generator.
    ///
    /// # Errors
    ///
    /// If the store fails; [`ErrorKind::Invalid`] if it leases a node that the layout has no room for,
    /// or if the options' `ttl` is zero. A node may stay leased for the options' `ttl`.
    ///
    /// # Cancel safety
    ///
    /// As after an error.
    pub async fn open(
        leases: Arc<dyn NodeLeases>,
        layout: Layout,
        clock: C,
        options: &KeeperOptions,
    ) -> Result<Opened<C>> {
        let asked = clock.monotonic();
        let furthest = clock.now().saturating_add(options.generator.max_ahead);
        let until = furthest.saturating_add(options.reserve);
        let lease = match leases.acquire(options.ttl, until).await? {
            Acquired::Granted(lease) => lease,
            Acquired::AllTaken { retry_after } => return Ok(Opened::AllTaken { retry_after }),
        };
        let generator =
            SnowflakeGenerator::kept(layout, lease.node, clock, &options.generator, lease.floor)
                .map_err(|error| Error::new(ErrorKind::Invalid, "open", error))?;
        generator.allow_before(asked.saturating_add(options.ttl));
        generator.allow_until(lease.floor.map_or(until, |floor| floor.max(until)));
        Ok(Opened::Granted(Self {
            generator: Arc::new(generator),
            leases,
            lease,
            reserve: options.reserve,
            ttl: options.ttl,
            unreleased: Mutex::new(None),
        }))
    }

    /// The generator.
    #[must_use]
    pub const fn generator(&self) -> &Arc<SnowflakeGenerator<C>> {
        &self.generator
    }

    /// The lease: its node, and the token with which a resource can tell former holders.
    #[must_use]
    pub const fn lease(&self) -> &NodeLease {
        &self.lease
    }

    /// Renews the lease once. [`run`](Self::run) does this by itself.
    ///
    /// # Errors
    ///
    /// If the store fails. The generator goes on until the lease it has runs out.
    ///
    /// # Cancel safety
    ///
    /// The lease may have been renewed without the generator's knowledge; the next call tells it.
    pub async fn extend(&self) -> Result<Held> {
        if self.generator.is_closed() {
            return Ok(Held::Lost);
        }
        let asked = self.generator.clock().monotonic();
        let until = self.until();
        let renewed = self.leases.renew(&self.lease, self.ttl, until).await?;
        if renewed == Renewed::Lost {
            self.generator.close();
            return Ok(Held::Lost);
        }
        self.generator.allow_before(asked.saturating_add(self.ttl));
        self.generator.allow_until(until);
        Ok(Held::Yes)
    }

    /// Keeps the lease until it is lost.
    ///
    /// A failure of the store is told to `report` and tried again, sooner than a success.
    pub async fn run(&self, report: impl FnMut(&Error)) {
        let (clock, period) = (self.generator.clock(), (self.ttl / 3).min(self.reserve / 2));
        keep(clock, period, || self.extend(), report).await;
    }

    /// Closes the generator and gives the node back, with the last identifier issued as its mark.
    ///
    /// # Errors
    ///
    /// If the store fails. The generator is closed all the same, and the lease runs out by itself;
    /// closing again tries again to give the node back.
    ///
    /// # Cancel safety
    ///
    /// As after an error.
    pub async fn close(&self) -> Result<()> {
        let unreleased = {
            let mut unreleased = self.unreleased.lock();
            *unreleased = self.generator.close().or(*unreleased);
            *unreleased
        };
        if let Some(last) = unreleased {
            self.leases.release(&self.lease, last).await?;
            *self.unreleased.lock() = None;
        }
        Ok(())
    }

    fn until(&self) -> Timestamp {
        self.generator.furthest().saturating_add(self.reserve)
    }
}
