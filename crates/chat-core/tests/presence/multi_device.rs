//! What two devices amount to: the vectors of Synapse, `tests/handlers/test_presence.py`,
//! `test_set_presence_from_syncing_multi_device`.

use std::time::Duration;

use chat_core::{
    Device, DeviceId, UserId,
    presence::{
        PresenceOptions,
        Status::{self, Away, DoNotDisturb as Busy, Offline, Online},
    },
};

use crate::node::Node;

/// The devices; the status with both connected, after the first idles, and after the second does.
const VECTORS: [([Status; 2], [Status; 3]); 16] = [
    ([Busy, Busy], [Busy, Busy, Busy]),
    ([Online, Online], [Online, Online, Away]),
    ([Away, Away], [Away, Away, Away]),
    ([Offline, Offline], [Offline, Offline, Offline]),
    ([Busy, Online], [Busy, Busy, Busy]),
    ([Busy, Away], [Busy, Busy, Busy]),
    ([Busy, Offline], [Busy, Busy, Busy]),
    ([Online, Away], [Online, Away, Away]),
    ([Online, Offline], [Online, Away, Away]),
    ([Away, Offline], [Away, Away, Away]),
    ([Online, Busy], [Busy, Busy, Busy]),
    ([Away, Busy], [Busy, Busy, Busy]),
    ([Offline, Busy], [Busy, Busy, Busy]),
    ([Away, Online], [Online, Online, Away]),
    ([Offline, Online], [Online, Online, Away]),
    ([Offline, Away], [Away, Away, Away]),
];

const ANN: UserId = UserId::new(1);

#[test]
fn two_devices_amount_to_what_they_do_at_synapse() {
    let half = PresenceOptions::default().idle / 2;
    for (devices, expected) in VECTORS {
        let mut node = Node::new(PresenceOptions::default());
        let sessions = [0, 1].map(|n| {
            let device = Device::new(ANN, DeviceId::new(n));
            let declared = devices[usize::from(n == 1)];
            let session = node
                .core
                .connect(node.clock, device, declared, &mut node.effects)
                .unwrap();
            if n == 0 {
                node.run(half, |node| {
                    node.core.heartbeat(session);
                });
            }
            session
        });
        let mut seen = vec![node.core.reported(ANN).status];
        for _ in 0..2 {
            node.run(half + Duration::from_secs(12), |node| {
                for session in sessions {
                    node.core.heartbeat(session);
                }
            });
            seen.push(node.core.reported(ANN).status);
        }
        assert_eq!(seen, expected, "{devices:?}");
    }
}
