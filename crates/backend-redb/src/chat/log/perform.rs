//! What an event does to the rest of its conversation.

use std::mem;

use bytes::Bytes;
use chat_core::{ConversationId, Event, GroupId, HistoryStart, NewEvent, Role, UserId, What};
use redb::ReadableTable;

use super::{
    append::Desk,
    rows::{Standing, TalkRow},
    tables::{change_key, event_key, reaction_key},
};
use crate::{Failure, chat::rows::put};

impl Desk<'_> {
    /// Does to the conversation what was decided, and answers the event at `seq` as it is kept.
    pub(super) fn perform(
        &mut self,
        new: &NewEvent,
        seq: u64,
        row: &mut TalkRow,
    ) -> Result<Event, Failure> {
        let talk = new.conversation;
        let (event, words) = apart(new, seq);
        if !words.is_empty() {
            self.words.insert(event_key(talk, seq), &*words)?;
        }
        if let Some(target) = event.target() {
            self.amend(talk, target.seq, &event)?;
        }
        match (&event.what, talk) {
            (What::Edit { target, .. }, _) => {
                let mut edits = self.tables.edits.write(self.txn)?;
                edits.insert(change_key(talk, target.seq, seq), ())?;
            }
            (What::Delete { target }, _) => self.erase(talk, target.seq)?,
            (What::React { .. }, _) => self.react(talk, &event)?,
            (What::Join { user, role }, ConversationId::Group(group)) => {
                row.members += 1;
                self.join(group, *user, *role, seq)?;
            }
            (What::Leave { user }, ConversationId::Group(group)) => {
                row.members = row.members.saturating_sub(1);
                self.change_standing(group, *user, |standing| {
                    standing.role = None;
                    standing.windows.close(seq);
                })?;
            }
            (What::Appoint { user, role }, ConversationId::Group(group)) => {
                let role = Some(*role);
                self.change_standing(group, *user, |standing| standing.role = role)?;
            }
            (What::Describe(about), ConversationId::Group(group)) => {
                self.describe(group, about)?;
            }
            _ => {}
        }
        Ok(event)
    }

    /// Changes the message at `target` as `event` does.
    fn amend(&mut self, talk: ConversationId, target: u64, event: &Event) -> Result<(), Failure> {
        let Some(mut held) = self.event(talk, target)? else {
            return Ok(());
        };
        held.amend(event, NOBODY);
        if let What::Message(message) = &mut held.what {
            // Whose they are is told by a table of its own.
            for reactions in &mut message.reactions {
                reactions.mine = false;
            }
        }
        self.put_event(talk, &held)
    }

    /// Forgets what the message at `target` said, and what its edits did.
    fn erase(&mut self, talk: ConversationId, target: u64) -> Result<(), Failure> {
        self.words.remove(event_key(talk, target))?;
        let edits = self.tables.edits.write(self.txn)?;
        let all = change_key(talk, target, 0)..=change_key(talk, target, u64::MAX);
        for edit in edits.range(all)? {
            let (.., seq) = edit?.0.value();
            self.words.remove(event_key(talk, seq))?;
        }
        Ok(())
    }

    fn react(&self, talk: ConversationId, event: &Event) -> Result<(), Failure> {
        let (
            What::React {
                target,
                reaction,
                on,
            },
            Some(device),
        ) = (&event.what, event.from)
        else {
            return Ok(());
        };
        let mut reacts = self.tables.reacts.write(self.txn)?;
        reacts.insert(change_key(talk, target.seq, event.seq), ())?;
        let own = reaction_key(talk, target.seq, device.user, reaction);
        let mut reactions = self.tables.reactions.write(self.txn)?;
        if *on {
            reactions.insert(own, ())?;
        } else {
            reactions.remove(own)?;
        }
        Ok(())
    }

    fn join(&self, group: GroupId, user: UserId, role: Role, seq: u64) -> Result<(), Failure> {
        let from = match self.group(group)?.history {
            HistoryStart::Beginning => 1,
            HistoryStart::Joining => seq,
        };
        self.change_standing(group, user, |standing| {
            standing.role = Some(role);
            standing.windows.open(from);
        })
    }

    fn change_standing(
        &self,
        group: GroupId,
        user: UserId,
        change: impl FnOnce(&mut Standing),
    ) -> Result<(), Failure> {
        let key = (group.get(), user.get());
        let rows = &self.tables.standings;
        let mut standings = rows.write(self.txn)?;
        let mut standing = rows.get(&standings, key)?.unwrap_or_default();
        change(&mut standing);
        put(&mut standings, key, &standing)
    }

    fn describe(&self, group: GroupId, about: &Bytes) -> Result<(), Failure> {
        let mut row = self.group(group)?;
        row.about = about.clone();
        let mut groups = self.tables.groups.write(self.txn)?;
        put(&mut groups, group.get(), &row)
    }
}

/// Who reads where nobody does.
const NOBODY: UserId = UserId::new(0);

/// The event at `seq`, and what it says, which has a table of its own.
fn apart(new: &NewEvent, seq: u64) -> (Event, Bytes) {
    let mut event = new.clone().into_event(seq);
    let words = match &mut event.what {
        What::Message(message) => mem::take(&mut message.body),
        What::Edit { body, .. } => body.take().unwrap_or_default(),
        _ => Bytes::new(),
    };
    (event, words)
}
