use std::{
    error::Error as StdError,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use backplane::{
    BackoffOptions, Clock, Error, ErrorKind, Result,
    id::{
        Id, IdError, IdGenerator, KeeperOptions, Layout, LeaseKeeper, Opened, SnowflakeGenerator,
    },
};
use fastrand::Rng;
use tokio::{sync::Mutex, task::JoinHandle};

use super::RedisNodeLeases;
use crate::Redis;

/// Identifiers of a node that is leased on Redis, and the task that keeps the lease: all processes that
/// share the prefix of one [`Redis`] issue different ones of a layout, and none is told which node it is.
///
/// A lease that is lost, since Redis could not be reached for longer than it lasts or has lost it, is
/// followed by another. Until then nothing is issued: [`LeaseExpired`](IdError::LeaseExpired), or
/// [`Closed`](IdError::Closed). What [`RedisNodeLeases`] says of Redis that loses a lease holds here.
///
/// ```no_run
/// use std::sync::Arc;
/// use backend_redis::{Redis, RedisIds};
/// use backplane::{SystemClock, id::{IdGenerator, KeeperOptions, Layout}};
/// # async fn open(redis: Redis) -> Result<(), Box<dyn std::error::Error>> {
/// let (clock, options) = (Arc::new(SystemClock::new()), KeeperOptions::default());
/// let ids = RedisIds::open(redis, Layout::TWITTER, clock, options).await?;
/// println!("{}", ids.next_id()?);
/// ids.close().await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct RedisIds {
    current: Arc<RwLock<Arc<Keeper>>>,
    /// Until it has ended.
    task: Mutex<Option<JoinHandle<()>>>,
}

type Keeper = LeaseKeeper<Arc<dyn Clock>>;

impl RedisIds {
    /// Leases a node and keeps it, one of as many as `layout` has room for.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Full`] if every node is leased, `Invalid` if the `ttl` of `options` is zero, and
    /// whatever Redis fails with.
    ///
    /// # Cancel safety
    ///
    /// A node may stay leased for the `ttl`.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn open(
        redis: Redis,
        layout: Layout,
        clock: Arc<dyn Clock>,
        options: KeeperOptions,
    ) -> Result<Self> {
        let nodes = RedisNodeLeases::new(redis, &name(&layout), layout.nodes());
        let lessee = Lessee {
            nodes: Arc::new(nodes),
            layout,
            clock,
            options,
        };
        let Opened::Granted(keeper) = lessee.lease().await? else {
            return Err(Error::new(ErrorKind::Full, "open", "every node is leased"));
        };
        let current = Arc::new(RwLock::new(Arc::new(keeper)));
        let task = tokio::spawn(lessee.keep(Arc::clone(&current)));
        Ok(Self {
            current,
            task: Mutex::new(Some(task)),
        })
    }

    /// Issues nothing any more and gives the node back, which else runs out by itself.
    ///
    /// # Errors
    ///
    /// Fails if Redis does; the node then runs out.
    pub async fn close(&self) -> Result<()> {
        let mut task = self.task.lock().await;
        if let Some(task) = &mut *task {
            task.abort();
            // Before that it may take another node.
            let _ = task.await;
        }
        *task = None;
        let keeper = keeper(&self.current);
        keeper.close().await
    }

    fn generator(&self) -> Arc<SnowflakeGenerator<Arc<dyn Clock>>> {
        Arc::clone(keeper(&self.current).generator())
    }
}

impl Drop for RedisIds {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut() {
            task.abort();
        }
    }
}

impl IdGenerator for RedisIds {
    fn next_id(&self) -> Result<Id, IdError> {
        self.generator().next_id()
    }

    fn fill(&self, ids: &mut [Id]) -> Result<(), IdError> {
        self.generator().fill(ids)
    }
}

/// What generators have in common whose ids must differ.
fn name(layout: &Layout) -> String {
    let (epoch, unit, bits) = (layout.epoch(), layout.unit(), layout.bits());
    let (epoch, unit) = (epoch.as_millis(), unit.as_millis());
    format!(
        "{epoch}+{unit}:{}:{}:{}",
        bits.time, bits.node, bits.sequence
    )
}

/// Takes one lease after another.
struct Lessee {
    nodes: Arc<RedisNodeLeases>,
    layout: Layout,
    clock: Arc<dyn Clock>,
    options: KeeperOptions,
}

impl Lessee {
    async fn lease(&self) -> Result<Opened<Arc<dyn Clock>>> {
        let (nodes, clock) = (Arc::clone(&self.nodes), Arc::clone(&self.clock));
        LeaseKeeper::open(nodes, self.layout, clock, &self.options).await
    }

    async fn keep(self, current: Arc<RwLock<Arc<Keeper>>>) {
        let (backoff, mut jitter) = (BackoffOptions::default(), Rng::new());
        loop {
            let held = keeper(&current);
            held.run(|error| {
                tracing::warn!(
                    error = error as &dyn StdError,
                    "a node lease is not renewed"
                );
            })
            .await;
            tracing::warn!(node = held.lease().node, "a node lease is lost");
            // A server that has lost the lease has lost its mark, and may lease the same node.
            let ahead = self.options.generator.max_ahead;
            let last = self.clock.now().saturating_add(ahead);
            while self.clock.now() <= last {
                self.clock.sleep(ahead.clamp(MILLISECOND, LOOK_EVERY)).await;
            }
            let mut failures = 0;
            let next = loop {
                let wait = match self.lease().await {
                    Ok(Opened::Granted(keeper)) => break keeper,
                    Ok(Opened::AllTaken { retry_after }) => retry_after.min(LOOK_EVERY),
                    Err(error) => {
                        tracing::warn!(error = &error as &dyn StdError, "no node is leased");
                        backoff.delay(failures, None, &mut jitter)
                    }
                };
                failures = failures.saturating_add(1);
                self.clock.sleep(wait).await;
            };
            *current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        }
    }
}

const MILLISECOND: Duration = Duration::from_millis(1);

/// How often at least to ask for a node where all are leased.
const LOOK_EVERY: Duration = Duration::from_secs(1);

fn keeper(current: &RwLock<Arc<Keeper>>) -> Arc<Keeper> {
    Arc::clone(&current.read().unwrap_or_else(PoisonError::into_inner))
}
