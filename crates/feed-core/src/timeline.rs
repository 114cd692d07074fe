use std::fmt;

use async_trait::async_trait;
use backplane::Timestamp;

use crate::{Entry, PostId, Result, Seek, UserId};

/// The home timelines: for each viewer a bounded window of the newest entries of the authors whose
/// posts are pushed.
///
/// A timeline is a cache with a stated edge. Once it is [`Warm`](TimelineState::Warm), every entry
/// that was pushed or merged and whose post is at or above the *floor* is in it; below the floor it
/// promises nothing, and readers go to the outboxes. Whatever makes a timeline forget an entry
/// raises its floor above that entry or turns it [`Cold`](TimelineState::Cold). So losing all
/// timelines loses nothing but time. Nor need one be rid of a post that is gone: readers ask the outbox
/// about every entry.
///
/// A timeline is `Cold` until somebody reads it: pushes to it store nothing. A reader that finds it
/// so starts a build ([`begin_build`](Self::begin_build)), reads the outboxes, and commits. Pushes
/// that arrive in between are kept and merged. A build that was overtaken, by
/// [`drop_many`](Self::drop_many) or by a younger build, cannot commit.
///
/// Operations on one timeline are atomic and take effect in one order for all callers; a batch over
/// many timelines is not atomic as a whole. Clones of an `Arc` around a store share its timelines.
///
/// Every call ends by itself, in seconds: a store that cannot be reached, or does not answer, is
/// [`Unavailable`](crate::ErrorKind::Unavailable). A worker gives its own calls half of a
/// [`lease_ttl`](crate::FeedOptions::lease_ttl); readers wait for theirs.
///
/// # Cancel safety
///
/// Dropping the future of any call leaves each single change done whole or not at all.
#[async_trait]
pub trait TimelineStore: fmt::Debug + Send + Sync {
    /// Adds `entry` to the timeline of every owner that is not cold. Adding an entry twice leaves
    /// one. An entry below the floor, or below the last of a full timeline, is not stored.
    ///
    /// A full timeline loses its oldest entry, by post and not by arrival, and its floor rises to
    /// just above that.
    ///
    /// # Errors
    ///
    /// On [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) some timelines may hold the
    /// entry already, so retrying is safe. Where only some owners failed, they are listed in
    /// [`PushReport::failed`] and the call succeeds; it fails where all have.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves each timeline with or without the entry, never torn.
    async fn push_many(&self, owners: &[UserId], entry: Entry) -> Result<PushReport>;

    /// Takes `post` out of the timeline of every owner, and answers whose timeline the engine could not
    /// write, in the order asked. Floors stay.
    ///
    /// # Errors
    ///
    /// Fails if the engine does for all owners; retrying is safe.
    async fn remove_many(&self, owners: &[UserId], post: PostId) -> Result<Vec<UserId>>;

    /// Adds older entries to one timeline, as after a follow, and answers the state it was found in.
    ///
    /// Entries are stored if that state is [`Warm`](TimelineState::Warm), but for those below the
    /// floor; the floor answered is the one before a full timeline lost its oldest entries.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    async fn merge(&self, owner: UserId, entries: &[Entry]) -> Result<TimelineState>;

    /// Takes every entry of `author` out of the timeline of every owner, as when the author is erased.
    /// Floors stay.
    ///
    /// # Errors
    ///
    /// Fails if the engine does, also for some of the owners alone; retrying is safe.
    async fn purge_many(&self, owners: &[UserId], author: UserId) -> Result<()>;

    /// Up to `limit` entries from `seek` on, at or above the floor, with the timeline's state at the
    /// same instant. A timeline that is not warm answers no entries.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    async fn window(&self, owner: UserId, seek: Seek, limit: usize) -> Result<Window>;

    /// Starts a build of a cold timeline at `now`, unless one that began at or after `stale` is under
    /// way. A build that began earlier is taken for dead and superseded.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; a build may then have been started, which goes stale.
    async fn begin_build(
        &self,
        owner: UserId,
        now: Timestamp,
        stale: Timestamp,
    ) -> Result<BuildStart>;

    /// Ends a build: the timeline holds `entries` and whatever was pushed meanwhile, and is warm
    /// from `floor` on. `entries` must hold every entry of the pushed authors at or above `floor`;
    /// if they are more than the capacity, the floor rises.
    ///
    /// Answers `false`, and changes nothing, if the ticket is no longer the timeline's build.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    async fn commit_build(
        &self,
        ticket: BuildTicket,
        entries: &[Entry],
        floor: PostId,
    ) -> Result<bool>;

    /// Turns the timelines cold and frees their memory, and answers those that the engine could not, by
    /// owner, in the order asked. Builds under way cannot commit any more.
    ///
    /// # Errors
    ///
    /// Fails if the engine does for all owners, so that a call about one alone never answers it. Some
    /// may be cold already, so retrying is safe.
    async fn drop_many(&self, owners: &[UserId]) -> Result<Vec<UserId>>;

    /// Turns every timeline cold whose owner `keep` refuses, as [`drop_many`](Self::drop_many) does,
    /// and says how many there were.
    ///
    /// No timeline is overlooked that was not cold when the call began. `keep` may be asked while the
    /// store is locked, so it answers from memory and does not use the store, and it may be asked
    /// more than once about an owner.
    ///
    /// # Errors
    ///
    /// Fails if the engine does, with some timelines cold already; a retry starts over.
    ///
    /// # Cancel safety
    ///
    /// As for a failure.
    async fn retain(&self, keep: &(dyn Fn(UserId) -> bool + Send + Sync)) -> Result<usize>;
}

/// What became of a batch of pushes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct PushReport {
    /// Timelines that are not cold: each holds the entry now, unless its floor lies above it. Whether it
    /// had it before is not said, since that would make a store look before it writes.
    pub reached: usize,
    /// Cold timelines, to which nothing was written.
    pub cold: usize,
    /// Owners whose timeline the engine could not write, in the order asked. Fanout goes on without them:
    /// it notes on their edges to the author that they pull the author's posts up to this one.
    pub failed: Vec<UserId>,
}

/// The life of a timeline.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the life cycle is the contract")]
pub enum TimelineState {
    /// Holds nothing, and takes nothing.
    Cold,
    /// Takes pushes; a builder is reading the outboxes.
    Building,
    /// Holds every pushed entry at or above `floor`.
    Warm {
        /// The oldest post from which on the timeline is complete.
        floor: PostId,
    },
}

/// A part of a timeline.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Window {
    /// In the direction of the [`Seek`].
    pub entries: Vec<Entry>,
    /// The timeline's state when the entries were read.
    pub state: TimelineState,
}

impl Window {
    /// For stores.
    #[must_use]
    pub const fn new(entries: Vec<Entry>, state: TimelineState) -> Self {
        Self { entries, state }
    }
}

/// The answer to [`TimelineStore::begin_build`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "mirrors the life cycle")]
pub enum BuildStart {
    /// The caller builds.
    Started(BuildTicket),
    /// Somebody else does.
    Underway,
    /// The timeline is warm already.
    Warm,
}

/// The right to commit one build.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct BuildTicket {
    /// Whose timeline.
    pub owner: UserId,
    /// Never used twice for one owner.
    pub generation: u64,
}

impl BuildTicket {
    /// For stores.
    #[must_use]
    pub const fn new(owner: UserId, generation: u64) -> Self {
        Self { owner, generation }
    }
}
