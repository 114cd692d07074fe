//! Who comes back in time never was gone.

use std::time::Duration;

use chat_core::{
    Device, DeviceId, UserId,
    presence::{Departure, PresenceOptions, Status},
};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::node::Node;

const PHONE: Device = Device::new(UserId::new(1), DeviceId::new(1));

fn statuses() -> impl Strategy<Value = Status> {
    select(vec![Status::Away, Status::Online, Status::DoNotDisturb])
}

proptest! {
    #[test]
    fn losses_within_the_grace_are_not_told(
        declared in statuses(),
        idle_first in any::<bool>(),
        gaps in vec((0_u64..14_000, any::<bool>(), 0_u64..3_000), 1..12),
    ) {
        let mut node = Node::new(PresenceOptions::default());
        let mut session = node.core.connect(node.clock, PHONE, declared, &mut node.effects).unwrap();
        if idle_first {
            let time = Duration::from_secs(320);
            node.run(time, |node| {
                node.core.heartbeat(session);
            });
        }
        node.reports();
        for (gap, is_noticed, stay) in gaps {
            if is_noticed {
                let (clock, lost) = (node.clock, Departure::Lost);
                node.core.disconnect(clock, session, lost, &mut node.effects);
            }
            node.run(Duration::from_millis(gap), |_| ());
            session = node.core.connect(node.clock, PHONE, declared, &mut node.effects).unwrap();
            node.run(Duration::from_millis(stay), |_| ());
        }
        prop_assert_eq!(node.reports(), []);
    }
}

#[test]
fn whoever_says_goodbye_is_gone_at_once() {
    let mut node = Node::new(PresenceOptions::default());
    let (clock, effects) = (node.clock, &mut node.effects);
    let session = node
        .core
        .connect(clock, PHONE, Status::Online, effects)
        .unwrap();
    node.core
        .disconnect(clock, session, Departure::Graceful, effects);
    let told: Vec<_> = node
        .reports()
        .iter()
        .map(|report| report.state.status)
        .collect();
    assert_eq!(told, [Status::Online, Status::Offline]);
    assert_eq!((node.core.users(), node.core.sessions()), (0, 0));
}

#[test]
fn whoever_does_not_come_back_is_gone_after_the_grace() {
    let mut node = Node::new(PresenceOptions::default());
    let (clock, effects) = (node.clock, &mut node.effects);
    let session = node
        .core
        .connect(clock, PHONE, Status::Online, effects)
        .unwrap();
    node.core
        .disconnect(clock, session, Departure::Lost, effects);
    node.run(Duration::from_millis(14_999), |_| ());
    assert_eq!(node.core.reported(PHONE.user).status, Status::Online);
    node.run(Duration::from_secs(1), |_| ());
    assert_eq!(node.core.reported(PHONE.user).status, Status::Offline);
    assert_eq!((node.core.users(), node.core.sessions()), (0, 0));
}
