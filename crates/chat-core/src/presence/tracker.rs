mod local;

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use backplane::{
    Clock, Sleep,
    directory::{Incarnation, Tenure},
};
use futures::future::{Either, select};
use hashbrown::HashSet;
use parking_lot::{Mutex, RwLock};

use self::local::Local;
use super::{
    Change, Departure, DeviceSession, Fanout, GroupSummary, Liveness, Moment, NodeJoined,
    NodeLease, OwnPresence, Presence, PresenceOptions, Progress, Published, Report, Reported,
    SessionEnd, Setting, StateRead, Status,
    beats::{Acted, Beats},
};
use crate::{Device, Error, ErrorKind, Result, UserId};

/// The presence of one node: what an application calls when devices come, go and send heartbeats.
///
/// A call about a device changes memory alone. [`run`](Self::run) brings what follows from it to the engine and to
/// those who look on, a moment later. Clones share one node.
///
/// ```
/// use std::sync::Arc;
/// use backplane::{SystemClock, directory::Incarnation, memory::MemoryBus};
/// use chat_core::{Device, DeviceId, MemoryPresence, UserId, presence::{Fanout, Liveness, PresenceOptions, PresenceTracker, StateRead, Status}};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> chat_core::Result<()> {
/// let fanout = Fanout::new(Arc::new(MemoryBus::default().node()));
/// let (engine, clock) = (Arc::new(MemoryPresence::default()), Arc::new(SystemClock::new()));
/// let tracker = PresenceTracker::new("chat-7", Incarnation::new(1), engine, fanout, clock, PresenceOptions::default());
///
/// let phone = Device::new(UserId::new(1), DeviceId::new(1));
/// let session = tracker.connect(phone, Status::Online)?;
/// assert_eq!(tracker.heartbeat(session), Liveness::Alive);
/// tracker.flush().await?; // in a server: `tracker.run(…)`, in the background
/// let seen = tracker.states(&[StateRead::new(phone.user)]).await?;
/// assert_eq!(seen[0].map(|seen| seen.state.status), Some(Status::Online));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct PresenceTracker {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    node: Arc<str>,
    incarnation: Incarnation,
    engine: Arc<dyn Presence>,
    fanout: Fanout,
    clock: Arc<dyn Clock>,
    options: PresenceOptions,
    beats: Arc<Beats>,
    local: RwLock<Local>,
    lease: Mutex<Option<NodeLease>>,
    /// Those for whom something was set that may not have been announced.
    unsure: Mutex<HashSet<UserId>>,
}

impl PresenceTracker {
    /// A node called `node`, without sessions, which has not joined yet.
    #[must_use]
    pub fn new(
        node: impl Into<Arc<str>>,
        incarnation: Incarnation,
        engine: Arc<dyn Presence>,
        fanout: Fanout,
        clock: Arc<dyn Clock>,
        options: PresenceOptions,
    ) -> Self {
        let local = Local::new(&options, moment(&*clock));
        let shared = Shared {
            node: node.into(),
            incarnation,
            engine,
            fanout,
            clock,
            options,
            beats: local.core.beats(),
            local: RwLock::new(local),
            lease: Mutex::default(),
            unsure: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Begins a session of `device`, which counts as `declared` as long as it is not idle. An earlier session
    /// of the device ends; one that was lost within the grace goes on as this one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Full`] if there is no room for another session, or for another device of the user; nothing
    /// changed.
    pub fn connect(&self, device: Device, declared: Status) -> Result<DeviceSession> {
        let now = self.now();
        let act = |local: &mut Local| {
            local
                .core
                .connect(now, device, declared, &mut local.effects)
        };
        self.change(act)
    }

    /// Notes that `session` is alive. It takes no lock, reads no clock and does no IO.
    #[inline]
    #[expect(
        clippy::must_use_candidate,
        reason = "a client that beats on finds out when it sends something"
    )]
    pub fn heartbeat(&self, session: DeviceSession) -> Liveness {
        self.shared.beats.heartbeat(session)
    }

    /// Notes that the session of `device` is alive, for those who did not keep it.
    #[expect(clippy::must_use_candidate, reason = "as for `heartbeat`")]
    pub fn heartbeat_of(&self, device: Device) -> Liveness {
        self.shared.local.read().core.heartbeat_of(device)
    }

    /// Notes that the user has done something with `session`. It costs twice a heartbeat, but for the first time
    /// after a while.
    #[expect(clippy::must_use_candidate, reason = "as for `heartbeat`")]
    pub fn act(&self, session: DeviceSession) -> Liveness {
        match self.shared.beats.act(session) {
            Acted::Ended => return Liveness::Ended,
            Acted::Awake => {}
            Acted::Woke => self.change(|local| local.core.wake(session, &mut local.effects)),
        }
        Liveness::Alive
    }

    /// Lets `session` count as `declared` from now on, which is an act of its user.
    #[expect(clippy::must_use_candidate, reason = "as for `heartbeat`")]
    pub fn declare(&self, session: DeviceSession, declared: Status) -> Liveness {
        let now = self.now();
        let act = |local: &mut Local| {
            local
                .core
                .declare(now, session, declared, &mut local.effects)
        };
        self.change(act)
    }

    /// Ends `session`: at once, or after the grace.
    #[expect(clippy::must_use_candidate, reason = "as for `heartbeat`")]
    pub fn disconnect(&self, session: DeviceSession, departure: Departure) -> Liveness {
        let now = self.now();
        let act = |local: &mut Local| {
            local
                .core
                .disconnect(now, session, departure, &mut local.effects)
        };
        self.change(act)
    }

    /// As what `user` counts at this node, whatever the user has set.
    #[must_use]
    pub fn status_here(&self, user: UserId) -> Status {
        self.shared.local.read().core.reported(user).status
    }

    /// The sessions that ended without their devices' doing since this was last asked: their connections may be
    /// closed. Of more than [`PresenceOptions::max_sessions`] the oldest are forgotten; a heartbeat
    /// tells them.
    #[must_use]
    pub fn take_ended(&self) -> Vec<SessionEnd> {
        self.shared.local.write().take_ended()
    }

    /// Sets what `user` wants for all their devices, and announces it.
    ///
    /// # Errors
    ///
    /// As [`Presence::set`], or fails if the bus does, though it is set then; setting it again is safe, and
    /// announces it.
    ///
    /// # Cancel safety
    ///
    /// As for an error.
    pub async fn set(&self, user: UserId, setting: Setting) -> Result<OwnPresence> {
        let shared = &*self.shared;
        let was_unsure = self.doubt(user);
        let mut changes = shared.engine.set(&[(user, setting)]).await?;
        for change in &mut changes {
            change.is_news |= was_unsure;
            change.is_own_news |= was_unsure;
        }
        shared.fanout.announce(&changes).await?;
        shared.unsure.lock().remove(&user);
        let change = changes.first();
        Ok(change.map_or_else(|| OwnPresence::unknown(user), |change| change.own))
    }

    /// What others see of each user; see [`Presence::states`].
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    ///
    /// # Cancel safety
    ///
    /// Reads have no effect.
    pub async fn states(&self, reads: &[StateRead]) -> Result<Vec<Option<Published>>> {
        self.shared.engine.states(reads).await
    }

    /// A group as a viewer with these `friends` is shown it: how many of `members` are there, and at most `most` of
    /// them by name.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    ///
    /// # Cancel safety
    ///
    /// Reads have no effect.
    pub async fn summary(
        &self,
        members: &[UserId],
        friends: &[UserId],
        most: usize,
    ) -> Result<GroupSummary> {
        let friends = friends.iter().copied().collect();
        let mut summary = GroupSummary::default();
        for some in members.chunks(self.shared.options.batch.max(1)) {
            let reads: Vec<_> = some.iter().copied().map(StateRead::new).collect();
            let seen = self.shared.engine.states(&reads).await?;
            let seen: Vec<_> = seen.into_iter().flatten().collect();
            summary.add(&seen, &friends, most);
        }
        Ok(summary)
    }

    /// Lets time pass: see [`PresenceCore::tick`](super::PresenceCore::tick). For those who do not [run](Self::run).
    #[expect(clippy::must_use_candidate, reason = "the next tick does what is left")]
    pub fn tick(&self) -> Progress {
        let now = self.now();
        self.change(|local| local.core.tick(now, &mut local.effects))
    }

    /// Brings what has happened on this node to the engine, and announces what is news.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Closed`] if a later incarnation of the node has joined: this one must stop. Otherwise fails if the
    /// engine or the bus does, and what is not done yet is done by the next call.
    ///
    /// # Cancel safety
    ///
    /// What is not done yet is done by the next call, some of it twice, which changes nothing.
    pub async fn flush(&self) -> Result<()> {
        let shared = &*self.shared;
        loop {
            let reports = shared.local.read().pending(shared.options.batch.max(1));
            if reports.is_empty() {
                return Ok(());
            }
            let lease = self.join().await?;
            match shared.engine.report(&lease, &reports).await? {
                Reported::Held(mut changes) => {
                    shared.local.read().suspect(&mut changes);
                    shared.fanout.announce(&changes).await?;
                    self.confirm(&reports);
                }
                Reported::Lost => self.lose(&lease),
            }
        }
    }

    /// Renews the node's lease, or takes one.
    ///
    /// # Errors
    ///
    /// As for [`flush`](Self::flush).
    ///
    /// # Cancel safety
    ///
    /// As for [`flush`](Self::flush).
    pub async fn renew(&self) -> Result<()> {
        let lease = self.join().await?;
        let ttl = self.shared.options.lease;
        if self.shared.engine.renew(&lease, ttl).await? == Tenure::Lost {
            self.lose(&lease);
            self.join().await?;
        }
        Ok(())
    }

    /// Announces users whom time has changed: those at nodes that died, and those whose setting ended.
    ///
    /// # Errors
    ///
    /// Fails if the engine or the bus does; what was not announced is announced by the next call, of any node.
    ///
    /// # Cancel safety
    ///
    /// As for an error.
    pub async fn announce_lapses(&self) -> Result<()> {
        let (shared, mut settled) = (&*self.shared, Vec::<Change>::new());
        loop {
            let limit = shared.options.batch.max(1);
            settled = shared.engine.lapsed(&settled, limit).await?;
            if settled.is_empty() {
                return Ok(());
            }
            shared.fanout.announce(&settled).await?;
        }
    }

    /// Does all of that in its time until `stop` completes, and then ends the node's lease, and so its sessions. While
    /// the engine or the bus is unavailable it tries again with every tick.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Closed`] if a later incarnation of the node has joined: this one must stop. Fails also if the
    /// engine or the bus does for a reason that waiting cannot change.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the lease to pass by itself.
    pub async fn run(&self, stop: impl Future<Output = ()> + Send) -> Result<()> {
        let mut stop = pin!(stop);
        let (clock, options) = (&*self.shared.clock, &self.shared.options);
        let mut renewed = None;
        loop {
            let turn = pin!(self.turn(&mut renewed));
            let Either::Right((done, _)) = select(stop.as_mut(), turn).await else {
                break;
            };
            if let Err(error) = done
                && !error.is_retryable()
            {
                return Err(error);
            }
            let pause = clock.sleep(options.tick.min(Sleep::LONGEST));
            if let Either::Left(_) = select(stop.as_mut(), pause).await {
                break;
            }
        }
        let lease = self.shared.lease.lock().take();
        if let Some(lease) = lease {
            self.shared.engine.leave(&lease).await?;
        }
        Ok(())
    }

    /// A tick, what follows from it, and what is due of the rest.
    async fn turn(&self, renewed: &mut Option<Duration>) -> Result<()> {
        while self.tick() == Progress::More {
            give_way().await;
        }
        let now = self.shared.clock.monotonic();
        let every = self.shared.options.lease / 3;
        if renewed.is_none_or(|renewed| now.saturating_sub(renewed) >= every) {
            self.renew().await?;
            *renewed = Some(now);
            self.flush().await?;
            return self.announce_lapses().await;
        }
        self.flush().await
    }

    /// The lease, which is taken if there is none.
    async fn join(&self) -> Result<NodeLease> {
        let shared = &*self.shared;
        let held = shared.lease.lock().clone();
        if let Some(lease) = held {
            return Ok(lease);
        }
        let ttl = shared.options.lease;
        let joined = shared.engine.join(&shared.node, shared.incarnation, ttl);
        match joined.await? {
            NodeJoined::Held(lease) => {
                let mut held = shared.lease.lock();
                // Of two who joined at the same time the later one ended the other's lease.
                let later = held.take().filter(|other| other.token > lease.token);
                Ok(held.insert(later.unwrap_or(lease)).clone())
            }
            NodeJoined::Superseded { by } => {
                let later = format!("incarnation {by} has joined");
                Err(Error::new(ErrorKind::Closed, "join", later))
            }
        }
    }

    /// Begins anew: the engine has forgotten the node.
    fn lose(&self, lost: &NodeLease) {
        let mut lease = self.shared.lease.lock();
        if lease.as_ref() == Some(lost) {
            *lease = None;
            self.shared.local.write().lose();
        }
    }

    /// Notes that what is set for `user` may not be announced; whether that was so before.
    fn doubt(&self, user: UserId) -> bool {
        let mut unsure = self.shared.unsure.lock();
        let has_room = unsure.len() < self.shared.options.max_sessions as usize;
        unsure.contains(&user) || (has_room && !unsure.insert(user))
    }

    fn confirm(&self, reports: &[Report]) {
        self.shared.local.write().confirm(reports);
    }

    fn change<R>(&self, act: impl FnOnce(&mut Local) -> R) -> R {
        let mut local = self.shared.local.write();
        let result = act(&mut local);
        local.take_in();
        result
    }

    fn now(&self) -> Moment {
        moment(&*self.shared.clock)
    }
}

fn moment(clock: &dyn Clock) -> Moment {
    Moment {
        monotonic: clock.monotonic(),
        wall: clock.now(),
    }
}

/// Lets whatever else the executor has go first.
async fn give_way() {
    let mut has_waited = false;
    poll_fn(|context| {
        if has_waited {
            return Poll::Ready(());
        }
        has_waited = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
