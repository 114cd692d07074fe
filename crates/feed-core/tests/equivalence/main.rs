//! Push, pull and every mixture of them show the same feed, on any history of operations, with
//! failures, crashes, retries, the work of others and calls that take effect too late between any
//! two calls of a store.

mod flaky;
mod model;
mod other;
mod reactions;
mod whim;
mod worker;
mod world;

use std::{sync::Arc, time::Duration};

use feed_core::{FanoutPolicy, Hybrid, PairRate, PullAll, PushAll};
use proptest::{collection::vec, option, prelude::*};

use crate::{
    flaky::Fault,
    whim::Whim,
    world::{Interruption, Op, Step, USERS, World},
};

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

fn undisturbed() -> impl Strategy<Value = Vec<Step>> {
    let step = ops().prop_map(|op| Step {
        op,
        interruption: None,
        persistent: true,
    });
    vec(step, 1..80)
}

fn interrupted() -> impl Strategy<Value = Vec<Step>> {
    interrupted_by(ops().boxed())
}

/// Also by a queue that loses what it has accepted.
fn robbed() -> impl Strategy<Value = Vec<Step>> {
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

fn policies() -> impl Strategy<Value = Arc<dyn FanoutPolicy>> {
    let hybrid = |at: u64| Hybrid::new(at).with_push_below(at.saturating_sub(1));
    prop_oneof![
        2 => Just(Arc::new(PushAll) as Arc<dyn FanoutPolicy>),
        1 => Just(Arc::new(PullAll) as Arc<dyn FanoutPolicy>),
        4 => (0_u64..5).prop_map(move |at| Arc::new(hybrid(at)) as Arc<dyn FanoutPolicy>),
        4 => any::<u64>().prop_map(|seed| Arc::new(Whim::new(seed)) as Arc<dyn FanoutPolicy>),
        1 => (0_u64..5, 0_u32..3).prop_map(move |(at, posts)| {
            Arc::new(PairRate::new(hybrid(at), posts)) as Arc<dyn FanoutPolicy>
        }),
    ]
}

/// The world after these steps, in which all is done and every page is as the model has it.
fn played(policy: Arc<dyn FanoutPolicy>, steps: &[Step], size: usize) -> World {
    let mut world = World::new(policy);
    for step in steps {
        world.step(step);
    }
    world.settle();
    world.assert_agrees(size);
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// P1-P4, P7, P9, P15, P19-P30, P34-P38, P41; and nothing is left of what was done to a post that
    /// is gone.
    #[test]
    fn every_policy_shows_what_the_model_shows(
        policy in policies(),
        steps in interrupted(),
        size in 1_usize..6,
    ) {
        let world = played(policy, &steps, size);
        world.assert_nothing_counts_that_is_gone();
    }

    /// A queue that loses tasks and says so leaves no hole in what is shown.
    #[test]
    fn tasks_that_are_lost_leave_no_hole(
        policy in policies(),
        steps in robbed(),
        size in 1_usize..6,
    ) {
        played(policy, &steps, size);
    }

    /// The posts of an author who is pulled need no fanout: they are there at once.
    #[test]
    fn pull_is_exact_at_every_moment(steps in undisturbed(), size in 1_usize..6) {
        let mut world = World::new(Arc::new(PullAll));
        world.acquaint();
        for step in &steps {
            world.step(step);
        }
        world.assert_agrees(size);
    }
}

fn step(op: Op, interruption: Option<(u32, Interruption)>) -> Step {
    Step {
        op,
        interruption,
        persistent: true,
    }
}

/// The task of a publication may come to its end before the post is stored.
#[test]
fn a_publication_that_its_task_gave_up_on_is_seen_by_all_or_none() {
    for (calls, elsewhere) in (0..12).flat_map(|calls| [(calls, false), (calls, true)]) {
        let mut world = World::new(Arc::new(PushAll));
        world.step(&step(Op::Follow(1, 0, false), None));
        world.step(&step(Op::Read(1, 1), None));
        let long = Duration::from_secs(60);
        let meanwhile = Interruption::Meanwhile(vec![Op::Pass(long), Op::Work(4)]);
        world.step(&step(Op::Publish(0, elsewhere), Some((calls, meanwhile))));
        world.settle();
        world.assert_agrees(1);
    }
}

/// The queue may lose a task before the post is stored that it goes with, and timelines may be built in
/// between.
#[test]
fn a_post_whose_task_is_lost_before_it_is_stored_is_in_no_timeline_that_stays() {
    for calls in 0..12 {
        let mut world = World::new(Arc::new(PushAll));
        world.step(&step(Op::Follow(1, 0, false), None));
        world.step(&step(Op::Read(1, 1), None));
        let meanwhile = vec![Op::LoseTasks, Op::Work(4), Op::Read(1, 1)];
        let meanwhile = Interruption::Meanwhile(meanwhile);
        world.step(&step(Op::Publish(0, false), Some((calls, meanwhile))));
        world.settle();
        world.assert_agrees(1);
    }
}

/// Nor does it help authors to pull from others, if their own timeline could not be written.
#[test]
fn a_post_that_was_given_up_is_in_its_authors_own_feed() {
    for calls in 0..12 {
        let mut world = World::new(Arc::new(PushAll));
        world.step(&step(Op::Follow(1, 0, false), None));
        world.step(&step(Op::Read(0, 1), None));
        world.step(&step(Op::Read(1, 1), None));
        let fault = Interruption::Fault(Fault::FailBefore);
        world.step(&step(Op::Publish(0, false), Some((calls, fault))));
        world.step(&step(Op::Outage(0, false), None));
        world.settle();
        world.assert_agrees(1);
    }
}

/// Whoever found a post there may act on it when it is gone, and its actions forgotten.
#[test]
fn nothing_is_left_of_what_was_done_while_the_post_was_deleted() {
    for act in [Op::Like(1, 0), Op::Reply(1, 0), Op::Repost(1, 0)] {
        for calls in 0..12 {
            let mut world = World::new(Arc::new(PushAll));
            world.step(&step(Op::Publish(0, false), None));
            let minute = Op::Pass(Duration::from_secs(60));
            let meanwhile = vec![Op::Delete(0), Op::Work(9), minute, Op::Work(9)];
            let meanwhile = Interruption::Meanwhile(meanwhile);
            world.step(&step(act.clone(), Some((calls, meanwhile))));
            world.settle();
            world.assert_nothing_counts_that_is_gone();
        }
    }
}

/// A delete that is cut short anywhere, of a post that others have acted on and that is an answer.
#[test]
fn a_delete_that_was_cut_short_forgets_all_the_same() {
    let faults = [
        Fault::FailBefore,
        Fault::FailAfter,
        Fault::DieBefore,
        Fault::DieAfter,
    ];
    for (fault, calls, at_work) in faults.iter().flat_map(|fault| {
        (0..12).flat_map(move |calls| [(fault, calls, false), (fault, calls, true)])
    }) {
        let mut world = World::new(Arc::new(PushAll));
        for op in [
            Op::Follow(2, 0, false),
            Op::Publish(1, false),
            Op::Reply(0, 0),
            Op::Like(2, 1),
            Op::Repost(3, 1),
            Op::Reply(4, 1),
        ] {
            world.step(&step(op, None));
        }
        world.settle();
        let fault = Some((calls, Interruption::Fault(*fault)));
        let (deleting, working) = if at_work {
            (None, fault)
        } else {
            (fault, None)
        };
        world.step(&step(Op::Delete(1), deleting));
        world.step(&step(Op::Work(9), working));
        world.settle();
        world.assert_nothing_counts_that_is_gone();
    }
}

/// A retry may meet what the first try was too slow to do.
#[test]
fn a_repost_whose_call_took_effect_late_is_there_once_and_counts() {
    for (calls, late) in (0..12).flat_map(|calls| (1..12).map(move |late| (calls, late))) {
        let mut world = World::new(Arc::new(PushAll));
        world.step(&step(Op::Publish(0, false), None));
        let fault = Interruption::Fault(Fault::Late(late));
        world.step(&step(Op::Repost(1, 0), Some((calls, fault))));
        world.settle();
        world.assert_agrees(1);
        world.assert_nothing_counts_that_is_gone();
    }
}
