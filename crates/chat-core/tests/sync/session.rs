//! Sessions whose pushes are lost, doubled and reordered, that are cut off and resumed, while the log grows, is
//! trimmed, and loses what it had: in the end their devices hold what it holds.

mod device;
mod post;

use std::{sync::Arc, time::Duration};

use backplane::hub::HubOptions;
use chat_core::{
    ChatEvents,
    session::{SessionOptions, Sessions},
};
use futures::FutureExt;
use proptest::{prelude::*, sample::select};

use self::{device::Device, post::Post};
use super::{
    DEVICES,
    server::{Server, USERS},
    step::{Step, steps},
};

struct World {
    sessions: Sessions,
    post: Arc<Post>,
    server: Server,
    devices: Vec<Device>,
}

impl World {
    fn new(queue_limit: u32, most: u64) -> Self {
        let options = SessionOptions::default().with_most(most);
        let sessions = Sessions::new(HubOptions::inline()).with_options(options);
        let post = Post::new(sessions.clone());
        let listener: Arc<dyn ChatEvents> = Arc::<Post>::clone(&post);
        let user = |number: usize| USERS[[0, 1, 1, 2][number]];
        let devices = (0..DEVICES).map(|number| Device::new(user(number), number));
        Self {
            server: Server::new(queue_limit, vec![listener]),
            sessions,
            post,
            devices: devices.collect(),
        }
    }

    fn apply(&mut self, step: &Step) {
        let Self {
            sessions,
            post,
            server,
            devices,
        } = self;
        match step {
            Step::Act(deed) => {
                server.act(deed);
            }
            Step::Deliver { index, twice, .. } => {
                post.deliver(*index, *twice).now_or_never().unwrap();
            }
            Step::Drop { index, .. } => post.lose(*index),
            Step::Wait(time) => server.clock.advance(*time),
            Step::Ask(device) => {
                devices[*device].hear(1, sessions);
            }
            Step::Answer(device) => {
                devices[*device].hear(5, sessions);
            }
            Step::Fail(_) => post.fail(),
            Step::Connect(device) => devices[*device].connect(sessions, server),
            Step::Disconnect(device) => devices[*device].disconnect(),
            Step::Restart(device) => devices[*device].restart(),
            Step::Acknowledge(device) => devices[*device].acknowledge(server),
            Step::Redeliver => server.redeliver(),
            Step::Trim(talk, seq) => server.trim(*talk, *seq),
            Step::Lose(events) => {
                devices.iter_mut().for_each(Device::disconnect);
                post.lose_all();
                server.lose(*events);
            }
        }
    }

    /// Lets all devices connect and hear whatever their sessions have for them, also after a while.
    fn settle(&mut self) {
        self.server.redeliver();
        self.post.lose_all();
        for device in &mut self.devices {
            device.connect(&self.sessions, &self.server);
            for _ in 0..4 {
                assert!(!device.hear(1_000, &self.sessions), "it never has enough");
                self.server.clock.advance(Duration::from_secs(60));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Every device ends with what its user may read, each event once and in order, as the log reads it:
    /// whether the inboxes have copies or marks, and whether or not it is told only the newest.
    #[test]
    fn every_session_converges(
        steps in steps(),
        queue_limit in select(vec![0, 2, 100]),
        most in select(vec![3, u64::MAX]),
    ) {
        let mut world = World::new(queue_limit, most);
        for step in &steps {
            world.apply(step);
        }
        world.settle();
        for device in &world.devices {
            device.check(&world.server, most);
        }
    }
}
