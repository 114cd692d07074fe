//! A store beside a naive account of what nodes and users did, and beside somebody who only knows what is announced.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use backplane::{Clock, ManualClock, directory::Incarnation};
use chat_core::{
    MemoryPresence, MemoryPresenceOptions, UserId,
    presence::{
        Change, Mode, NodeJoined, NodeLease, PresenceState, Published, Report, Reported, Setting,
        StateRead, Status, Version,
    },
};
use proptest::{collection::vec, prelude::*, sample::select};

const TTL: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    /// A node, by an incarnation.
    Join(usize, u64),
    /// By the lease of a node that is the so-manieth last.
    Renew(usize, usize),
    Leave(usize, usize),
    /// About a user, with a number so far behind.
    Report(usize, usize, u64, Status, u64),
    Set(u64, Mode, Option<u64>),
    Pass(u64),
    Lapsed(usize),
    Read(u64),
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let statuses = [
        Status::Offline,
        Status::Away,
        Status::Online,
        Status::DoNotDisturb,
    ];
    let modes = [
        Mode::Automatic,
        Mode::Away,
        Mode::DoNotDisturb,
        Mode::Invisible,
    ];
    let report = (
        0_usize..3,
        0_usize..2,
        1_u64..4,
        select(statuses.to_vec()),
        0_u64..3,
    );
    let set = (
        1_u64..4,
        select(modes.to_vec()),
        prop::option::of(0_u64..20),
    );
    prop_oneof![
        3 => (0_usize..3, 1_u64..4).prop_map(|(node, incarnation)| Op::Join(node, incarnation)),
        2 => (0_usize..3, 0_usize..2).prop_map(|(node, back)| Op::Renew(node, back)),
        1 => (0_usize..3, 0_usize..2).prop_map(|(node, back)| Op::Leave(node, back)),
        10 => report.prop_map(|(node, back, user, status, late)| Op::Report(node, back, user, status, late)),
        3 => set.prop_map(|(user, mode, end)| Op::Set(user, mode, end)),
        3 => (1_u64..15).prop_map(Op::Pass),
        2 => (0_usize..4).prop_map(Op::Lapsed),
        2 => (1_u64..4).prop_map(Op::Read),
    ]
}

struct World {
    store: MemoryPresence,
    clock: ManualClock,
    /// By node, in the order in which they were given, with the incarnation.
    leases: [Vec<(NodeLease, u64)>; 3],
    /// Until when each lease holds.
    held: BTreeMap<NodeLeaseKey, Duration>,
    said: BTreeMap<(NodeLeaseKey, UserId), (u64, Status)>,
    settings: BTreeMap<UserId, (Mode, Option<(Mode, Duration)>)>,
    sequence: u64,
    /// What somebody knows who hears of news and lapses alone.
    heard: BTreeMap<UserId, Published>,
    settled: Vec<Change>,
    /// What somebody knows who reads everybody all the time.
    seen: BTreeMap<UserId, Published>,
    versions: BTreeSet<Version>,
}

type NodeLeaseKey = u64;

impl World {
    fn new() -> Self {
        let clock = ManualClock::default();
        let options = MemoryPresenceOptions::default();
        Self {
            store: MemoryPresence::new(Arc::new(clock.clone()), options),
            clock,
            leases: [const { Vec::new() }; 3],
            held: BTreeMap::new(),
            said: BTreeMap::new(),
            settings: BTreeMap::new(),
            sequence: 1_000,
            heard: BTreeMap::new(),
            settled: Vec::new(),
            seen: BTreeMap::new(),
            versions: BTreeSet::new(),
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Join(node, incarnation) => self.join(node, incarnation),
            Op::Renew(node, back) => {
                if let Some(lease) = self.lease(node, back) {
                    let is_held = self.is_held(&lease);
                    let tenure = self.store.renew(&lease, TTL);
                    assert_eq!(tenure == backplane::directory::Tenure::Held, is_held);
                    if is_held {
                        self.held
                            .insert(lease.token.get(), self.clock.monotonic() + TTL);
                    }
                }
            }
            Op::Leave(node, back) => {
                if let Some(lease) = self.lease(node, back) {
                    let _ = self.store.leave(&lease);
                    self.held.remove(&lease.token.get());
                }
            }
            Op::Report(node, back, user, status, late) => {
                self.report((node, back), UserId::new(user), status, late);
            }
            Op::Set(user, mode, end) => self.set(UserId::new(user), mode, end),
            Op::Pass(seconds) => self.clock.advance(Duration::from_secs(seconds)),
            Op::Lapsed(limit) => self.lapsed(limit),
            Op::Read(user) => self.check(UserId::new(user)),
        }
    }

    fn join(&mut self, node: usize, incarnation: u64) {
        let name = ["a", "b", "c"][node];
        let joined = self
            .store
            .join(name, Incarnation::new(incarnation), TTL)
            .unwrap();
        let current = self.leases[node]
            .last()
            .filter(|(lease, _)| self.is_held(lease));
        match joined {
            NodeJoined::Held(lease) => {
                assert!(current.is_none_or(|(_, earlier)| *earlier <= incarnation));
                if let Some((earlier, _)) = current {
                    self.held.remove(&earlier.token.get());
                }
                self.held
                    .insert(lease.token.get(), self.clock.monotonic() + TTL);
                self.leases[node].push((lease, incarnation));
            }
            NodeJoined::Superseded { by } => {
                assert_eq!(current.map(|(_, later)| *later), Some(by.get()));
                assert!(by.get() > incarnation);
            }
            other => panic!("{other:?}"),
        }
    }

    fn report(&mut self, (node, back): (usize, usize), user: UserId, status: Status, late: u64) {
        let Some(lease) = self.lease(node, back) else {
            return;
        };
        self.sequence += 100;
        // No number is given twice.
        let sequence = self.sequence - late * 201;
        let state = PresenceState::new(status, Some(self.clock.now()), true);
        let reported = self
            .store
            .report(&lease, &[Report::new(user, sequence, state)])
            .unwrap();
        match reported {
            Reported::Held(changes) => {
                assert!(self.is_held(&lease));
                let said = self
                    .said
                    .entry((lease.token.get(), user))
                    .or_insert((0, Status::Offline));
                if said.0 < sequence {
                    *said = (sequence, status);
                }
                self.hear(&changes);
            }
            Reported::Lost => assert!(!self.is_held(&lease)),
        }
        self.check(user);
    }

    fn set(&mut self, user: UserId, mode: Mode, end: Option<u64>) {
        let now = self.clock.now();
        let setting = Setting::new(mode);
        let after = end.map(Duration::from_secs);
        let setting = after.map_or(setting, |after| setting.until(now.saturating_add(after)));
        let changes = self.store.set(&[(user, setting)]).unwrap();
        let known = self.settings.entry(user).or_default();
        match after {
            None => *known = (mode, None),
            Some(after) => known.1 = Some((mode, self.clock.monotonic() + after)),
        }
        self.hear(&changes);
        self.check(user);
    }

    fn lapsed(&mut self, limit: usize) {
        let lapses = self.store.lapsed(&self.settled, limit);
        assert!(lapses.len() <= limit);
        for lapse in lapses.iter().filter(|lapse| lapse.is_news) {
            self.take_in(lapse.published);
        }
        self.settled = lapses;
    }

    fn hear(&mut self, changes: &[Change]) {
        for change in changes.iter().filter(|change| change.is_news) {
            let is_new = self.versions.insert(change.published.version);
            assert!(is_new, "a version is given once");
            self.take_in(change.published);
        }
    }

    fn take_in(&mut self, published: Published) {
        let known = self
            .heard
            .entry(published.user)
            .or_insert_with(|| Published::unknown(published.user));
        if known.version < published.version {
            assert!(known.state.last_active <= published.state.last_active);
            *known = published;
        } else if known.version == published.version {
            assert_eq!(*known, published);
        }
    }

    /// Compares what is read of a user with what they must amount to.
    fn check(&self, user: UserId) {
        let read = self.read(user);
        assert_eq!(read.state.status, self.expected(user), "{user}");
        assert!(
            read.version
                >= self
                    .heard
                    .get(&user)
                    .map_or(Version::ZERO, |known| known.version)
        );
        let again = self.store.states(&[StateRead::since(user, read.version)]);
        assert_eq!(again, [None]);
    }

    /// Reads everybody, so that no state goes by unseen.
    fn look_closely(&mut self) {
        for user in (1..4).map(UserId::new) {
            self.check(user);
            let read = self.read(user);
            let before = self
                .seen
                .insert(user, read)
                .unwrap_or_else(|| Published::unknown(user));
            assert_eq!(before.version == read.version, before.state == read.state);
            assert!(before.version <= read.version);
        }
    }

    fn read(&self, user: UserId) -> Published {
        self.store.states(&[StateRead::new(user)])[0].unwrap_or_else(|| Published::unknown(user))
    }

    fn expected(&self, user: UserId) -> Status {
        let said = self
            .said
            .iter()
            .filter(|((lease, about), _)| *about == user && self.holds(*lease));
        let devices = said
            .map(|(_, (_, status))| *status)
            .max()
            .unwrap_or_default();
        let (mode, timed) = self.settings.get(&user).copied().unwrap_or_default();
        let timed = timed.filter(|(_, until)| self.clock.monotonic() < *until);
        timed.map_or(mode, |(mode, _)| mode).shows(devices)
    }

    fn lease(&self, node: usize, back: usize) -> Option<NodeLease> {
        let leases = &self.leases[node];
        leases
            .iter()
            .rev()
            .nth(back)
            .map(|(lease, _)| lease.clone())
    }

    fn is_held(&self, lease: &NodeLease) -> bool {
        self.holds(lease.token.get())
    }

    fn holds(&self, lease: NodeLeaseKey) -> bool {
        self.held
            .get(&lease)
            .is_some_and(|until| self.clock.monotonic() < *until)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_store_knows_who_is_there_and_tells_all_of_it(ops in vec(op(), 1..100), closely in any::<bool>()) {
        let mut world = World::new();
        for op in ops {
            world.apply(op);
            if closely {
                world.look_closely();
            }
        }
        world.settled.clear();
        while !world.store.lapsed(&world.settled, 2).is_empty() {
            world.lapsed(2);
        }
        for user in (1..4).map(UserId::new) {
            world.check(user);
            let heard = world.heard.get(&user).copied().unwrap_or_else(|| Published::unknown(user));
            prop_assert_eq!(heard, world.read(user));
        }
    }
}
