//! What of a conversation is told, and what of it is forgotten.

use chat_core::{ConversationId, Event, Told, What};

use super::{
    append::Desk,
    rows::TalkRow,
    tables::{change_key, event_key, name_key, reaction_key},
};
use crate::{CorruptRow, Failure};

/// How many events one step of a trim forgets, while others wait.
const STEP: u64 = 1_000;

pub(super) fn settle(desk: &mut Desk<'_>, told: Told) -> Result<(), Failure> {
    let Some(mut row) = desk.talk(told.conversation)? else {
        return Ok(());
    };
    let until = told.until.offset.min(row.top);
    if told.until.epoch != desk.epoch || told.after > row.settled || until <= row.settled {
        return Ok(());
    }
    row.settled = until;
    desk.owe_the_rest(told.conversation, &mut row)?;
    desk.put_talk(told.conversation, &row)
}

/// How far a trim has come.
pub(super) struct Trimmed {
    /// The oldest event that is retained.
    pub(super) first: u64,
    /// Whether nothing is left to be forgotten.
    pub(super) is_all: bool,
}

/// Forgets the oldest events before `seq`.
pub(super) fn trim(
    desk: &mut Desk<'_>,
    talk: ConversationId,
    seq: u64,
) -> Result<Trimmed, Failure> {
    let Some(mut row) = desk.talk(talk)? else {
        return Ok(Trimmed {
            first: 1,
            is_all: true,
        });
    };
    let end = seq.min(row.top + 1).max(row.first);
    let step = end.min(row.first.saturating_add(STEP));
    let is_all = step == end;
    if step > row.first {
        for gone in row.first..step {
            desk.forget(talk, gone)?;
        }
        row.first = step;
        row.settled = row.settled.max(step - 1);
        desk.owe_the_rest(talk, &mut row)?;
        desk.put_talk(talk, &row)?;
    }
    Ok(Trimmed {
        first: row.first,
        is_all,
    })
}

impl Desk<'_> {
    /// Notes since when what is not settled is to be told.
    fn owe_the_rest(&self, talk: ConversationId, row: &mut TalkRow) -> Result<(), Failure> {
        let next = CorruptRow::pass_over(self.event(talk, row.settled + 1), None)?;
        let since = match next {
            Some(event) => Some(event.at),
            // One that does not decode is owed since then, too.
            None => row.owed_since.filter(|_| row.settled < row.top),
        };
        self.owe(talk, row, since)
    }

    /// Removes an event, and what is known by it.
    fn forget(&mut self, talk: ConversationId, seq: u64) -> Result<(), Failure> {
        let event = CorruptRow::pass_over(self.event(talk, seq), None)?;
        self.events.remove(event_key(talk, seq))?;
        self.words.remove(event_key(talk, seq))?;
        event.map_or(Ok(()), |event| self.forget_marks_of(talk, &event))
    }

    fn forget_marks_of(&mut self, talk: ConversationId, event: &Event) -> Result<(), Failure> {
        if let Some(name) = &event.key {
            self.names.remove(name_key(talk, event.from, name))?;
        }
        match &event.what {
            What::Edit { target, .. } => {
                let mut edits = self.tables.edits.write(self.txn)?;
                edits.remove(change_key(talk, target.seq, event.seq))?;
            }
            What::React {
                target, reaction, ..
            } => {
                let mut reacts = self.tables.reacts.write(self.txn)?;
                reacts.remove(change_key(talk, target.seq, event.seq))?;
                if let Some(device) = event.from {
                    // The message is gone by now, so nobody asks for what stands of it.
                    let own = reaction_key(talk, target.seq, device.user, reaction);
                    self.tables.reactions.write(self.txn)?.remove(own)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}
