mod sweep;

use std::{collections::VecDeque, sync::Arc};

use self::sweep::Sweep;
use super::{
    Departure, DeviceSession, EndReason, Liveness, Moment, PresenceOptions, PresenceState, Report,
    SessionEnd, Status,
    beats::{Acted, Beats},
    index::Index,
    session::{Rest, Session, Stage},
    steady::{SteadyTime, ticks},
    users::Users,
};
use crate::{Device, Error, ErrorKind, Result, UserId};

/// The sessions of one node, and what they amount to, without any IO: each input says when it happens, and what
/// follows from it is appended to a list of [`Effect`]s.
///
/// ```
/// use std::time::Duration;
/// use chat_core::{Device, DeviceId, UserId, presence::{Effect, Moment, PresenceCore, PresenceOptions, Status}};
///
/// let (phone, mut effects) = (Device::new(UserId::new(1), DeviceId::new(1)), Vec::new());
/// let mut core = PresenceCore::new(PresenceOptions::default(), Moment::default());
/// core.connect(Moment::default(), phone, Status::Online, &mut effects)?;
/// let [Effect::Report(report)] = &effects[..] else { panic!("{effects:?}") };
/// assert_eq!(report.state.status, Status::Online);
/// # Ok::<(), chat_core::Error>(())
/// ```
#[derive(Debug)]
pub struct PresenceCore {
    options: PresenceOptions,
    waits: Waits,
    time: SteadyTime,
    beats: Arc<Beats>,
    /// By slot.
    sessions: Vec<Session>,
    free: Vec<u32>,
    users: Users,
    /// The slots of devices that are there, or were lost.
    devices: Index,
    /// Those who were lost, in the order in which they were, some of them gone or back already.
    lingering: VecDeque<Lost>,
    sweep: Sweep,
    /// The number of the next user whom the engine may not know any more.
    resync: Option<u32>,
    sequence: u64,
}

/// What follows from an input.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Effect {
    /// The engine is to be told. Of several reports about one user only the last matters.
    Report(Report),
    /// A session has ended that its device had not ended.
    Ended(SessionEnd),
}

/// Whether there is more to be done at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "there is or there is not")]
pub enum Progress {
    /// Nothing until the next tick.
    Done,
    /// The bounds of one tick were reached: tick again, and let others have a turn between.
    More,
}

/// The options in ticks.
#[derive(Debug)]
struct Waits {
    timeout: u32,
    grace: u32,
    window: u32,
    idle: u32,
    sweep: u32,
}

#[derive(Clone, Copy, Debug)]
struct Lost {
    slot: u32,
    generation: u32,
    since: u32,
}

impl PresenceCore {
    /// A node without sessions, at `now`.
    #[must_use]
    pub fn new(options: PresenceOptions, now: Moment) -> Self {
        let pause = (options.timeout / 4).max(options.longest_step * 2);
        Self {
            waits: Waits::new(&options),
            time: SteadyTime::new(now, options.longest_step, pause),
            options,
            beats: Arc::new(Beats::new()),
            sessions: Vec::new(),
            free: Vec::new(),
            users: Users::default(),
            devices: Index::default(),
            lingering: VecDeque::new(),
            sweep: Sweep::default(),
            resync: None,
            sequence: 0,
        }
    }

    /// Begins a session of `device`, which counts as `declared` as long as it is not idle. An earlier session
    /// of the device ends; one that was lost within the grace goes on as this one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Full`] if there is no room for another session, or for another device of the user; nothing
    /// changed.
    pub fn connect(
        &mut self,
        now: Moment,
        device: Device,
        declared: Status,
        effects: &mut Vec<Effect>,
    ) -> Result<DeviceSession> {
        self.advance(now);
        let earlier = self.slot_of(device);
        self.check_room(device.user, earlier)?;
        let user = self.users.enter(device.user);
        let mut session = Session::new(user, device, declared, self.time.now());
        if let Some(earlier) = earlier {
            session.resume(self.replace(earlier, effects));
        }
        let session = self.begin(session)?;
        self.settle(user, effects);
        Ok(session)
    }

    /// Notes that `session` is alive. It takes no lock and reads no clock: what is
    /// noted is the time of the last tick.
    #[expect(
        clippy::must_use_candidate,
        reason = "a client that beats on finds out when it sends something"
    )]
    pub fn heartbeat(&self, session: DeviceSession) -> Liveness {
        self.beats.heartbeat(session)
    }

    /// Notes that the session of `device` is alive, for those who did not keep it.
    #[expect(clippy::must_use_candidate, reason = "as for `heartbeat`")]
    pub fn heartbeat_of(&self, device: Device) -> Liveness {
        let slot = self.slot_of(device);
        let beats = slot.and_then(|slot| Some((slot, self.beats.slot(slot)?)));
        match beats.map(|(slot, beats)| (slot, beats.seen.read().0)) {
            // The generation of a session that was lost is even.
            Some((slot, generation)) if generation % 2 == 1 => {
                self.beats.heartbeat(DeviceSession { slot, generation })
            }
            _ => Liveness::Ended,
        }
    }

    /// Notes that the user has done something with `session`.
    pub fn act(
        &mut self,
        now: Moment,
        session: DeviceSession,
        effects: &mut Vec<Effect>,
    ) -> Liveness {
        self.advance(now);
        match self.beats.act(session) {
            Acted::Ended => Liveness::Ended,
            Acted::Awake => Liveness::Alive,
            Acted::Woke => {
                self.wake(session, effects);
                Liveness::Alive
            }
        }
    }

    /// Lets `session` count as `declared` from now on, which is an act of its user.
    pub fn declare(
        &mut self,
        now: Moment,
        session: DeviceSession,
        declared: Status,
        effects: &mut Vec<Effect>,
    ) -> Liveness {
        self.advance(now);
        if self.live(session).is_none() || self.beats.act(session) == Acted::Ended {
            return Liveness::Ended;
        }
        self.rouse(session.slot);
        let user = self.sessions[session.slot as usize].user;
        // What was done as long as the device counted stays done.
        self.users.user_mut(user).last_active = self.amount(user).last_active;
        self.sessions[session.slot as usize].declared = declared;
        self.settle(user, effects);
        Liveness::Alive
    }

    /// Ends `session`: at once, or after the grace.
    pub fn disconnect(
        &mut self,
        now: Moment,
        session: DeviceSession,
        departure: Departure,
        effects: &mut Vec<Effect>,
    ) -> Liveness {
        self.advance(now);
        let Some(user) = self.live(session).map(|session| session.user) else {
            return Liveness::Ended;
        };
        self.end(session.slot);
        if departure == Departure::Graceful || self.options.grace.is_zero() {
            self.release(session.slot);
            self.settle(user, effects);
        } else {
            self.linger(session.slot);
        }
        Liveness::Alive
    }

    /// Lets time pass: ends sessions that are silent and those whose grace is over, and notes who is idle. What it
    /// does is bounded by [`PresenceOptions::sessions_per_tick`] and [`PresenceOptions::changes_per_tick`].
    pub fn tick(&mut self, now: Moment, effects: &mut Vec<Effect>) -> Progress {
        self.advance(now);
        let mut changes = self.options.changes_per_tick.max(1);
        let lingering = self.end_lingering(&mut changes, effects);
        let sweeping = self.sweep(&mut changes, effects);
        let syncing = self.report_some(&mut changes, effects);
        if lingering || sweeping || syncing {
            Progress::More
        } else {
            Progress::Done
        }
    }

    /// Reports every user anew in the ticks to come: the engine has forgotten this node.
    pub fn resync(&mut self) {
        self.resync = Some(0);
    }

    /// What the sessions of `user` on this node amounted to when that last changed.
    #[must_use]
    pub fn reported(&self, user: UserId) -> PresenceState {
        let number = self.users.number(user);
        number.map_or(PresenceState::UNKNOWN, |number| {
            let local = self.users.user(number);
            PresenceState::new(local.told.0, local.last_active, local.told.1)
        })
    }

    /// How many users have sessions here, those included who were lost and may come back.
    #[must_use]
    pub fn users(&self) -> usize {
        self.users.len()
    }

    /// How many sessions there are, those included that were lost and may come back.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len() - self.free.len()
    }

    /// The session of `device`, unless it has none or was lost.
    #[must_use]
    pub fn session_of(&self, device: Device) -> Option<DeviceSession> {
        let slot = self.slot_of(device)?;
        let session = &self.sessions[slot as usize];
        let handle = DeviceSession {
            slot,
            generation: session.generation,
        };
        (session.stage == Stage::Live).then_some(handle)
    }

    /// What heartbeats write to, without a lock.
    pub(super) fn beats(&self) -> Arc<Beats> {
        Arc::clone(&self.beats)
    }

    /// Counts a session as awake that has written so.
    pub(super) fn wake(&mut self, session: DeviceSession, effects: &mut Vec<Effect>) {
        if let Some(user) = self.live(session).map(|session| session.user) {
            self.rouse(session.slot);
            self.settle(user, effects);
        }
    }

    /// Brings the time up to `now`, also for heartbeats.
    pub(super) fn advance(&mut self, now: Moment) {
        let tick = self.time.advance(now);
        self.beats.set_now(tick);
    }

    fn slot_of(&self, device: Device) -> Option<u32> {
        let is_its = |slot: u32| self.sessions[slot as usize].device == device;
        self.devices.find(device, is_its)
    }

    fn live(&self, session: DeviceSession) -> Option<&Session> {
        let known = self.sessions.get(session.slot as usize)?;
        let is_live = known.stage == Stage::Live && known.generation == session.generation;
        is_live.then_some(known)
    }

    fn check_room(&self, user: UserId, earlier: Option<u32>) -> Result<()> {
        if earlier.is_some() {
            return Ok(());
        }
        let most = self.options.max_sessions.min(Beats::MOST);
        let devices = self
            .users
            .number(user)
            .map_or(0, |number| self.users.user(number).slots.len());
        if devices >= self.options.max_devices || self.sessions() >= most as usize {
            return Err(Error::bare(ErrorKind::Full, "connect"));
        }
        Ok(())
    }

    /// Ends what there is of a device's session, and answers what that was.
    fn replace(&mut self, slot: u32, effects: &mut Vec<Effect>) -> Session {
        if self.sessions[slot as usize].stage == Stage::Live {
            self.end(slot);
            let end = self.sessions[slot as usize].ended(slot, EndReason::Replaced);
            effects.push(Effect::Ended(end));
        }
        let session = self.sessions[slot as usize];
        self.release(slot);
        session
    }

    fn begin(&mut self, mut session: Session) -> Result<DeviceSession> {
        let fresh = || u32::try_from(self.sessions.len()).ok();
        let slot = self.free.pop().or_else(fresh);
        let place = slot.and_then(|slot| Some((slot, self.beats.make(slot)?)));
        let (slot, beats) = place.ok_or_else(|| Error::bare(ErrorKind::Full, "connect"))?;
        let generation = beats.seen.read().0 + 1;
        session.generation = generation;
        let is_awake = session.rest == Rest::Active;
        let active = if is_awake { session.slept } else { 0 };
        beats.seen.begin(generation, self.time.now());
        beats.active.begin(generation, active);
        self.users.user_mut(session.user).slots.push(slot);
        match self.sessions.get_mut(slot as usize) {
            Some(free) => *free = session,
            None => self.sessions.push(session),
        }
        let sessions = &self.sessions;
        let key_of = |slot: u32| sessions[slot as usize].device;
        self.devices.insert(session.device, slot, key_of);
        Ok(DeviceSession { slot, generation })
    }

    /// Makes the handle of the session in `slot` worthless.
    fn end(&mut self, slot: u32) {
        let session = &mut self.sessions[slot as usize];
        let Some(beats) = self.beats.slot(slot) else {
            return;
        };
        beats.seen.end(session.generation);
        if let Some(tick) = beats.active.end(session.generation) {
            session.slept = session.slept.max(tick);
        }
    }

    /// Gives a session that ended its time to come back.
    fn linger(&mut self, slot: u32) {
        let since = self.time.now();
        let session = &mut self.sessions[slot as usize];
        session.stage = Stage::Lingering(since);
        self.lingering.push_back(Lost {
            slot,
            generation: session.generation,
            since,
        });
    }

    /// Takes a session that ended from its user.
    fn release(&mut self, slot: u32) {
        let session = &mut self.sessions[slot as usize];
        session.stage = Stage::Free;
        let session = *session;
        let user = self.users.user_mut(session.user);
        user.slots.retain(|held| *held != slot);
        self.devices.remove(session.device, slot);
        if session.declared != Status::Offline {
            let last = self.time.wall(session.slept);
            user.last_active = user.last_active.max(Some(last));
        }
        // A slot whose generations are used up is not used again.
        if session.generation < u32::MAX - 2 {
            self.free.push(slot);
        }
    }

    /// Counts a session as active whose slot says so.
    fn rouse(&mut self, slot: u32) {
        let session = &mut self.sessions[slot as usize];
        let tick = self
            .beats
            .slot(slot)
            .map_or(0, |beats| beats.active.read().1);
        if tick > 0 {
            session.rest = Rest::Active;
        }
    }

    /// Works out what a user's sessions amount to, and reports it if the engine must know. Forgets who has none.
    fn settle(&mut self, user: u32, effects: &mut Vec<Effect>) {
        let state = self.amount(user);
        let local = self.users.user_mut(user);
        local.last_active = state.last_active;
        let is_gone = local.slots.is_empty();
        if local.told != (state.status, state.is_active) {
            self.report(user, state, effects);
        }
        if is_gone {
            self.users.leave(user);
        }
    }

    fn report(&mut self, user: u32, state: PresenceState, effects: &mut Vec<Effect>) {
        self.sequence += 1;
        let local = self.users.user_mut(user);
        local.told = (state.status, state.is_active);
        local.last_active = state.last_active;
        let report = Report::new(local.id, self.sequence, state);
        effects.push(Effect::Report(report));
    }

    /// The greatest status of the user's devices, and the last activity of all.
    fn amount(&self, user: u32) -> PresenceState {
        let local = self.users.user(user);
        let sessions = local.slots.iter().map(|&slot| self.state_of(slot));
        let gone = PresenceState::new(Status::Offline, local.last_active, false);
        sessions.fold(gone, PresenceState::merge)
    }

    fn state_of(&self, slot: u32) -> PresenceState {
        let session = &self.sessions[slot as usize];
        if session.declared == Status::Offline {
            return PresenceState::UNKNOWN;
        }
        let noted = self
            .beats
            .slot(slot)
            .map_or((0, 0), |beats| beats.active.read());
        let tick = match noted {
            (generation, tick) if generation == session.generation => tick.max(session.slept),
            _ => session.slept,
        };
        let last_active = Some(self.time.wall(tick));
        PresenceState::new(session.status(), last_active, session.rest == Rest::Active)
    }

    /// Reports the next users of a [`resync`](Self::resync); whether there are more.
    fn report_some(&mut self, changes: &mut u32, effects: &mut Vec<Effect>) -> bool {
        let Some(from) = self.resync else {
            return false;
        };
        for user in from..self.users.numbers() {
            if *changes == 0 {
                self.resync = Some(user);
                return true;
            }
            *changes -= 1;
            if self.users.user(user).told.0 != Status::Offline {
                let state = self.amount(user);
                self.report(user, state, effects);
            }
        }
        self.resync = None;
        false
    }
}

impl Waits {
    fn new(options: &PresenceOptions) -> Self {
        // A heartbeat notes the last tick before it, which may be a step old.
        let step = ticks(options.longest_step);
        let idle = ticks(options.idle).saturating_add(step);
        let window = ticks(options.active_window).saturating_add(step);
        Self {
            timeout: ticks(options.timeout).saturating_add(step),
            grace: ticks(options.grace),
            window: window.min(idle),
            idle,
            sweep: ticks(options.sweep) - 1,
        }
    }
}
