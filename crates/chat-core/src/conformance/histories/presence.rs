//! Histories of a [`Presence`].

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use backplane::{
    SystemClock, Timestamp,
    directory::{Incarnation, Tenure},
};
use proptest::{collection::vec, prelude::*, sample::select};

use super::History;
use crate::{
    MemoryPresence, MemoryPresenceOptions, UserId,
    presence::{
        Change, Mode, NodeJoined, NodeLease, Presence, PresenceState, Published, Report, Reported,
        Setting, StateRead, Status, Version,
    },
};

const USERS: [UserId; 3] = [
    UserId::new(0),
    UserId::new((1 << 53) + 1),
    UserId::new(u64::MAX),
];

const NODES: [&str; 2] = ["a", "b"];

/// Longer than any history takes.
const TTL: Duration = Duration::from_secs(3_600);

/// Before the time of any test, by minutes: activity counts by these.
const NOON: u64 = 1_700_000_000_000;
const TWO_MINUTES: u64 = 120_000;

/// A call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Op {
    /// [`Presence::join`], of a node.
    Join(usize),
    /// [`Presence::renew`].
    Renew(usize),
    /// [`Presence::leave`].
    Leave(usize),
    /// [`Presence::report`], by a node.
    Report(usize, Vec<Said>),
    /// [`Presence::set`].
    Set(Vec<(UserId, Setting)>),
    /// [`Presence::states`] and [`Presence::own`], of all.
    Look,
    /// [`Presence::lapsed`], until there are none; of each answer the first are settled.
    Lapsed(usize),
    /// [`Presence::erase`].
    Erase(UserId),
}

/// What a node says of a user, as its so manieth report, when it had the answer to another.
#[derive(Clone, Copy, Debug)]
pub struct Said {
    user: UserId,
    sequence: u64,
    acknowledged: u64,
    state: PresenceState,
}

/// Any history.
pub fn histories() -> impl Strategy<Value = History<Op>> {
    let node = || 0..NODES.len();
    let op = prop_oneof![
        2 => node().prop_map(Op::Join),
        1 => node().prop_map(Op::Renew),
        2 => node().prop_map(Op::Leave),
        8 => (node(), vec(said(), 0..4)).prop_map(|(node, said)| Op::Report(node, said)),
        4 => vec((user(), setting()), 0..3).prop_map(Op::Set),
        4 => Just(Op::Look),
        3 => (0..4_usize).prop_map(Op::Lapsed),
        1 => user().prop_map(Op::Erase),
    ];
    let calls = vec(prop::option::weighted(0.95, op), 1..60);
    calls.prop_map(|calls| {
        let joins = (0..NODES.len()).map(|node| Some(Op::Join(node)));
        joins.chain(calls).collect()
    })
}

fn user() -> impl Strategy<Value = UserId> {
    select(&USERS[..])
}

fn said() -> impl Strategy<Value = Said> {
    let statuses = [
        Status::Offline,
        Status::Away,
        Status::Online,
        Status::DoNotDisturb,
    ];
    let active = prop::option::of((0..5_u64).prop_map(|step| NOON + step * TWO_MINUTES));
    let state = (select(statuses.to_vec()), active, any::<bool>());
    (user(), 0..12_u64, 0..12_u64, state).prop_map(
        |(user, sequence, acknowledged, (status, active, is_active))| Said {
            user,
            sequence,
            acknowledged,
            state: PresenceState::new(status, active.map(Timestamp::from_millis), is_active),
        },
    )
}

/// None that ends while a history is played.
fn setting() -> impl Strategy<Value = Setting> {
    let modes = [
        Mode::Automatic,
        Mode::Away,
        Mode::DoNotDisturb,
        Mode::Invisible,
    ];
    let ends = [None, Some(NOON), Some(u64::MAX / 1_000)];
    (select(modes.to_vec()), select(ends.to_vec())).prop_map(|(mode, until)| Setting {
        mode,
        until: until.map(Timestamp::from_millis),
    })
}

/// A store, and what it has given out.
struct Side {
    store: Arc<dyn Presence>,
    leases: [Option<NodeLease>; NODES.len()],
    told: BTreeMap<UserId, Change>,
}

/// What two stores have in common, though they give other versions, and go by clocks of their own.
type Answer = Vec<(UserId, [Seen; 2], Setting, bool, bool)>;

/// Status, whether active, and the last activity unless it was in the time of the test.
type Seen = (Status, bool, Option<Timestamp>);

/// Plays a history on the store that `open` opens, and on the one in memory.
///
/// # Panics
///
/// Where they differ, or a version does not grow with what is news.
pub async fn play<P: Presence + 'static>(history: &History<Op>, open: impl AsyncFn() -> Arc<P>) {
    let (clock, options) = (SystemClock::new(), MemoryPresenceOptions::default());
    let memory = MemoryPresence::new(Arc::new(clock), options);
    let side = |store: Arc<dyn Presence>| Side {
        store,
        leases: Default::default(),
        told: BTreeMap::new(),
    };
    let (mut subject, mut model) = (side(open().await), side(Arc::new(memory)));
    for (place, op) in history.iter().enumerate() {
        let Some(op) = op else {
            subject.store = open().await;
            continue;
        };
        let (answer, expected) = (subject.call(op).await, model.call(op).await);
        assert_eq!(answer, expected, "call {place}: {op:?}");
    }
}

impl Side {
    /// Makes a call, and answers what is to be the same.
    async fn call(&mut self, op: &Op) -> (String, Answer) {
        let outcome = match op {
            Op::Join(node) => self.join(*node).await,
            Op::Renew(node) => match &self.leases[*node] {
                Some(lease) => tenure(self.store.renew(lease, TTL).await.unwrap()),
                None => String::new(),
            },
            Op::Leave(node) => match &self.leases[*node] {
                Some(lease) => tenure(self.store.leave(lease).await.unwrap()),
                None => String::new(),
            },
            _ => String::new(),
        };
        let changes = match op {
            Op::Report(node, said) => match &self.leases[*node] {
                Some(lease) => match self.store.report(lease, &reports(said)).await.unwrap() {
                    Reported::Held(changes) => changes,
                    Reported::Lost => return ("lost".to_owned(), Vec::new()),
                },
                None => Vec::new(),
            },
            Op::Set(settings) => self.store.set(settings).await.unwrap(),
            Op::Lapsed(settled) => self.lapsed(*settled).await,
            Op::Erase(user) => vec![self.store.erase(*user).await.unwrap()],
            Op::Look => return (outcome, self.look().await),
            Op::Join(_) | Op::Renew(_) | Op::Leave(_) => Vec::new(),
        };
        for change in &changes {
            self.check(change);
        }
        (outcome, changes.iter().map(common).collect())
    }

    async fn join(&mut self, node: usize) -> String {
        let incarnation = Incarnation::new(1);
        let joined = self.store.join(NODES[node], incarnation, TTL).await;
        match joined.unwrap() {
            NodeJoined::Held(lease) => {
                self.leases[node] = Some(lease);
                String::new()
            }
            refused @ NodeJoined::Superseded { .. } => format!("{refused:?}"),
        }
    }

    async fn look(&self) -> Answer {
        let reads = USERS.map(StateRead::new);
        let states = self.store.states(&reads).await.unwrap();
        let own = self.store.own(&USERS).await.unwrap();
        let both = states.into_iter().zip(own);
        let answer = both.map(|(published, own)| {
            let published = published.unwrap_or_else(|| Published::unknown(own.user));
            (
                own.user,
                [seen(published.state), seen(own.state)],
                own.setting,
                false,
                false,
            )
        });
        answer.collect()
    }

    /// Those who have lapsed, of whom the first few are settled.
    async fn lapsed(&self, settled: usize) -> Vec<Change> {
        let mut lapses = self.store.lapsed(&[], USERS.len()).await.unwrap();
        lapses.sort_by_key(|lapse| lapse.own.user);
        let settled = &lapses[..settled.min(lapses.len())];
        let mut left = self.store.lapsed(settled, USERS.len()).await.unwrap();
        left.sort_by_key(|lapse| lapse.own.user);
        lapses.extend(left);
        lapses
    }

    /// Versions stand as long as what they are of, and never go back, but for those of whoever was forgotten.
    fn check(&mut self, change: &Change) {
        let user = change.own.user;
        let Some(last) = self.told.insert(user, *change) else {
            return;
        };
        let (published, own) = (change.published, change.own);
        let is_same = last.published.state == published.state;
        assert_grows(last.published.version, published.version, is_same);
        let is_same = last.own.setting == own.setting && last.own.state == own.state;
        assert_grows(last.own.version, own.version, is_same);
    }
}

fn assert_grows(last: Version, now: Version, is_same: bool) {
    let is_right = last < now || now == Version::ZERO || last == now && is_same;
    assert!(is_right, "{last}, then {now}, of the same: {is_same}");
}

fn reports(said: &[Said]) -> Vec<Report> {
    let report = |said: &Said| {
        let report = Report::new(said.user, said.sequence, said.state);
        report.with_acknowledged(said.acknowledged)
    };
    said.iter().map(report).collect()
}

fn tenure(tenure: Tenure) -> String {
    format!("{tenure:?}")
}

fn common(change: &Change) -> (UserId, [Seen; 2], Setting, bool, bool) {
    let own = change.own;
    let seen = [seen(change.published.state), seen(own.state)];
    (
        own.user,
        seen,
        own.setting,
        change.is_news,
        change.is_own_news,
    )
}

fn seen(state: PresenceState) -> Seen {
    let end = Timestamp::from_millis(NOON + 5 * TWO_MINUTES);
    // What was done when the test ran is that to either.
    let last_active = state.last_active.map(|at| at.min(end));
    (state.status, state.is_active, last_active)
}
