//! What changes inboxes, within the transaction that writes it.

use backplane::Position;
use chat_core::{Advance, Advanced, ConversationId, Cursor, Device, InboxMark, InboxRow, UserId};
use redb::{ReadableTable, ReadableTableMetadata, Table, WriteTransaction};

use super::tables::{
    ChangeKey, CopyRow, EntryKey, InboxTables, all_of, count, entries_of, entry_key,
};
use crate::{
    CorruptRow, Failure,
    chat::rows::{TalkKey, put, talk_key},
};

/// The tables that nearly every change touches, in one transaction.
pub(super) struct Boxes<'txn> {
    txn: &'txn WriteTransaction,
    tables: &'txn InboxTables,
    entries: Table<'txn, EntryKey, &'static [u8]>,
    changes: Table<'txn, ChangeKey, TalkKey>,
    /// The number of the last change.
    last: u64,
}

impl<'txn> Boxes<'txn> {
    pub(super) fn open(
        txn: &'txn WriteTransaction,
        tables: &'txn InboxTables,
    ) -> Result<Self, Failure> {
        Ok(Self {
            txn,
            tables,
            entries: tables.entries.write(txn)?,
            changes: tables.changes.write(txn)?,
            last: count(&tables.counts.write(txn)?, InboxTables::CHANGES)?,
        })
    }

    /// Keeps the number of the last change. To be called after all of them.
    pub(super) fn close(self) -> Result<(), Failure> {
        let mut counts = self.tables.counts.write(self.txn)?;
        counts.insert(InboxTables::CHANGES, self.last)?;
        Ok(())
    }

    /// Whether there is room for `talk` in the inbox of each user. Asked before anything is written, so
    /// that a refusal undoes nobody else's work.
    pub(super) fn has_room(
        &self,
        talk: ConversationId,
        users: &[UserId],
        max: u64,
    ) -> Result<bool, Failure> {
        let room = max.saturating_sub(self.entries.len()?);
        if users.len() as u64 <= room {
            return Ok(true);
        }
        let mut new = 0;
        for user in users {
            new += u64::from(self.entries.get(entry_key(*user, talk))?.is_none());
        }
        Ok(new <= room)
    }

    /// Decides whether marks are for these users.
    pub(super) fn decide(
        &mut self,
        talk: ConversationId,
        users: &[UserId],
        at: Position,
        is_enrolled: bool,
    ) -> Result<(), Failure> {
        let mut marks = self.tables.marks.write(self.txn)?;
        if marks.get(talk_key(talk))?.is_none() {
            put(&mut marks, talk_key(talk), &InboxMark::new())?;
        }
        for &user in users {
            let mut row = self.entry(user, talk)?.unwrap_or_default();
            if row.decide(is_enrolled, at) {
                self.list(user, talk, is_enrolled)?;
            }
            self.change(user, talk, &mut row)?;
        }
        Ok(())
    }

    fn list(&self, user: UserId, talk: ConversationId, is_enrolled: bool) -> Result<(), Failure> {
        let mut enrolled = self.tables.enrolled.write(self.txn)?;
        if is_enrolled {
            enrolled.insert(entry_key(user, talk), ())?;
        } else {
            enrolled.remove(entry_key(user, talk))?;
        }
        Ok(())
    }

    pub(super) fn mark(&mut self, marks: &[(ConversationId, Position)]) -> Result<(), Failure> {
        let mut rows = self.tables.marks.write(self.txn)?;
        let before = self.last;
        for &(talk, top) in marks {
            let found = self.tables.marks.get(&rows, talk_key(talk));
            let Some(mut mark) = CorruptRow::make_up(found, || Ok(Some(InboxMark::new())))? else {
                continue; // for nobody
            };
            if mark.reach(top) {
                mark.changed = self.draw();
                put(&mut rows, talk_key(talk), &mark)?;
            }
        }
        if self.last > before {
            let mut counts = self.tables.counts.write(self.txn)?;
            counts.insert(InboxTables::MARKS, self.last)?;
        }
        Ok(())
    }

    /// Puts `copies` into the queue of `user`, which holds at most `most`.
    pub(super) fn deliver(
        &mut self,
        talk: ConversationId,
        user: UserId,
        top: Position,
        copies: &[CopyRow],
        most: usize,
    ) -> Result<(), Failure> {
        let found = self.entry(user, talk)?;
        let is_new = found.is_none();
        let mut row = found.unwrap_or_default();
        let mut queue = self.tables.copies.write(self.txn)?;
        let mut added = 0;
        for copy in copies {
            if row.queue(Position::new(top.epoch, copy.seq)) {
                queue.insert((user.get(), self.draw()), &*copy.bytes)?;
                added += 1;
            }
        }
        if added > 0 {
            self.bound(user, &mut queue, added, most)?;
        }
        if row.reach(top) {
            self.change(user, talk, &mut row)?;
        } else if added > 0 || is_new {
            put(&mut self.entries, entry_key(user, talk), &row)?;
        }
        Ok(())
    }

    /// Drops the oldest copies of a queue to which so many were added.
    fn bound(
        &self,
        user: UserId,
        copies: &mut Table<'_, ChangeKey, &'static [u8]>,
        added: usize,
        most: usize,
    ) -> Result<(), Failure> {
        let mut queues = self.tables.queues.write(self.txn)?;
        let kept = queues.get(user.get())?.map_or(0, |kept| kept.value());
        let kept = kept as usize + added;
        let mut oldest = Vec::new();
        for row in copies
            .range(all_of(user, 0))?
            .take(kept.saturating_sub(most))
        {
            oldest.push(row?.0.value());
        }
        for key in &oldest {
            copies.remove(key)?;
        }
        let kept = u32::try_from(kept - oldest.len()).unwrap_or(u32::MAX);
        queues.insert(user.get(), kept)?;
        Ok(())
    }

    /// Takes what is said at `seqs` out of the queue of `user`; with it what does not decode, of which
    /// nobody knows what it says.
    pub(super) fn erase(
        &self,
        talk: ConversationId,
        user: UserId,
        seqs: &[u64],
    ) -> Result<(), Failure> {
        let mut copies = self.tables.copies.write(self.txn)?;
        let mut gone = Vec::new();
        for row in copies.range(all_of(user, 0))? {
            let (key, row) = row?;
            let copy = self.tables.copies.decode(key.value(), row.value());
            let copy = CorruptRow::pass_over(copy.map(Some), None)?;
            if copy.is_none_or(|copy| copy.talk == talk && seqs.contains(&copy.says())) {
                gone.push(key.value());
            }
        }
        if gone.is_empty() {
            return Ok(());
        }
        for key in &gone {
            copies.remove(key)?;
        }
        let mut queues = self.tables.queues.write(self.txn)?;
        let kept = queues.get(user.get())?.map_or(0, |kept| kept.value());
        let gone = u32::try_from(gone.len()).unwrap_or(u32::MAX);
        queues.insert(user.get(), kept.saturating_sub(gone))?;
        Ok(())
    }

    /// Moves a cursor, of no more than `devices` that each entry knows.
    pub(super) fn advance(
        &mut self,
        advance: &Advance,
        devices: usize,
    ) -> Result<Advanced, Failure> {
        let (user, talk) = (advance.device.user, advance.conversation);
        let Some(before) = self.entry(user, talk)? else {
            return Ok(Advanced::Unknown);
        };
        let mut row = before.clone();
        let has_moved = row.advance(advance, devices);
        if has_moved && advance.cursor == Cursor::Read {
            self.change(user, talk, &mut row)?;
        } else if row != before {
            put(&mut self.entries, entry_key(user, talk), &row)?;
        }
        Ok(if has_moved {
            Advanced::Moved
        } else {
            Advanced::Behind
        })
    }

    pub(super) fn forget(&mut self, device: Device) -> Result<(), Failure> {
        let mut knowing = Vec::new();
        for row in self.entries.range(entries_of(device.user))? {
            let (key, row) = row?;
            let row = self.tables.entries.decode(key.value(), row.value());
            if let Some(mut row) = CorruptRow::pass_over(row.map(Some), None)?
                && row.forget(device.id)
            {
                knowing.push((key.value(), row));
            }
        }
        for (key, row) in &knowing {
            put(&mut self.entries, *key, row)?;
        }
        Ok(())
    }

    fn entry(&self, user: UserId, talk: ConversationId) -> Result<Option<InboxRow>, Failure> {
        self.tables.entry(&self.entries, (user, talk), |key| {
            let enrolled = self.tables.enrolled.write(self.txn)?;
            Ok(enrolled.get(key)?.is_some())
        })
    }

    /// Keeps `row`, which has changed.
    fn change(
        &mut self,
        user: UserId,
        talk: ConversationId,
        row: &mut InboxRow,
    ) -> Result<(), Failure> {
        self.changes.remove((user.get(), row.changed))?;
        row.changed = self.draw();
        self.changes
            .insert((user.get(), row.changed), talk_key(talk))?;
        put(&mut self.entries, entry_key(user, talk), row)
    }

    /// The number of a change.
    const fn draw(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}
