use std::ops::RangeInclusive;

use backplane::Epoch;
use chat_core::{
    ConversationId, Event, InboxMark, InboxRow, Result, UserId, What,
    codec::{self, Input, Wire},
};
use redb::{ReadableTable, WriteTransaction};

use crate::{
    CorruptRow, Failure,
    chat::{
        epoch::EpochTable,
        rows::{Rows, TalkKey, talk_key},
    },
    store::{Named, Tables},
};

/// A user and a conversation.
pub(super) type EntryKey = (u64, u8, u64, u64);
/// A user and the number of a change.
pub(super) type ChangeKey = (u64, u64);

/// How inboxes lie on disk. A conversation in a key is what [`TalkKey`] says; a row that is a value has
/// the bytes of [`chat_core::codec`].
///
/// | table | key | row |
/// |---|---|---|
/// | epoch | `epoch` | the epoch of all inboxes |
/// | counts | `changes`, `marks` | the number of the last change of any inbox; of the last that was a mark |
/// | entries | user, conversation | [`InboxRow`] |
/// | changes | user, number of the change | the conversation; the last change of each that is no mark |
/// | enrolled | user, conversation | nothing; those of `entries` for which marks are |
/// | marks | conversation | [`InboxMark`]; since somebody was enrolled first |
/// | copies | user, number of the change | [`Copy`] |
/// | queues | user | how many copies there are |
#[derive(Debug)]
pub(super) struct InboxTables {
    pub(super) epoch: EpochTable,
    pub(super) counts: Named<&'static str, u64>,
    pub(super) entries: Rows<EntryKey, InboxRow>,
    pub(super) changes: Named<ChangeKey, TalkKey>,
    pub(super) enrolled: Named<EntryKey, ()>,
    pub(super) marks: Rows<TalkKey, InboxMark>,
    pub(super) copies: Rows<ChangeKey, Copy>,
    pub(super) queues: Named<u64, u32>,
}

impl InboxTables {
    pub(super) const CHANGES: &'static str = "changes";
    pub(super) const MARKS: &'static str = "marks";

    pub(super) fn new(store: &str) -> Self {
        const KIND: &str = "chat.inbox";
        Self {
            epoch: EpochTable::new(KIND, store),
            counts: Named::new(KIND, store, "counts"),
            entries: Rows::new(KIND, store, "entries"),
            changes: Named::new(KIND, store, "changes"),
            enrolled: Named::new(KIND, store, "enrolled"),
            marks: Rows::new(KIND, store, "marks"),
            copies: Rows::new(KIND, store, "copies"),
            queues: Named::new(KIND, store, "queues"),
        }
    }

    /// What the inbox of `user` knows of `talk`. If the entry does not decode, that is whether marks are
    /// for them.
    pub(super) fn entry(
        &self,
        entries: &impl ReadableTable<EntryKey, &'static [u8]>,
        (user, talk): (UserId, ConversationId),
        is_enrolled: impl FnOnce(EntryKey) -> Result<bool, Failure>,
    ) -> Result<Option<InboxRow>, Failure> {
        let key = entry_key(user, talk);
        CorruptRow::make_up(self.entries.get(entries, key), || {
            let mut row = InboxRow::new();
            row.is_enrolled = is_enrolled(key)?;
            Ok(Some(row))
        })
    }
}

impl Tables for InboxTables {
    type Error = chat_core::Error;

    fn create(&self, txn: &WriteTransaction) -> Result<(), Failure> {
        self.epoch.create(txn)?;
        self.counts.create(txn)?;
        self.entries.create(txn)?;
        self.changes.create(txn)?;
        self.enrolled.create(txn)?;
        self.marks.create(txn)?;
        self.copies.create(txn)?;
        self.queues.create(txn)
    }
}

/// A number of `counts`.
pub(super) fn count(
    counts: &impl ReadableTable<&'static str, u64>,
    of: &str,
) -> Result<u64, Failure> {
    Ok(counts.get(of)?.map_or(0, |count| count.value()))
}

pub(super) const fn entry_key(user: UserId, talk: ConversationId) -> EntryKey {
    let (kind, one, other) = talk_key(talk);
    (user.get(), kind, one, other)
}

/// All changes of a user from `first` on.
pub(super) const fn all_of(user: UserId, first: u64) -> RangeInclusive<ChangeKey> {
    (user.get(), first)..=(user.get(), u64::MAX)
}

/// All entries of a user.
pub(super) const fn entries_of(user: UserId) -> RangeInclusive<EntryKey> {
    (user.get(), 0, 0, 0)..=(user.get(), u8::MAX, u64::MAX, u64::MAX)
}

/// A copy of an event in the queue of a user.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Copy {
    pub(super) talk: ConversationId,
    pub(super) epoch: Epoch,
    pub(super) event: Event,
}

/// A copy as its row has it, which is the same for every user.
pub(super) struct CopyRow {
    /// Where the event is.
    pub(super) seq: u64,
    pub(super) bytes: Vec<u8>,
}

impl Copy {
    pub(super) fn row(&self) -> CopyRow {
        let mut bytes = Vec::new();
        codec::encode(self, &mut bytes);
        CopyRow {
            seq: self.event.seq,
            bytes,
        }
    }

    /// The place of what it says: a message, or the one that it edits.
    pub(super) fn says(&self) -> u64 {
        match &self.event.what {
            What::Edit { target, .. } => target.seq,
            _ => self.event.seq,
        }
    }
}

impl Wire for Copy {
    fn put(&self, out: &mut Vec<u8>) {
        self.talk.put(out);
        self.epoch.put(out);
        self.event.put(out);
    }

    fn take(input: &mut Input) -> Result<Self> {
        Ok(Self {
            talk: Wire::take(input)?,
            epoch: Wire::take(input)?,
            event: Wire::take(input)?,
        })
    }
}
