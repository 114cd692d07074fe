//! Histories of a [`TimelineStore`].

use std::sync::Arc;

use backplane::Timestamp;
use proptest::{
    collection::vec,
    prelude::*,
    sample::{select, subsequence},
};

use super::{History, USERS, history, replay, same, user};
use crate::{
    BuildStart, BuildTicket, Entry, MemoryTimelines, MemoryTimelinesOptions, PostId, Seek,
    TimelineStore, UserId,
};

/// How many entries both stores keep in a timeline.
pub const CAPACITY: usize = 8;

/// A call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Op {
    /// [`TimelineStore::push_many`].
    Push(Vec<UserId>, Entry),
    /// [`TimelineStore::remove_many`].
    Remove(Vec<UserId>, PostId),
    /// [`TimelineStore::merge`].
    Merge(UserId, Vec<Entry>),
    /// [`TimelineStore::purge_many`].
    Purge(Vec<UserId>, UserId),
    /// [`TimelineStore::begin_build`].
    Begin(UserId, Timestamp, Timestamp),
    /// [`TimelineStore::commit_build`], of the tickets given so far one counted from the last.
    Commit(usize, Vec<Entry>, PostId),
    /// [`TimelineStore::drop_many`].
    Drop(Vec<UserId>),
    /// [`TimelineStore::retain`], of these.
    Retain(Vec<UserId>),
    /// [`TimelineStore::window`].
    Look(UserId, Seek, usize),
}

/// Any history.
pub fn histories() -> impl Strategy<Value = History<Op>> {
    let owners = || subsequence(&USERS[..], 0..=USERS.len());
    let time = || (0_u64..4).prop_map(Timestamp::from_millis);
    let seek = prop_oneof![
        Just(Seek::Newest),
        post().prop_map(Seek::Before),
        post().prop_map(Seek::After),
    ];
    history(prop_oneof![
        16 => (owners(), post()).prop_map(|(owners, post)| Op::Push(owners, entry(post))),
        2 => (owners(), post()).prop_map(|(owners, post)| Op::Remove(owners, post)),
        2 => (user(), entries()).prop_map(|(owner, entries)| Op::Merge(owner, entries)),
        1 => (owners(), 0_u64..3).prop_map(|(of, author)| Op::Purge(of, UserId::new(author))),
        5 => (user(), time(), time()).prop_map(|(owner, now, stale)| Op::Begin(owner, now, stale)),
        5 => (0_usize..4, entries(), post())
            .prop_map(|(nth, entries, floor)| Op::Commit(nth, entries, floor)),
        1 => owners().prop_map(Op::Drop),
        1 => owners().prop_map(Op::Retain),
        6 => (user(), seek, 0..=CAPACITY + 1)
            .prop_map(|(owner, seek, limit)| Op::Look(owner, seek, limit)),
    ])
}

fn post() -> impl Strategy<Value = PostId> {
    prop_oneof![
        8 => 0..24_u64,
        1 => u64::MAX - 4..=u64::MAX,
        1 => select(vec![(1 << 53) - 1, 1 << 53, (1 << 53) + 1]),
    ]
    .prop_map(PostId::new)
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    vec(post().prop_map(entry), 0..2 * CAPACITY)
}

/// A post's entry: the same whenever the post is met, as in the outboxes.
fn entry(post: PostId) -> Entry {
    let (raw, author) = (post.get(), UserId::new(post.get() % 3));
    if raw.is_multiple_of(2) {
        Entry::original(post, author)
    } else {
        Entry::repost(post, author, PostId::new(raw / 2))
    }
}

/// Plays `history` on timelines in memory and on those that `open` opens.
///
/// A store that keeps its timelines only as long as it is open gives the same one again.
pub async fn play<S: TimelineStore>(history: &[Option<Op>], open: impl AsyncFnMut() -> Arc<S>) {
    let options = MemoryTimelinesOptions::default().with_capacity(CAPACITY);
    let reference = MemoryTimelines::new(options);
    let mut tickets = Tickets::default();
    let subject = replay(history, open, async |subject, op| {
        tickets.apply(&reference, subject, op).await;
    });
    let subject = subject.await;
    let (reference, subject): (&dyn TimelineStore, &dyn TimelineStore) = (&reference, &*subject);
    for owner in USERS {
        same!(reference, subject, store => store.window(owner, Seek::Newest, CAPACITY + 1));
    }
}

/// The tickets that two stores gave for the same builds.
#[derive(Default)]
struct Tickets(Vec<(BuildTicket, BuildTicket)>);

impl Tickets {
    async fn apply(&mut self, reference: &dyn TimelineStore, subject: &dyn TimelineStore, op: &Op) {
        match op {
            Op::Push(owners, entry) => {
                same!(reference, subject, store => store.push_many(owners, *entry));
            }
            Op::Remove(owners, post) => {
                same!(reference, subject, store => store.remove_many(owners, *post));
            }
            Op::Merge(owner, entries) => {
                same!(reference, subject, store => store.merge(*owner, entries));
            }
            Op::Purge(owners, author) => {
                same!(reference, subject, store => store.purge_many(owners, *author));
            }
            Op::Begin(owner, now, stale) => {
                let one = reference.begin_build(*owner, *now, *stale).await.unwrap();
                let other = subject.begin_build(*owner, *now, *stale).await.unwrap();
                self.started(one, other);
            }
            Op::Commit(nth, entries, floor) => {
                let Some(&(one, other)) = self.0.iter().rev().nth(*nth) else {
                    return;
                };
                let one = reference.commit_build(one, entries, *floor).await.unwrap();
                let other = subject.commit_build(other, entries, *floor).await.unwrap();
                assert_eq!(other, one);
            }
            Op::Drop(owners) => same!(reference, subject, store => store.drop_many(owners)),
            Op::Retain(owners) => {
                let keep = |owner| owners.contains(&owner);
                same!(reference, subject, store => store.retain(&keep));
            }
            Op::Look(owner, seek, limit) => {
                same!(reference, subject, store => store.window(*owner, *seek, *limit));
            }
        }
    }

    fn started(&mut self, one: BuildStart, other: BuildStart) {
        match (one, other) {
            (BuildStart::Started(one), BuildStart::Started(other)) => {
                let given = self.0.iter().any(|tickets| tickets.1 == other);
                assert!(!given, "{other:?} was given before");
                self.0.push((one, other));
            }
            (one, other) => assert_eq!(other, one),
        }
    }
}
