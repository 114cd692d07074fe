use std::fmt;

use async_trait::async_trait;

use crate::{Entry, PostId, Result, UserId};

/// Who liked, replied to and reposted what: sets, so that a retry counts once and nothing falls
/// below zero.
///
/// A user likes or reposts a post at most once at a time, and may reply to it any number of times.
/// Kind, actor, post and item identify an action. Its author is the key under which it is erased; the
/// author of the first action on a post counts for all of them. Every call ends by
/// itself, as those of a [`TimelineStore`](crate::TimelineStore) do.
///
/// # Cancel safety
///
/// Dropping the future of any call leaves each single change done whole or not at all.
#[async_trait]
pub trait Actions: fmt::Debug + Send + Sync {
    /// Records each action, in the order given.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    async fn record(&self, actions: &[Action]) -> Result<Vec<Recorded>>;

    /// Takes each action back and says whether it was there. A repost that the actor has meanwhile
    /// replaced by another item is another action, and stays.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    async fn withdraw(&self, actions: &[Action]) -> Result<Vec<bool>>;

    /// Takes back what `actor` did by these replies and reposts, and says what that was, in the order
    /// of the items, then of kind and post. A like has no item of its own.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; a retry does not answer again what was taken back already.
    async fn withdraw_items(&self, actor: UserId, items: &[PostId]) -> Result<Vec<Action>>;

    /// The item by which `actor` did this to each post, in the order asked; of several replies, the
    /// oldest.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    async fn acted(
        &self,
        actor: UserId,
        kind: ActionKind,
        posts: &[PostId],
    ) -> Result<Vec<Option<PostId>>>;

    /// Forgets up to `limit` actions on any of `posts`, whoever did them, and says how many there
    /// were; zero means that nothing is left. An action that comes later counts again: that nobody
    /// acts on a post that is gone is for the caller to see to.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    async fn forget(&self, posts: &[PostId], limit: usize) -> Result<usize>;

    /// Forgets up to `limit` actions by `user`, or by anybody on posts of theirs, and says how many
    /// there were; zero means that nothing is left.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    async fn erase(&self, user: UserId, limit: usize) -> Result<usize>;
}

/// How often posts were liked, replied to and reposted.
///
/// Each count is the size of a set of [`Actions`], and moves with it.
///
/// # Cancel safety
///
/// Reads have no effect.
#[async_trait]
pub trait Counters: fmt::Debug + Send + Sync {
    /// The counts of each post, in the order asked.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    async fn counts(&self, posts: &[PostId]) -> Result<Vec<Counts>>;
}

/// What a user does to a post.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum ActionKind {
    /// Likes it.
    Like,
    /// Answers it with a post of their own.
    Reply,
    /// Shows it to their followers.
    Repost,
}

/// One user's action on one post.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Action {
    /// What was done.
    pub kind: ActionKind,
    /// Who did it.
    pub actor: UserId,
    /// To which post.
    pub post: PostId,
    /// Whose post it is.
    pub author: UserId,
    /// The reply or the repost; for a like, the post itself.
    pub item: PostId,
}

impl Action {
    /// `actor` likes an original.
    #[must_use]
    pub const fn like(actor: UserId, original: Entry) -> Self {
        Self::new(ActionKind::Like, actor, original, original.post)
    }

    /// `actor` answers an original with `reply`.
    #[must_use]
    pub const fn reply(actor: UserId, original: Entry, reply: PostId) -> Self {
        Self::new(ActionKind::Reply, actor, original, reply)
    }

    /// `actor` reposts an original as `repost`.
    #[must_use]
    pub const fn repost(actor: UserId, original: Entry, repost: PostId) -> Self {
        Self::new(ActionKind::Repost, actor, original, repost)
    }

    const fn new(kind: ActionKind, actor: UserId, original: Entry, item: PostId) -> Self {
        Self {
            kind,
            actor,
            post: original.post,
            author: original.author,
            item,
        }
    }
}

/// What became of an [`Action`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a set holds an element or not")]
pub enum Recorded {
    /// It counts from now on.
    New,
    /// The actor had done so before, by this item. Nothing changed.
    Existing(PostId),
}

/// A post's counters.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Counts {
    /// Users who like it.
    pub likes: u64,
    /// Replies to it.
    pub replies: u64,
    /// Users who repost it.
    pub reposts: u64,
}
