use backplane::Timestamp;
use chat_core::{ClientId, ConversationId, Device, Event, Reaction, UserId};
use redb::{ReadableTable, WriteTransaction};

use super::rows::{GroupRow, Standing, TalkRow};
use crate::{
    CorruptRow, Failure,
    chat::{
        epoch::EpochTable,
        rows::{Rows, TalkKey, talk_key},
    },
    store::{Named, Tables},
};

/// A conversation and a number.
pub(super) type EventKey = (u8, u64, u64, u64);
/// A conversation, a message, and what changed it.
pub(super) type ChangeKey = (u8, u64, u64, u64, u64);
/// A conversation, a message, a user and how they react to it.
pub(super) type ReactionKey<'a> = (u8, u64, u64, u64, u64, &'a str);
/// A conversation; 0, or 1 and a device; and its own name for an event.
pub(super) type NameKey<'a> = (u8, u64, u64, u8, u64, u64, &'a str);
/// Where an event is, its id, when it was taken, and its fingerprint.
pub(super) type Kept = (u64, u64, u64, u64);
/// When it began to be owed, and a conversation.
pub(super) type DebtKey = (u64, u8, u64, u64);

/// How a log lies on disk. A conversation in a key is what [`TalkKey`] says; a row that is a value has
/// the bytes of [`chat_core::codec`].
///
/// | table | key | row |
/// |---|---|---|
/// | epoch | `epoch` | the epoch of all conversations |
/// | talks | conversation | [`TalkRow`] |
/// | events | conversation, number | the [`Event`] as the application reads it, without what `words` has |
/// | words | conversation, number | what the message or the edit says, unless that is nothing or deleted |
/// | names | conversation, device, client id | number, id, time, fingerprint |
/// | edits | conversation, number of a message, number of an edit of it | nothing |
/// | reacts | conversation, number of a message, number of a reaction to it | nothing |
/// | reactions | conversation, number of a message, user, text | nothing; what stands of `reacts` |
/// | groups | group | [`GroupRow`] |
/// | standings | group, user | [`Standing`] |
/// | debts | time, conversation | nothing; those with something to tell, since when |
#[derive(Debug)]
pub(super) struct LogTables {
    pub(super) epoch: EpochTable,
    pub(super) talks: Rows<TalkKey, TalkRow>,
    pub(super) events: Rows<EventKey, Event>,
    pub(super) words: Named<EventKey, &'static [u8]>,
    pub(super) names: Named<NameKey<'static>, Kept>,
    pub(super) edits: Named<ChangeKey, ()>,
    pub(super) reacts: Named<ChangeKey, ()>,
    pub(super) reactions: Named<ReactionKey<'static>, ()>,
    pub(super) groups: Rows<u64, GroupRow>,
    pub(super) standings: Rows<(u64, u64), Standing>,
    pub(super) debts: Named<DebtKey, ()>,
}

impl LogTables {
    pub(super) fn new(store: &str) -> Self {
        const KIND: &str = "chat.log";
        Self {
            epoch: EpochTable::new(KIND, store),
            talks: Rows::new(KIND, store, "talks"),
            events: Rows::new(KIND, store, "events"),
            words: Named::new(KIND, store, "words"),
            names: Named::new(KIND, store, "names"),
            edits: Named::new(KIND, store, "edits"),
            reacts: Named::new(KIND, store, "reacts"),
            reactions: Named::new(KIND, store, "reactions"),
            groups: Rows::new(KIND, store, "groups"),
            standings: Rows::new(KIND, store, "standings"),
            debts: Named::new(KIND, store, "debts"),
        }
    }

    /// How far `talk` has come, if anything has happened in it. If its row does not decode, that is what
    /// other rows tell.
    pub(super) fn talk(
        &self,
        talk: ConversationId,
        talks: &impl ReadableTable<TalkKey, &'static [u8]>,
        events: &impl ReadableTable<EventKey, &'static [u8]>,
        members: impl FnOnce() -> Result<u32, Failure>,
    ) -> Result<Option<TalkRow>, Failure> {
        let found = self.talks.get(talks, talk_key(talk));
        CorruptRow::make_up(found, || {
            let members = members()?;
            let told = self.recount(talk, events, members)?;
            told.map_or_else(|| self.talks.damaged(talk_key(talk)), |row| Ok(Some(row)))
        })
    }

    /// How many members `talk` has, by a look at each who is or was in it.
    pub(super) fn count_members(
        &self,
        talk: ConversationId,
        standings: &impl ReadableTable<(u64, u64), &'static [u8]>,
    ) -> Result<u32, Failure> {
        let group = match talk {
            ConversationId::Direct(pair) => return Ok(pair.size()),
            ConversationId::Group(group) => group.get(),
        };
        let mut count = 0;
        for row in standings.range((group, 0)..=(group, u64::MAX))? {
            let (key, row) = row?;
            let standing = self.standings.decode(key.value(), row.value());
            count += u32::from(standing.is_ok_and(|standing| standing.role.is_some()));
        }
        Ok(count)
    }

    /// How far `talk` has come by its events, if one is left. It is not known of which of them somebody
    /// was told.
    fn recount(
        &self,
        talk: ConversationId,
        events: &impl ReadableTable<EventKey, &'static [u8]>,
        members: u32,
    ) -> Result<Option<TalkRow>, Failure> {
        let mut left = events.range(event_key(talk, 1)..event_key(talk, u64::MAX))?;
        let Some((key, row)) = left.next().transpose()? else {
            return Ok(None);
        };
        let oldest = self.events.decode(key.value(), row.value());
        let (.., first) = key.value();
        let last = left.next_back().transpose()?;
        Ok(Some(TalkRow {
            first,
            top: last.map_or(first, |(key, _)| key.value().3),
            settled: first - 1,
            owed_since: Some(oldest.map_or(Timestamp::EPOCH, |event| event.at)),
            members,
        }))
    }
}

impl Tables for LogTables {
    type Error = chat_core::Error;

    fn create(&self, txn: &WriteTransaction) -> Result<(), Failure> {
        self.epoch.create(txn)?;
        self.talks.create(txn)?;
        self.events.create(txn)?;
        self.words.create(txn)?;
        self.names.create(txn)?;
        self.edits.create(txn)?;
        self.reacts.create(txn)?;
        self.reactions.create(txn)?;
        self.groups.create(txn)?;
        self.standings.create(txn)?;
        self.debts.create(txn)
    }
}

pub(super) const fn event_key(talk: ConversationId, seq: u64) -> EventKey {
    let (kind, one, other) = talk_key(talk);
    (kind, one, other, seq)
}

pub(super) const fn change_key(talk: ConversationId, target: u64, by: u64) -> ChangeKey {
    let (kind, one, other) = talk_key(talk);
    (kind, one, other, target, by)
}

pub(super) fn reaction_key(
    talk: ConversationId,
    target: u64,
    user: UserId,
    reaction: &Reaction,
) -> ReactionKey<'_> {
    let (kind, one, other) = talk_key(talk);
    (kind, one, other, target, user.get(), reaction.as_str())
}

pub(super) fn name_key(talk: ConversationId, from: Option<Device>, name: &ClientId) -> NameKey<'_> {
    let (kind, one, other) = talk_key(talk);
    let (is_device, user, device) =
        from.map_or((0, 0, 0), |from| (1, from.user.get(), from.id.get()));
    (kind, one, other, is_device, user, device, name.as_str())
}

pub(super) const fn debt_key(since: Timestamp, talk: ConversationId) -> DebtKey {
    let (kind, one, other) = talk_key(talk);
    (since.as_millis(), kind, one, other)
}
