//! [`MemoryActions`] against a list of actions.

use proptest::{collection::vec, prelude::*, sample::select};

use super::MemoryActions;
use crate::{Action, ActionKind, Counts, Entry, PostId, Recorded, UserId};

#[derive(Clone, Debug)]
enum Op {
    Record(Vec<Action>),
    Withdraw(Vec<Action>),
    WithdrawItems(UserId, Vec<PostId>),
    Forget(Vec<PostId>, usize),
    Erase(UserId, usize),
}

fn user() -> impl Strategy<Value = UserId> {
    (0_u64..3).prop_map(UserId::new)
}

fn post() -> impl Strategy<Value = PostId> {
    (0_u64..4).prop_map(PostId::new)
}

fn action() -> impl Strategy<Value = Action> {
    let kind = select(&[ActionKind::Like, ActionKind::Reply, ActionKind::Repost][..]);
    (kind, user(), post(), user(), post()).prop_map(|(kind, actor, post, author, item)| {
        let original = Entry::original(post, author);
        match kind {
            ActionKind::Like => Action::like(actor, original),
            ActionKind::Reply => Action::reply(actor, original, item),
            ActionKind::Repost => Action::repost(actor, original, item),
        }
    })
}

fn ops() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => vec(action(), 0..4).prop_map(Op::Record),
        3 => vec(action(), 0..4).prop_map(Op::Withdraw),
        1 => (user(), vec(post(), 0..3)).prop_map(|(actor, items)| Op::WithdrawItems(actor, items)),
        1 => (vec(post(), 0..3), 0_usize..5).prop_map(|(posts, limit)| Op::Forget(posts, limit)),
        1 => (user(), 0_usize..5).prop_map(|(user, limit)| Op::Erase(user, limit)),
    ]
}

/// Every action there is.
#[derive(Default)]
struct Model(Vec<Action>);

impl Model {
    fn record(&mut self, action: Action) -> Recorded {
        let same = |one: &&Action| {
            (one.kind, one.actor, one.post) == (action.kind, action.actor, action.post)
                && (one.kind != ActionKind::Reply || one.item == action.item)
        };
        if let Some(existing) = self.0.iter().find(same) {
            return Recorded::Existing(existing.item);
        }
        let earlier = self.0.iter().find(|one| one.post == action.post);
        let author = earlier.map_or(action.author, |one| one.author);
        self.0.push(Action { author, ..action });
        Recorded::New
    }

    fn withdraw(&mut self, action: Action) -> bool {
        let same = |one: &Action| {
            Action {
                author: one.author,
                ..action
            } == *one
        };
        !self.take(same, |_| (), usize::MAX).is_empty()
    }

    fn withdraw_items(&mut self, actor: UserId, items: &[PostId]) -> Vec<Action> {
        let withdraw = |&item: &PostId| {
            let made = |one: &Action| {
                one.kind != ActionKind::Like && one.actor == actor && one.item == item
            };
            self.take(made, |one| (one.kind, one.post), usize::MAX)
        };
        items.iter().flat_map(withdraw).collect()
    }

    fn forget(&mut self, posts: &[PostId], limit: usize) -> usize {
        let forget = |left: usize, &post: &PostId| {
            let on = |one: &Action| one.post == post;
            left - self
                .take(on, |one| (one.actor, one.kind, one.item), left)
                .len()
        };
        limit - posts.iter().fold(limit, forget)
    }

    fn erase(&mut self, user: UserId, limit: usize) -> usize {
        let by = |one: &Action| one.actor == user;
        let erased = self
            .take(by, |one| (one.kind, one.post, one.item), limit)
            .len();
        let on = |one: &Action| one.author == user;
        let order = |one: &Action| (one.post, one.actor, one.kind, one.item);
        erased + self.take(on, order, limit - erased).len()
    }

    fn counts(&self, post: PostId) -> Counts {
        let count = |kind| {
            let all = self
                .0
                .iter()
                .filter(|one| (one.kind, one.post) == (kind, post));
            all.count() as u64
        };
        Counts {
            likes: count(ActionKind::Like),
            replies: count(ActionKind::Reply),
            reposts: count(ActionKind::Repost),
        }
    }

    /// Takes out the first `limit` of those that are `wanted`.
    fn take<K: Ord>(
        &mut self,
        wanted: impl Fn(&Action) -> bool,
        order: impl Fn(&Action) -> K,
        limit: usize,
    ) -> Vec<Action> {
        let mut taken: Vec<_> = self.0.iter().copied().filter(wanted).collect();
        taken.sort_by_key(order);
        taken.truncate(limit);
        self.0.retain(|one| !taken.contains(one));
        taken
    }
}

proptest! {
    #[test]
    fn agrees_with_the_model(ops in vec(ops(), 0..60)) {
        let (store, mut model) = (MemoryActions::default(), Model::default());
        for op in ops {
            match op {
                Op::Record(actions) => {
                    let expected: Vec<_> =
                        actions.iter().map(|&action| model.record(action)).collect();
                    prop_assert_eq!(store.record(&actions).expect("there is room"), expected);
                }
                Op::Withdraw(actions) => {
                    let expected: Vec<_> =
                        actions.iter().map(|&action| model.withdraw(action)).collect();
                    prop_assert_eq!(store.withdraw(&actions), expected);
                }
                Op::WithdrawItems(actor, items) => {
                    let expected = model.withdraw_items(actor, &items);
                    prop_assert_eq!(store.withdraw_items(actor, &items), expected);
                }
                Op::Forget(posts, limit) => {
                    prop_assert_eq!(store.forget(&posts, limit), model.forget(&posts, limit));
                }
                Op::Erase(user, limit) => {
                    prop_assert_eq!(store.erase(user, limit), model.erase(user, limit));
                }
            }
            let posts: Vec<_> = (0..4).map(PostId::new).collect();
            let counts: Vec<_> = posts.iter().map(|&post| model.counts(post)).collect();
            prop_assert_eq!(store.counts(&posts), counts);
            prop_assert_eq!(store.kept.taken(), model.0.len());
        }
        for user in (0..3).map(UserId::new) {
            store.erase(user, usize::MAX);
        }
        store.assert_empty();
    }
}
