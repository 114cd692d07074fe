use std::{sync::Arc, time::Duration};

use backend_redb::{RedbActivity, RedbActivityOptions};
use backplane::{Clock, ManualClock};
use feed_core::{Activity, Habit, MemoryActivity, MemoryActivityOptions, PostId, UserId};
use futures::executor::block_on;
use proptest::{collection::vec, prelude::*, sample::select};

use crate::{Disk, USERS, few_cases, log, post, replay, same, user};

#[derive(Clone, Debug)]
enum Op {
    Note(Habit, Vec<UserId>),
    MarkRead(UserId, PostId),
    Erase(UserId),
    Pass(Duration),
}

fn op() -> impl Strategy<Value = Op> {
    let habit = select(&[Habit::Visit, Habit::Post][..]);
    let pass = prop_oneof![0..2_000_u64, 0..1_000_000_u64];
    prop_oneof![
        4 => (habit, vec(user(), 1..3)).prop_map(|(habit, users)| Op::Note(habit, users)),
        2 => (user(), post()).prop_map(|(viewer, post)| Op::MarkRead(viewer, post)),
        1 => user().prop_map(Op::Erase),
        3 => pass.prop_map(|millis| Op::Pass(Duration::from_millis(millis))),
    ]
}

fn apply(
    memory: &dyn Activity,
    disk: &dyn Activity,
    clock: &ManualClock,
    op: &Op,
) -> Result<(), TestCaseError> {
    match op {
        Op::Note(habit, users) => {
            let now = clock.now();
            same!(memory, disk, store => store.note(*habit, users, now));
        }
        Op::MarkRead(viewer, post) => {
            same!(memory, disk, store => store.mark_read(*viewer, *post));
        }
        Op::Erase(user) => same!(memory, disk, store => store.erase(*user)),
        Op::Pass(time) => clock.advance(*time),
    }
    Ok(())
}

fn compare(memory: &dyn Activity, disk: &dyn Activity) -> Result<(), TestCaseError> {
    let users = USERS.map(UserId::new);
    for habit in [Habit::Visit, Habit::Post] {
        same!(memory, disk, store => store.rhythms(habit, &users));
    }
    for user in users {
        same!(memory, disk, store => store.marker(user));
    }
    Ok(())
}

proptest! {
    #![proptest_config(few_cases())]

    #[test]
    fn activity_answers_as_memory_does(log in log(op())) {
        let memory = MemoryActivity::new(MemoryActivityOptions::default().with_max_users(3));
        let options = RedbActivityOptions::default().with_max_users(3).with_max_unsaved(4);
        let (file, clock) = (Disk::new(), ManualClock::default());
        let open = || {
            let clock = Arc::new(clock.clone());
            block_on(RedbActivity::open(&file.open(), "test", clock, options.clone())).unwrap()
        };
        let disk = replay(&log, open, |disk, op| {
            apply(&memory, disk, &clock, op)?;
            compare(&memory, disk)
        })?;
        compare(&memory, &disk)?;
    }
}
