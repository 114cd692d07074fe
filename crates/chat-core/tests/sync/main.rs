//! Devices that lose, double and reorder what is pushed to them, are cut off and started anew, while
//! the log grows, is trimmed, and loses what it had: in the end they hold what it holds.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod device;
mod server;
mod step;

use proptest::prelude::*;

use self::{
    device::Device,
    server::Server,
    step::{Step, steps},
};

const DEVICES: usize = 4;

struct World {
    server: Server,
    devices: Vec<Device>,
}

impl World {
    fn new(too_much: u64) -> Self {
        let devices =
            (0..DEVICES).map(|number| Device::new(server::USERS[[0, 1, 1, 2][number]], number));
        Self {
            server: Server::new(too_much),
            devices: devices.collect(),
        }
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Act(act) => {
                for (users, push) in self.server.act(act) {
                    let told = self
                        .devices
                        .iter_mut()
                        .filter(|device| users.contains(&device.user));
                    told.for_each(|device| device.send(push.clone()));
                }
            }
            Step::Deliver {
                device,
                index,
                twice,
            } => self.devices[*device].deliver(*index, *twice),
            Step::Drop { device, index } => self.devices[*device].lose(*index),
            Step::Wait(time) => {
                self.devices
                    .iter_mut()
                    .for_each(|device| device.wait(*time));
            }
            Step::Ask(device) => self.devices[*device].ask(),
            Step::Answer(device) => self.devices[*device].answer(&self.server),
            Step::Fail(device) => self.devices[*device].fail(),
            Step::Connect(device) => self.devices[*device].connect(),
            Step::Disconnect(device) => self.devices[*device].disconnect(),
            Step::Restart(device) => self.devices[*device].restart(),
            Step::Trim(talk, seq) => self.server.trim(*talk, *seq),
            Step::Lose(events) => self.server.lose(*events),
        }
    }

    /// Lets all devices connect and ask until they have no question left.
    fn settle(&mut self) {
        for device in &mut self.devices {
            device.settle(&self.server);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Every device ends with what its user may read, each event once and in order, as the log reads it.
    #[test]
    fn every_device_converges(steps in steps(), too_much in prop_oneof![Just(u64::MAX), Just(3)]) {
        let mut world = World::new(too_much);
        for step in &steps {
            world.apply(step);
        }
        world.settle();
        for device in &world.devices {
            device.check(&world.server);
        }
    }
}
