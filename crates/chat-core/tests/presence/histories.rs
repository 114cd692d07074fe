//! A node's core beside a naive account, on clocks that stall, jump and go back.

use std::time::Duration;

use chat_core::{
    Device, DeviceId, UserId,
    presence::{Departure, Liveness, PresenceOptions, Status},
};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::{
    node::Node,
    world::{Op, World},
};

fn op() -> impl Strategy<Value = Op> {
    let status = || {
        let all = [
            Status::Offline,
            Status::Away,
            Status::Online,
            Status::DoNotDisturb,
        ];
        select(all.to_vec())
    };
    let departure = select(vec![Departure::Graceful, Departure::Lost]);
    let jump = prop_oneof![6_i64..3_600, -3_600_i64..0];
    prop_oneof![
        6 => (1_u64..4, 1_u64..4, status()).prop_map(|(user, device, status)| Op::Connect(user, device, status)),
        8 => any::<usize>().prop_map(Op::Heartbeat),
        2 => (1_u64..4, 1_u64..4).prop_map(|(user, device)| Op::HeartbeatOf(user, device)),
        4 => any::<usize>().prop_map(Op::Act),
        2 => (any::<usize>(), status()).prop_map(|(session, status)| Op::Declare(session, status)),
        3 => (any::<usize>(), departure).prop_map(|(session, how)| Op::Disconnect(session, how)),
        1 => Just(Op::Resync),
        6 => (0_u64..1_001).prop_map(Op::Pass),
        6 => (1_u64..30).prop_map(Op::Run),
        1 => (2_u64..5).prop_map(Op::Stall),
        1 => jump.prop_map(Op::Jump),
        1 => (-3_600_i64..3_600).prop_map(Op::Step),
    ]
}

fn options() -> impl Strategy<Value = PresenceOptions> {
    (prop_oneof![Just(0_u64), 1_u64..6], 1_u32..5, 1_u32..4).prop_map(
        |(grace, sessions, changes)| {
            PresenceOptions::default()
                .with_timeout(Duration::from_secs(10))
                .with_grace(Duration::from_secs(grace))
                .with_idle(Duration::from_secs(20))
                .with_active_window(Duration::from_secs(20))
                .with_sessions_per_tick(sessions)
                .with_changes_per_tick(changes)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_node_does_what_its_devices_did(options in options(), ops in vec(op(), 1..120)) {
        let mut world = World::new(&options);
        for op in ops {
            world.apply(op);
        }
        world.apply(Op::Run(60));
        let node = &world.node.core;
        prop_assert_eq!((node.users(), node.sessions()), (0, 0));
    }

    #[test]
    fn nobody_expires_by_a_jump_of_the_clock(
        silences in vec(0_u64..9_500, 1..20),
        jump in 6_u64..1_000_000,
        back in any::<bool>(),
    ) {
        let options = PresenceOptions::default().with_timeout(Duration::from_secs(10));
        let mut node = Node::new(options);
        let mut devices: Vec<_> = silences.iter().zip(1..).collect();
        devices.sort();
        let mut sessions = Vec::new();
        let mut at = 9_500;
        for (silence, n) in devices.into_iter().rev() {
            node.run(Duration::from_millis(at - silence), |_| ());
            at = *silence;
            let device = Device::new(UserId::new(n), DeviceId::new(n));
            let (clock, effects) = (node.clock, &mut node.effects);
            sessions.push(node.core.connect(clock, device, Status::Online, effects).unwrap());
        }
        let jump = Duration::from_secs(jump);
        let monotonic = node.clock.monotonic;
        node.clock.monotonic = if back { monotonic.saturating_sub(jump) } else { monotonic + jump };
        let expect = |node: &mut Node, answer| {
            let alive = sessions.iter().filter(|session| node.core.heartbeat(**session) == answer);
            prop_assert_eq!(alive.count(), sessions.len());
            Ok(())
        };
        node.tick();
        if !back {
            // From the jump on everybody has the whole timeout again.
            node.run(Duration::from_secs(9), |_| ());
        }
        expect(&mut node, Liveness::Alive)?;
        node.run(Duration::from_secs(14), |_| ());
        expect(&mut node, Liveness::Ended)?;
    }
}
