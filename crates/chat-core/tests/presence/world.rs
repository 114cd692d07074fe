//! A node beside the account of it, and what happens to both.

use std::{collections::BTreeMap, time::Duration};

use backplane::Timestamp;
use chat_core::{
    Device, DeviceId, UserId,
    presence::{Departure, DeviceSession, Effect, Liveness, PresenceOptions, Report, Status},
};

use crate::{account::Account, node::Node};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    Connect(u64, u64, Status),
    /// By one of the handles ever given out.
    Heartbeat(usize),
    HeartbeatOf(u64, u64),
    Act(usize),
    Declare(usize, Status),
    Disconnect(usize, Departure),
    Resync,
    /// Milliseconds, at most a step.
    Pass(u64),
    /// A loop of ticks, in seconds.
    Run(u64),
    /// Nobody ticks for so many seconds, in which every live session is heard of.
    Stall(u64),
    /// The clock shows so many seconds more, or less.
    Jump(i64),
    /// The wall clock alone does.
    Step(i64),
}

pub(crate) struct World {
    pub(crate) node: Node,
    account: Account,
    handles: Vec<DeviceSession>,
    told: BTreeMap<UserId, Report>,
    is_resyncing: bool,
    /// Whether the wall clock has shown the true time throughout.
    is_wall_true: bool,
}

impl World {
    pub(crate) fn new(options: &PresenceOptions) -> Self {
        Self {
            node: Node::new(options.clone()),
            account: Account::new(options.clone()),
            handles: Vec::new(),
            told: BTreeMap::new(),
            is_resyncing: false,
            is_wall_true: true,
        }
    }

    pub(crate) fn apply(&mut self, op: Op) {
        match op {
            Op::Connect(user, device, status) => {
                self.connect(
                    Device::new(UserId::new(user), DeviceId::new(device)),
                    status,
                );
            }
            Op::Heartbeat(n) => self.heartbeat(n),
            Op::HeartbeatOf(user, device) => {
                self.heartbeat_of(Device::new(UserId::new(user), DeviceId::new(device)));
            }
            Op::Act(n) => self.act(n, None),
            Op::Declare(n, status) => self.act(n, Some(status)),
            Op::Disconnect(n, departure) => self.disconnect(n, departure),
            Op::Resync => {
                self.node.core.resync();
                self.is_resyncing = true;
                self.node.tick();
            }
            Op::Pass(millis) => self.pass(Duration::from_millis(millis)),
            Op::Run(seconds) => {
                for _ in 0..seconds * 4 {
                    self.pass(Duration::from_millis(250));
                }
            }
            Op::Stall(seconds) => self.stall(Duration::from_secs(seconds)),
            Op::Jump(seconds) => self.jump(seconds),
            Op::Step(seconds) => {
                let wall = self.node.clock.wall.as_millis();
                let wall = wall.saturating_add_signed(seconds * 1_000);
                self.node.clock.wall = Timestamp::from_millis(wall);
                self.is_wall_true = false;
                self.node.tick();
            }
        }
        self.check();
    }

    fn connect(&mut self, device: Device, status: Status) {
        let Node {
            core,
            clock,
            effects,
            ..
        } = &mut self.node;
        let session = core
            .connect(*clock, device, status, effects)
            .expect("there is room");
        assert!(
            !self.handles.contains(&session),
            "a handle is given out once"
        );
        self.handles.push(session);
        self.account.connect(device, status, session);
    }

    fn heartbeat_of(&mut self, device: Device) {
        let session = self.node.core.session_of(device);
        let answer = self.node.core.heartbeat_of(device);
        assert_eq!(answer == Liveness::Alive, session.is_some());
        session.inspect(|session| self.account.hear(*session));
    }

    fn act(&mut self, n: usize, declared: Option<Status>) {
        let Some(session) = self.pick(n) else {
            return;
        };
        let Node {
            core,
            clock,
            effects,
            ..
        } = &mut self.node;
        let answer = match declared {
            None => core.act(*clock, session, effects),
            Some(status) => core.declare(*clock, session, status, effects),
        };
        self.heard(session, answer, |account| account.act(session, declared));
    }

    fn disconnect(&mut self, n: usize, departure: Departure) {
        let Some(session) = self.pick(n) else {
            return;
        };
        let Node {
            core,
            clock,
            effects,
            ..
        } = &mut self.node;
        let answer = core.disconnect(*clock, session, departure, effects);
        self.heard(session, answer, |account| {
            account.disconnect(session, departure);
        });
    }

    fn jump(&mut self, seconds: i64) {
        let by = Duration::from_secs(seconds.unsigned_abs());
        let clock = &mut self.node.clock.monotonic;
        *clock = match seconds {
            0.. => *clock + by,
            _ => clock.saturating_sub(by),
        };
        self.account.distrust();
        self.node.tick();
    }

    fn pick(&self, n: usize) -> Option<DeviceSession> {
        self.handles
            .get(n.checked_rem(self.handles.len())?)
            .copied()
    }

    fn heartbeat(&mut self, n: usize) {
        if let Some(session) = self.pick(n) {
            let answer = self.node.core.heartbeat(session);
            self.heard(session, answer, |account| account.hear(session));
        }
    }

    fn heard(&mut self, session: DeviceSession, answer: Liveness, note: impl FnOnce(&mut Account)) {
        let is_alive = answer == Liveness::Alive;
        if let Some(must_live) = self.account.must_live(session) {
            assert_eq!(is_alive, must_live, "{session:?}");
        }
        if is_alive {
            assert!(
                !self.account.ended.contains(&session),
                "what ended does not come back"
            );
            note(&mut self.account);
        }
    }

    fn pass(&mut self, step: Duration) {
        self.node.pass(step);
        self.account.pass(step);
        self.node.tick();
        self.check();
    }

    fn stall(&mut self, time: Duration) {
        let step = Duration::from_millis(100);
        for _ in 0..time.as_millis() / step.as_millis() {
            self.node.pass(step);
            self.account.pass(step);
            for n in 0..self.handles.len() {
                self.heartbeat(n);
            }
        }
        self.account.distrust();
        self.node.tick();
    }

    /// Takes in what followed, and holds it against the account.
    fn check(&mut self) {
        for effect in std::mem::take(&mut self.node.effects) {
            match effect {
                Effect::Report(report) => self.take_in(report),
                Effect::Ended(end) => self.account.end(end.session, end.reason),
                other => panic!("{other:?}"),
            }
        }
        self.is_resyncing = false;
        assert_eq!(self.account.overdue(), 0, "silent for too long");
        for user in (1..4).map(UserId::new) {
            let (status, possible) = (
                self.node.core.reported(user).status,
                self.account.may_be(user),
            );
            assert!(
                possible.contains(&status),
                "{user} is {status}, not {possible:?}"
            );
            let told = self
                .told
                .get(&user)
                .map_or(Status::Offline, |report| report.state.status);
            assert_eq!(told, status, "{user}");
        }
    }

    fn take_in(&mut self, report: Report) {
        let now = self.node.clock.wall.as_millis();
        if let Some(before) = self.told.insert(report.user, report) {
            assert!(before.sequence < report.sequence);
            assert!(
                before.state.last_active <= report.state.last_active
                    || before.state.status == Status::Offline
            );
            let is_news = before.state.status != report.state.status;
            assert!(is_news || self.is_resyncing, "{before:?} {report:?}");
        }
        let last = report
            .state
            .last_active
            .expect("whoever is reported was here")
            .as_millis();
        if self.is_wall_true && report.state.status != Status::Offline {
            let acted = self.account.last_act(report.user).unwrap_or(self.node.time);
            let since = self.node.time.saturating_sub(acted).as_millis();
            assert!(
                u128::from(last) + since + 1_200 >= u128::from(now),
                "{report:?}"
            );
            assert!(last <= now + 1_200, "{report:?}");
        }
    }
}
