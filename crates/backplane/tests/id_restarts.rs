//! Lives and deaths of a node's generators: no identifier twice, whatever the store, the clocks and
//! the processes do.

use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use backplane::{
    Clock, Error, ErrorKind, ManualClock, Result, Sleep, Timestamp,
    id::{
        Acquired, Bits, Held, HighWater, Id, IdError, KeeperOptions, Layout, LeaseKeeper, Mark,
        MarkKeeper, NodeLease, NodeLeases, Opened, Renewed, Replaced, SnowflakeOptions,
    },
    memory::{MemoryHighWater, MemoryNodeLeases},
};
use futures::FutureExt;
use parking_lot::Mutex;
use proptest::prelude::*;

/// Four identifiers a millisecond and node.
const NARROW: Layout = Layout::new(
    Timestamp::EPOCH,
    Duration::from_millis(1),
    Bits {
        time: 50,
        node: 4,
        sequence: 2,
    },
);

fn options() -> KeeperOptions {
    let generator = SnowflakeOptions::default().with_max_ahead(Duration::from_millis(5));
    KeeperOptions::default()
        .with_generator(generator)
        .with_reserve(Duration::from_millis(20))
        .with_ttl(Duration::from_millis(100))
}

/// What a call on a store meets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    None,
    /// The call fails and has done nothing.
    Before,
    /// The call fails, but was carried out.
    After,
}

/// A store that fails as told, call by call, and works once it was told nothing more.
#[derive(Debug)]
struct Flaky<T> {
    store: T,
    faults: Mutex<VecDeque<Fault>>,
}

impl<T> Flaky<T> {
    fn new(store: T, faults: impl IntoIterator<Item = Fault>) -> Arc<Self> {
        Arc::new(Self {
            store,
            faults: Mutex::new(faults.into_iter().collect()),
        })
    }

    fn call<R>(&self, work: impl FnOnce(&T) -> R) -> Result<R> {
        let fault = self.faults.lock().pop_front().unwrap_or(Fault::None);
        let outcome = (fault != Fault::Before).then(|| work(&self.store));
        match (fault, outcome) {
            (Fault::None, Some(outcome)) => Ok(outcome),
            _ => Err(Error::bare(ErrorKind::Unavailable, "flaky")),
        }
    }
}

#[async_trait]
impl HighWater for Flaky<MemoryHighWater> {
    async fn load(&self) -> Result<Option<Mark>> {
        self.call(MemoryHighWater::load)
    }

    async fn replace(&self, expected: Option<Mark>, mark: Mark) -> Result<Replaced> {
        self.call(|store| store.replace(expected, mark))
    }
}

#[async_trait]
impl NodeLeases for Flaky<MemoryNodeLeases> {
    async fn acquire(&self, ttl: Duration, until: Timestamp) -> Result<Acquired> {
        self.call(|store| store.acquire(ttl, until))?
    }

    async fn renew(&self, lease: &NodeLease, ttl: Duration, until: Timestamp) -> Result<Renewed> {
        self.call(|store| store.renew(lease, ttl, until))?
    }

    async fn release(&self, lease: &NodeLease, until: Timestamp) -> Result<()> {
        self.call(|store| store.release(lease, until))
    }
}

/// The memory stores answer at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("a memory store never waits")
}

#[derive(Clone, Debug)]
enum Step {
    /// A process starts. The former ones go on: nobody told them.
    Open,
    /// The process, one of those so far, asks for so many identifiers.
    Issue(usize, usize),
    /// It moves its mark or renews its lease.
    Extend(usize),
    /// It closes in good order.
    Close(usize),
    /// Time goes on for everybody.
    Advance(u64),
    /// The wall clock of one process is set, this far forward or back.
    Jump(usize, i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => Just(Step::Open),
        6 => (any::<usize>(), 1..30usize).prop_map(|(who, count)| Step::Issue(who, count)),
        3 => any::<usize>().prop_map(Step::Extend),
        1 => any::<usize>().prop_map(Step::Close),
        3 => (0..60u64).prop_map(Step::Advance),
        1 => (any::<usize>(), -30_000..30_000i64).prop_map(|(who, by)| Step::Jump(who, by)),
    ];
    proptest::collection::vec(step, 0..120)
}

fn faults() -> impl Strategy<Value = Vec<Fault>> {
    let fault = prop_oneof![
        4 => Just(Fault::None),
        1 => Just(Fault::Before),
        1 => Just(Fault::After),
    ];
    proptest::collection::vec(fault, 0..60)
}

fn jump(clock: &ManualClock, by: i64) {
    let by_millis = Duration::from_millis(by.unsigned_abs());
    let now = clock.now();
    clock.set_now(if by < 0 {
        now.saturating_sub(by_millis)
    } else {
        now.saturating_add(by_millis)
    });
}

fn pick<T>(all: &[T], who: usize) -> Option<&T> {
    all.get(who.checked_rem(all.len())?)
}

proptest! {
    /// A crash is a process that is never asked again, so that every prefix of a life is one; and a
    /// process that was taken for dead may still issue.
    #[test]
    fn a_node_never_repeats_an_identifier_over_restarts(
        (steps, faults) in (steps(), faults()),
    ) {
        let store = Flaky::new(MemoryHighWater::default(), faults);
        let mut lives: Vec<(MarkKeeper<ManualClock>, ManualClock, Option<Id>)> = Vec::new();
        let mut issued = HashSet::new();
        let mut elapsed = Duration::ZERO;
        for step in steps {
            match step {
                Step::Open => {
                    let clock = ManualClock::default();
                    clock.advance(elapsed);
                    let store = Arc::clone(&store) as Arc<dyn HighWater>;
                    let options = options();
                    let opening = MarkKeeper::open(store, NARROW, 3, clock.clone(), &options);
                    if let Ok(keeper) = now(opening) {
                        lives.push((keeper, clock, None));
                    }
                }
                Step::Issue(who, count) => {
                    let Some(who) = who.checked_rem(lives.len()) else { continue };
                    let ids = lives[who].0.generator();
                    let Ok(batch) = ids.reserve(count) else { continue };
                    for id in batch {
                        prop_assert!(issued.insert(id), "issued twice");
                        let earlier = lives[..who].iter().filter_map(|life| life.2).max();
                        prop_assert!(Some(id) > earlier, "not past the lives before");
                        lives[who].2 = Some(id);
                    }
                }
                Step::Extend(who) => {
                    if let Some((keeper, ..)) = pick(&lives, who) {
                        now(keeper.extend()).ok();
                    }
                }
                Step::Close(who) => {
                    if let Some((keeper, ..)) = pick(&lives, who) {
                        now(keeper.close()).ok();
                        prop_assert_eq!(keeper.generator().next_id(), Err(IdError::Closed));
                    }
                }
                Step::Advance(by) => {
                    elapsed += Duration::from_millis(by);
                    for (_, clock, _) in &lives {
                        clock.advance(Duration::from_millis(by));
                    }
                }
                Step::Jump(who, by) => {
                    if let Some((_, clock, _)) = pick(&lives, who) {
                        jump(clock, by);
                    }
                }
            }
        }
    }

    /// Two nodes for any number of processes, each with a clock of its own that may disagree with
    /// the others and with the store's.
    #[test]
    fn leased_nodes_never_repeat_an_identifier(
        (steps, faults) in (steps(), faults()),
    ) {
        let time = ManualClock::default();
        let store = Flaky::new(MemoryNodeLeases::new(2, Arc::new(time.clone())), faults);
        let mut lives: Vec<(LeaseKeeper<ManualClock>, ManualClock)> = Vec::new();
        let mut issued = HashSet::new();
        for step in steps {
            match step {
                Step::Open => {
                    let clock = ManualClock::default();
                    let store = Arc::clone(&store) as Arc<dyn NodeLeases>;
                    let options = options();
                    let opening = LeaseKeeper::open(store, NARROW, clock.clone(), &options);
                    if let Ok(Opened::Granted(keeper)) = now(opening) {
                        lives.push((keeper, clock));
                    }
                }
                Step::Issue(who, count) => {
                    let Some((keeper, _)) = pick(&lives, who) else { continue };
                    for id in keeper.generator().reserve(count).into_iter().flatten() {
                        prop_assert!(issued.insert(id), "issued twice");
                    }
                }
                Step::Extend(who) => {
                    if let Some((keeper, _)) = pick(&lives, who) {
                        now(keeper.extend()).ok();
                    }
                }
                Step::Close(who) => {
                    if let Some((keeper, _)) = pick(&lives, who) {
                        now(keeper.close()).ok();
                        prop_assert_eq!(keeper.generator().next_id(), Err(IdError::Closed));
                    }
                }
                // Only the store's clock goes on: every holder's stands, the worst a clock can do.
                Step::Advance(by) => time.advance(Duration::from_millis(by)),
                Step::Jump(who, by) => {
                    if let Some((_, clock)) = pick(&lives, who) {
                        jump(clock, by);
                    }
                }
            }
        }
    }
}

fn open_mark(store: &Arc<Flaky<MemoryHighWater>>, clock: &ManualClock) -> MarkKeeper<ManualClock> {
    let store = Arc::clone(store) as Arc<dyn HighWater>;
    let options = options();
    let opening = MarkKeeper::open(store, NARROW, 1, clock.clone(), &options);
    now(opening).expect("no fault was planned")
}

fn open_lease(
    store: &Arc<Flaky<MemoryNodeLeases>>,
    clock: &ManualClock,
) -> LeaseKeeper<ManualClock> {
    let store = Arc::clone(store) as Arc<dyn NodeLeases>;
    let options = options();
    let opening = LeaseKeeper::open(store, NARROW, clock.clone(), &options);
    let opened = now(opening).expect("no fault was planned");
    opened.granted().expect("a node is free")
}

#[test]
fn a_clock_set_back_while_the_node_was_down_is_waited_out() {
    let (store, clock) = (
        Flaky::new(MemoryHighWater::default(), []),
        ManualClock::default(),
    );
    let last = open_mark(&store, &clock).generator().next_id().unwrap();
    jump(&clock, -30_000);
    let reopened = open_mark(&store, &clock);
    let error = reopened.generator().next_id().unwrap_err();
    let Some(retry_after) = error.retry_after() else {
        panic!("{error}");
    };
    clock.advance(retry_after);
    now(reopened.extend()).unwrap();
    assert!(reopened.generator().next_id().unwrap() > last);
}

#[test]
fn a_node_that_closed_in_good_order_comes_back_at_once() {
    let (store, clock) = (
        Flaky::new(MemoryHighWater::default(), []),
        ManualClock::default(),
    );
    let keeper = open_mark(&store, &clock);
    let last = keeper.generator().next_id().unwrap();
    now(keeper.close()).unwrap();
    assert!(open_mark(&store, &clock).generator().next_id().unwrap() > last);
}

#[test]
fn a_second_generator_of_a_node_closes_the_first() {
    let (store, clock) = (
        Flaky::new(MemoryHighWater::default(), []),
        ManualClock::default(),
    );
    let (first, second) = (open_mark(&store, &clock), open_mark(&store, &clock));
    assert_eq!(now(first.extend()).unwrap(), Held::Lost);
    assert_eq!(first.generator().next_id(), Err(IdError::Closed));
    assert_eq!(now(second.extend()).unwrap(), Held::Yes);
}

#[test]
fn identifiers_stop_at_the_durable_mark_when_the_store_is_away() {
    let (store, clock) = (
        Flaky::new(MemoryHighWater::default(), []),
        ManualClock::default(),
    );
    let keeper = open_mark(&store, &clock);
    clock.advance(Duration::from_millis(25));
    keeper.generator().next_id().unwrap();
    clock.advance(Duration::from_millis(1));
    assert_eq!(keeper.generator().next_id(), Err(IdError::AwaitingMark));
    now(keeper.extend()).unwrap();
    keeper.generator().next_id().unwrap();
}

#[test]
fn a_mark_whose_confirmation_was_lost_is_recognised_as_ones_own() {
    let faults = [Fault::None, Fault::None, Fault::After];
    let (store, clock) = (
        Flaky::new(MemoryHighWater::default(), faults),
        ManualClock::default(),
    );
    let keeper = open_mark(&store, &clock);
    clock.advance(Duration::from_millis(10));
    assert!(now(keeper.extend()).is_err());
    clock.advance(Duration::from_millis(10));
    assert_eq!(now(keeper.extend()).unwrap(), Held::Yes);
    now(keeper.close()).unwrap();
}

#[test]
fn no_identifier_after_the_local_deadline_of_the_lease_even_if_the_wall_clock_went_back() {
    // The store's clock stands.
    let time = Arc::new(ManualClock::default());
    let store = Flaky::new(MemoryNodeLeases::new(1, time), []);
    let clock = ManualClock::default();
    let keeper = open_lease(&store, &clock);
    let opened = clock.now();
    clock.advance(Duration::from_millis(99));
    clock.set_now(opened);
    keeper.generator().next_id().unwrap();
    clock.advance(Duration::from_millis(1));
    clock.set_now(opened);
    assert_eq!(keeper.generator().next_id(), Err(IdError::LeaseExpired));
    assert_eq!(
        keeper.generator().reserve(2).unwrap_err(),
        IdError::LeaseExpired
    );
    // By the store's clock no time has passed: it renews, and the generator goes on.
    assert_eq!(now(keeper.extend()).unwrap(), Held::Yes);
    keeper.generator().next_id().unwrap();
}

#[test]
fn a_lost_lease_closes_the_generator_and_the_blocks_taken_from_it() {
    let clock = ManualClock::default();
    let store = Flaky::new(MemoryNodeLeases::new(1, Arc::new(clock.clone())), []);
    let keeper = open_lease(&store, &clock);
    let local = keeper.generator().local(16);
    local.next_id().unwrap();
    clock.advance(Duration::from_millis(100));
    assert_eq!(now(keeper.extend()).unwrap(), Held::Lost);
    assert_eq!(local.next_id(), Err(IdError::Closed));
    assert_eq!(keeper.generator().next_id(), Err(IdError::Closed));
}

#[test]
fn a_node_that_was_given_back_is_taken_over_at_once_and_above() {
    let clock = ManualClock::default();
    let store = Flaky::new(MemoryNodeLeases::new(1, Arc::new(clock.clone())), []);
    let keeper = open_lease(&store, &clock);
    let last = keeper.generator().next_id().unwrap();
    now(keeper.close()).unwrap();
    let next = open_lease(&store, &clock);
    assert_eq!(next.lease().node, keeper.lease().node);
    assert!(next.lease().token > keeper.lease().token);
    assert!(next.generator().next_id().unwrap() > last);
}

#[test]
fn a_node_that_could_not_be_given_back_is_free_when_its_lease_runs_out() {
    let clock = ManualClock::default();
    let leases = MemoryNodeLeases::new(1, Arc::new(clock.clone()));
    let store = Flaky::new(leases, [Fault::None, Fault::Before]);
    let keeper = open_lease(&store, &clock);
    assert!(now(keeper.close()).is_err());
    assert_eq!(now(keeper.extend()).unwrap(), Held::Lost);
    clock.advance(options().ttl);
    assert_eq!(open_lease(&store, &clock).lease().node, keeper.lease().node);
}

#[test]
fn a_node_that_could_not_be_given_back_is_when_it_is_closed_again() {
    for fault in [Fault::Before, Fault::After] {
        let clock = ManualClock::default();
        let leases = MemoryNodeLeases::new(1, Arc::new(clock.clone()));
        let store = Flaky::new(leases, [Fault::None, fault]);
        let keeper = open_lease(&store, &clock);
        let last = keeper.generator().next_id().unwrap();
        assert!(now(keeper.close()).is_err());
        now(keeper.close()).unwrap();
        let next = open_lease(&store, &clock);
        assert!(next.generator().next_id().unwrap() > last, "at once");
        now(keeper.close()).unwrap();
        assert_eq!(now(next.extend()).unwrap(), Held::Yes);
    }
}

#[test]
fn a_mark_that_could_not_be_set_back_is_when_it_is_closed_again() {
    for fault in [Fault::Before, Fault::After] {
        let clock = ManualClock::default();
        let store = Flaky::new(
            MemoryHighWater::default(),
            [Fault::None, Fault::None, fault],
        );
        let keeper = open_mark(&store, &clock);
        let last = keeper.generator().next_id().unwrap();
        assert!(now(keeper.close()).is_err());
        now(keeper.close()).unwrap();
        let next = open_mark(&store, &clock);
        assert!(next.generator().next_id().unwrap() > last, "at once");
        now(keeper.close()).unwrap();
        assert_eq!(now(next.extend()).unwrap(), Held::Yes);
    }
}

/// A clock whose timers panic when they are asked for more than they can count to.
#[derive(Clone, Debug)]
struct Touchy(ManualClock);

impl Clock for Touchy {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        assert!(duration <= Sleep::LONGEST, "{duration:?}");
        self.0.sleep(duration)
    }
}

#[test]
fn a_keeper_asks_a_clock_for_no_longer_a_sleep_than_it_must_grant() {
    let clock = Touchy(ManualClock::default());
    let options = options().with_reserve(Duration::MAX);
    let store = Arc::new(MemoryHighWater::default());
    let keeper = now(MarkKeeper::open(store, NARROW, 1, clock, &options)).unwrap();
    assert!(keeper.run(|_| {}).now_or_never().is_none());
}

#[test]
fn a_node_without_room_in_the_layout_and_a_lease_of_no_time_are_invalid() {
    let store = Arc::new(MemoryHighWater::default());
    let (clock, options) = (ManualClock::default(), options());
    let opening = MarkKeeper::open(store, Layout::MASTODON, 1, clock, &options);
    assert_eq!(now(opening).unwrap_err().kind(), ErrorKind::Invalid);

    let clock = ManualClock::default();
    let leases = Arc::new(MemoryNodeLeases::new(2, Arc::new(clock.clone())));
    leases.acquire(options.ttl, Timestamp::EPOCH).unwrap();
    let shared = Arc::<MemoryNodeLeases>::clone(&leases);
    let opening = LeaseKeeper::open(shared, Layout::MASTODON, clock.clone(), &options);
    assert_eq!(now(opening).unwrap_err().kind(), ErrorKind::Invalid);

    let no_time = options.with_ttl(Duration::ZERO);
    let opening = LeaseKeeper::open(leases, NARROW, clock, &no_time);
    assert_eq!(now(opening).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn a_mark_that_was_set_back_at_the_end_stays_there() {
    let (store, clock) = (Arc::new(MemoryHighWater::default()), ManualClock::default());
    let options = options();
    let shared = Arc::<MemoryHighWater>::clone(&store);
    let opening = MarkKeeper::open(shared, NARROW, 1, clock.clone(), &options);
    let keeper = now(opening).unwrap();
    keeper.generator().next_id().unwrap();
    now(keeper.close()).unwrap();
    let settled = store.load();
    for _ in 0..3 {
        clock.advance(options.reserve);
        assert_eq!(now(keeper.extend()).unwrap(), Held::Lost);
    }
    assert_eq!(store.load(), settled);
}

#[test]
fn extreme_options_neither_panic_nor_wrap() {
    let generator = SnowflakeOptions::default().with_max_ahead(Duration::MAX);
    let options = KeeperOptions::default()
        .with_generator(generator)
        .with_reserve(Duration::MAX)
        .with_ttl(Duration::MAX);
    let clock = ManualClock::default();
    let marks = Arc::new(MemoryHighWater::default());
    let keeper = now(MarkKeeper::open(marks, NARROW, 1, clock.clone(), &options)).unwrap();
    assert!(keeper.generator().next_id().is_ok());
    let leases = Arc::new(MemoryNodeLeases::new(1, Arc::new(clock.clone())));
    let opened = now(LeaseKeeper::open(leases, NARROW, clock, &options)).unwrap();
    let keeper = opened.granted().unwrap();
    assert!(keeper.generator().next_id().is_ok());
    assert_eq!(now(keeper.extend()).unwrap(), Held::Yes);
}

/// Lets every task that can run do so.
async fn settle() {
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_keeper_that_runs_stays_ahead_of_the_clock_and_survives_failures() {
    let failing = [Fault::None, Fault::None, Fault::Before, Fault::After];
    let (store, clock) = (
        Flaky::new(MemoryHighWater::default(), failing),
        ManualClock::default(),
    );
    let keeper = Arc::new(open_mark(&store, &clock));
    let failures = Arc::new(AtomicUsize::new(0));
    let running = tokio::spawn({
        let (keeper, failures) = (Arc::clone(&keeper), Arc::clone(&failures));
        async move {
            keeper
                .run(|_| {
                    failures.fetch_add(1, Ordering::Relaxed);
                })
                .await;
        }
    });
    for _ in 0..500 {
        settle().await;
        keeper.generator().next_id().unwrap();
        clock.advance(Duration::from_millis(1));
    }
    assert_eq!(failures.load(Ordering::Relaxed), 2);
    let _successor = open_mark(&store, &clock);
    clock.advance(Duration::from_millis(10));
    settle().await;
    assert!(running.is_finished());
    assert_eq!(keeper.generator().next_id(), Err(IdError::Closed));
}

#[tokio::test]
async fn a_lease_that_is_kept_never_runs_out() {
    let clock = ManualClock::default();
    let failing = [Fault::None, Fault::Before, Fault::After];
    let store = Flaky::new(MemoryNodeLeases::new(1, Arc::new(clock.clone())), failing);
    let keeper = Arc::new(open_lease(&store, &clock));
    let running = tokio::spawn({
        let keeper = Arc::clone(&keeper);
        async move { keeper.run(|_| {}).await }
    });
    for _ in 0..500 {
        settle().await;
        keeper.generator().next_id().unwrap();
        clock.advance(Duration::from_millis(1));
    }
    clock.advance(Duration::from_millis(100));
    settle().await;
    assert!(running.is_finished());
    assert_eq!(keeper.generator().next_id(), Err(IdError::Closed));
}
