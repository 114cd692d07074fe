use std::sync::Arc;

use ::backplane::{ErrorKind, Result, id::IdCounter};
use async_trait::async_trait;
use redb::{ReadableTable, TableDefinition};

use crate::{CorruptRow, Failure, Writer, format, row::Reader};

/// An [`IdCounter`] in a redb file, which may hold many.
///
/// Clones, and counters under one name on one [`Writer`], are the same counter. Numbers begin with 1,
/// and none is left out: there is one process, so the blocks of all its generators adjoin. Callers who
/// take at once share a commit.
///
/// ```
/// use std::sync::Arc;
/// use backend_redb::{RedbIdCounter, Writer, WriterOptions, redb::Database};
/// use backplane::id::AutoIncrementKeeper;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("data.redb");
/// let writer = Writer::start(Arc::new(Database::create(path)?), WriterOptions::default())?;
/// let counter = Arc::new(RedbIdCounter::new(&writer, "orders"));
/// let keeper = AutoIncrementKeeper::open(counter, 100).await?;
/// assert_eq!(keeper.generator().next_id()?.get(), 1);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct RedbIdCounter {
    writer: Writer,
    name: Arc<str>,
}

impl RedbIdCounter {
    /// The counter called `name`. The file need not know it.
    #[must_use]
    pub fn new(writer: &Writer, name: &str) -> Self {
        Self {
            writer: writer.clone(),
            name: name.into(),
        }
    }
}

#[async_trait]
impl IdCounter for RedbIdCounter {
    async fn take(&self, count: u32) -> Result<u64> {
        let name = Arc::clone(&self.name);
        let take = self.writer.run(move |txn| {
            if count == 0 {
                return Err(Failure::bare(ErrorKind::Invalid));
            }
            format::check(txn)?;
            let mut counters = txn.open_table(COUNTERS)?;
            let last = match counters.get(&*name)? {
                Some(row) => decode(row.value()).ok_or_else(|| corrupt(&name))?,
                None => 0,
            };
            let taken = last.checked_add(count.into());
            let taken = taken.ok_or_else(|| Failure::bare(ErrorKind::Full))?;
            counters.insert(&*name, &encode(taken)[..])?;
            Ok(last + 1)
        });
        take.await.map_err(|failure| failure.of("take"))
    }
}

/// By name: version 1 `u8`, last number taken `u64`.
const COUNTERS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("backplane.counters");

const VERSION: u8 = 1;

fn corrupt(name: &str) -> Failure {
    CorruptRow::failure("backplane.counters", name.to_owned())
}

fn encode(last: u64) -> Vec<u8> {
    let mut row = Vec::with_capacity(9);
    row.push(VERSION);
    row.extend(last.to_le_bytes());
    row
}

fn decode(row: &[u8]) -> Option<u64> {
    let mut row = Reader::of_version(VERSION, row)?;
    let last = row.long()?;
    row.end(last)
}

#[cfg(test)]
mod tests {
    use ::backplane::{
        ManualClock,
        conformance::{Fresh, TestTime},
        id::{AutoIncrementKeeper, IdGenerator},
    };

    use super::*;
    use crate::scratch::Scratch;

    fn counter() -> Arc<RedbIdCounter> {
        Arc::new(RedbIdCounter::new(&Scratch::new().writer(), "orders"))
    }

    ::backplane::id_counter_conformance!(async {
        Fresh::<dyn IdCounter> {
            store: counter(),
            time: TestTime::Manual(ManualClock::default()),
        }
    });

    ::backplane::id_generator_conformance!(async {
        let keeper = AutoIncrementKeeper::open(counter(), 10_000).await.unwrap();
        Fresh::<dyn IdGenerator> {
            store: Arc::clone(keeper.generator()) as Arc<dyn IdGenerator>,
            time: TestTime::Manual(ManualClock::default()),
        }
    });

    #[test]
    fn a_counter_lies_on_disk_as_it_always_has() {
        let bytes = [1, 2, 1, 0, 0, 0, 0, 0, 0];
        assert_eq!(encode(0x0102), bytes);
        assert_eq!(decode(&bytes), Some(0x0102));
        assert_eq!(decode(&bytes[..8]), None);
        assert_eq!(decode(&[&bytes[..], &[0]].concat()), None);
    }

    #[tokio::test]
    async fn a_counter_goes_on_after_the_writer_and_is_its_own_names_alone() {
        let scratch = Scratch::new();
        let counter = RedbIdCounter::new(&scratch.writer(), "a");
        assert_eq!(counter.take(5).await.unwrap(), 1);
        drop(counter);
        let writer = scratch.writer();
        let take = async |name| RedbIdCounter::new(&writer, name).take(1).await.unwrap();
        assert_eq!((take("a").await, take("b").await), (6, 1));
    }

    async fn write(writer: &Writer, row: Vec<u8>) {
        let write = writer.run(move |txn| {
            txn.open_table(COUNTERS)?.insert("a", &row[..])?;
            Ok(())
        });
        write.await.unwrap();
    }

    #[tokio::test]
    async fn garbage_is_no_counter_and_a_counter_at_its_end_is_full() {
        let writer = Scratch::new().writer();
        let counter = RedbIdCounter::new(&writer, "a");
        write(&writer, encode(u64::MAX - 1)).await;
        let full = counter.take(2).await.unwrap_err();
        assert_eq!(full.kind(), ErrorKind::Full);
        assert_eq!(counter.take(1).await.unwrap(), u64::MAX);
        write(&writer, vec![7]).await;
        let error = counter.take(1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        let row = CorruptRow::behind(&error).expect("a row is the cause");
        assert_eq!((&*row.table, &*row.row), ("backplane.counters", "a"));
    }
}
