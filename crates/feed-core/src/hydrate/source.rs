use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Outbox, Post, PostId, Result, UserId};

/// Where the bodies of posts are: the application's own table, or the outbox
/// ([`OutboxPosts`]).
///
/// A [`Hydrator`](crate::Hydrator) asks once for all posts of a page that it does not have, and has
/// each post asked for once at a time. A fetch is driven by whichever of its callers is polled, and
/// goes on while one of them is left.
#[async_trait]
pub trait PostSource: fmt::Debug + Send + Sync {
    /// Each post that is wanted, in the order asked; `None` for one that is not there. No post is
    /// asked for twice in a call.
    ///
    /// Each is wanted in its version or a newer one. An edit writes the new body
    /// first, and then says so to the feed ([`Feed::touch`](crate::Feed::touch)); a source whose reads see every write
    /// that has returned has no need of versions of its own, and answers with the one it was asked
    /// for. A source that may lag behind answers with the version that it has: in an older one than
    /// wanted the post is skipped, and not cached.
    ///
    /// # Errors
    ///
    /// Fails if the engine does. The posts of this call are then skipped, and asked for again when a
    /// page next shows them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future must leave nothing behind.
    async fn posts(&self, wanted: &[PostVersion]) -> Result<Vec<Option<Post>>>;
}

/// A post, and the version in which it is wanted, at least.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "what names one body")]
pub struct PostVersion {
    /// Which post.
    pub post: PostId,
    /// 1 when published, one more with each revision.
    pub version: u32,
}

impl PostVersion {
    /// This version of this post, or a newer one.
    #[must_use]
    pub const fn new(post: PostId, version: u32) -> Self {
        Self { post, version }
    }
}

/// Where the application keeps what it shows of its users.
///
/// It is asked as a [`PostSource`] is: once a page, for all that is not cached. A source that answers
/// with a stand-in for users who have left keeps their posts on the page.
///
/// ```
/// use feed_core::{Result, User, UserId, UserSource};
///
/// #[derive(Debug)]
/// struct Names;
///
/// #[async_trait::async_trait]
/// impl UserSource for Names {
///     async fn users(&self, users: &[UserId]) -> Result<Vec<Option<User>>> {
///         let named = |&user| Some(User::new(user, format!("user {user}")));
///         Ok(users.iter().map(named).collect())
///     }
/// }
/// ```
#[async_trait]
pub trait UserSource: fmt::Debug + Send + Sync {
    /// Each user, in the order asked; `None` for one that is not there.
    ///
    /// No user is asked for twice in a call.
    ///
    /// # Errors
    ///
    /// Fails if the engine does. The posts of these users are then skipped, and asked for again when
    /// a page next shows them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future must leave nothing behind.
    async fn users(&self, users: &[UserId]) -> Result<Vec<Option<User>>>;
}

/// A user as the application shows them to everybody.
///
/// There is no version: a page learns the version of a post where it learns that the post may be
/// seen, and of a user it learns nothing. Profiles age, and are forgotten when they are edited
/// ([`Hydrator::forget_users`](crate::Hydrator::forget_users)).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct User {
    /// Who.
    pub id: UserId,
    /// Opaque to the feed. The same for every viewer: what depends on the viewer does not belong in a
    /// cache that all viewers share.
    pub profile: Bytes,
}

impl User {
    /// A user with what the application shows of them.
    #[must_use]
    pub fn new(id: UserId, profile: impl Into<Bytes>) -> Self {
        Self {
            id,
            profile: profile.into(),
        }
    }
}

/// The posts of an [`Outbox`], for applications that leave the bodies there.
#[derive(Clone, Debug)]
pub struct OutboxPosts(Arc<dyn Outbox>);

impl OutboxPosts {
    /// The posts of `outbox`.
    #[must_use]
    pub fn new(outbox: Arc<dyn Outbox>) -> Self {
        Self(outbox)
    }
}

#[async_trait]
impl PostSource for OutboxPosts {
    async fn posts(&self, wanted: &[PostVersion]) -> Result<Vec<Option<Post>>> {
        let posts: Vec<_> = wanted.iter().map(|wanted| wanted.post).collect();
        self.0.posts(&posts).await
    }
}
