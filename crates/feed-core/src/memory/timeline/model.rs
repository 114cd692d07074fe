//! The timelines against ones that do everything the slow and obvious way.

use std::collections::BTreeMap;

use backplane::Timestamp;
use proptest::{collection::vec, option::weighted, prelude::*, sample::subsequence};

use crate::{
    BuildStart, BuildTicket, Entry, MemoryTimelines, MemoryTimelinesOptions, PostId, PushReport,
    Seek, TimelineState, UserId,
};

const OWNERS: [u64; 4] = [0, 7, 1 << 53, u64::MAX];
const CAPACITY: usize = 5;

#[derive(Clone, Debug)]
enum Op {
    Push(Vec<UserId>, Entry),
    Remove(Vec<UserId>, PostId),
    Merge(UserId, Vec<Entry>),
    Purge(Vec<UserId>, UserId),
    Begin(UserId, Timestamp, Timestamp),
    /// Of the tickets given so far, one counted from the last.
    Commit(usize, Vec<Entry>, PostId),
    Drop(Vec<UserId>),
    /// Of these.
    Retain(Vec<UserId>),
}

/// The timelines that are not cold.
#[derive(Default)]
struct Model(BTreeMap<UserId, Held>);

struct Held {
    entries: BTreeMap<PostId, Entry>,
    floor: PostId,
    build: Option<(BuildTicket, Timestamp)>,
}

impl Held {
    const fn building(ticket: BuildTicket, began: Timestamp) -> Self {
        Self {
            entries: BTreeMap::new(),
            floor: PostId::MIN,
            build: Some((ticket, began)),
        }
    }

    fn state(&self) -> TimelineState {
        match self.build {
            Some(_) => TimelineState::Building,
            None => TimelineState::Warm { floor: self.floor },
        }
    }

    fn add(&mut self, entry: Entry) {
        if entry.post >= self.floor {
            self.entries.insert(entry.post, entry);
            self.trim();
        }
    }

    /// Forgets the oldest entry if there is one too many.
    fn trim(&mut self) {
        if self.entries.len() > CAPACITY
            && let Some((lost, _)) = self.entries.pop_first()
        {
            self.floor = PostId::new(lost.get() + 1);
        }
    }

    fn window(&self, seek: Seek, limit: usize) -> Vec<Entry> {
        if self.build.is_some() {
            return Vec::new();
        }
        let seen = self.entries.values().copied();
        let seen = seen.filter(|entry| seek.contains(entry.post));
        match seek {
            Seek::After(_) => seen.take(limit).collect(),
            Seek::Newest | Seek::Before(_) => seen.rev().take(limit).collect(),
        }
    }
}

impl Model {
    fn push(&mut self, owners: &[UserId], entry: Entry) -> PushReport {
        let mut report = PushReport::default();
        for owner in owners {
            match self.0.get_mut(owner) {
                Some(held) => {
                    held.add(entry);
                    report.reached += 1;
                }
                None => report.cold += 1,
            }
        }
        report
    }

    fn merge(&mut self, owner: UserId, entries: &[Entry]) -> TimelineState {
        let Some(held) = self.0.get_mut(&owner) else {
            return TimelineState::Cold;
        };
        let state = held.state();
        if held.build.is_none() {
            for &entry in entries {
                held.add(entry);
            }
        }
        state
    }

    fn purge(&mut self, owner: UserId, author: UserId) {
        if let Some(held) = self.0.get_mut(&owner) {
            held.entries.retain(|_, entry| entry.author != author);
        }
    }

    /// Takes over the generation, which is the store's choice.
    fn begin(&mut self, owner: UserId, now: Timestamp, stale: Timestamp, start: BuildStart) {
        let underway = match self.0.get(&owner) {
            None => None,
            Some(held) => match held.build {
                None => return assert_eq!(start, BuildStart::Warm),
                Some((_, began)) => Some(began),
            },
        };
        if underway.is_some_and(|began| began >= stale) {
            return assert_eq!(start, BuildStart::Underway);
        }
        let BuildStart::Started(ticket) = start else {
            panic!("{owner} may be built: {start:?}");
        };
        assert_eq!(ticket.owner, owner);
        self.0.insert(owner, Held::building(ticket, now));
    }

    fn commit(&mut self, ticket: BuildTicket, entries: &[Entry], floor: PostId) -> bool {
        let held = self.0.get_mut(&ticket.owner);
        let Some(held) = held.filter(|held| held.build.is_some_and(|build| build.0 == ticket))
        else {
            return false;
        };
        held.build = None;
        held.floor = held.floor.max(floor);
        held.entries.retain(|post, _| *post >= floor);
        for &entry in entries {
            held.add(entry);
        }
        true
    }
}

/// A post's entry: the same whenever the post is met, as in the outboxes.
fn entry(post: PostId) -> Entry {
    let raw = post.get();
    Entry {
        post,
        author: UserId::new(raw % 3),
        origin: if raw.is_multiple_of(2) {
            post
        } else {
            PostId::new(raw / 2)
        },
    }
}

fn post() -> impl Strategy<Value = PostId> {
    prop_oneof![
        8 => 0..24_u64,
        1 => u64::MAX - 4..=u64::MAX,
        1 => (1_u64 << 53) - 2..=(1 << 53) + 2,
    ]
    .prop_map(PostId::new)
}

fn owner() -> impl Strategy<Value = UserId> {
    prop::sample::select(OWNERS.as_slice()).prop_map(UserId::new)
}

fn owners() -> impl Strategy<Value = Vec<UserId>> {
    let some = subsequence(OWNERS.as_slice(), 0..=OWNERS.len());
    some.prop_map(|raw| raw.into_iter().map(UserId::new).collect())
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    vec(post().prop_map(entry), 0..2 * CAPACITY)
}

fn time() -> impl Strategy<Value = Timestamp> {
    (0_u64..4).prop_map(Timestamp::from_millis)
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (owners(), post()).prop_map(|(owners, post)| Op::Push(owners, entry(post))),
        2 => (owners(), post()).prop_map(|(owners, post)| Op::Remove(owners, post)),
        2 => (owner(), entries()).prop_map(|(owner, entries)| Op::Merge(owner, entries)),
        1 => (owners(), 0_u64..3).prop_map(|(owners, author)| Op::Purge(owners, UserId::new(author))),
        4 => (owner(), time(), time()).prop_map(|(owner, now, stale)| Op::Begin(owner, now, stale)),
        4 => (0_usize..4, entries(), post())
            .prop_map(|(nth, entries, floor)| Op::Commit(nth, entries, floor)),
        1 => owners().prop_map(Op::Drop),
        1 => owners().prop_map(Op::Retain),
    ]
}

fn small() -> MemoryTimelines {
    MemoryTimelines::new(MemoryTimelinesOptions::default().with_capacity(CAPACITY))
}

struct Pair {
    timelines: MemoryTimelines,
    model: Model,
    tickets: Vec<BuildTicket>,
}

impl Pair {
    fn apply(&mut self, op: Op) {
        let Self {
            timelines,
            model,
            tickets,
        } = self;
        match op {
            Op::Push(owners, entry) => {
                let report = timelines.push_many(&owners, entry);
                assert_eq!(report, model.push(&owners, entry));
            }
            Op::Remove(owners, post) => {
                timelines.remove_many(&owners, post);
                for owner in &owners {
                    model
                        .0
                        .get_mut(owner)
                        .map(|held| held.entries.remove(&post));
                }
            }
            Op::Merge(owner, entries) => {
                let state = timelines.merge(owner, &entries);
                assert_eq!(state, model.merge(owner, &entries));
            }
            Op::Purge(owners, author) => {
                timelines.purge_many(&owners, author);
                for &owner in &owners {
                    model.purge(owner, author);
                }
            }
            Op::Begin(owner, now, stale) => {
                let start = timelines.begin_build(owner, now, stale);
                model.begin(owner, now, stale, start);
                if let BuildStart::Started(ticket) = start {
                    assert!(!tickets.contains(&ticket));
                    tickets.push(ticket);
                }
            }
            Op::Commit(nth, entries, floor) => {
                let Some(&ticket) = tickets.iter().rev().nth(nth) else {
                    return;
                };
                let committed = timelines.commit_build(ticket, &entries, floor);
                assert_eq!(committed, model.commit(ticket, &entries, floor));
            }
            Op::Drop(owners) => {
                timelines.drop_many(&owners);
                model.0.retain(|owner, _| !owners.contains(owner));
            }
            Op::Retain(owners) => {
                let dropped = timelines.retain(|owner| owners.contains(&owner));
                let before = model.0.len();
                model.0.retain(|owner, _| owners.contains(owner));
                assert_eq!(dropped, before - model.0.len());
            }
        }
    }

    fn assert_agree(&self, at: PostId, limit: usize) {
        for owner in OWNERS.map(UserId::new) {
            let held = self.model.0.get(&owner);
            let state = held.map_or(TimelineState::Cold, Held::state);
            for seek in [Seek::Newest, Seek::Before(at), Seek::After(at)] {
                let expected = held.map_or_else(Vec::new, |held| held.window(seek, limit));
                let window = self.timelines.window(owner, seek, limit);
                assert_eq!(
                    (window.entries, window.state),
                    (expected, state),
                    "{seek:?}"
                );
            }
        }
    }
}

proptest! {
    /// It is not looked at after every step, since a look settles what waits.
    #[test]
    fn agrees_with_the_model(
        ops in vec((op(), weighted(0.3, (post(), 0_usize..2 * CAPACITY))), 1..80),
        last in post(),
    ) {
        let mut pair = Pair {
            timelines: small(),
            model: Model::default(),
            tickets: Vec::new(),
        };
        for (op, look) in ops {
            pair.apply(op);
            assert_eq!(pair.timelines.bytes(), pair.timelines.recount());
            if let Some((at, limit)) = look {
                pair.assert_agree(at, limit);
            }
        }
        pair.assert_agree(last, CAPACITY + 1);
    }

    #[test]
    fn retries_and_any_order_end_the_same(
        (posts, shuffled) in vec(post(), 0..40).prop_flat_map(|posts| {
            let mut retried = posts.clone();
            retried.extend_from_within(posts.len() / 2..);
            (Just(posts), Just(retried).prop_shuffle())
        }),
        merged in 1_usize..5,
    ) {
        let timelines = small();
        let [ann, bob] = [1, 2].map(UserId::new);
        for owner in [ann, bob] {
            let now = Timestamp::EPOCH;
            if let BuildStart::Started(ticket) = timelines.begin_build(owner, now, now) {
                timelines.commit_build(ticket, &[], PostId::MIN);
            }
        }
        for &post in &posts {
            timelines.push_many(&[ann], entry(post));
        }
        for posts in shuffled.chunks(merged) {
            let entries: Vec<_> = posts.iter().copied().map(entry).collect();
            match entries.as_slice() {
                [entry] => drop(timelines.push_many(&[bob], *entry)),
                entries => drop(timelines.merge(bob, entries)),
            }
        }
        let [ann, bob] = [ann, bob].map(|owner| timelines.window(owner, Seek::Newest, 99));
        prop_assert_eq!(ann, bob);
    }
}
