use backend_redb::{RedbActions, RedbActionsOptions};
use feed_core::{Action, ActionKind, Actions, Counters, Entry, MemoryActions, PostId, UserId};
use futures::executor::block_on;
use proptest::{collection::vec, prelude::*};

use crate::{Disk, POSTS, USERS, few_cases, log, post, replay, same, user};

#[derive(Clone, Debug)]
enum Op {
    Record(Vec<Action>),
    Withdraw(Vec<Action>),
    WithdrawItems(UserId, Vec<PostId>),
    Forget(Vec<PostId>, usize),
    Erase(UserId, usize),
}

fn original() -> impl Strategy<Value = Entry> {
    (post(), user()).prop_map(|(post, author)| Entry::original(post, author))
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        (user(), original()).prop_map(|(actor, post)| Action::like(actor, post)),
        (user(), original(), post())
            .prop_map(|(actor, post, item)| Action::reply(actor, post, item)),
        (user(), original(), post())
            .prop_map(|(actor, post, item)| Action::repost(actor, post, item)),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => vec(action(), 0..5).prop_map(Op::Record),
        2 => vec(action(), 0..5).prop_map(Op::Withdraw),
        1 => (user(), vec(post(), 0..4)).prop_map(|(actor, items)| Op::WithdrawItems(actor, items)),
        1 => (vec(post(), 0..4), 0..5_usize).prop_map(|(posts, limit)| Op::Forget(posts, limit)),
        1 => (user(), 0..5_usize).prop_map(|(actor, limit)| Op::Erase(actor, limit)),
    ]
}

fn apply(memory: &MemoryActions, disk: &RedbActions, op: &Op) -> Result<(), TestCaseError> {
    let (memory, disk): (&dyn Actions, &dyn Actions) = (memory, disk);
    match op {
        Op::Record(actions) => same!(memory, disk, store => store.record(actions)),
        Op::Withdraw(actions) => same!(memory, disk, store => store.withdraw(actions)),
        Op::WithdrawItems(actor, items) => {
            same!(memory, disk, store => store.withdraw_items(*actor, items));
        }
        Op::Forget(posts, limit) => same!(memory, disk, store => store.forget(posts, *limit)),
        Op::Erase(actor, limit) => same!(memory, disk, store => store.erase(*actor, *limit)),
    }
    Ok(())
}

fn compare(memory: &MemoryActions, disk: &RedbActions) -> Result<(), TestCaseError> {
    let posts = POSTS.map(PostId::new);
    {
        let (memory, disk): (&dyn Counters, &dyn Counters) = (memory, disk);
        same!(memory, disk, store => store.counts(&posts));
    }
    let (memory, disk): (&dyn Actions, &dyn Actions) = (memory, disk);
    for actor in USERS.map(UserId::new) {
        for kind in [ActionKind::Like, ActionKind::Reply, ActionKind::Repost] {
            same!(memory, disk, store => store.acted(actor, kind, &posts));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(few_cases())]

    #[test]
    fn actions_answer_as_memory_does(log in log(op())) {
        let memory = MemoryActions::default();
        let file = Disk::new();
        let options = RedbActionsOptions::default();
        let open = || block_on(RedbActions::open(&file.open(), "test", options.clone())).unwrap();
        let disk = replay(&log, open, |disk, op| apply(&memory, disk, op))?;
        compare(&memory, &disk)?;
    }
}
