use ::backplane::ErrorKind;
use redb::{ReadableTable, TableDefinition, WriteTransaction};

use crate::Failure;

/// A file that a later release wrote, in a format that this one does not know: the source of an
/// [`Invalid`](ErrorKind::Invalid) failure to open a store. Nothing was changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "the file has format {found}, and this release knows none after {known}: open it with the release that wrote it, or a later one"
)]
#[non_exhaustive]
pub struct NewerFormat {
    /// The format of the file.
    pub found: u32,
    /// The newest format that this release knows.
    pub known: u32,
}

/// Makes sure that the file can be read, before a store looks at its tables. A file that does not say
/// its format has the first, and says so from then on.
pub(crate) fn check(txn: &WriteTransaction) -> Result<(), Failure> {
    let mut format = txn.open_table(FORMAT)?;
    let found = format.get(KEY)?.map(|found| found.value());
    match found {
        None => drop(format.insert(KEY, KNOWN)?),
        Some(..=KNOWN) => {}
        Some(found) => {
            let newer = NewerFormat {
                found,
                known: KNOWN,
            };
            return Err(Failure::new(ErrorKind::Invalid, newer));
        }
    }
    Ok(())
}

/// The number grows when a release writes what an earlier one would misread or refuse.
const FORMAT: TableDefinition<'_, &str, u32> = TableDefinition::new("backend-redb.format");
const KEY: &str = "format";
const KNOWN: u32 = 1;

#[cfg(test)]
mod tests {
    use std::{error::Error, sync::Arc};

    use ::backplane::{ManualClock, id::HighWater, queue::QueueOptions};

    use super::*;
    use crate::{RedbHighWater, RedbQueue, Writer, scratch::Scratch};

    async fn set(writer: &Writer, number: u32) {
        let set = writer.run(move |txn| {
            txn.open_table(FORMAT)?.insert(KEY, number)?;
            Ok(())
        });
        set.await.unwrap();
    }

    async fn open(writer: &Writer) -> ::backplane::Result<RedbQueue> {
        let clock = Arc::new(ManualClock::default());
        RedbQueue::open(writer, "test", clock, QueueOptions::default()).await
    }

    fn newer_format(error: &(dyn Error + 'static)) -> String {
        error.source().expect("it has a cause").to_string()
    }

    #[tokio::test]
    async fn a_file_of_a_later_release_is_refused_by_every_store() {
        let writer = Scratch::new().writer();
        drop(open(&writer).await.unwrap());
        set(&writer, KNOWN + 1).await;
        let mark = RedbHighWater::new(&writer, "test");
        let refused = [
            open(&writer).await.unwrap_err(),
            mark.replace(None, mark_at_zero()).await.unwrap_err(),
        ];
        for error in refused {
            assert_eq!(error.kind(), ErrorKind::Invalid);
            let told = newer_format(&error);
            assert!(told.starts_with("the file has format 2, and"), "{told}");
        }
        #[cfg(feature = "feed")]
        {
            let options = crate::RedbOutboxOptions::default();
            let outbox = crate::RedbOutbox::open(&writer, "test", options).await;
            let error = outbox.unwrap_err();
            assert_eq!(error.kind(), feed_core::ErrorKind::Invalid);
        }
        set(&writer, KNOWN).await;
        open(&writer).await.unwrap();
    }

    const fn mark_at_zero() -> ::backplane::id::Mark {
        ::backplane::id::Mark {
            until: ::backplane::Timestamp::EPOCH,
            holder: 1,
        }
    }

    #[tokio::test]
    async fn a_file_that_says_nothing_has_the_first_format_and_says_so() {
        let writer = Scratch::new().writer();
        open(&writer).await.unwrap();
        let said = writer.run(|txn| {
            let format = txn.open_table(FORMAT)?;
            Ok(format.get(KEY)?.map(|number| number.value()))
        });
        assert_eq!(said.await.unwrap(), Some(1));
    }
}
