//! The outbox against one that does everything the slow and obvious way.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use proptest::{collection::vec, prelude::*, sample::subsequence};

use crate::{
    Appended, Entry, IdempotencyKey, MemoryOutbox, MemoryOutboxOptions, Post, PostId, PostState,
    Publication, Retracted, Revised, Seek, UserId,
};

const AUTHORS: [u64; 4] = [0, 1, 1 << 53, u64::MAX];
const POSTS: [u64; 9] = [
    0,
    1,
    2,
    3,
    1 << 53,
    (1 << 53) + 1,
    1 << 63,
    u64::MAX - 1,
    u64::MAX,
];
const KEYS: [&str; 3] = ["a", "b", "c"];
const RETRACTIONS: usize = 3;
const KEPT_KEYS: usize = 2;

#[derive(Clone, Debug)]
enum Op {
    Append(Vec<Publication>),
    Revise(UserId, PostId, Bytes),
    Retract(UserId, PostId),
    Erase(UserId, usize),
}

#[derive(Default)]
struct Model {
    live: BTreeMap<PostId, Post>,
    retracted: Vec<(UserId, PostId)>,
    retracted_to: BTreeMap<UserId, PostId>,
    keys: Vec<(UserId, IdempotencyKey, PostId)>,
}

impl Model {
    fn append(&mut self, item: &Publication) -> Appended {
        let Entry { post, author, .. } = item.entry;
        if let Some(key) = &item.key
            && let Some(published) = self.published(author, key)
        {
            return Appended::Duplicate(published);
        }
        if self.live.contains_key(&post) {
            return Appended::Duplicate(post);
        }
        let named = self.retracted.iter().any(|one| one.1 == post);
        if named || self.counts_as_retracted(author, post) {
            return Appended::Retracted;
        }
        self.live.insert(
            post,
            Post::new(item.entry, 1, item.body.clone()).in_reply_to(item.reply_to),
        );
        if let Some(key) = &item.key {
            self.keys.push((author, key.clone(), post));
            forget_oldest(&mut self.keys, KEPT_KEYS, |one| one.0 == author);
        }
        Appended::Stored
    }

    /// Whether the author's retractions that are not kept cover the absent `post`.
    fn counts_as_retracted(&self, author: UserId, post: PostId) -> bool {
        self.retracted_to.get(&author).is_some_and(|&to| post <= to)
    }

    fn revise(&mut self, author: UserId, post: PostId, body: &Bytes) -> Revised {
        match self.live.get_mut(&post) {
            None => Revised::Gone,
            Some(live) if live.entry.author != author => Revised::NotAuthor,
            Some(live) => {
                live.version += 1;
                live.body = body.clone();
                Revised::Stored(live.version)
            }
        }
    }

    fn retract(&mut self, author: UserId, post: PostId) -> Retracted {
        let live = self.live.get(&post).map(|live| live.entry);
        let known = self
            .retracted
            .iter()
            .any(|&(_, retracted)| retracted == post);
        match live {
            Some(entry) if entry.author != author => return Retracted::NotAuthor,
            None if known || self.counts_as_retracted(author, post) => return Retracted::Absent,
            _ => {}
        }
        self.live.remove(&post);
        self.retracted.push((author, post));
        let own = self.retracted.iter().filter(|one| one.0 == author);
        if own.clone().count() > RETRACTIONS {
            let &smallest = own.min().expect("there are more than none");
            self.retracted.retain(|&one| one != smallest);
            let to = self.retracted_to.entry(author).or_insert(PostId::MIN);
            *to = smallest.1.max(*to);
        }
        live.map_or(Retracted::Absent, Retracted::Removed)
    }

    /// Which posts a slice takes is the store's choice; this takes all that `erased` have gone from.
    fn erase(&mut self, author: UserId, state: impl Fn(PostId) -> PostState) -> usize {
        let before = self.live.len() + self.retracted.len();
        let gone = |post: PostId| state(post) == PostState::Absent;
        self.live
            .retain(|&post, live| live.entry.author != author || !gone(post));
        self.retracted
            .retain(|&(by, post)| by != author || !gone(post));
        self.keys.retain(|(by, ..)| *by != author);
        self.retracted_to.remove(&author);
        before - self.live.len() - self.retracted.len()
    }

    fn owned(&self, author: UserId) -> usize {
        let live = self
            .live
            .values()
            .filter(|live| live.entry.author == author);
        live.count() + self.retracted.iter().filter(|one| one.0 == author).count()
    }

    fn published(&self, author: UserId, key: &IdempotencyKey) -> Option<PostId> {
        let mut keys = self.keys.iter();
        let found = keys.find(|(by, known, _)| *by == author && known == key);
        found.map(|&(.., post)| post)
    }

    fn state(&self, post: PostId) -> PostState {
        match self.live.get(&post) {
            Some(live) => PostState::Live {
                entry: live.entry,
                version: live.version,
            },
            None if self.retracted.iter().any(|one| one.1 == post) => PostState::Retracted,
            None => PostState::Absent,
        }
    }

    fn latest(&self, authors: &[UserId], seek: Seek, limit: usize) -> Vec<Entry> {
        let authors: HashSet<_> = authors.iter().collect();
        let live = self.live.values().map(|live| live.entry);
        let all = live.filter(|entry| authors.contains(&entry.author) && seek.contains(entry.post));
        let mut all: Vec<_> = all.collect();
        if !matches!(seek, Seek::After(_)) {
            all.reverse();
        }
        all.truncate(limit);
        all
    }
}

fn forget_oldest<T>(kept: &mut Vec<T>, bound: usize, same: impl Fn(&T) -> bool) {
    if kept.iter().filter(|one| same(one)).count() > bound {
        let oldest = kept
            .iter()
            .position(same)
            .expect("there are more than none");
        kept.remove(oldest);
    }
}

fn author() -> impl Strategy<Value = UserId> {
    prop::sample::select(&AUTHORS[..]).prop_map(UserId::new)
}

fn post() -> impl Strategy<Value = PostId> {
    prop::sample::select(&POSTS[1..]).prop_map(PostId::new)
}

fn body() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..4).prop_map(Bytes::from)
}

fn item() -> impl Strategy<Value = Publication> {
    let key = prop::option::of(prop::sample::select(&KEYS[..]));
    let reply_to = prop::option::of(post());
    let item = (post(), author(), post(), body(), key, reply_to);
    item.prop_map(|(post, author, origin, body, key, reply_to)| {
        let mut item = Publication::new(Entry::repost(post, author, origin), body);
        item.reply_to = reply_to;
        match key {
            Some(key) => item.with_key(key.parse().expect("a key of one letter")),
            None => item,
        }
    })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => vec(item(), 0..4).prop_map(Op::Append),
        2 => (author(), post(), body()).prop_map(|(author, post, body)| Op::Revise(author, post, body)),
        3 => (author(), post()).prop_map(|(author, post)| Op::Retract(author, post)),
        1 => (author(), 0_usize..4).prop_map(|(author, limit)| Op::Erase(author, limit)),
    ]
}

fn seek() -> impl Strategy<Value = Seek> {
    prop_oneof![
        Just(Seek::Newest),
        post().prop_map(Seek::Before),
        post().prop_map(Seek::After),
    ]
}

fn outbox() -> MemoryOutbox {
    let options = MemoryOutboxOptions::default()
        .with_retractions_per_author(RETRACTIONS)
        .with_keys_per_author(KEPT_KEYS);
    MemoryOutbox::new(options)
}

fn apply(outbox: &MemoryOutbox, model: &mut Model, op: &Op) -> Result<(), TestCaseError> {
    match op {
        Op::Append(items) => {
            let expected: Vec<_> = items.iter().map(|item| model.append(item)).collect();
            let answers = outbox.append(items);
            prop_assert_eq!(answers.expect("there is room"), expected);
        }
        Op::Revise(author, post, body) => {
            let expected = model.revise(*author, *post, body);
            prop_assert_eq!(outbox.revise(*author, *post, body), expected);
        }
        Op::Retract(author, post) => {
            let expected = model.retract(*author, *post);
            prop_assert_eq!(outbox.retract(*author, *post), expected);
        }
        Op::Erase(author, limit) => {
            let owned = model.owned(*author);
            let erased = outbox.erase(*author, *limit);
            prop_assert_eq!(erased, owned.min(*limit));
            let gone = model.erase(*author, |post| outbox.lookup(&[post])[0]);
            prop_assert_eq!(gone, erased);
        }
    }
    Ok(())
}

fn compare(outbox: &MemoryOutbox, model: &Model) -> Result<(), TestCaseError> {
    let posts = POSTS.map(PostId::new);
    prop_assert_eq!(outbox.lookup(&posts), posts.map(|post| model.state(post)));
    let whole = posts.map(|post| model.live.get(&post).cloned());
    prop_assert_eq!(outbox.posts(&posts), whole);
    for author in AUTHORS.map(UserId::new) {
        for key in KEYS {
            let key = key.parse().expect("a key of one letter");
            prop_assert_eq!(
                outbox.published(author, &key),
                model.published(author, &key)
            );
        }
        let head = model
            .latest(&[author], Seek::Newest, 1)
            .first()
            .map(|entry| entry.post);
        prop_assert_eq!(outbox.heads(&[author]), [head]);
    }
    prop_assert_eq!(outbox.live.taken(), model.live.len());
    Ok(())
}

proptest! {
    #[test]
    fn agrees_with_the_model(
        ops in vec(op(), 0..40),
        authors in subsequence(AUTHORS.map(UserId::new).to_vec(), 0..=4).prop_shuffle(),
        pages in vec((seek(), 0_usize..12), 1..4),
    ) {
        let (outbox, mut model) = (outbox(), Model::default());
        for op in &ops {
            apply(&outbox, &mut model, op)?;
            for &(seek, limit) in &pages {
                let page = outbox.latest(&authors, seek, limit);
                prop_assert_eq!(page, model.latest(&authors, seek, limit));
            }
            compare(&outbox, &model)?;
        }
    }

    /// Every post ends in the same state whatever the order, once one retraction is among the calls.
    #[test]
    fn a_retraction_wins_in_any_order(
        calls in vec(any::<bool>(), 1..8),
        at in any::<prop::sample::Index>(),
    ) {
        let outbox = MemoryOutbox::default();
        let (ann, post) = (UserId::new(1), PostId::new(9));
        let at = at.index(calls.len());
        let mut seen = HashMap::new();
        for (n, &append) in calls.iter().enumerate() {
            if append && n != at {
                let item = Publication::new(Entry::original(post, ann), Bytes::new());
                *seen.entry(outbox.append(&[item]).expect("there is room")[0]).or_insert(0) += 1;
            } else {
                outbox.retract(ann, post);
            }
        }
        prop_assert_eq!(outbox.lookup(&[post]), [PostState::Retracted]);
        prop_assert!(seen.get(&Appended::Stored).is_none_or(|&stored| stored == 1));
    }
}
