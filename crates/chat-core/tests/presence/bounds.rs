//! What one tick does is bounded, and the ticks together do it all.

use std::{collections::BTreeSet, time::Duration};

use chat_core::{
    Device, DeviceId, ErrorKind, UserId,
    presence::{Effect, PresenceOptions, Progress, Status},
};

use crate::node::Node;

const MANY: u64 = 10_000;

fn crowd(options: PresenceOptions) -> Node {
    let mut node = Node::new(options);
    for n in 0..MANY {
        let device = Device::new(UserId::new(n), DeviceId::new(n));
        let (clock, effects) = (node.clock, &mut node.effects);
        node.core
            .connect(clock, device, Status::Online, effects)
            .unwrap();
    }
    node.effects.clear();
    node
}

/// How much each tick does until nothing is left, and to whom.
fn slices(node: &mut Node) -> (Vec<usize>, BTreeSet<UserId>) {
    let (mut sizes, mut users) = (Vec::new(), BTreeSet::new());
    loop {
        let progress = node.core.tick(node.clock, &mut node.effects);
        sizes.push(node.effects.len());
        users.extend(node.effects.drain(..).map(|effect| match effect {
            Effect::Report(report) => report.user,
            Effect::Ended(end) => end.device.user,
            other => panic!("{other:?}"),
        }));
        if progress == Progress::Done {
            return (sizes, users);
        }
    }
}

fn options() -> PresenceOptions {
    let options = PresenceOptions::default().with_timeout(Duration::from_secs(5));
    options
        .with_changes_per_tick(100)
        .with_sessions_per_tick(1_000)
}

#[test]
fn everybody_expires_at_once_in_slices() {
    let mut node = crowd(options());
    for expected in ["those who are silent", "those whose grace is over"] {
        let mut told = BTreeSet::new();
        while told.is_empty() {
            node.pass(Duration::from_millis(500));
            let (sizes, users) = slices(&mut node);
            assert!(sizes.iter().all(|size| *size < 100 + 64), "{expected}");
            told = users;
        }
        assert_eq!(told.len(), 10_000, "{expected}");
    }
    assert_eq!((node.core.users(), node.core.sessions()), (0, 0));
}

#[test]
fn everybody_is_reported_again_in_slices() {
    let mut node = crowd(options());
    node.core.resync();
    let (sizes, users) = slices(&mut node);
    assert!(sizes.iter().all(|size| *size <= 100));
    assert_eq!(users.len(), 10_000);
    assert_eq!(slices(&mut node).1.len(), 0);
}

#[test]
fn what_does_not_fit_is_refused_and_what_is_there_goes_on() {
    let options = PresenceOptions::default()
        .with_max_sessions(3)
        .with_max_devices(2);
    let mut node = Node::new(options);
    let mut connect = |user, device| {
        let device = Device::new(UserId::new(user), DeviceId::new(device));
        let (clock, effects) = (node.clock, &mut node.effects);
        node.core
            .connect(clock, device, Status::Online, effects)
            .map(drop)
    };
    connect(1, 1).unwrap();
    connect(1, 2).unwrap();
    assert_eq!(connect(1, 3).unwrap_err().kind(), ErrorKind::Full);
    connect(2, 1).unwrap();
    assert_eq!(connect(3, 1).unwrap_err().kind(), ErrorKind::Full);
    connect(1, 2).unwrap();
    assert_eq!((node.core.users(), node.core.sessions()), (2, 3));
}
