use std::{fmt, sync::Arc};

use backplane::{FencingToken, directory::Incarnation};
use serde::{Deserialize, Serialize};

use super::{PresenceState, Setting};
use crate::UserId;

/// What a node says of one of its users.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// The user.
    pub user: UserId,
    /// Which of the node's reports it is: of those of one user the one with the greatest number holds.
    pub sequence: u64,
    /// The last of the node's reports about the user whose answer has arrived, or any later one that is before this.
    /// What changed since is news: also if it was an earlier report that changed it, and its answer was lost.
    pub acknowledged: u64,
    /// What the user's devices at the node amount to; [`Offline`](super::Status::Offline) if there are none.
    pub state: PresenceState,
}

impl Report {
    /// The report that `user` is in `state`, when all before it were answered.
    #[must_use]
    pub const fn new(user: UserId, sequence: u64, state: PresenceState) -> Self {
        Self {
            user,
            sequence,
            acknowledged: sequence.saturating_sub(1),
            state,
        }
    }

    /// None after the report `acknowledged` was answered.
    #[must_use]
    pub const fn with_acknowledged(mut self, acknowledged: u64) -> Self {
        self.acknowledged = acknowledged;
        self
    }
}

/// Proof that a node may report, for as long as its lease lasts.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "made by implementations of `Presence`"
)]
pub struct NodeLease {
    /// The node's name.
    pub node: Arc<str>,
    /// Larger than that of any earlier lease.
    pub token: FencingToken,
}

/// What became of an attempt to take a node's lease.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum NodeJoined {
    /// The node holds it.
    Held(NodeLease),
    /// A later incarnation of the node does, so this one must stop. Nothing changed.
    Superseded {
        /// The later one.
        by: Incarnation,
    },
}

/// What became of reports.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a lease is either held or it is not"
)]
pub enum Reported {
    /// They are recorded, and this is what the users amount to now, in the order of the reports.
    Held(Vec<Change>),
    /// The lease had ended, and the node's sessions with it: it must join again, and report everybody.
    Lost,
}

/// Counts what others were told of a user, or the user themself: of two states the one with the greater version
/// is the later one, whichever way they came.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(transparent)]
pub struct Version(u64);

impl Version {
    /// The version of a user of whom nothing was ever told.
    pub const ZERO: Self = Self(0);

    /// Wraps a raw version.
    #[must_use]
    pub const fn new(raw: u64) -> Self {
        Self(raw)
    }

    /// The raw version.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What others see of a user. Nothing in it tells who is invisible from who is offline.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Published {
    /// The user.
    pub user: UserId,
    /// Grows with each change of the state, and stands while the state does.
    pub version: Version,
    /// The state.
    pub state: PresenceState,
}

impl Published {
    /// `user` in `state`, as of `version`.
    #[must_use]
    pub const fn new(user: UserId, version: Version, state: PresenceState) -> Self {
        Self {
            user,
            version,
            state,
        }
    }

    /// A user of whom nothing was ever told.
    #[must_use]
    pub const fn unknown(user: UserId) -> Self {
        Self::new(user, Version::ZERO, PresenceState::UNKNOWN)
    }
}

/// What a user sees of themself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct OwnPresence {
    /// The user.
    pub user: UserId,
    /// Grows with each change of the setting or the state. It says nothing about [`Published::version`].
    pub version: Version,
    /// What they have set.
    pub setting: Setting,
    /// What their devices and their setting amount to; who is invisible sees what others would.
    pub state: PresenceState,
}

impl OwnPresence {
    /// `user` in `state`, who has set `setting`, as of `version`.
    #[must_use]
    pub const fn new(
        user: UserId,
        version: Version,
        setting: Setting,
        state: PresenceState,
    ) -> Self {
        Self {
            user,
            version,
            setting,
            state,
        }
    }

    /// A user who never was here and has set nothing.
    #[must_use]
    pub const fn unknown(user: UserId) -> Self {
        let nothing = PresenceState::UNKNOWN;
        Self::new(user, Version::ZERO, Setting::AUTOMATIC, nothing)
    }
}

/// What a user amounts to after a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Change {
    /// To others.
    pub published: Published,
    /// To the user.
    pub own: OwnPresence,
    /// Whether others see something that they did not before the call.
    pub is_news: bool,
    /// Whether the user does.
    pub is_own_news: bool,
}

impl Change {
    /// What a user amounts to now, compared to the versions before.
    #[must_use]
    pub fn since(before: (Version, Version), published: Published, own: OwnPresence) -> Self {
        Self {
            published,
            own,
            is_news: published.version != before.0,
            is_own_news: own.version != before.1,
        }
    }
}

/// Which state to read, and which version of it the reader knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a pair")]
pub struct StateRead {
    /// Of whom.
    pub user: UserId,
    /// The version that the reader has; [`Version::ZERO`] for none.
    pub since: Version,
}

impl StateRead {
    /// The state of `user`, whatever it is.
    #[must_use]
    pub const fn new(user: UserId) -> Self {
        Self::since(user, Version::ZERO)
    }

    /// The state of `user`, unless it is that of `since`.
    #[must_use]
    pub const fn since(user: UserId, since: Version) -> Self {
        Self { user, since }
    }
}
