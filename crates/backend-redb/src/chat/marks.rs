use async_trait::async_trait;
use backplane::Epoch;
use chat_core::{
    ConversationId, Result,
    codec::{Input, Wire},
    sequencer::{MarkReplaced, SequenceMark, SequenceMarks},
};
use redb::WriteTransaction;

use super::rows::{Rows, TalkKey, put, talk_key};
use crate::{
    Failure, Writer,
    store::{Store, Tables},
};

/// [`SequenceMarks`] in a redb file.
///
/// A mark that was replaced, or found instead, is on disk. Marks under one name on one [`Writer`] are the
/// same marks.
///
/// ```
/// use std::sync::Arc;
/// use backend_redb::{RedbSequenceMarks, Writer, WriterOptions, redb::Database};
/// use backplane::Epoch;
/// use chat_core::{ConversationId, GroupId, sequencer::{MarkReplaced, SequenceMark, SequenceMarks}};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("chat.redb");
/// let writer = Writer::start(Arc::new(Database::create(path)?), WriterOptions::default())?;
/// let marks = RedbSequenceMarks::open(&writer, "main").await?;
/// let talk = ConversationId::Group(GroupId::new(7));
/// let mark = SequenceMark { epoch: Epoch::new(1), until: 10_000, settled: 0, holder: 1 };
/// assert_eq!(marks.replace(talk, None, mark).await?, MarkReplaced::Done);
/// assert_eq!(marks.load(talk).await?, Some(mark));
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct RedbSequenceMarks {
    store: Store<MarkTables>,
}

impl RedbSequenceMarks {
    /// Opens the marks called `name`, of which there are none if the file does not know them.
    ///
    /// # Errors
    ///
    /// What the [`Writer`] fails with.
    pub async fn open(writer: &Writer, name: &str) -> Result<Self> {
        let store = Store::open(writer, MarkTables::new(name)).await?;
        Ok(Self { store })
    }
}

#[async_trait]
impl SequenceMarks for RedbSequenceMarks {
    async fn load(&self, conversation: ConversationId) -> Result<Option<SequenceMark>> {
        self.store.read("load", |txn, tables| {
            let marks = tables.marks.read(txn)?;
            let row = tables.marks.get(&marks, talk_key(conversation))?;
            Ok(row.map(|Row(mark)| mark))
        })
    }

    async fn replace(
        &self,
        conversation: ConversationId,
        expected: Option<SequenceMark>,
        mark: SequenceMark,
    ) -> Result<MarkReplaced> {
        let talk = talk_key(conversation);
        let replace = self.store.write("replace", move |txn, tables| {
            let mut marks = tables.marks.write(txn)?;
            let current = tables.marks.get(&marks, talk)?.map(|Row(mark)| mark);
            if current != expected {
                return Ok(MarkReplaced::Moved { mark: current });
            }
            put(&mut marks, talk, &Row(mark))?;
            Ok(MarkReplaced::Done)
        });
        replace.await
    }
}

/// By conversation: a [`SequenceMark`] in the bytes of [`chat_core::codec`].
#[derive(Debug)]
struct MarkTables {
    marks: Rows<TalkKey, Row>,
}

impl MarkTables {
    fn new(store: &str) -> Self {
        Self {
            marks: Rows::new("chat.sequence", store, "marks"),
        }
    }
}

impl Tables for MarkTables {
    type Error = chat_core::Error;

    fn create(&self, txn: &WriteTransaction) -> Result<(), Failure> {
        self.marks.create(txn)
    }
}

struct Row(SequenceMark);

impl Wire for Row {
    fn put(&self, out: &mut Vec<u8>) {
        let Self(mark) = self;
        for number in [mark.epoch.get(), mark.until, mark.settled, mark.holder] {
            number.put(out);
        }
    }

    fn take(input: &mut Input) -> Result<Self> {
        Ok(Self(SequenceMark {
            epoch: Epoch::take(input)?,
            until: u64::take(input)?,
            settled: u64::take(input)?,
            holder: u64::take(input)?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use backplane::{
        ManualClock,
        conformance::{Fresh, TestTime},
    };
    use chat_core::{ErrorKind, GroupId};
    use redb::ReadableTable;

    use super::*;
    use crate::{CorruptRow, scratch::Scratch};

    async fn fresh() -> Fresh<dyn SequenceMarks> {
        let writer = Scratch::new().writer();
        let marks = RedbSequenceMarks::open(&writer, "test").await.unwrap();
        Fresh {
            store: Arc::new(marks),
            time: TestTime::Manual(ManualClock::default()),
        }
    }

    chat_core::sequence_marks_conformance!(fresh());

    const TALK: ConversationId = ConversationId::Group(GroupId::new(7));

    #[tokio::test]
    async fn a_mark_outlives_the_writer_and_a_damaged_one_is_named() {
        let scratch = Scratch::new();
        let mark = SequenceMark {
            epoch: Epoch::new(1),
            until: 2,
            settled: 3,
            holder: 4,
        };
        let marks = RedbSequenceMarks::open(&scratch.writer(), "test").await;
        marks.unwrap().replace(TALK, None, mark).await.unwrap();
        let writer = scratch.writer();
        let marks = RedbSequenceMarks::open(&writer, "test").await.unwrap();
        assert_eq!(marks.load(TALK).await.unwrap(), Some(mark));

        let damage = writer.run(|txn| {
            let mut marks = MarkTables::new("test").marks.write(txn)?;
            let bytes = marks.get(talk_key(TALK))?.map(|row| row.value().to_vec());
            assert_eq!(bytes, Some(vec![1, 1, 2, 3, 4]), "as it always has been");
            marks.insert(talk_key(TALK), &[9][..])?;
            Ok(())
        });
        damage.await.unwrap();
        let error = marks.load(TALK).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        let row = CorruptRow::behind(&error).expect("a row is the cause");
        assert_eq!(row.table, "chat.sequence.test.marks");
    }
}
