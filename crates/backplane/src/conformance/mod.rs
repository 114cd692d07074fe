//! Cases that every implementation of a trait must pass. Not covered by semver.
//!
//! A list is one macro per trait. An implementation's whole test is a call of it with an
//! expression that makes a [`Fresh`] subject; each case gets its own, so that cases run in parallel.

mod at_once;
pub mod bus;
pub mod directory;
pub mod flaky_bus;
pub mod high_water;
pub mod histories;
pub mod id_counter;
pub mod id_generator;
pub mod node_leases;
pub mod queue;
pub mod rate;

pub use at_once::{ROUNDS, at_once, hosted};

use std::{pin::pin, sync::Arc, time::Duration};

use futures::future::{Either, select};
use proptest::test_runner::{Config, FileFailurePersistence};

use crate::{Clock, ManualClock, SystemClock, Timestamp};

/// As many random histories as a store on a real engine has time for in a test run.
#[must_use]
pub fn few_cases() -> Config {
    Config {
        cases: 32,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..Config::default()
    }
}

/// What a case gets: an empty store, and the time the store lives in.
#[derive(Debug)]
pub struct Fresh<T: ?Sized> {
    /// The subject. Nothing else uses its namespace.
    pub store: Arc<T>,
    /// The subject's time.
    pub time: TestTime,
}

impl<T: ?Sized + Send + Sync> Fresh<T> {
    /// Whether `call` waits: at its first poll on a manual clock, for a while on an engine's.
    pub async fn keeps_waiting(&self, call: impl Future<Output: Send> + Send) -> bool {
        let a_while = self.time.pass(Duration::from_millis(200));
        matches!(select(pin!(call), pin!(a_while)).await, Either::Right(_))
    }
}

/// The time that a subject under test reads.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TestTime {
    /// The subject was built on this clock.
    Manual(ManualClock),
    /// The subject reads the time of an engine, which no test can move.
    Engine(SystemClock),
}

impl TestTime {
    /// Lets `duration` go by: at once on a manual clock, by waiting on an engine's.
    pub async fn pass(&self, duration: Duration) {
        match self {
            Self::Manual(clock) => clock.advance(duration),
            Self::Engine(clock) => clock.sleep(duration).await,
        }
    }

    /// The subject's wall time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::Manual(clock) => clock.now(),
            Self::Engine(clock) => clock.now(),
        }
    }
}

/// One test per case in a module named after the list, which is how `cargo xtask guarantees` finds
/// them. The test's runtime is tokio's, of one thread; calls that a case makes
/// [`at_once`](crate::conformance::at_once) are made within it.
///
/// `conformance_cases!(list, [path::to::cases], fresh => case, …)`; `list` ends in `_conformance`.
#[macro_export]
macro_rules! conformance_cases {
    ($list:ident, [$($path:tt)+], $fresh:expr => $($case:ident),+ $(,)?) => {
        mod $list {
            #[expect(clippy::allow_attributes, reason = "an invocation may name its items by path")]
            #[allow(unused_imports, clippy::wildcard_imports, reason = "the invocation's scope")]
            use super::*;
            use $($path)+ as cases;
            $(
                #[tokio::test]
                async fn $case() {
                    let runtime = ::tokio::runtime::Handle::current();
                    let case = async { cases::$case(&$fresh.await).await };
                    $crate::conformance::hosted(move |call| runtime.block_on(call), case).await;
                }
            )+
        }
    };
}
