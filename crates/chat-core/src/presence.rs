//! Who is there: sessions of devices, what they amount to, and who is told.
//!
//! A device that connects gets a [`DeviceSession`], by which it sends heartbeats: each is a change of one word in memory
//! and nothing else. [`PresenceCore`] makes of a node's sessions what their users amount to there, without any IO. What
//! changes goes to the engine, a [`Presence`], which merges what all nodes say with what users have set by hand
//! ([`Setting`]), and gives what others see a [`Version`]. [`PresenceTracker`] is the node that an application calls; it
//! tells of changes by [`Fanout`]. [`Follows`] is what one client shows, [`Room`] tells of comings and goings in a
//! room, and [`GroupSummary`] is what there is to ask of a large group.

mod announcement;
mod beat;
mod beats;
mod core;
mod fanout;
mod follows;
mod index;
mod options;
mod record;
mod report;
mod room;
mod session;
mod state;
mod status;
mod steady;
mod summary;
mod tracker;
mod users;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use backplane::directory::{Incarnation, Tenure};

pub use self::{
    announcement::Announcement,
    core::{Effect, PresenceCore, Progress},
    fanout::{AllFriends, Audience, Audiences, Fanout},
    follows::{Follows, Refollow},
    options::PresenceOptions,
    record::UserRecord,
    report::{
        Change, NodeJoined, NodeLease, OwnPresence, Published, Report, Reported, StateRead, Version,
    },
    room::{Room, RoomMode, RoomNews, RoomOptions},
    session::{Departure, DeviceSession, EndReason, Liveness, SessionEnd},
    state::PresenceState,
    status::{Mode, Setting, Status},
    steady::Moment,
    summary::GroupSummary,
    tracker::PresenceTracker,
};
use crate::{Result, UserId};

/// Who is where, for all nodes: what each node says of its users, what users have set, and what that amounts
/// to.
///
/// An engine never hears of heartbeats. A node takes one lease and renews it; as long as it holds it, what it has
/// reported is so, and it reports again when somebody comes, goes or changes their status there. A user who is at
/// several nodes has the greatest status of all.
///
/// # Atomicity
///
/// What is reported of one user, or set for one, is one step, also under concurrent calls about the same user: no
/// version is given twice, and of concurrent changes each caller learns what its own amounted to. A batch is not one
/// step: calls that come in between may see a part of it. Whoever reads a user after a call returned sees what
/// the call did.
///
/// # Order
///
/// Reports may be made in any order, and repeated: of those that one lease made about a user the one with the
/// greatest [`sequence`](Report::sequence) holds. So a report that failed may be made again, and one that comes late
/// changes nothing.
///
/// # Versions
///
/// What others see of a user has a [`Version`] that grows with each change worth telling
/// ([`PresenceState::should_notify`]) and at no other time; two successive versions are never the same state.
/// What a user sees of themself has another one. The version of others stands still, as does all that they see, for as
/// long as a user is invisible, whatever the user's devices do.
///
/// # Time
///
/// Leases go by the engine's own time; settings end by its wall clock. Both end by themselves: whoever reads a user
/// first after that sees it so, under a new version. Who looks on learns of it from the one who calls
/// [`lapsed`](Self::lapsed).
///
/// # Limits
///
/// Names of nodes have 1 to [`MAX_NAME`](backplane::directory::MAX_NAME) bytes. An implementation bounds nodes and
/// users; a user counts from the first report or setting on until [`erase`](Self::erase).
#[async_trait]
pub trait Presence: fmt::Debug + Send + Sync {
    /// Gives `node` a lease for `ttl`. It ends an earlier lease of the same name, and so all sessions at an earlier
    /// incarnation of the node.
    ///
    /// # Errors
    ///
    /// `Invalid` if the name breaks the limits or `ttl` is zero, and `Full` if there are as many nodes as there may
    /// be; nothing changed. On `Unavailable` the node may have a lease; joining again ends it.
    ///
    /// # Cancel safety
    ///
    /// As for `Unavailable`.
    async fn join(&self, node: &str, incarnation: Incarnation, ttl: Duration)
    -> Result<NodeJoined>;

    /// Makes the lease end `ttl` from now, or when it would have ended if that is later.
    ///
    /// # Errors
    ///
    /// On `Unavailable` the lease may have been renewed; renewing again is safe.
    ///
    /// # Cancel safety
    ///
    /// As for `Unavailable`.
    async fn renew(&self, lease: &NodeLease, ttl: Duration) -> Result<Tenure>;

    /// Ends the lease and with it all sessions at the node.
    ///
    /// # Errors
    ///
    /// On `Unavailable` it may have ended: leaving again is safe, and then answers `Lost`.
    ///
    /// # Cancel safety
    ///
    /// As for `Unavailable`.
    async fn leave(&self, lease: &NodeLease) -> Result<Tenure>;

    /// Records what a node says of its users, and answers what they amount to.
    ///
    /// # Errors
    ///
    /// `Full` at the first user for whom there is no room; those before are recorded. On `Unavailable` any of them may
    /// be. Reporting the same again is safe, or something else in its place: what any report changed is
    /// [news](Change::is_news) until one says that it was [acknowledged](Report::acknowledged).
    ///
    /// # Cancel safety
    ///
    /// As for `Unavailable`.
    async fn report(&self, lease: &NodeLease, reports: &[Report]) -> Result<Reported>;

    /// Sets what users want, each at once for all their devices, and answers what they amount to, in the order
    /// given. It counts as an act of whoever is there.
    ///
    /// One with an end holds over the one without that was set last, which holds again afterwards; one without an
    /// end replaces both.
    ///
    /// # Errors
    ///
    /// `Full` at the first user for whom there is no room; those before are set. On `Unavailable` any of them may be.
    /// Setting the same again is safe; but what the failed call changed is no news then.
    ///
    /// # Cancel safety
    ///
    /// As for `Unavailable`.
    async fn set(&self, settings: &[(UserId, Setting)]) -> Result<Vec<Change>>;

    /// What others see of each user, in the order asked; `None` of whom the reader has the present version.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    ///
    /// # Cancel safety
    ///
    /// Reads have no effect that anybody could miss.
    async fn states(&self, reads: &[StateRead]) -> Result<Vec<Option<Published>>>;

    /// What each user sees of themself, in the order asked.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    ///
    /// # Cancel safety
    ///
    /// As for [`states`](Self::states).
    async fn own(&self, users: &[UserId]) -> Result<Vec<OwnPresence>>;

    /// Users whom time alone has changed, at most `limit` of them, whose nodes' leases ended or whose settings did,
    /// what they amount to now, and to whom that is news. Each is answered, to whoever asks, until it is among what is `settled`: has
    /// been announced as it was answered here. An answer without any means that there are none.
    ///
    /// Callers at the same time may get the same users.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; calling again is safe.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves any of `settled` settled.
    async fn lapsed(&self, settled: &[Change], limit: usize) -> Result<Vec<Change>>;

    /// Forgets the user and what they have set, and answers that to be announced. Sessions go on, and count from
    /// their next report.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the user forgotten or not.
    async fn erase(&self, user: UserId) -> Result<Change>;
}
