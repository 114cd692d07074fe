use std::{error::Error as StdError, sync::Arc};

use ::backplane::{Error, ErrorKind};

/// Why work on the database failed, before a store says in which of its operations.
///
/// The one place where errors of redb are sorted into kinds.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{kind}")]
pub struct Failure {
    kind: ErrorKind,
    /// Shared, because one cause may fail the work of many callers.
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Failure {
    /// A failure of `kind` without a cause below it.
    #[must_use]
    pub fn bare(kind: ErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// What is stored does not decode, because of `source`.
    pub fn corrupt(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            kind: ErrorKind::Corrupt,
            source: Some(Arc::from(source.into())),
        }
    }

    /// A piece of work panicked.
    pub(crate) fn panic() -> Self {
        Self {
            kind: ErrorKind::Closed,
            source: Some(Arc::from(Box::<dyn StdError + Send + Sync>::from(
                "a piece of work panicked",
            ))),
        }
    }

    /// What all work is answered after this failure has stopped the writer: `Closed`, with this as
    /// the cause.
    pub(crate) fn closing(self) -> Self {
        match self.kind {
            ErrorKind::Closed => self,
            _ => Self {
                kind: ErrorKind::Closed,
                source: Some(Arc::new(self)),
            },
        }
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The error of the ground floor's operation `op` that this failure led to.
    #[must_use]
    pub fn of(self, op: &'static str) -> Error {
        match self.source {
            Some(source) => Error::new(self.kind, op, source),
            None => Error::bare(self.kind, op),
        }
    }
}

impl From<redb::Error> for Failure {
    fn from(error: redb::Error) -> Self {
        Self {
            kind: kind_of(&error),
            source: Some(Arc::new(error)),
        }
    }
}

/// Lets `?` take each error type of redb in the work of a writer.
macro_rules! from_redb {
    ($($error:ident),+) => {$(
        impl From<redb::$error> for Failure {
            fn from(error: redb::$error) -> Self {
                redb::Error::from(error).into()
            }
        }
    )+};
}

from_redb!(
    CommitError,
    DatabaseError,
    StorageError,
    TableError,
    TransactionError
);

fn kind_of(error: &redb::Error) -> ErrorKind {
    use redb::Error as E;
    match error {
        E::Corrupted(_)
        | E::TableTypeMismatch { .. }
        | E::TableIsMultimap(_)
        | E::TableIsNotMultimap(_)
        | E::TypeDefinitionChanged { .. }
        | E::UpgradeRequired(_) => ErrorKind::Corrupt,
        E::ValueTooLarge(_) => ErrorKind::Invalid,
        E::DatabaseClosed => ErrorKind::Closed,
        _ => ErrorKind::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_its_cause_when_an_operation_takes_it() {
        let full_disk = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let error = Failure::from(redb::Error::Io(full_disk)).of("enqueue");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(error.operation(), "enqueue");
        assert!(error.source().is_some());
        let error = Failure::corrupt("no such version").of("open");
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert_eq!(error.source().unwrap().to_string(), "no such version");
    }

    #[test]
    fn a_table_of_another_type_is_corrupt() {
        let error = redb::TableError::TableIsMultimap("t".to_owned());
        assert_eq!(Failure::from(error).kind(), ErrorKind::Corrupt);
    }
}
