//! Histories of [`Actions`] and [`Counters`](crate::Counters).

use std::sync::Arc;

use proptest::{collection::vec, prelude::*};

use super::{History, POSTS, USERS, history, post, replay, same, user};
use crate::{
    Action, ActionKind, Actions, Entry, MemoryActions, PostId, UserId,
    conformance::actions::Subject,
};

/// A call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Op {
    /// [`Actions::record`].
    Record(Vec<Action>),
    /// [`Actions::withdraw`].
    Withdraw(Vec<Action>),
    /// [`Actions::withdraw_items`].
    WithdrawItems(UserId, Vec<PostId>),
    /// [`Actions::forget`], without a limit.
    Forget(Vec<PostId>),
    /// [`Actions::erase`], until nothing is left.
    Erase(UserId, usize),
}

/// Any history.
pub fn histories() -> impl Strategy<Value = History<Op>> {
    let batch = || vec(action(), 0..5);
    history(prop_oneof![
        4 => batch().prop_map(Op::Record),
        2 => batch().prop_map(Op::Withdraw),
        1 => (user(), vec(post(), 0..4)).prop_map(|(actor, items)| Op::WithdrawItems(actor, items)),
        1 => vec(post(), 0..4).prop_map(Op::Forget),
        1 => (user(), 1..5_usize).prop_map(|(actor, slice)| Op::Erase(actor, slice)),
    ])
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        (user(), original()).prop_map(|(actor, of)| Action::like(actor, of)),
        (user(), original(), post()).prop_map(|(actor, of, item)| Action::reply(actor, of, item)),
        (user(), original(), post()).prop_map(|(actor, of, item)| Action::repost(actor, of, item)),
    ]
}

fn original() -> impl Strategy<Value = Entry> {
    (post(), user()).prop_map(|(post, author)| Entry::original(post, author))
}

/// Plays `history` on actions in memory and on those that `open` opens.
pub async fn play(history: &[Option<Op>], open: impl AsyncFnMut() -> Arc<Subject>) {
    let actions = Arc::new(MemoryActions::default());
    let counters = Arc::clone(&actions);
    let reference = Subject { actions, counters };
    let subject = replay(history, open, async |subject, op| {
        apply(&reference, subject, op).await;
    });
    compare(&reference, &*subject.await).await;
}

async fn apply(reference: &Subject, subject: &Subject, op: &Op) {
    let (reference, subject) = (&*reference.actions, &*subject.actions);
    match op {
        Op::Record(actions) => same!(reference, subject, store => store.record(actions)),
        Op::Withdraw(actions) => same!(reference, subject, store => store.withdraw(actions)),
        Op::WithdrawItems(actor, items) => {
            same!(reference, subject, store => store.withdraw_items(*actor, items));
        }
        Op::Forget(posts) => same!(reference, subject, store => store.forget(posts, usize::MAX)),
        Op::Erase(actor, slice) => erase(reference, subject, *actor, *slice).await,
    }
}

/// In slices of the same size, whatever is in them.
async fn erase(reference: &dyn Actions, subject: &dyn Actions, actor: UserId, slice: usize) {
    loop {
        let erased = reference.erase(actor, slice).await.unwrap();
        assert_eq!(subject.erase(actor, slice).await.unwrap(), erased);
        if erased == 0 {
            break;
        }
    }
}

async fn compare(reference: &Subject, subject: &Subject) {
    same!(&reference.counters, &subject.counters, store => store.counts(&POSTS));
    let (reference, subject) = (&reference.actions, &subject.actions);
    for actor in USERS {
        for kind in [ActionKind::Like, ActionKind::Reply, ActionKind::Repost] {
            same!(reference, subject, store => store.acted(actor, kind, &POSTS));
        }
    }
}
