//! Histories of [`Activity`].

use std::{sync::Arc, time::Duration};

use backplane::{Clock, ManualClock};
use proptest::{collection::vec, prelude::*, sample::select};

use super::{History, USERS, history, post, replay, same, user};
use crate::{Activity, Habit, MemoryActivity, MemoryActivityOptions, PostId, UserId};

/// How many users both stores have room for.
pub const MAX_USERS: usize = USERS.len();

/// A call, or time that passes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Op {
    /// [`Activity::note`], at that moment.
    Note(Habit, Vec<UserId>),
    /// [`Activity::mark_read`].
    MarkRead(UserId, PostId),
    /// [`Activity::erase`].
    Erase(UserId),
    /// So much time.
    Pass(Duration),
}

/// Any history.
pub fn histories() -> impl Strategy<Value = History<Op>> {
    let habit = select(&[Habit::Visit, Habit::Post][..]);
    let pass = prop_oneof![0..2_000_u64, 0..1_000_000_u64];
    history(prop_oneof![
        4 => (habit, vec(user(), 1..3)).prop_map(|(habit, users)| Op::Note(habit, users)),
        2 => (user(), post()).prop_map(|(viewer, post)| Op::MarkRead(viewer, post)),
        1 => user().prop_map(Op::Erase),
        3 => pass.prop_map(|millis| Op::Pass(Duration::from_millis(millis))),
    ])
}

/// Plays `history` on activity in memory and on that which `open` opens, by the time of `clock`.
pub async fn play<S: Activity>(
    history: &[Option<Op>],
    clock: &ManualClock,
    open: impl AsyncFnMut() -> Arc<S>,
) {
    let options = MemoryActivityOptions::default().with_max_users(MAX_USERS);
    let reference = MemoryActivity::new(options);
    let subject = replay(history, open, async |subject, op| {
        apply(&reference, subject, clock, op).await;
        compare(&reference, subject).await;
    });
    compare(&reference, &*subject.await).await;
}

async fn apply(reference: &dyn Activity, subject: &dyn Activity, clock: &ManualClock, op: &Op) {
    match op {
        Op::Note(habit, users) => {
            let now = clock.now();
            same!(reference, subject, store => store.note(*habit, users, now));
        }
        Op::MarkRead(viewer, post) => {
            same!(reference, subject, store => store.mark_read(*viewer, *post));
        }
        Op::Erase(user) => same!(reference, subject, store => store.erase(*user)),
        Op::Pass(time) => clock.advance(*time),
    }
}

async fn compare(reference: &dyn Activity, subject: &dyn Activity) {
    for habit in [Habit::Visit, Habit::Post] {
        same!(reference, subject, store => store.rhythms(habit, &USERS));
    }
    for user in USERS {
        same!(reference, subject, store => store.marker(user));
    }
}
