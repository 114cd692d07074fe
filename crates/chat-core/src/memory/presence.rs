mod state;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use backplane::{
    Clock, SystemClock, Timestamp,
    directory::{Incarnation, Tenure, check_name},
};
use parking_lot::Mutex;

use self::state::State;
use crate::{
    Error, ErrorKind, Result, UserId,
    presence::{
        Change, NodeJoined, NodeLease, OwnPresence, Presence, Published, Report, Reported, Setting,
        StateRead,
    },
};

/// A [`Presence`] in process memory, for the nodes of one process; share it in an `Arc`.
///
/// The trait's methods are here without `async` too. Leases go by the clock's monotonic time. Nothing runs in the
/// background: whoever calls first ends the leases that passed.
///
/// ```
/// use std::time::Duration;
/// use backplane::directory::Incarnation;
/// use chat_core::{MemoryPresence, UserId, presence::{NodeJoined, PresenceState, Report, Reported, StateRead, Status}};
/// let (presence, ann) = (MemoryPresence::default(), UserId::new(1));
/// let joined = presence.join("chat-7", Incarnation::new(1), Duration::from_secs(15))?;
/// let NodeJoined::Held(lease) = joined else { panic!("nobody else is there") };
///
/// let here = PresenceState::new(Status::Online, None, true);
/// presence.report(&lease, &[Report::new(ann, 1, here)])?;
/// let states = presence.states(&[StateRead::new(ann)]);
/// assert_eq!(states[0].map(|ann| ann.state.status), Some(Status::Online));
/// # Ok::<(), chat_core::Error>(())
/// ```
pub struct MemoryPresence {
    clock: Arc<dyn Clock>,
    options: MemoryPresenceOptions,
    state: Mutex<State>,
}

/// The bounds of a [`MemoryPresence`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MemoryPresenceOptions {
    /// How many nodes hold a lease; one more is refused as [`ErrorKind::Full`]. 1,000 by default.
    pub max_nodes: usize,
    /// How many users are kept, also those who are offline; one more is refused as [`ErrorKind::Full`]. 20,000,000
    /// by default. A user takes about 300 bytes.
    pub max_users: usize,
}

impl MemoryPresence {
    /// Nobody, in the time of `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, options: MemoryPresenceOptions) -> Self {
        Self {
            clock,
            options,
            state: Mutex::default(),
        }
    }

    /// See [`Presence::join`].
    ///
    /// # Errors
    ///
    /// `Invalid` and `Full`, as stated there.
    pub fn join(&self, node: &str, incarnation: Incarnation, ttl: Duration) -> Result<NodeJoined> {
        check_name("join", node)?;
        if ttl.is_zero() {
            return Err(Error::bare(ErrorKind::Invalid, "join"));
        }
        let until = self.clock.monotonic().saturating_add(ttl);
        let most = self.options.max_nodes;
        self.apply(|state, now| state.join(node, incarnation, (until, now), most))
    }

    /// See [`Presence::renew`].
    pub fn renew(&self, lease: &NodeLease, ttl: Duration) -> Tenure {
        let until = self.clock.monotonic().saturating_add(ttl);
        self.apply(|state, now| match state.held(lease) {
            Some(held) => {
                held.until = held.until.max(until);
                held.renewed = held.renewed.max(now);
                Tenure::Held
            }
            None => Tenure::Lost,
        })
    }

    /// See [`Presence::leave`].
    pub fn leave(&self, lease: &NodeLease) -> Tenure {
        self.apply(|state, _| state.leave(lease))
    }

    /// See [`Presence::report`].
    ///
    /// # Errors
    ///
    /// `Full`, as stated there.
    pub fn report(&self, lease: &NodeLease, reports: &[Report]) -> Result<Reported> {
        self.apply(|state, now| {
            if state.held(lease).is_none() {
                return Ok(Reported::Lost);
            }
            let most = self.options.max_users;
            let record = |report| state.report(lease, report, now, most);
            let changes: Result<_> = reports.iter().map(record).collect();
            Ok(Reported::Held(changes?))
        })
    }

    /// See [`Presence::set`].
    ///
    /// # Errors
    ///
    /// `Full`, as stated there.
    pub fn set(&self, settings: &[(UserId, Setting)]) -> Result<Vec<Change>> {
        let most = self.options.max_users;
        self.apply(|state, now| {
            let set = |&(user, setting): &_| state.set(user, setting, now, most);
            settings.iter().map(set).collect()
        })
    }

    /// See [`Presence::states`].
    #[must_use]
    pub fn states(&self, reads: &[StateRead]) -> Vec<Option<Published>> {
        self.apply(|state, now| {
            let read = |read: &StateRead| {
                let known = state.look(read.user, now);
                let published =
                    known.map_or_else(|| Published::unknown(read.user), |known| known.published);
                (published.version != read.since).then_some(published)
            };
            reads.iter().map(read).collect()
        })
    }

    /// See [`Presence::own`].
    #[must_use]
    pub fn own(&self, users: &[UserId]) -> Vec<OwnPresence> {
        self.apply(|state, now| {
            let read = |&user: &UserId| {
                let known = state.look(user, now);
                known.map_or_else(|| OwnPresence::unknown(user), |known| known.own)
            };
            users.iter().map(read).collect()
        })
    }

    /// See [`Presence::lapsed`].
    #[must_use]
    pub fn lapsed(&self, settled: &[Change], limit: usize) -> Vec<Change> {
        self.apply(|state, now| {
            for change in settled {
                state.settle(change);
            }
            state.lapses(now, limit)
        })
    }

    /// See [`Presence::erase`].
    #[must_use]
    pub fn erase(&self, user: UserId) -> Change {
        self.apply(|state, _| state.erase(user))
    }

    /// Does something after the leases that passed have ended, at a wall time.
    fn apply<R>(&self, act: impl FnOnce(&mut State, Timestamp) -> R) -> R {
        let (monotonic, now) = (self.clock.monotonic(), self.clock.now());
        let mut state = self.state.lock();
        state.expire(monotonic);
        act(&mut state, now)
    }
}

impl Default for MemoryPresence {
    /// Nobody, on the machine's clock, with the default bounds.
    fn default() -> Self {
        let clock = Arc::new(SystemClock::new());
        Self::new(clock, MemoryPresenceOptions::default())
    }
}

impl fmt::Debug for MemoryPresence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryPresence")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl MemoryPresenceOptions {
    /// Lets `nodes` hold a lease.
    #[must_use]
    pub fn with_max_nodes(mut self, nodes: usize) -> Self {
        self.max_nodes = nodes;
        self
    }

    /// Keeps `users`.
    #[must_use]
    pub fn with_max_users(mut self, users: usize) -> Self {
        self.max_users = users;
        self
    }
}

impl Default for MemoryPresenceOptions {
    fn default() -> Self {
        Self {
            max_nodes: 1_000,
            max_users: 20_000_000,
        }
    }
}

#[async_trait]
impl Presence for MemoryPresence {
    async fn join(
        &self,
        node: &str,
        incarnation: Incarnation,
        ttl: Duration,
    ) -> Result<NodeJoined> {
        self.join(node, incarnation, ttl)
    }

    async fn renew(&self, lease: &NodeLease, ttl: Duration) -> Result<Tenure> {
        Ok(self.renew(lease, ttl))
    }

    async fn leave(&self, lease: &NodeLease) -> Result<Tenure> {
        Ok(self.leave(lease))
    }

    async fn report(&self, lease: &NodeLease, reports: &[Report]) -> Result<Reported> {
        self.report(lease, reports)
    }

    async fn set(&self, settings: &[(UserId, Setting)]) -> Result<Vec<Change>> {
        self.set(settings)
    }

    async fn states(&self, reads: &[StateRead]) -> Result<Vec<Option<Published>>> {
        Ok(self.states(reads))
    }

    async fn own(&self, users: &[UserId]) -> Result<Vec<OwnPresence>> {
        Ok(self.own(users))
    }

    async fn lapsed(&self, settled: &[Change], limit: usize) -> Result<Vec<Change>> {
        Ok(self.lapsed(settled, limit))
    }

    async fn erase(&self, user: UserId) -> Result<Change> {
        Ok(self.erase(user))
    }
}

#[cfg(test)]
mod tests {
    use backplane::ManualClock;

    use super::*;
    use crate::conformance::{
        Fresh, TestTime,
        presence::{NODES, USERS},
    };

    fn fresh() -> Fresh<dyn Presence> {
        let clock = ManualClock::default();
        let options = MemoryPresenceOptions::default()
            .with_max_nodes(NODES)
            .with_max_users(USERS);
        let store = MemoryPresence::new(Arc::new(clock.clone()), options);
        Fresh {
            store: Arc::new(store),
            time: TestTime::Manual(clock),
        }
    }

    crate::presence_conformance!(async { fresh() });

    #[test]
    fn as_many_users_fit_as_the_options_say() {
        let options = MemoryPresenceOptions::default().with_max_users(2);
        let presence = MemoryPresence::new(Arc::new(ManualClock::default()), options);
        let set = |user| presence.set(&[(UserId::new(user), Setting::AUTOMATIC)]);
        set(1).unwrap();
        set(2).unwrap();
        assert_eq!(set(3).unwrap_err().kind(), ErrorKind::Full);
        set(1).unwrap();
        let _ = presence.erase(UserId::new(1));
        set(3).unwrap();
    }
}
