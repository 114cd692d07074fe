//! What inboxes hold, as one transaction reads it.

use std::collections::HashMap;

use backplane::{Epoch, Position};
use chat_core::{
    ConversationId, Device, InboxEntry, InboxMark, InboxPage, InboxRow, START, UserId,
};
use redb::{ReadOnlyTable, ReadTransaction};

use super::tables::{EntryKey, InboxTables, all_of, count, entries_of};
use crate::{
    CorruptRow, Failure,
    chat::rows::{TalkKey, talk_key, talk_of},
};

pub(super) struct View<'a> {
    txn: &'a ReadTransaction,
    tables: &'a InboxTables,
    epoch: Epoch,
    entries: ReadOnlyTable<EntryKey, &'static [u8]>,
    marks: ReadOnlyTable<TalkKey, &'static [u8]>,
}

impl<'a> View<'a> {
    pub(super) fn open(
        txn: &'a ReadTransaction,
        tables: &'a InboxTables,
        epoch: Epoch,
    ) -> Result<Self, Failure> {
        Ok(Self {
            txn,
            tables,
            epoch,
            entries: tables.entries.read(txn)?,
            marks: tables.marks.read(txn)?,
        })
    }

    pub(super) fn changes(
        &self,
        user: UserId,
        since: Position,
        limit: usize,
    ) -> Result<InboxPage, Failure> {
        let counts = self.tables.counts.read(self.txn)?;
        let known = count(&counts, InboxTables::CHANGES)?;
        let is_own = since.epoch == self.epoch && since.offset <= known;
        let since = if is_own { since.offset } else { 0 };
        let has_marks = count(&counts, InboxTables::MARKS)? > since;
        let marked = if has_marks {
            self.marked(user, since)?
        } else {
            HashMap::new()
        };
        let mut changed = self.changed(user, since, limit, marked)?;
        let more = changed.len() > limit;
        changed.truncate(limit);
        let through = match changed.last() {
            Some((last, _)) if more => *last,
            Some(_) => known,
            None => since, // a reader who learns nothing has nothing to keep
        };
        let mut entries = Vec::with_capacity(changed.len());
        for (_, talk) in changed {
            entries.extend(self.entry(user, talk_of(talk))?);
        }
        self.hand_out(user, since, &mut entries)?;
        let through = Position::new(self.epoch, through);
        Ok(InboxPage::new(entries, through, more))
    }

    /// The conversations in which something changed after `since`, in the order of their last changes:
    /// all of the next, and more of them than `limit` if there are.
    fn changed(
        &self,
        user: UserId,
        since: u64,
        limit: usize,
        mut last: HashMap<TalkKey, u64>,
    ) -> Result<Vec<(u64, TalkKey)>, Failure> {
        let first = since.saturating_add(1);
        let own = self
            .tables
            .changes
            .read(self.txn)?
            .range(all_of(user, first))?;
        // Each that is marked may stand in for one that comes before.
        let enough = limit.saturating_add(1).saturating_add(last.len());
        for change in own.take(enough) {
            let (key, talk) = change?;
            let (_, number) = key.value();
            let last = last.entry(talk.value()).or_default();
            *last = number.max(*last);
        }
        let mut changed: Vec<_> = last.into_iter().map(|(talk, last)| (last, talk)).collect();
        changed.sort_unstable();
        Ok(changed)
    }

    /// The conversations that were marked for `user` after `since`, each with its last mark: by a look at
    /// each in which they are enrolled.
    fn marked(&self, user: UserId, since: u64) -> Result<HashMap<TalkKey, u64>, Failure> {
        let mut marked = HashMap::new();
        let enrolled = self.tables.enrolled.read(self.txn)?;
        for entry in enrolled.range(entries_of(user))? {
            let (_, kind, one, other) = entry?.0.value();
            let talk = (kind, one, other);
            let mark = self.mark(talk)?.filter(|mark| mark.changed > since);
            marked.extend(mark.map(|mark| (talk, mark.changed)));
        }
        Ok(marked)
    }

    fn mark(&self, talk: TalkKey) -> Result<Option<InboxMark>, Failure> {
        CorruptRow::pass_over(self.tables.marks.get(&self.marks, talk), None)
    }

    fn row(&self, user: UserId, talk: ConversationId) -> Result<Option<InboxRow>, Failure> {
        self.tables.entry(&self.entries, (user, talk), |key| {
            let enrolled = self.tables.enrolled.read(self.txn)?;
            Ok(enrolled.get(key)?.is_some())
        })
    }

    pub(super) fn entry(
        &self,
        user: UserId,
        talk: ConversationId,
    ) -> Result<Option<InboxEntry>, Failure> {
        let Some(row) = self.row(user, talk)? else {
            return Ok(None);
        };
        let mut entry = row.show(talk);
        if row.is_enrolled
            && let Some(mark) = self.mark(talk_key(talk))?
        {
            mark.show(&mut entry);
        }
        Ok(Some(entry))
    }

    pub(super) fn received(
        &self,
        device: Device,
        talk: ConversationId,
    ) -> Result<Position, Failure> {
        let row = self.row(device.user, talk)?;
        Ok(row.map_or(START, |row| row.received_by(device.id)))
    }

    /// Adds to each of `entries` its copies since `since`.
    fn hand_out(
        &self,
        user: UserId,
        since: u64,
        entries: &mut [InboxEntry],
    ) -> Result<(), Failure> {
        let places = entries.iter().enumerate();
        let places: HashMap<_, _> = places
            .map(|(place, entry)| (entry.conversation, place))
            .collect();
        let copies = self.tables.copies.read(self.txn)?;
        let first = since.saturating_add(1);
        for row in copies.range(all_of(user, first))? {
            let (key, row) = row?;
            let copy = self.tables.copies.decode(key.value(), row.value());
            let Some(copy) = CorruptRow::pass_over(copy.map(Some), None)? else {
                continue;
            };
            let entry = places.get(&copy.talk).map(|place| &mut entries[*place]);
            if let Some(entry) = entry.filter(|entry| entry.top.epoch == copy.epoch) {
                entry.copies.push(copy.event);
            }
        }
        Ok(())
    }
}
