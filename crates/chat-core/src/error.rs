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
    /// Stored data does not decode.
    Corrupt,
    /// An argument is outside the documented limits. Nothing happened.
    Invalid,
    /// The body is longer than the chat's options allow. Nothing happened.
    OversizedBody,
    /// The token of a session is of another device, or not of this service. Nothing happened; the device
    /// comes without it.
    ForeignToken,
    /// The conversation does not allow it: the source is a [`Refusal`](crate::Refusal). Nothing
    /// happened.
    Refused,
}

/// A failed operation on a chat.
///
/// `Display` names this level only; the cause is the [`source`](StdError::source).
#[derive(Debug, thiserror::Error)]
#[error("{op}: {kind}")]
pub struct Error {
    kind: ErrorKind,
    op: &'static str,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The result of an operation on a chat.
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
            Self::Invalid => "argument outside the documented limits",
            Self::OversizedBody => "the body is too long",
            Self::ForeignToken => "not a token of this device",
            Self::Refused => "the conversation does not allow it",
        })
    }
}
