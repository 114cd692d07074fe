//! Nodes with an engine and a bus between them, and a friend who looks on.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use backplane::{
    Clock, ManualClock, Topic,
    bus::{BusEvent, BusEvents},
    directory::Incarnation,
    memory::{MemoryBus, MemoryNode},
};
use chat_core::{
    Device, DeviceId, ErrorKind, MemoryPresence, MemoryPresenceOptions, Result, UserId,
    presence::{
        Announcement, Audience, Audiences, Departure, EndReason, Fanout, Follows, Liveness, Mode,
        PresenceOptions, PresenceTracker, Progress, Published, Setting, StateRead, Status,
    },
};
use futures::{FutureExt, StreamExt, executor::block_on, join};

const ANN: UserId = UserId::new(1);
const BOB: UserId = UserId::new(2);
const PHONE: Device = Device::new(ANN, DeviceId::new(1));
const LAPTOP: Device = Device::new(ANN, DeviceId::new(2));

struct World {
    clock: ManualClock,
    engine: Arc<MemoryPresence>,
    bus: MemoryBus,
}

impl World {
    fn new() -> Self {
        let clock = ManualClock::default();
        let options = MemoryPresenceOptions::default();
        Self {
            engine: Arc::new(MemoryPresence::new(Arc::new(clock.clone()), options)),
            clock,
            bus: MemoryBus::default(),
        }
    }

    fn node(&self, name: &str, incarnation: u64) -> PresenceTracker {
        self.node_with(name, incarnation, Fanout::new(Arc::new(self.bus.node())))
    }

    fn node_with(&self, name: &str, incarnation: u64, fanout: Fanout) -> PresenceTracker {
        let engine = Arc::<MemoryPresence>::clone(&self.engine);
        PresenceTracker::new(
            name,
            Incarnation::new(incarnation),
            engine,
            fanout,
            Arc::new(self.clock.clone()),
            PresenceOptions::default(),
        )
    }

    fn watcher(&self, topics: &[Topic]) -> Watcher {
        let node = self.bus.node();
        node.subscribe(topics).unwrap();
        let events = node.events();
        Watcher {
            events,
            _node: node,
        }
    }

    fn status(&self, user: UserId) -> Status {
        let seen = self.engine.states(&[StateRead::new(user)]);
        seen[0].map_or(Status::Offline, |seen| seen.state.status)
    }

    /// Lets time go by, in which `nodes` tick.
    fn pass(&self, seconds: u64, nodes: &[&PresenceTracker]) {
        for _ in 0..seconds * 4 {
            self.clock.advance(Duration::from_millis(250));
            for node in nodes {
                while node.tick() == Progress::More {}
            }
        }
    }
}

impl World {
    /// Lets time go by at a node that does what it has to.
    fn live(&self, seconds: u64, node: &PresenceTracker) {
        for _ in 0..seconds / 5 {
            block_on(node.renew()).unwrap();
            block_on(node.flush()).unwrap();
            self.pass(5, &[node]);
        }
        block_on(node.flush()).unwrap();
    }
}

/// Somebody who hears what is announced.
struct Watcher {
    events: BusEvents,
    _node: MemoryNode,
}

impl Watcher {
    fn heard(&mut self) -> Vec<Announcement> {
        let mut heard = Vec::new();
        while let Some(Some(event)) = self.events.next().now_or_never() {
            let BusEvent::Message { message, .. } = event else {
                panic!("{event:?}");
            };
            heard.push(Announcement::decode(message.payload).unwrap());
        }
        heard
    }

    fn statuses(&mut self) -> Vec<Status> {
        let status = |said: Announcement| match said {
            Announcement::Published(published) => published.state.status,
            other => panic!("{other:?}"),
        };
        self.heard().into_iter().map(status).collect()
    }
}

#[test]
fn a_friend_hears_of_comings_and_goings_once() {
    let world = World::new();
    let [oslo, lima] = ["oslo", "lima"].map(|name| world.node(name, 1));
    let mut friend = world.watcher(&[Announcement::topic(ANN)]);
    let phone = oslo.connect(PHONE, Status::Online).unwrap();
    block_on(oslo.flush()).unwrap();
    assert_eq!(friend.statuses(), [Status::Online]);

    // A second device somewhere else is no news, nor is it that the first goes.
    let laptop = lima.connect(LAPTOP, Status::Online).unwrap();
    block_on(lima.flush()).unwrap();
    oslo.disconnect(phone, Departure::Graceful);
    block_on(oslo.flush()).unwrap();
    assert_eq!(friend.statuses(), []);
    lima.disconnect(laptop, Departure::Graceful);
    block_on(lima.flush()).unwrap();
    assert_eq!(friend.statuses(), [Status::Offline]);
}

#[test]
fn heartbeats_reach_no_engine_and_silence_is_told() {
    let world = World::new();
    let oslo = world.node("oslo", 1);
    let mut friend = world.watcher(&[Announcement::topic(ANN)]);
    let phone = oslo.connect(PHONE, Status::Online).unwrap();
    for _ in 0..4 {
        world.live(30, &oslo);
        assert_eq!(oslo.heartbeat(phone), Liveness::Alive);
        assert_eq!(oslo.heartbeat_of(PHONE), Liveness::Alive);
    }
    assert_eq!(friend.statuses(), [Status::Online]);
    world.live(65, &oslo);
    let ended = oslo.take_ended();
    assert_eq!((ended.len(), ended[0].session), (1, phone));
    assert_eq!(ended[0].reason, EndReason::TimedOut);
    assert_eq!(oslo.heartbeat(phone), Liveness::Ended);
    assert_eq!(oslo.act(phone), Liveness::Ended);
    assert_eq!(friend.statuses(), [], "the grace lasts");
    world.live(15, &oslo);
    assert_eq!(friend.statuses(), [Status::Offline]);
}

#[test]
fn whoever_does_something_again_is_online_at_once() {
    let world = World::new();
    let oslo = world.node("oslo", 1);
    let phone = oslo.connect(PHONE, Status::Online).unwrap();
    for _ in 0..11 {
        world.pass(30, &[&oslo]);
        oslo.heartbeat(phone);
    }
    block_on(oslo.flush()).unwrap();
    assert_eq!(world.status(ANN), Status::Away);
    assert_eq!(oslo.act(phone), Liveness::Alive);
    block_on(oslo.flush()).unwrap();
    assert_eq!(world.status(ANN), Status::Online);
}

#[test]
fn those_at_a_node_that_dies_are_announced_by_another() {
    let world = World::new();
    let [oslo, lima] = ["oslo", "lima"].map(|name| world.node(name, 1));
    oslo.connect(PHONE, Status::Online).unwrap();
    block_on(oslo.flush()).unwrap();
    block_on(lima.renew()).unwrap();
    let mut friend = world.watcher(&[Announcement::topic(ANN)]);
    world.pass(16, &[&lima]);
    block_on(lima.announce_lapses()).unwrap();
    assert_eq!(friend.statuses(), [Status::Offline]);
    block_on(lima.announce_lapses()).unwrap();
    assert_eq!(friend.statuses(), []);
}

#[test]
fn a_node_that_lost_its_lease_reports_everybody_again() {
    let world = World::new();
    let oslo = world.node("oslo", 1);
    oslo.connect(PHONE, Status::Online).unwrap();
    oslo.connect(Device::new(BOB, DeviceId::new(1)), Status::Away)
        .unwrap();
    block_on(oslo.flush()).unwrap();
    world.pass(20, &[&oslo]);
    assert_eq!(world.status(ANN), Status::Offline);
    block_on(oslo.renew()).unwrap();
    world.pass(1, &[&oslo]);
    block_on(oslo.flush()).unwrap();
    assert_eq!(
        [ANN, BOB].map(|user| world.status(user)),
        [Status::Online, Status::Away]
    );
}

#[test]
fn a_later_incarnation_stops_an_earlier_one() {
    let world = World::new();
    let first = world.node("oslo", 1);
    first.connect(PHONE, Status::Online).unwrap();
    block_on(first.flush()).unwrap();
    let second = world.node("oslo", 2);
    block_on(second.renew()).unwrap();
    assert_eq!(world.status(ANN), Status::Offline);
    let stopped = block_on(first.renew()).unwrap_err();
    assert_eq!(stopped.kind(), ErrorKind::Closed);
    let never = std::future::pending();
    let stopped = block_on(first.run(never)).unwrap_err();
    assert_eq!(stopped.kind(), ErrorKind::Closed);
}

#[test]
fn running_does_it_all_and_ends_with_the_lease() {
    let world = World::new();
    let oslo = world.node("oslo", 1);
    let mut friend = world.watcher(&[Announcement::topic(ANN)]);
    let phone = oslo.connect(PHONE, Status::Online).unwrap();
    let (stop, stopped) = futures::channel::oneshot::channel::<()>();
    let script = async {
        for second in 0..120 {
            // Many turns a second, as many as its loop wants.
            for _ in 0..4 {
                world.clock.advance(Duration::from_millis(250));
                for _ in 0..20 {
                    give_way().await;
                }
            }
            if second % 30 == 0 {
                assert_eq!(oslo.heartbeat(phone), Liveness::Alive);
            }
            assert_eq!(world.status(ANN), Status::Online, "after {second} seconds");
        }
        stop.send(()).unwrap();
    };
    let run = oslo.run(stopped.map(drop));
    let (ran, ()) = block_on(async { join!(run, script) });
    ran.unwrap();
    assert_eq!(friend.statuses(), [Status::Online]);
    assert_eq!(world.status(ANN), Status::Offline);
}

async fn give_way() {
    let mut has_waited = false;
    futures::future::poll_fn(|context| {
        if std::mem::replace(&mut has_waited, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

#[test]
fn nothing_is_said_of_an_invisible_user_but_to_their_devices() {
    let world = World::new();
    let oslo = world.node("oslo", 1);
    let mut friend = world.watcher(&[Announcement::topic(ANN)]);
    let mut own = world.watcher(&[Announcement::own_topic(ANN)]);
    let set = block_on(oslo.set(ANN, Setting::new(Mode::Invisible))).unwrap();
    assert_eq!(set.setting.mode, Mode::Invisible);
    let phone = oslo.connect(PHONE, Status::Online).unwrap();
    block_on(oslo.flush()).unwrap();
    oslo.declare(phone, Status::DoNotDisturb);
    block_on(oslo.flush()).unwrap();
    oslo.disconnect(phone, Departure::Graceful);
    block_on(oslo.flush()).unwrap();
    assert_eq!(own.heard().len(), 4);
    assert_eq!(friend.heard(), []);
}

#[derive(Debug)]
struct Circles(Vec<UserId>);

#[async_trait]
impl Audiences for Circles {
    async fn audiences(&self, users: &[UserId]) -> Result<Vec<Audience>> {
        Ok(vec![Audience::Circle(self.0.clone()); users.len()])
    }
}

#[test]
fn a_small_circle_is_told_one_by_one_and_a_large_one_asks() {
    for (size, told) in [(2, 1), (3, 0)] {
        let world = World::new();
        let circle = (2..2 + size).map(UserId::new).collect();
        let bus = Arc::new(world.bus.node());
        let fanout = Fanout::new(bus)
            .with_audiences(Arc::new(Circles(circle)))
            .with_pairs(2);
        let oslo = world.node_with("oslo", 1, fanout);
        let mut bob = world.watcher(&[Announcement::pair_topic(ANN, BOB)]);
        let mut others = world.watcher(&[
            Announcement::topic(ANN),
            Announcement::pair_topic(ANN, UserId::new(9)),
        ]);
        oslo.connect(PHONE, Status::Online).unwrap();
        block_on(oslo.flush()).unwrap();
        assert_eq!(bob.heard().len(), told);
        assert_eq!(others.heard(), []);
        assert_eq!(world.status(ANN), Status::Online);
    }
}

#[test]
fn whoever_looks_on_is_right_whatever_comes_first() {
    let world = World::new();
    let oslo = world.node("oslo", 1);
    let mut follows = Follows::new(BOB, 512);
    let refollow = follows.replace(&[ANN]).unwrap();
    let mut friend = world.watcher(&refollow.subscribe);
    let read = |follows: &mut Follows| -> Vec<Published> {
        let states = world.engine.states(&follows.reads());
        states
            .into_iter()
            .flatten()
            .filter(|seen| follows.accept(*seen))
            .collect()
    };
    let phone = oslo.connect(PHONE, Status::Online).unwrap();
    block_on(oslo.flush()).unwrap();
    // It is read before the message arrives: that says nothing new then.
    assert_eq!(read(&mut follows).len(), 1);
    for said in friend.heard() {
        let Announcement::Published(published) = said else {
            panic!("{said:?}");
        };
        assert!(!follows.accept(published));
    }
    oslo.disconnect(phone, Departure::Graceful);
    block_on(oslo.flush()).unwrap();
    let gone = read(&mut follows);
    assert_eq!(gone[0].state.status, Status::Offline);
    assert_eq!(read(&mut follows), []);
    assert_eq!(world.clock.monotonic(), Duration::ZERO);
}

#[test]
fn a_large_group_is_a_number_and_some_friends() {
    let world = World::new();
    let oslo = world.node("oslo", 1);
    let members: Vec<_> = (0..2_000).map(UserId::new).collect();
    for user in members.iter().filter(|user| user.get() % 2 == 0) {
        oslo.connect(Device::new(*user, DeviceId::new(1)), Status::Online)
            .unwrap();
    }
    block_on(oslo.set(UserId::new(10), Setting::new(Mode::Invisible))).unwrap();
    block_on(oslo.flush()).unwrap();
    let friends = [10, 11, 1_998].map(UserId::new);
    let summary = block_on(oslo.summary(&members, &friends, 3)).unwrap();
    assert_eq!(summary.present, 999);
    let named: Vec<_> = summary.sample.iter().map(|seen| seen.user.get()).collect();
    assert_eq!(named, [1_998, 0, 2]);
}
