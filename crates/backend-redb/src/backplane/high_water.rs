use std::sync::Arc;

use ::backplane::{
    Result, Timestamp,
    id::{HighWater, Mark, Replaced},
};
use async_trait::async_trait;
use redb::{ReadableDatabase, ReadableTable, TableDefinition, TableError};

use crate::{CorruptRow, Failure, Writer, format, row::Reader};

/// A [`HighWater`] mark in a redb file, which may hold those of many nodes.
///
/// Clones, and marks under one name on one [`Writer`], are the same mark.
///
/// ```
/// use std::sync::Arc;
/// use backend_redb::{RedbHighWater, Writer, WriterOptions, redb::Database};
/// use backplane::{Timestamp, id::{HighWater, Mark, Replaced}};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("data.redb");
/// let writer = Writer::start(Arc::new(Database::create(path)?), WriterOptions::default())?;
/// let store = RedbHighWater::new(&writer, "node-7");
/// let mark = Mark { until: Timestamp::from_millis(1_735_689_600_000), holder: 1 };
/// assert_eq!(store.replace(None, mark).await?, Replaced::Done);
/// assert_eq!(store.load().await?, Some(mark));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct RedbHighWater {
    writer: Writer,
    name: Arc<str>,
}

impl RedbHighWater {
    /// The mark called `name`. The file need not know it.
    #[must_use]
    pub fn new(writer: &Writer, name: &str) -> Self {
        Self {
            writer: writer.clone(),
            name: name.into(),
        }
    }

    fn read(&self) -> Result<Option<Mark>, Failure> {
        let txn = self.writer.database().begin_read()?;
        match txn.open_table(MARKS) {
            Ok(marks) => stored(&marks, &self.name),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

#[async_trait]
impl HighWater for RedbHighWater {
    async fn load(&self) -> Result<Option<Mark>> {
        self.read().map_err(|failure| failure.of("load"))
    }

    async fn replace(&self, expected: Option<Mark>, mark: Mark) -> Result<Replaced> {
        let name = Arc::clone(&self.name);
        let replace = self.writer.run(move |txn| {
            format::check(txn)?;
            let mut marks = txn.open_table(MARKS)?;
            let current = stored(&marks, &name)?;
            if current != expected {
                return Ok(Replaced::Moved { mark: current });
            }
            marks.insert(&*name, &*encode(mark))?;
            Ok(Replaced::Done)
        });
        replace.await.map_err(|failure| failure.of("replace"))
    }
}

/// By name: version 1 `u8`, until `u64` (ms), holder `u64`.
const MARKS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("backplane.marks");

const VERSION: u8 = 1;

fn stored(
    marks: &impl ReadableTable<&'static str, &'static [u8]>,
    name: &str,
) -> Result<Option<Mark>, Failure> {
    let Some(row) = marks.get(name)? else {
        return Ok(None);
    };
    let corrupt = || CorruptRow::failure("backplane.marks", name.to_owned());
    decode(row.value()).ok_or_else(corrupt).map(Some)
}

fn encode(mark: Mark) -> Vec<u8> {
    let mut row = Vec::with_capacity(17);
    row.push(VERSION);
    row.extend(mark.until.as_millis().to_le_bytes());
    row.extend(mark.holder.to_le_bytes());
    row
}

fn decode(row: &[u8]) -> Option<Mark> {
    let mut row = Reader::of_version(VERSION, row)?;
    let mark = Mark {
        until: Timestamp::from_millis(row.long()?),
        holder: row.long()?,
    };
    row.end(mark)
}

#[cfg(test)]
mod tests {
    use ::backplane::{
        ErrorKind, ManualClock,
        conformance::{Fresh, TestTime},
    };

    use super::*;
    use crate::scratch::Scratch;

    ::backplane::high_water_conformance!(async {
        Fresh::<dyn HighWater> {
            store: Arc::new(RedbHighWater::new(&Scratch::new().writer(), "node")),
            time: TestTime::Manual(ManualClock::default()),
        }
    });

    const MARK: Mark = Mark {
        until: Timestamp::from_millis(0x0102),
        holder: 3,
    };

    #[test]
    fn a_mark_lies_on_disk_as_it_always_has() {
        let bytes = [1, 2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(encode(MARK), bytes);
        assert_eq!(decode(&bytes), Some(MARK));
        assert_eq!(decode(&bytes[..16]), None);
        assert_eq!(decode(&[&bytes[..], &[0]].concat()), None);
    }

    #[tokio::test]
    async fn a_mark_outlives_the_writer_and_is_its_own_nodes_alone() {
        let scratch = Scratch::new();
        let store = RedbHighWater::new(&scratch.writer(), "a");
        store.replace(None, MARK).await.unwrap();
        drop(store);
        let writer = scratch.writer();
        let load = |name: &'static str| {
            let store = RedbHighWater::new(&writer, name);
            async move { store.load().await.unwrap() }
        };
        assert_eq!((load("a").await, load("b").await), (Some(MARK), None));
    }

    #[tokio::test]
    async fn garbage_is_no_mark() {
        let writer = Scratch::new().writer();
        let garbage = writer.run(|txn| {
            txn.open_table(MARKS)?.insert("a", &[7][..])?;
            Ok(())
        });
        garbage.await.unwrap();
        let error = RedbHighWater::new(&writer, "a").load().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        let row = CorruptRow::behind(&error).expect("a row is the cause");
        assert_eq!((&*row.table, &*row.row), ("backplane.marks", "a"));
    }
}
