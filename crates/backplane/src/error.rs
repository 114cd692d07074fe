use std::{error::Error as StdError, fmt};

/// What went wrong, for callers that branch on it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The engine cannot be reached, or timed out. The outcome of a write is unknown.
    Unavailable,
    /// The engine refused for lack of room (memory, disk, quota). The write did not happen.
    Full,
    /// Stored data does not decode.
    Corrupt,
    /// The argument is outside the documented limits. Nothing happened.
    Invalid,
    /// The value that was handed in has been closed; no call on it can succeed.
    Closed,
}

/// A failed operation of a store, queue, bus or directory.
///
/// `Display` names this level only; the cause is the [`source`](StdError::source).
#[derive(Debug, thiserror::Error)]
#[error("{op}: {kind}")]
pub struct Error {
    kind: ErrorKind,
    op: &'static str,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The result of an operation that an engine may fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `op`, the trait method that failed, in words, caused by `source`.
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

    /// The trait method that failed.
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

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "engine unavailable",
            Self::Full => "no room left",
            Self::Corrupt => "stored data corrupt",
            Self::Invalid => "argument outside the documented limits",
            Self::Closed => "already closed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_its_own_level_and_keeps_the_source() {
        let error = Error::new(ErrorKind::Unavailable, "lease", "connection refused");
        assert_eq!(error.to_string(), "lease: engine unavailable");
        assert_eq!(error.source().unwrap().to_string(), "connection refused");
        assert!(error.is_retryable());
        assert!(!Error::bare(ErrorKind::Invalid, "lease").is_retryable());
    }
}
