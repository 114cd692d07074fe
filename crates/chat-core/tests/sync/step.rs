use std::time::Duration;

use proptest::{collection::vec, prelude::*, sample::select};

use super::{
    DEVICES,
    server::{Deed, Doing, USERS},
};

/// What may happen.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Somebody does something, and all connected devices are told.
    Act(Deed),
    /// One of the pushes on their way to a device arrives, and perhaps again later.
    Deliver {
        device: usize,
        index: usize,
        twice: bool,
    },
    /// One of them is lost.
    Drop {
        device: usize,
        index: usize,
    },
    Wait(Duration),
    /// A device asks what it wants to know.
    Ask(usize),
    /// What it asked is answered.
    Answer(usize),
    /// What it asked is lost.
    Fail(usize),
    Connect(usize),
    Disconnect(usize),
    /// A device starts anew from what it stored.
    Restart(usize),
    /// A device says how far it is.
    Acknowledge(usize),
    /// Somebody sees to it that everybody was told.
    Redeliver,
    Trim(usize, u64),
    /// The log loses the last events, and all epochs change.
    Lose(usize),
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let device = || 0..DEVICES;
    let talk = || 0..3_usize;
    let index = prop_oneof![3 => Just(0), 1 => 0..5_usize];
    let deliver = (device(), index, prop::bool::weighted(0.2));
    let step = prop_oneof![
        12 => deed().prop_map(Step::Act),
        16 => deliver.prop_map(|(device, index, twice)| Step::Deliver { device, index, twice }),
        3 => (device(), 0..5_usize).prop_map(|(device, index)| Step::Drop { device, index }),
        3 => select(vec![1, 100, 600]).prop_map(|ms| Step::Wait(Duration::from_millis(ms))),
        6 => device().prop_map(Step::Ask),
        5 => device().prop_map(Step::Answer),
        1 => device().prop_map(Step::Fail),
        3 => device().prop_map(Step::Connect),
        1 => device().prop_map(Step::Disconnect),
        2 => device().prop_map(Step::Restart),
        2 => device().prop_map(Step::Acknowledge),
        1 => Just(Step::Redeliver),
        1 => (talk(), 0..9_u64).prop_map(|(talk, seq)| Step::Trim(talk, seq)),
        1 => (0..6_usize).prop_map(Step::Lose),
    ];
    vec(step, 1..160)
}

fn deed() -> impl Strategy<Value = Deed> {
    let user = || select(&USERS[..]);
    let target = || 0..3_usize;
    let doing = prop_oneof![
        8 => Just(Doing::Say),
        3 => target().prop_map(Doing::Edit),
        1 => target().prop_map(Doing::Delete),
        6 => (target(), select(vec!["a", "b"]), any::<bool>()).prop_map(|(t, text, on)| Doing::React(t, text, on)),
        3 => user().prop_map(Doing::Join),
        3 => user().prop_map(Doing::Leave),
    ];
    let talk = prop_oneof![4 => Just(0_usize), 1 => Just(1), 2 => Just(2)];
    let dies = prop::bool::weighted(0.1);
    (talk, user(), doing, dies).prop_map(|(talk, user, doing, dies)| Deed {
        talk,
        user,
        doing,
        dies,
    })
}
