//! Nodes whose engine and bus fail at random, with and without effect.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use backplane::{
    ManualClock,
    bus::BusEvent,
    conformance::flaky_bus::FlakyBus,
    directory::{Incarnation, Tenure},
    memory::MemoryBus,
};
use chat_core::{
    Device, DeviceId, Error, ErrorKind, MemoryPresence, MemoryPresenceOptions, Result, UserId,
    presence::{
        Announcement, Change, Departure, DeviceSession, Fanout, Mode, NodeJoined, NodeLease,
        OwnPresence, Presence, PresenceOptions, PresenceTracker, Progress, Published, Report,
        Reported, Setting, StateRead, Status,
    },
};
use futures::{FutureExt, StreamExt, executor::block_on};
use proptest::{collection::vec, prelude::*, sample::select};

/// An engine of whose calls every fourth fails before it is made, and every fourth after.
#[derive(Debug)]
struct FlakyPresence {
    inner: Arc<MemoryPresence>,
    state: AtomicU64,
    is_flaky: AtomicBool,
    /// Whether the answer of the next call is lost.
    loses: AtomicBool,
}

impl FlakyPresence {
    fn draw(&self) -> Result<()> {
        // Marsaglia's xorshift.
        let mut x = self.state.load(Ordering::Relaxed);
        for (left, shift) in [(true, 13), (false, 7), (true, 17)] {
            x ^= if left { x << shift } else { x >> shift };
        }
        self.state.store(x, Ordering::Relaxed);
        if self.is_flaky.load(Ordering::Relaxed) && x.is_multiple_of(4) {
            return Err(Error::bare(ErrorKind::Unavailable, "call"));
        }
        Ok(())
    }

    fn call<T>(&self, call: impl FnOnce(&MemoryPresence) -> Result<T>) -> Result<T> {
        self.draw()?;
        let done = call(&self.inner);
        if self.loses.swap(false, Ordering::Relaxed) {
            return Err(Error::bare(ErrorKind::Unavailable, "call"));
        }
        self.draw()?;
        done
    }
}

#[async_trait]
impl Presence for FlakyPresence {
    async fn join(
        &self,
        node: &str,
        incarnation: Incarnation,
        ttl: Duration,
    ) -> Result<NodeJoined> {
        self.call(|inner| inner.join(node, incarnation, ttl))
    }

    async fn renew(&self, lease: &NodeLease, ttl: Duration) -> Result<Tenure> {
        self.call(|inner| Ok(inner.renew(lease, ttl)))
    }

    async fn leave(&self, lease: &NodeLease) -> Result<Tenure> {
        self.call(|inner| Ok(inner.leave(lease)))
    }

    async fn report(&self, lease: &NodeLease, reports: &[Report]) -> Result<Reported> {
        self.call(|inner| inner.report(lease, reports))
    }

    async fn set(&self, settings: &[(UserId, Setting)]) -> Result<Vec<Change>> {
        self.call(|inner| inner.set(settings))
    }

    async fn states(&self, reads: &[StateRead]) -> Result<Vec<Option<Published>>> {
        self.call(|inner| Ok(inner.states(reads)))
    }

    async fn own(&self, users: &[UserId]) -> Result<Vec<OwnPresence>> {
        self.call(|inner| Ok(inner.own(users)))
    }

    async fn lapsed(&self, settled: &[Change], limit: usize) -> Result<Vec<Change>> {
        self.call(|inner| Ok(inner.lapsed(settled, limit)))
    }

    async fn erase(&self, user: UserId) -> Result<Change> {
        self.call(|inner| Ok(inner.erase(user)))
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Connect(usize, u64, Status),
    Disconnect(usize, usize),
    Declare(usize, usize, Status),
    Flush(usize),
    Renew(usize),
    Lapses(usize),
    /// Seconds, in which nobody renews.
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let statuses = || select(vec![Status::Away, Status::Online, Status::DoNotDisturb]);
    let node = || 0_usize..2;
    prop_oneof![
        4 => (node(), 1_u64..4, statuses()).prop_map(|(node, user, status)| Op::Connect(node, user, status)),
        3 => (node(), any::<usize>()).prop_map(|(node, session)| Op::Disconnect(node, session)),
        2 => (node(), any::<usize>(), statuses()).prop_map(|(node, session, status)| Op::Declare(node, session, status)),
        6 => node().prop_map(Op::Flush),
        3 => node().prop_map(Op::Renew),
        2 => node().prop_map(Op::Lapses),
        2 => (1_u64..12).prop_map(Op::Pass),
    ]
}

fn pick(sessions: &[DeviceSession], n: usize) -> Option<DeviceSession> {
    sessions.get(n.checked_rem(sessions.len())?).copied()
}

proptest! {
    #[test]
    fn who_listens_knows_in_the_end_what_is_so(seed in 1_u64.., ops in vec(op(), 1..60)) {
        let (clock, bus) = (ManualClock::default(), MemoryBus::default());
        let options = MemoryPresenceOptions::default();
        let memory = Arc::new(MemoryPresence::new(Arc::new(clock.clone()), options));
        let engine = Arc::new(FlakyPresence {
            inner: Arc::clone(&memory),
            state: AtomicU64::new(seed),
            is_flaky: AtomicBool::new(true),
            loses: AtomicBool::new(false),
        });
        let flaky = Arc::new(FlakyBus::new(Arc::new(bus.node()), seed));
        let nodes = ["a", "b"].map(|name| {
            let engine = Arc::<FlakyPresence>::clone(&engine);
            let fanout = Fanout::new(Arc::<FlakyBus>::clone(&flaky) as _);
            let options = PresenceOptions::default().with_batch(2);
            PresenceTracker::new(name, Incarnation::new(1), engine, fanout, Arc::new(clock.clone()), options)
        });
        let users = [1, 2, 3].map(UserId::new);
        let listener = bus.node();
        listener.subscribe(&users.map(Announcement::topic)).unwrap();
        let mut sessions = [vec![], vec![]];
        for op in ops {
            match op {
                Op::Connect(n, user, status) => {
                    let device = Device::new(UserId::new(user), DeviceId::new(user));
                    sessions[n].push(nodes[n].connect(device, status).unwrap());
                }
                Op::Disconnect(n, session) => {
                    if let Some(session) = pick(&sessions[n], session) {
                        nodes[n].disconnect(session, Departure::Graceful);
                    }
                }
                Op::Declare(n, session, status) => {
                    if let Some(session) = pick(&sessions[n], session) {
                        nodes[n].declare(session, status);
                    }
                }
                Op::Flush(n) => drop(block_on(nodes[n].flush())),
                Op::Renew(n) => drop(block_on(nodes[n].renew())),
                Op::Lapses(n) => drop(block_on(nodes[n].announce_lapses())),
                Op::Pass(seconds) => clock.advance(Duration::from_secs(seconds)),
            }
        }
        engine.is_flaky.store(false, Ordering::Relaxed);
        flaky.heal();
        for node in &nodes {
            block_on(node.renew()).unwrap();
            while node.tick() == Progress::More {}
            block_on(node.flush()).unwrap();
            block_on(node.announce_lapses()).unwrap();
        }
        let mut heard: BTreeMap<UserId, Published> = BTreeMap::new();
        let mut events = listener.events();
        while let Some(Some(event)) = events.next().now_or_never() {
            let BusEvent::Message { message, .. } = event else { panic!("{event:?}") };
            let Announcement::Published(said) = Announcement::decode(message.payload).unwrap() else {
                panic!("on the topic of others");
            };
            let known = heard.entry(said.user).or_insert(said);
            if known.version < said.version {
                *known = said;
            }
        }
        for user in users {
            let truth = memory.states(&[StateRead::new(user)])[0];
            prop_assert_eq!(heard.get(&user).copied(), truth);
            let expected = nodes.iter().map(|node| node.status_here(user)).max().unwrap();
            prop_assert_eq!(truth.map_or(Status::Offline, |seen| seen.state.status), expected);
        }
    }
}

/// An engine whose answers can be lost, a node with Ann's phone, and what her friends hear.
fn at_home() -> (
    Arc<FlakyPresence>,
    PresenceTracker,
    DeviceSession,
    ManualClock,
    impl FnMut() -> Vec<Status>,
) {
    let (clock, bus) = (ManualClock::default(), MemoryBus::default());
    let options = MemoryPresenceOptions::default();
    let engine = Arc::new(FlakyPresence {
        inner: Arc::new(MemoryPresence::new(Arc::new(clock.clone()), options)),
        state: AtomicU64::new(1),
        is_flaky: AtomicBool::new(false),
        loses: AtomicBool::new(false),
    });
    let ann = UserId::new(1);
    let listener = bus.node();
    listener.subscribe(&[Announcement::topic(ann)]).unwrap();
    let mut events = listener.events();
    let hear = move || {
        let _ = &listener;
        let mut heard = Vec::new();
        while let Some(Some(BusEvent::Message { message, .. })) = events.next().now_or_never() {
            if let Ok(Announcement::Published(said)) = Announcement::decode(message.payload) {
                heard.push(said.state.status);
            }
        }
        heard
    };
    let fanout = Fanout::new(Arc::new(bus.node()));
    let options = PresenceOptions::default();
    let store = Arc::<FlakyPresence>::clone(&engine);
    let node = PresenceTracker::new(
        "a",
        Incarnation::new(1),
        store,
        fanout,
        Arc::new(clock.clone()),
        options,
    );
    let phone = node
        .connect(Device::new(ann, DeviceId::new(1)), Status::Online)
        .unwrap();
    block_on(node.flush()).unwrap();
    (engine, node, phone, clock, hear)
}

#[test]
fn a_departure_is_told_though_its_answer_and_the_lease_were_lost() {
    let (engine, node, phone, clock, mut hear) = at_home();
    assert_eq!(hear(), [Status::Online]);
    node.disconnect(phone, Departure::Graceful);
    engine.loses.store(true, Ordering::Relaxed);
    assert!(block_on(node.flush()).is_err());
    clock.advance(Duration::from_secs(16));
    assert_eq!(hear(), []);
    block_on(node.flush()).unwrap();
    assert_eq!(hear(), [Status::Offline]);
}

#[test]
fn a_setting_is_told_by_the_second_attempt() {
    let (engine, node, phone, _, mut hear) = at_home();
    let ann = UserId::new(1);
    assert_eq!(node.heartbeat(phone), chat_core::presence::Liveness::Alive);
    engine.loses.store(true, Ordering::Relaxed);
    let busy = Setting::new(Mode::DoNotDisturb);
    assert!(block_on(node.set(ann, busy)).is_err());
    block_on(node.set(ann, busy)).unwrap();
    assert_eq!(hear(), [Status::Online, Status::DoNotDisturb]);
}
