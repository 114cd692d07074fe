//! Timelines that move between stores while two processes use them.

#[expect(dead_code, reason = "nothing is late here, nor counted")]
#[path = "../equivalence/flaky.rs"]
mod flaky;
mod fleet;
mod moves;
mod outage;
mod world;

use std::time::Duration;

use proptest::{collection::vec, option, prelude::*};

use crate::{
    flaky::Fault,
    world::{Interruption, Op, Step, USERS, World},
};

fn ops() -> impl Strategy<Value = Op> {
    let user = || 0..USERS;
    prop_oneof![
        8 => user().prop_map(Op::Publish),
        2 => (user(), 0_usize..20).prop_map(|(actor, nth)| Op::Repost(actor, nth)),
        1 => (0_usize..20).prop_map(Op::Delete),
        5 => (user(), user()).prop_map(|(viewer, author)| Op::Follow(viewer, author)),
        2 => (user(), user()).prop_map(|(viewer, author)| Op::Unfollow(viewer, author)),
        8 => user().prop_map(Op::Read),
        5 => (1_usize..4).prop_map(Op::Work),
        1 => user().prop_map(Op::LoseTimeline),
        6 => (1_u8..16).prop_map(Op::Move),
        1 => Just(Op::CancelMove),
        2 => Just(Op::Compare),
        1 => (0_u64..100).prop_map(|seconds| Op::Pass(Duration::from_secs(seconds))),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fault = prop_oneof![
        Just(Fault::FailBefore),
        Just(Fault::FailAfter),
        Just(Fault::DieBefore),
        Just(Fault::DieAfter),
    ];
    let interruption = prop_oneof![
        1 => fault.prop_map(Interruption::Fault),
        2 => vec((0..2_usize, ops()), 1..8).prop_map(Interruption::Meanwhile),
    ];
    let step = (
        0..2_usize,
        ops(),
        option::weighted(0.5, (0_u32..12, interruption)),
    );
    let step = step.prop_map(|(process, op, interruption)| Step {
        process,
        op,
        interruption,
    });
    vec(step, 1..100)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// P49: whatever two processes do while timelines move back and forth under them, one a step
    /// behind the other, both show what the outboxes alone show.
    #[test]
    fn a_move_never_shows_a_hole(push_below in 0_u64..5, steps in steps()) {
        let world = World::new(push_below);
        for step in &steps {
            world.step(step);
        }
        world.compare();
    }
}

/// A whole move goes by between two calls of an operation, so that what it writes lands late.
#[test]
fn an_operation_may_outlast_a_move() {
    let [ann, bob] = [0, 1];
    let ops = [
        Op::Publish(ann),
        Op::Delete(0),
        Op::Follow(bob, 2),
        Op::Unfollow(bob, ann),
        Op::Read(bob),
        Op::Work(4),
    ];
    let undisturbed = |process, op| Step {
        process,
        op,
        interruption: None,
    };
    let moved: Vec<_> = (0..6).map(|step| (step % 2, Op::Move(0b1100))).collect();
    for op in ops {
        for (steps, calls) in (1..=6).flat_map(|steps| (0..16).map(move |calls| (steps, calls))) {
            let world = World::new(5);
            for op in [
                Op::Publish(2),
                Op::Follow(bob, ann),
                Op::Publish(ann),
                Op::Read(bob),
            ] {
                world.step(&undisturbed(0, op));
            }
            let mut meanwhile = moved[..steps].to_vec();
            meanwhile.extend([(0, Op::Read(bob)), (1, Op::Publish(ann))]);
            world.step(&Step {
                interruption: Some((calls, Interruption::Meanwhile(meanwhile))),
                ..undisturbed(1, op.clone())
            });
            world.compare();
        }
    }
}
