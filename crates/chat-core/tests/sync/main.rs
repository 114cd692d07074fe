//! Devices that lose, double and reorder what is pushed to them, are cut off and started anew, while
//! the log grows, is trimmed, and loses what it had: in the end they hold what it holds.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod device;
mod screen;
mod server;
mod session;
mod step;

use proptest::{prelude::*, sample::select};

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
    fn new(queue_limit: u32, most: u64) -> Self {
        let user = |number: usize| server::USERS[[0, 1, 1, 2][number]];
        let devices = (0..DEVICES).map(|number| Device::new(user(number), number, most));
        Self {
            server: Server::new(queue_limit, Vec::new()),
            devices: devices.collect(),
        }
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Act(deed) => {
                for (user, push) in self.server.act(deed) {
                    let told = self
                        .devices
                        .iter_mut()
                        .filter(|device| device.user() == user);
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
            Step::Acknowledge(device) => self.devices[*device].acknowledge(&self.server),
            Step::Redeliver => self.server.redeliver(),
            Step::Trim(talk, seq) => self.server.trim(*talk, *seq),
            Step::Lose(events) => self.server.lose(*events),
        }
    }

    /// Lets all devices connect and ask until they have no question left.
    fn settle(&mut self) {
        self.server.redeliver();
        for device in &mut self.devices {
            device.settle(&self.server);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Every device ends with what its user may read, each event once and in order, as the log reads it:
    /// whether the inboxes have copies or marks, and whether or not a device wants only the newest.
    #[test]
    fn every_device_converges(
        steps in steps(),
        queue_limit in select(vec![0, 2, 100]),
        most in select(vec![3, u64::MAX]),
    ) {
        let mut world = World::new(queue_limit, most);
        for step in &steps {
            world.apply(step);
        }
        world.settle();
        world.server.check_copies();
        for device in &world.devices {
            device.check(&world.server);
        }
    }
}
