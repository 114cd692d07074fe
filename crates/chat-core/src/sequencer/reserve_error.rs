use crate::{Error, ErrorKind};

/// Why no number was reserved.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReserveError {
    /// Too many are reserved and neither committed nor tombstones. Some will be, soon.
    #[error("{outstanding} of at most {window} numbers outstanding")]
    WindowFull {
        /// How many there are.
        outstanding: u32,
        /// How many there may be.
        window: u32,
    },
    /// More were asked for than may ever be outstanding.
    #[error("more numbers at once than {window}")]
    TooMany {
        /// How many there may be.
        window: u32,
    },
    /// The numbers that are leased are used up.
    #[error("leased numbers used up")]
    AwaitingLease,
    /// The conversation has another keeper, or was given up by this one.
    #[error("numbered by another keeper, or none")]
    Closed,
    /// There are no more numbers in this epoch.
    #[error("end of the numbers")]
    End,
}

impl From<ReserveError> for Error {
    fn from(error: ReserveError) -> Self {
        let kind = match error {
            ReserveError::TooMany { .. } => ErrorKind::Invalid,
            ReserveError::Closed | ReserveError::End => ErrorKind::Closed,
            ReserveError::WindowFull { .. } | ReserveError::AwaitingLease => ErrorKind::Full,
        };
        Self::new(kind, "reserve", error)
    }
}
