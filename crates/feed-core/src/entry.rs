//! What timelines and outboxes hold: references, never bodies.

use backplane::id_newtype;
use bytes::{Buf, BufMut};

use crate::{Error, ErrorKind, Result};

id_newtype! {
    /// A user of the embedding application: author, viewer or both.
    pub struct UserId;
}

id_newtype! {
    /// A post or a repost; larger is newer. Pages are ordered by it alone, so it must be unique. No post
    /// has the id 0.
    pub struct PostId;
}

id_newtype! {
    /// A viewer's own selection of authors.
    pub struct ListId;
}

impl PostId {
    /// Older than every post.
    pub const MIN: Self = Self::new(0);

    /// Newer than or equal to every post.
    pub const MAX: Self = Self::new(u64::MAX);

    /// Fails if no post can have this id.
    pub(crate) fn check(self, op: &'static str) -> Result<()> {
        match self {
            Self::MIN => Err(Error::bare(ErrorKind::ReservedPostId, op)),
            _ => Ok(()),
        }
    }
}

/// One line of a timeline or an outbox: 24 bytes. Ordered by post.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Entry {
    /// The post, or the repost: the key that orders feeds.
    pub post: PostId,
    /// Who posted or reposted.
    pub author: UserId,
    /// What is shown: the post itself, or the original that was reposted.
    pub origin: PostId,
}

impl Entry {
    /// The entry of a post.
    #[must_use]
    pub const fn original(post: PostId, author: UserId) -> Self {
        Self {
            post,
            author,
            origin: post,
        }
    }

    /// The entry of `author`'s repost of `origin`.
    #[must_use]
    pub const fn repost(post: PostId, author: UserId, origin: PostId) -> Self {
        Self {
            post,
            author,
            origin,
        }
    }

    /// Whether this shows another author's post.
    #[must_use]
    pub fn is_repost(&self) -> bool {
        self.post != self.origin
    }

    /// How many bytes [`put`](Self::put) writes.
    pub(crate) const LEN: usize = 24;

    pub(crate) fn put(self, into: &mut impl BufMut) {
        for id in [self.post.get(), self.author.get(), self.origin.get()] {
            into.put_u64(id);
        }
    }

    /// What [`put`](Self::put) has written; `None` if there is less.
    pub(crate) fn take(from: &mut impl Buf) -> Option<Self> {
        Some(Self {
            post: PostId::new(from.try_get_u64().ok()?),
            author: UserId::new(from.try_get_u64().ok()?),
            origin: PostId::new(from.try_get_u64().ok()?),
        })
    }
}

/// Where a range of posts starts, and which way it runs. Bounds are exclusive.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a line has two directions and one newest end"
)]
pub enum Seek {
    /// From the newest post, newest first.
    Newest,
    /// From the post just older than this one, newest first.
    Before(PostId),
    /// From the post just newer than this one, oldest first.
    After(PostId),
}

impl Seek {
    /// Whether `post` lies in the range.
    #[must_use]
    pub fn contains(self, post: PostId) -> bool {
        match self {
            Self::Newest => true,
            Self::Before(bound) => post < bound,
            Self::After(bound) => post > bound,
        }
    }
}
