//! What happens to a feed, and what comes in the way of it.

use std::time::Duration;

use proptest::{collection::vec, option, prelude::*};

use crate::{flaky::Fault, world::USERS};

/// What a client does, or what happens to the system.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// By an author, with an id of the feed's or of the application's.
    Publish(u64, bool),
    Repost(u64, usize),
    Unrepost(u64, usize),
    Like(u64, usize),
    Unlike(u64, usize),
    /// By an author, to a post.
    Reply(u64, usize),
    Edit(usize),
    Delete(usize),
    Follow(u64, u64, bool),
    Unfollow(u64, u64),
    Block(u64, u64, bool),
    Mute(u64, u64, bool),
    Read(u64, usize),
    Work(usize),
    LoseTimeline(u64),
    /// The queue loses tasks that it has accepted, and says so.
    LoseTasks,
    /// From this call on every store fails, or that of the timelines, until workers have given up.
    Outage(u32, bool),
    Pass(Duration),
}

/// What comes in the way of an operation.
#[derive(Clone, Debug)]
pub(crate) enum Interruption {
    Fault(Fault),
    /// Other clients or workers do this from begin to end.
    Meanwhile(Vec<Op>),
}

/// An operation, and what comes in the way of which of its calls of a store.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) op: Op,
    pub(crate) interruption: Option<(u32, Interruption)>,
    /// Whether the client tries again after a failure.
    pub(crate) persistent: bool,
}

/// Of a client that tries again, with nothing in the way.
impl From<Op> for Step {
    fn from(op: Op) -> Self {
        Self {
            op,
            interruption: None,
            persistent: true,
        }
    }
}

pub(crate) fn undisturbed() -> impl Strategy<Value = Vec<Step>> {
    vec(ops().prop_map(Step::from), 1..80)
}

pub(crate) fn interrupted() -> impl Strategy<Value = Vec<Step>> {
    interrupted_by(ops().boxed())
}

/// Also by a queue that loses what it has accepted.
pub(crate) fn robbed() -> impl Strategy<Value = Vec<Step>> {
    interrupted_by(prop_oneof![9 => ops(), 1 => Just(Op::LoseTasks)].boxed())
}

fn interrupted_by(ops: BoxedStrategy<Op>) -> impl Strategy<Value = Vec<Step>> {
    let fault = prop_oneof![
        Just(Fault::FailBefore),
        Just(Fault::FailAfter),
        Just(Fault::DieBefore),
        Just(Fault::DieAfter),
        (1_u32..40).prop_map(Fault::Late),
    ];
    let interruption = prop_oneof![
        fault.prop_map(Interruption::Fault),
        vec(ops.clone(), 1..4).prop_map(Interruption::Meanwhile),
    ];
    let interruption = option::weighted(0.5, (0_u32..12, interruption));
    let step = (ops, interruption, prop::bool::weighted(0.7));
    vec(
        step.prop_map(|(op, interruption, persistent)| Step {
            op,
            interruption,
            persistent,
        }),
        1..80,
    )
}

fn ops() -> impl Strategy<Value = Op> {
    let user = || 0..USERS;
    prop_oneof![
        8 => (user(), any::<bool>()).prop_map(|(author, own)| Op::Publish(author, own)),
        3 => (user(), 0_usize..20).prop_map(|(actor, nth)| Op::Repost(actor, nth)),
        2 => (user(), 0_usize..20).prop_map(|(actor, nth)| Op::Unrepost(actor, nth)),
        2 => (user(), 0_usize..20).prop_map(|(actor, nth)| Op::Like(actor, nth)),
        1 => (user(), 0_usize..20).prop_map(|(actor, nth)| Op::Unlike(actor, nth)),
        2 => (user(), 0_usize..20).prop_map(|(author, nth)| Op::Reply(author, nth)),
        1 => (0_usize..20).prop_map(Op::Edit),
        2 => (0_usize..20).prop_map(Op::Delete),
        6 => (user(), user(), prop::bool::weighted(0.2))
            .prop_map(|(viewer, author, hide)| Op::Follow(viewer, author, hide)),
        2 => (user(), user()).prop_map(|(viewer, author)| Op::Unfollow(viewer, author)),
        1 => (user(), user(), any::<bool>()).prop_map(|(a, b, on)| Op::Block(a, b, on)),
        1 => (user(), user(), any::<bool>()).prop_map(|(a, b, on)| Op::Mute(a, b, on)),
        5 => (user(), 1_usize..5).prop_map(|(viewer, size)| Op::Read(viewer, size)),
        5 => (1_usize..4).prop_map(Op::Work),
        1 => user().prop_map(Op::LoseTimeline),
        1 => (0_u32..12, any::<bool>()).prop_map(|(calls, all)| Op::Outage(calls, all)),
        1 => (0_u64..100).prop_map(|seconds| Op::Pass(Duration::from_secs(seconds))),
        1 => (0_u64..20).prop_map(|days| Op::Pass(Duration::from_secs(days * 86_400))),
    ]
}
