use std::fmt;

use async_trait::async_trait;

use crate::{PostId, Result, UserId};

/// Who liked, replied to and reposted what: sets, so that a retry counts once and nothing falls
/// below zero.
///
/// A user likes or reposts a post at most once at a time, and may reply to it any number of times.
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

    /// Forgets up to `limit` actions of `actor` and says how many there were; zero means that nothing
    /// is left.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    async fn erase(&self, actor: UserId, limit: usize) -> Result<usize>;
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
    /// The reply or the repost; for a like, the post itself.
    pub item: PostId,
}

impl Action {
    /// `actor` likes `post`.
    #[must_use]
    pub const fn like(actor: UserId, post: PostId) -> Self {
        Self {
            kind: ActionKind::Like,
            actor,
            post,
            item: post,
        }
    }

    /// `actor` answers `post` with `reply`.
    #[must_use]
    pub const fn reply(actor: UserId, post: PostId, reply: PostId) -> Self {
        Self {
            kind: ActionKind::Reply,
            actor,
            post,
            item: reply,
        }
    }

    /// `actor` reposts `post` as `repost`.
    #[must_use]
    pub const fn repost(actor: UserId, post: PostId, repost: PostId) -> Self {
        Self {
            kind: ActionKind::Repost,
            actor,
            post,
            item: repost,
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
