//! How rows are read: integers in little endian, one after the other.

use std::{error::Error as StdError, sync::Arc};

use crate::Failure;

/// A row that does not decode: the source of a
/// [`Corrupt`](::backplane::ErrorKind::Corrupt) failure.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("row {row} of table {table} does not decode")]
#[non_exhaustive]
pub struct CorruptRow {
    /// The table's name in the file.
    pub table: String,
    /// The row's key.
    pub row: String,
}

impl CorruptRow {
    /// The row that led to `error`, if one did.
    #[must_use]
    pub fn behind<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            let row = match error.downcast_ref::<Arc<dyn StdError + Send + Sync>>() {
                Some(shared) => shared.downcast_ref(),
                None => error.downcast_ref(),
            };
            if row.is_some() {
                return row;
            }
            cause = error.source();
        }
        None
    }

    /// What was `found` of a row; `instead`, loudly, if the row does not decode.
    pub(crate) fn pass_over<R>(found: Result<R, Failure>, instead: R) -> Result<R, Failure> {
        if let Some(Self { table, row }) = Self::why(&found) {
            tracing::error!(%table, %row, "passed over a row that does not decode");
            return Ok(instead);
        }
        found
    }

    /// What was `found` of a row; if it does not decode, what is `told` by other rows, loudly.
    #[cfg(any(feature = "feed", feature = "chat"))]
    pub(crate) fn make_up<R>(
        found: Result<R, Failure>,
        told: impl FnOnce() -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        if let Some(Self { table, row }) = Self::why(&found) {
            tracing::error!(%table, %row, "made up for a row that does not decode");
            return told();
        }
        found
    }

    fn why<R>(found: &Result<R, Failure>) -> Option<&Self> {
        found
            .as_ref()
            .err()
            .and_then(|failure| Self::behind(failure))
    }

    /// The failure that a row of `table` causes.
    pub(crate) fn failure(table: &str, row: String) -> Failure {
        let table = table.to_owned();
        Failure::corrupt(Self { table, row })
    }
}

/// What is left to read of a row. Each method takes its part, or `None` if it is not there.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    /// The rest of a row that begins with `version`.
    pub(crate) fn of_version(version: u8, row: &'a [u8]) -> Option<Self> {
        let mut row = Self(row);
        (row.byte()? == version).then_some(row)
    }

    /// What was read, if nothing is left.
    pub(crate) fn end<T>(self, read: T) -> Option<T> {
        self.0.is_empty().then_some(read)
    }

    pub(crate) fn text(&mut self) -> Option<&'a [u8]> {
        let len = self.int()?;
        let (text, rest) = self.0.split_at_checked(usize::try_from(len).ok()?)?;
        self.0 = rest;
        Some(text)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn int(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn long(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }
}
