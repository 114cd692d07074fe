//! What happens in conversations, decided within the transaction that writes it.

use backplane::{Epoch, Position, Timestamp};
use chat_core::{
    Act, Appended, ConversationId, Event, Founded, GroupId, MessageId, MessageRef, NewEvent,
    NewGroup, Receipt, Refusal, Stamp, UserId, What, Windows,
    rules::{Facts, TargetFacts, decide},
};
use redb::{ReadableTable, ReadableTableMetadata, Table, WriteTransaction};

use super::{
    rows::{GroupRow, Standing, TalkRow},
    tables::{EventKey, Kept, LogTables, NameKey, debt_key, event_key, name_key, reaction_key},
};
use crate::{
    Failure,
    chat::rows::{TalkKey, put, talk_key},
};

/// The tables that every change touches, in one transaction.
pub(super) struct Desk<'txn> {
    pub(super) txn: &'txn WriteTransaction,
    pub(super) tables: &'txn LogTables,
    pub(super) epoch: Epoch,
    talks: Table<'txn, TalkKey, &'static [u8]>,
    pub(super) events: Table<'txn, EventKey, &'static [u8]>,
    pub(super) words: Table<'txn, EventKey, &'static [u8]>,
    pub(super) names: Table<'txn, NameKey<'static>, Kept>,
}

impl<'txn> Desk<'txn> {
    pub(super) fn open(
        txn: &'txn WriteTransaction,
        tables: &'txn LogTables,
        epoch: Epoch,
    ) -> Result<Self, Failure> {
        Ok(Self {
            txn,
            tables,
            epoch,
            talks: tables.talks.write(txn)?,
            events: tables.events.write(txn)?,
            words: tables.words.write(txn)?,
            names: tables.names.write(txn)?,
        })
    }

    /// Whether there is room for so many events more. Asked before anything is written, so that a
    /// refusal undoes nobody else's work.
    pub(super) fn has_room(&self, events: usize, max: u64) -> Result<bool, Failure> {
        Ok(self.events.len()?.saturating_add(events as u64) <= max)
    }

    pub(super) fn found(&mut self, new: &NewGroup, stamp: Stamp) -> Result<Founded, Failure> {
        let talk = ConversationId::Group(new.group);
        if self.talk(talk)?.is_some() {
            return Ok(Founded::Existing);
        }
        let members = new.roster();
        let mut standings = self.tables.standings.write(self.txn)?;
        for &(user, role) in &members {
            let standing = Standing {
                role: Some(role),
                windows: Windows::all(),
            };
            let key = (new.group.get(), user.get());
            put(&mut standings, key, &standing)?;
        }
        let group = GroupRow {
            limit: new.limit,
            history: new.history,
            about: new.about.clone(),
        };
        let mut groups = self.tables.groups.write(self.txn)?;
        put(&mut groups, new.group.get(), &group)?;

        let mut row = TalkRow::of(u32::try_from(members.len()).unwrap_or(u32::MAX));
        let about = new.about.clone();
        let what = What::Found { members, about };
        let event = Event::new(1, stamp.id, stamp.at, None, None, what);
        self.add(talk, &mut row, &event)?;
        Ok(Founded::New(self.receipt(&event)))
    }

    pub(super) fn append(&mut self, new: &NewEvent) -> Result<Appended, Failure> {
        let talk = new.conversation;
        let row = match (self.talk(talk)?, talk) {
            (Some(row), _) => row,
            (None, ConversationId::Direct(pair)) => TalkRow::of(pair.size()),
            (None, ConversationId::Group(_)) => {
                return Ok(Appended::Refused(Refusal::UnknownConversation));
            }
        };
        if let Some(kept) = self.kept(new, row.first)? {
            return Ok(kept);
        }
        if let Err(refusal) = decide(new, self.facts(new, &row)?) {
            return Ok(Appended::Refused(refusal));
        }
        self.happen(new, row)
    }

    /// What is answered to a name that is known, of an event from `first` on.
    fn kept(&self, new: &NewEvent, first: u64) -> Result<Option<Appended>, Failure> {
        let Some(name) = &new.key else {
            return Ok(None);
        };
        let kept = self.names.get(name_key(new.conversation, new.from, name))?;
        let kept = kept.map(|kept| kept.value());
        let kept = kept.filter(|(seq, ..)| *seq >= first);
        Ok(kept.map(|(seq, id, at, fingerprint)| {
            let receipt = Receipt {
                id: MessageId::new(id),
                position: Position::new(self.epoch, seq),
                at: Timestamp::from_millis(at),
            };
            if fingerprint == new.act.fingerprint() {
                Appended::Duplicate(receipt)
            } else {
                Appended::Conflict(receipt)
            }
        }))
    }

    fn facts(&self, new: &NewEvent, row: &TalkRow) -> Result<Facts, Failure> {
        let talk = new.conversation;
        let actor = match new.from {
            Some(device) => self.standing(talk, device.user)?,
            None => None,
        };
        let subject = match new.act.subject() {
            Some(user) => self.standing(talk, user)?,
            None => None,
        };
        let target = match new.act.target() {
            Some(target) => self.target_facts(new, target, actor.as_ref())?,
            None => None,
        };
        let has_room = match (&new.act, talk) {
            (Act::Join { .. }, ConversationId::Group(group)) => {
                row.members < self.group(group)?.limit
            }
            _ => false,
        };
        Ok(Facts {
            actor: actor.and_then(|actor| actor.role),
            subject: subject.and_then(|subject| subject.role),
            target,
            has_room,
        })
    }

    /// What is known of a message that is there, if who asks may read it.
    fn target_facts(
        &self,
        new: &NewEvent,
        target: MessageRef,
        actor: Option<&Standing>,
    ) -> Result<Option<TargetFacts>, Failure> {
        let may_read =
            new.from.is_none() || actor.is_some_and(|actor| actor.windows.contains(target.seq));
        if !may_read {
            return Ok(None);
        }
        let event = self.event(new.conversation, target.seq)?;
        let Some(event) = event.filter(|event| event.id == target.id) else {
            return Ok(None);
        };
        let What::Message(message) = &event.what else {
            return Ok(None);
        };
        let mut facts = TargetFacts {
            author: event.from.map(|device| device.user),
            reactions: message.reactions.len(),
            has_reaction: false,
            has_mine: false,
        };
        if let (Act::React { reaction, .. }, Some(device)) = (&new.act, new.from) {
            let mut reactions = message.reactions.iter();
            facts.has_reaction = reactions.any(|known| known.reaction == *reaction);
            let own = reaction_key(new.conversation, target.seq, device.user, reaction);
            let reactions = self.tables.reactions.write(self.txn)?;
            facts.has_mine = reactions.get(own)?.is_some();
        }
        Ok(Some(facts))
    }

    /// Stores what was decided.
    fn happen(&mut self, new: &NewEvent, mut row: TalkRow) -> Result<Appended, Failure> {
        let (talk, seq) = (new.conversation, row.top + 1);
        let event = self.perform(new, seq, &mut row)?;
        if let Some(name) = &new.key {
            let kept = (seq, new.id.get(), new.at.as_millis(), new.act.fingerprint());
            self.names.insert(name_key(talk, new.from, name), kept)?;
        }
        self.add(talk, &mut row, &event)?;
        Ok(Appended::Stored {
            receipt: self.receipt(&event),
            members: row.members,
        })
    }

    /// Adds an event to the end of a conversation.
    fn add(
        &mut self,
        talk: ConversationId,
        row: &mut TalkRow,
        event: &Event,
    ) -> Result<(), Failure> {
        self.put_event(talk, event)?;
        row.top = event.seq;
        if row.owed_since.is_none() {
            self.owe(talk, row, Some(event.at))?;
        }
        self.put_talk(talk, row)
    }

    /// Notes since when something of a conversation is to be told.
    pub(super) fn owe(
        &self,
        talk: ConversationId,
        row: &mut TalkRow,
        since: Option<Timestamp>,
    ) -> Result<(), Failure> {
        let mut debts = self.tables.debts.write(self.txn)?;
        if let Some(before) = row.owed_since {
            debts.remove(debt_key(before, talk))?;
        }
        if let Some(since) = since {
            debts.insert(debt_key(since, talk), ())?;
        }
        row.owed_since = since;
        Ok(())
    }

    const fn receipt(&self, event: &Event) -> Receipt {
        Receipt {
            id: event.id,
            position: Position::new(self.epoch, event.seq),
            at: event.at,
        }
    }

    pub(super) fn talk(&self, talk: ConversationId) -> Result<Option<TalkRow>, Failure> {
        self.tables.talk(talk, &self.talks, &self.events, || {
            let standings = self.tables.standings.write(self.txn)?;
            self.tables.count_members(talk, &standings)
        })
    }

    pub(super) fn put_talk(&mut self, talk: ConversationId, row: &TalkRow) -> Result<(), Failure> {
        put(&mut self.talks, talk_key(talk), row)
    }

    pub(super) fn event(&self, talk: ConversationId, seq: u64) -> Result<Option<Event>, Failure> {
        self.tables.events.get(&self.events, event_key(talk, seq))
    }

    pub(super) fn put_event(&mut self, talk: ConversationId, event: &Event) -> Result<(), Failure> {
        put(&mut self.events, event_key(talk, event.seq), event)
    }

    /// What `user` is to a conversation; nothing, if they never were in it.
    fn standing(&self, talk: ConversationId, user: UserId) -> Result<Option<Standing>, Failure> {
        let group = match talk {
            ConversationId::Direct(pair) => {
                return Ok(pair.contains(user).then(Standing::of_a_pair));
            }
            ConversationId::Group(group) => group,
        };
        let standings = self.tables.standings.write(self.txn)?;
        let key = (group.get(), user.get());
        self.tables.standings.get(&standings, key)
    }

    pub(super) fn group(&self, group: GroupId) -> Result<GroupRow, Failure> {
        let groups = self.tables.groups.write(self.txn)?;
        let row = self.tables.groups.get(&groups, group.get())?;
        row.map_or_else(|| self.tables.groups.damaged(group.get()), Ok)
    }
}
