use std::{fmt, str::FromStr};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Entry, Error, ErrorKind, PostId, Result, Seek, UserId};

/// What each author has published: the durable truth from which every timeline can be built again.
///
/// Per post an outbox keeps its entry, its version, what it answers and an opaque body (empty, if the
/// application keeps bodies in a table of its own). A post moves one way: absent → live, at rising versions →
/// retracted. Retraction wins over everything, also over an append that comes later, so the order in
/// which retries arrive does not matter.
///
/// An implementation may keep a bounded number of retractions for each author, those with the largest
/// ids, and then counts every absent post of that author up to the others as retracted. So nothing
/// that was retracted comes back; but a post that is appended for the first time when so many of its
/// author's newer posts were retracted already is refused.
///
/// What a method has answered is durable, to the degree the implementation documents, and is seen by
/// every call that starts afterwards. Every call ends by itself, as those of a
/// [`TimelineStore`](crate::TimelineStore) do.
///
/// # Cancel safety
///
/// Dropping the future of any call leaves each single change done whole or not at all.
#[async_trait]
pub trait Outbox: fmt::Debug + Send + Sync {
    /// Publishes each item in one atomic step: entry, body and idempotency key, or nothing of it.
    ///
    /// An item whose key its author has used before stores nothing and answers
    /// [`Appended::Duplicate`]; so does one whose post is live already. One whose author has retracted
    /// it, however long ago, answers [`Appended::Retracted`]. Keys are kept at least for the time the
    /// implementation documents.
    ///
    /// # Errors
    ///
    /// On [`ErrorKind::Unavailable`] some items may have been stored, so retry with the same posts
    /// and keys. On [`ErrorKind::Full`] those of other authors may have been, where an engine keeps authors
    /// apart. On [`ErrorKind::ReservedPostId`], which is for items that fail
    /// [`Publication::check_ids`], none was.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves each item stored whole or not at all.
    async fn append(&self, items: &[Publication]) -> Result<Vec<Appended>>;

    /// Replaces the body of a live post and raises its version by one; what it answers stays.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; the version may then have risen.
    async fn revise(&self, author: UserId, post: PostId, body: Bytes) -> Result<Revised>;

    /// Retracts a post, whether or not it was ever appended. Repeating it changes nothing. Only
    /// [`erase`](Self::erase) takes a retraction back.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    async fn retract(&self, author: UserId, post: PostId) -> Result<Retracted>;

    /// The `limit` entries next to `seek` of all `authors` together, in the direction of `seek`: a
    /// merge that never shows an entry while a nearer one of another author is left out.
    ///
    /// `authors` holds no author twice. Fewer than `limit` entries mean that there are no more.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    async fn latest(&self, authors: &[UserId], seek: Seek, limit: usize) -> Result<Vec<Entry>>;

    /// The newest live post of each author, in the order asked.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    async fn heads(&self, authors: &[UserId]) -> Result<Vec<Option<PostId>>>;

    /// The state of each post, in the order asked: without bodies, since every page asks this. A post
    /// whose retraction is not kept by itself any more is absent.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    async fn lookup(&self, posts: &[PostId]) -> Result<Vec<PostState>>;

    /// The live posts with their bodies, in the order asked.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    async fn posts(&self, posts: &[PostId]) -> Result<Vec<Option<Post>>>;

    /// The post that `author` published under `key`, live or not.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    async fn published(&self, author: UserId, key: &IdempotencyKey) -> Result<Option<PostId>>;

    /// Forgets up to `limit` posts of `author`, with bodies, keys and retractions, and says how many
    /// there were; zero means that nothing is left. An append that comes later is a new post.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    async fn erase(&self, author: UserId, limit: usize) -> Result<usize>;
}

/// One item to publish.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Publication {
    /// The post or repost.
    pub entry: Entry,
    /// Opaque to the feed. Empty for a repost, or where the application keeps bodies itself.
    pub body: Bytes,
    /// Makes a retry by the author's client harmless.
    pub key: Option<IdempotencyKey>,
    /// The original that this one answers.
    pub reply_to: Option<PostId>,
}

impl Publication {
    /// An item without an idempotency key that answers no other.
    #[must_use]
    pub const fn new(entry: Entry, body: Bytes) -> Self {
        Self {
            entry,
            body,
            key: None,
            reply_to: None,
        }
    }

    /// Whether the application keeps the body, in a table of its own: an original with an empty one.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        !self.entry.is_repost() && self.body.is_empty()
    }

    /// For stores: fails on behalf of `op` if one of `items` has an id that no post can have.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ReservedPostId`].
    pub fn check_ids(items: &[Self], op: &'static str) -> Result<()> {
        items.iter().try_for_each(|item| item.entry.post.check(op))
    }

    /// The same item under `key`.
    #[must_use]
    pub fn with_key(mut self, key: IdempotencyKey) -> Self {
        self.key = Some(key);
        self
    }

    /// The same item as an answer to `original`.
    #[must_use]
    pub const fn in_reply_to(mut self, original: PostId) -> Self {
        self.reply_to = Some(original);
        self
    }
}

/// What became of a [`Publication`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the states of a post")]
pub enum Appended {
    /// The post is live, at version 1.
    Stored,
    /// The author has published this before, as the post named. Nothing changed.
    Duplicate(PostId),
    /// The post was retracted before it arrived. Nothing changed.
    Retracted,
}

/// What became of a revision.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the states of a post")]
#[must_use = "a post that is gone was not revised"]
pub enum Revised {
    /// The new body is stored under this version.
    Stored(u32),
    /// There is no such post, or it was retracted.
    Gone,
    /// The post is another author's.
    NotAuthor,
}

/// What became of a retraction.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the states of a post")]
pub enum Retracted {
    /// The post was live until now.
    Removed(Entry),
    /// It was retracted already, or never appended; an append that comes later stores nothing.
    Absent,
    /// The post is another author's.
    NotAuthor,
}

/// Where a post is on its way from absent over live to retracted.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the states of a post")]
pub enum PostState {
    /// Not appended, or forgotten.
    Absent,
    /// Readable.
    Live {
        /// The post's entry.
        entry: Entry,
        /// 1 when published, one more with each revision.
        version: u32,
    },
    /// Retracted; an append that comes later stores nothing.
    Retracted,
}

impl PostState {
    /// The entry of a live post.
    #[must_use]
    pub const fn live(&self) -> Option<Entry> {
        match self {
            Self::Live { entry, .. } => Some(*entry),
            Self::Absent | Self::Retracted => None,
        }
    }
}

/// A live post with its body.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Post {
    /// The post's entry.
    pub entry: Entry,
    /// 1 when published, one more with each revision.
    pub version: u32,
    /// What the application stored.
    pub body: Bytes,
    /// The original that it answers.
    pub reply_to: Option<PostId>,
}

impl Post {
    /// For stores and for applications that keep bodies themselves.
    #[must_use]
    pub const fn new(entry: Entry, version: u32, body: Bytes) -> Self {
        Self {
            entry,
            version,
            body,
            reply_to: None,
        }
    }

    /// Whether the application keeps the body, in a table of its own: an original with an empty one.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        !self.entry.is_repost() && self.body.is_empty()
    }

    /// The same post as an answer to `original`.
    #[must_use]
    pub const fn in_reply_to(mut self, original: Option<PostId>) -> Self {
        self.reply_to = original;
        self
    }
}

/// A client's name for one attempt to publish: 1 to 64 bytes, unique per author.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct IdempotencyKey(Box<str>);

impl IdempotencyKey {
    /// The longest key, in bytes.
    pub const MAX_LEN: usize = 64;

    /// The key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdempotencyKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.is_empty() || text.len() > Self::MAX_LEN {
            return Err(Error::bare(ErrorKind::Invalid, "idempotency key"));
        }
        Ok(Self(text.into()))
    }
}
