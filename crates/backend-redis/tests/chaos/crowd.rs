//! Many who change things all the time, and what may be so by what they were told.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use fastrand::Rng;
use futures::future::join_all;

use crate::house::until;

/// How many change something at a time.
pub(crate) const WORKERS: u64 = 8;

/// How many changes there are before something happens.
const MANY: usize = 200;

/// A few for each worker, which take long where replicas are missing.
const SOME: usize = 40;

/// What was done, and what those were told who did it.
#[derive(Debug)]
pub(crate) struct Crowd<K, S, E> {
    is_retryable: fn(&E) -> bool,
    accounts: Mutex<BTreeMap<K, Account<S>>>,
    acknowledged: AtomicUsize,
    tried: AtomicUsize,
    is_over: AtomicBool,
}

/// What may be so of one thing.
#[derive(Clone, Debug)]
pub(crate) struct Account<S> {
    /// The last state that was acknowledged, and those of changes that have failed since.
    pub(crate) now: BTreeSet<S>,
    /// All states that there have been.
    pub(crate) ever: BTreeSet<S>,
}

impl<K: Copy + Ord, S: Copy + Default + Ord, E: Debug> Crowd<K, S, E> {
    /// A change may fail, but only with an error that `is_retryable`.
    pub(crate) const fn new(is_retryable: fn(&E) -> bool) -> Self {
        Self {
            is_retryable,
            accounts: Mutex::new(BTreeMap::new()),
            acknowledged: AtomicUsize::new(0),
            tried: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        }
    }

    /// Has things changed before `story`, and while it goes on. `change` makes one change to a thing that is
    /// the worker's own, and answers which, into which state, and what it was told.
    #[expect(clippy::future_not_send, reason = "a test awaits it where it is made")]
    pub(crate) async fn while_working(
        &self,
        change: impl AsyncFn(u64, &mut Rng) -> (K, S, Result<(), E>),
        story: impl AsyncFnOnce(),
    ) {
        let work = async |worker| {
            let mut rng = Rng::with_seed(worker);
            while !self.is_over.load(Ordering::Relaxed) {
                let (thing, state, answer) = change(worker, &mut rng).await;
                self.note(thing, state, answer);
            }
        };
        let script = async {
            self.progress().await;
            story().await;
            self.is_over.store(true, Ordering::Relaxed);
        };
        tokio::join!(script, join_all((0..WORKERS).map(work)));
    }

    /// Waits until many more changes were acknowledged.
    pub(crate) async fn progress(&self) {
        let enough = self.acknowledged.load(Ordering::Relaxed) + MANY;
        until("changes are made", async || {
            self.acknowledged.load(Ordering::Relaxed) >= enough
        })
        .await;
    }

    /// Waits until some more changes were tried.
    pub(crate) async fn tries(&self) {
        let enough = self.tried.load(Ordering::Relaxed) + SOME;
        until("changes are tried", async || {
            self.tried.load(Ordering::Relaxed) >= enough
        })
        .await;
    }

    fn note(&self, thing: K, state: S, answer: Result<(), E>) {
        let mut accounts = self.accounts.lock().unwrap();
        let account = accounts.entry(thing).or_default();
        match answer {
            Ok(()) => {
                account.now = BTreeSet::from([state]);
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                assert!((self.is_retryable)(&error), "{error:?}");
                account.now.insert(state);
            }
        }
        account.ever.insert(state);
        self.tried.fetch_add(1, Ordering::Relaxed);
    }

    /// Of each thing that was changed what may be so.
    pub(crate) fn accounts(&self) -> BTreeMap<K, Account<S>> {
        self.accounts.lock().unwrap().clone()
    }
}

impl<S: Default + Ord> Default for Account<S> {
    /// Of a thing that nobody has changed yet.
    fn default() -> Self {
        Self {
            now: BTreeSet::from([S::default()]),
            ever: BTreeSet::from([S::default()]),
        }
    }
}
