use std::{error::Error as StdError, fmt};

/// What went wrong, for callers that branch on it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An engine cannot be reached, or timed out. The outcome of a write is unknown.
    Unavailable,
    /// An engine refused for lack of room. The write did not happen.
    Full,
    /// What would be used is closed, or about to close, and will not open again by itself. Nothing
    /// happened.
    Closed,
    /// Stored data does not decode, or a source answered something else than it was asked.
    Corrupt,
    /// The post has no body, or only ASCII white space. Nothing was stored.
    EmptyPost,
    /// The post's body is longer than the feed's options allow.
    OversizedPost,
    /// The application's user source does not know the user. Nothing was stored.
    UnknownUser,
    /// There is no such post, or it was deleted.
    UnknownPost,
    /// Post id 0 stands for what is older than every post, and no post can have it. Number posts from
    /// 1. Nothing was stored.
    ReservedPostId,
    /// The post belongs to somebody else.
    NotAuthor,
    /// A user cannot follow, block or mute themselves.
    Oneself,
    /// One of the two users blocks the other.
    Blocked,
    /// The viewer follows as many authors as the feed's options allow.
    TooManyFollowees,
    /// The text is not a cursor of this version, or was changed, or the cursor leads the other way
    /// than what it was handed to. Start again from the first page.
    InvalidCursor,
    /// The cursor belongs to another feed or another viewer.
    ForeignCursor,
    /// The ranked page that the cursor continues is no longer kept. Start again from the first page.
    ExpiredCursor,
    /// The page size is not in the documented range.
    PageSize,
    /// An argument is outside the documented limits. Nothing happened.
    Invalid,
}

/// A failed operation on a feed.
///
/// `Display` names this level only; the cause is the [`source`](StdError::source).
#[derive(Debug, thiserror::Error)]
#[error("{op}: {kind}")]
pub struct Error {
    kind: ErrorKind,
    op: &'static str,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The result of an operation on a feed.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `op`, what failed, in words for a log, caused by `source`.
    pub fn new(
        kind: ErrorKind,
        op: &'static str,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self {
            kind,
            op,
            source: Some(source.into()),
        }
    }

    /// An error of `op` that has no cause below it.
    #[must_use]
    pub fn bare(kind: ErrorKind, op: &'static str) -> Self {
        Self {
            kind,
            op,
            source: None,
        }
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What failed, in words for a log.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.op
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable | ErrorKind::Full)
    }
}

impl From<backplane::Error> for Error {
    fn from(error: backplane::Error) -> Self {
        let kind = match error.kind() {
            backplane::ErrorKind::Full => ErrorKind::Full,
            backplane::ErrorKind::Closed => ErrorKind::Closed,
            backplane::ErrorKind::Corrupt => ErrorKind::Corrupt,
            backplane::ErrorKind::Invalid => ErrorKind::Invalid,
            _ => ErrorKind::Unavailable,
        };
        Self::new(kind, error.operation(), error)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "engine unavailable",
            Self::Full => "no room left",
            Self::Closed => "closed",
            Self::Corrupt => "stored data corrupt",
            Self::EmptyPost => "a post needs a body",
            Self::OversizedPost => "the post's body is too long",
            Self::UnknownUser => "no such user",
            Self::UnknownPost => "no such post",
            Self::ReservedPostId => "post id 0 is reserved; number posts from 1",
            Self::NotAuthor => "the post belongs to somebody else",
            Self::Oneself => "a user cannot do this to themselves",
            Self::Blocked => "one of the two users blocks the other",
            Self::TooManyFollowees => "the viewer follows as many authors as allowed",
            Self::InvalidCursor => "not a cursor; start again from the first page",
            Self::ForeignCursor => "the cursor belongs to another feed or viewer",
            Self::ExpiredCursor => "the cursor has expired; start again from the first page",
            Self::PageSize => "the page size is out of range",
            Self::Invalid => "argument outside the documented limits",
        })
    }
}
