//! What conversations, groups and members are, as one transaction reads them.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use backplane::{Epoch, Position, Timestamp};
use bytes::Bytes;
use chat_core::{
    Answer, ConversationId, Event, Group, GroupId, LogRead, Member, Message, Page, Reaction,
    Reactions, Refusal, START, Unread, UnreadAsk, UserId, Viewer, What, Windows,
};
use redb::{ReadOnlyTable, ReadTransaction};

use super::{
    reading::Reading,
    rows::{Standing, TalkRow},
    tables::{ChangeKey, EventKey, LogTables, change_key, event_key, reaction_key},
};
use crate::{CorruptRow, Failure, chat::rows::TalkKey, store::Named};

pub(super) struct Shelf<'a> {
    txn: &'a ReadTransaction,
    tables: &'a LogTables,
    pub(super) epoch: Epoch,
    talks: ReadOnlyTable<TalkKey, &'static [u8]>,
    events: ReadOnlyTable<EventKey, &'static [u8]>,
    words: ReadOnlyTable<EventKey, &'static [u8]>,
    standings: ReadOnlyTable<(u64, u64), &'static [u8]>,
}

impl<'a> Shelf<'a> {
    pub(super) fn open(
        txn: &'a ReadTransaction,
        tables: &'a LogTables,
        epoch: Epoch,
    ) -> Result<Self, Failure> {
        Ok(Self {
            txn,
            tables,
            epoch,
            talks: tables.talks.read(txn)?,
            events: tables.events.read(txn)?,
            words: tables.words.read(txn)?,
            standings: tables.standings.read(txn)?,
        })
    }

    pub(super) fn talk(&self, talk: ConversationId) -> Result<Option<TalkRow>, Failure> {
        self.tables.talk(talk, &self.talks, &self.events, || {
            self.tables.count_members(talk, &self.standings)
        })
    }

    /// Those of which something that happened until then is to be told, the longest first.
    pub(super) fn owing(
        &self,
        until: Timestamp,
    ) -> Result<impl Iterator<Item = Result<TalkKey, Failure>> + use<>, Failure> {
        let last = (until.as_millis(), u8::MAX, u64::MAX, u64::MAX);
        let debts = self.tables.debts.read(self.txn)?.range(..=last)?;
        Ok(debts.map(|debt| {
            let (_, kind, one, other) = debt?.0.value();
            Ok((kind, one, other))
        }))
    }

    pub(super) fn answer(&self, read: &LogRead) -> Result<Answer, Failure> {
        let row = self.talk(read.conversation)?;
        if row.is_none() && matches!(read.conversation, ConversationId::Group(_)) {
            return Ok(Answer::Refused(Refusal::UnknownConversation));
        }
        let Some(windows) = self.windows(read.conversation, read.viewer)? else {
            return Ok(Answer::Refused(Refusal::NotMember));
        };
        Ok(match row {
            Some(row) => Reading::new(self, &row, read, windows).answer()?,
            None if read.seek.is_beyond(0) => Answer::Stale { top: START },
            None => Answer::Page(Page::new(START.epoch, 1, 0, (1, 0), Vec::new())),
        })
    }

    pub(super) fn unread(&self, ask: &UnreadAsk) -> Result<Unread, Failure> {
        let talk = ask.conversation;
        let windows = self.windows(talk, Viewer::User(ask.user))?;
        let (Some(row), Some(windows)) = (self.talk(talk)?, windows) else {
            return Ok(Unread::NONE);
        };
        let top = windows.end(row.top);
        let read = if ask.read.epoch == self.epoch {
            ask.read.offset
        } else {
            0
        };
        let from = read.saturating_add(1).max(row.first);
        let mut count = 0;
        for stretch in windows.within(from..=top) {
            let (first, last) = stretch.into_inner();
            let keys = event_key(talk, first)..=event_key(talk, last);
            let mut events = self.events.range(keys)?;
            while count < ask.cap
                && let Some((key, row)) = events.next().transpose()?
            {
                let event = self.tables.events.decode(key.value(), row.value());
                let event = CorruptRow::pass_over(event.map(Some), None)?;
                count += u32::from(event.is_some_and(|event| is_said_by_others(&event, ask.user)));
            }
        }
        let top = Position::new(self.epoch, top);
        Ok(Unread { count, top })
    }

    /// What `viewer` may read; `None` if nothing, ever.
    fn windows(&self, talk: ConversationId, viewer: Viewer) -> Result<Option<Windows>, Failure> {
        match viewer {
            Viewer::Application => Ok(Some(Windows::all())),
            Viewer::User(user) => {
                let standing = self.standing(talk, user)?;
                Ok(standing.map(|standing| standing.windows))
            }
        }
    }

    fn standing(&self, talk: ConversationId, user: UserId) -> Result<Option<Standing>, Failure> {
        match talk {
            ConversationId::Direct(pair) => Ok(pair.contains(user).then(Standing::of_a_pair)),
            ConversationId::Group(group) => {
                let key = (group.get(), user.get());
                let found = self.tables.standings.get(&self.standings, key);
                CorruptRow::pass_over(found, None)
            }
        }
    }

    pub(super) fn member(
        &self,
        talk: ConversationId,
        user: UserId,
    ) -> Result<Option<Member>, Failure> {
        let standing = self.standing(talk, user)?;
        Ok(standing.map(|standing| standing.member(user)))
    }

    pub(super) fn members(
        &self,
        talk: ConversationId,
        since: u64,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<Member>, Failure> {
        let group = match talk {
            ConversationId::Group(group) => group.get(),
            ConversationId::Direct(pair) => {
                let users = pair.users();
                let users = users.filter(|user| after.is_none_or(|after| *user > after));
                let members = users.map(|user| Standing::of_a_pair().member(user));
                return Ok(members.take(limit).collect());
            }
        };
        let first = after.map_or(Bound::Included((group, 0)), |after| {
            Bound::Excluded((group, after.get()))
        });
        let keys = (first, Bound::Included((group, u64::MAX)));
        let mut rows = self.standings.range::<(u64, u64)>(keys)?;
        let mut members = Vec::new();
        while members.len() < limit
            && let Some((key, row)) = rows.next().transpose()?
        {
            let standing = self.tables.standings.decode(key.value(), row.value());
            let standing = CorruptRow::pass_over(standing.map(Some), None)?;
            let concerned = standing.filter(|one| one.windows.end(u64::MAX) >= since);
            let user = UserId::new(key.value().1);
            members.extend(concerned.map(|standing| standing.member(user)));
        }
        Ok(members)
    }

    pub(super) fn group(&self, group: GroupId) -> Result<Option<Group>, Failure> {
        let groups = self.tables.groups.read(self.txn)?;
        let row = CorruptRow::pass_over(self.tables.groups.get(&groups, group.get()), None)?;
        let talk = self.talk(ConversationId::Group(group))?;
        Ok(row
            .zip(talk)
            .map(|(row, talk)| Group::new(talk.members, row.limit, row.history, row.about)))
    }

    /// The event at `seq` for a viewer who may read `windows`, unless it is not there.
    pub(super) fn show(
        &self,
        talk: ConversationId,
        seq: u64,
        viewer: Viewer,
        windows: &Windows,
    ) -> Result<Option<Event>, Failure> {
        let Some(mut event) = self.event(talk, seq)? else {
            return Ok(None);
        };
        match &mut event.what {
            What::Message(message) => {
                if windows.is_whole(seq..=message.revised) {
                    self.tell_own(talk, seq, viewer, &mut message.reactions)?;
                } else {
                    *message = self.as_seen(talk, seq, viewer, windows)?;
                }
                let says = if message.edited > 0 {
                    message.edited
                } else {
                    seq
                };
                message.body = self.words(talk, says)?;
            }
            What::Edit { target, body } => {
                let target = self.event(talk, target.seq)?;
                if target.is_some_and(|target| matches!(target.what, What::Message(_))) {
                    *body = Some(self.words(talk, seq)?);
                }
            }
            _ => {}
        }
        Ok(Some(event))
    }

    fn event(&self, talk: ConversationId, seq: u64) -> Result<Option<Event>, Failure> {
        let found = self.tables.events.get(&self.events, event_key(talk, seq));
        CorruptRow::pass_over(found, None)
    }

    fn words(&self, talk: ConversationId, seq: u64) -> Result<Bytes, Failure> {
        let words = self.words.get(event_key(talk, seq))?;
        Ok(words.map_or_else(Bytes::new, |words| Bytes::copy_from_slice(words.value())))
    }

    /// Says which reactions are the viewer's.
    fn tell_own(
        &self,
        talk: ConversationId,
        seq: u64,
        viewer: Viewer,
        reactions: &mut [Reactions],
    ) -> Result<(), Failure> {
        let Viewer::User(user) = viewer else {
            return Ok(());
        };
        if reactions.is_empty() {
            return Ok(());
        }
        let standing = self.tables.reactions.read(self.txn)?;
        for reactions in reactions {
            let own = reaction_key(talk, seq, user, &reactions.reaction);
            reactions.mine = standing.get(own)?.is_some();
        }
        Ok(())
    }

    /// A message, but for what it says, as it reads for who may see only some of what was done to it.
    fn as_seen(
        &self,
        talk: ConversationId,
        seq: u64,
        viewer: Viewer,
        windows: &Windows,
    ) -> Result<Message, Failure> {
        let (mut edited, mut revised) = (0, 0);
        for edit in self.changes(&self.tables.edits, talk, seq, windows)? {
            edited = edit?;
        }
        let mut reacting: BTreeMap<Reaction, BTreeSet<UserId>> = BTreeMap::new();
        for react in self.changes(&self.tables.reacts, talk, seq, windows)? {
            revised = react?;
            let Some(event) = self.event(talk, revised)? else {
                continue;
            };
            if let (What::React { reaction, on, .. }, Some(device)) = (event.what, event.from) {
                let users = reacting.entry(reaction).or_default();
                if on {
                    users.insert(device.user);
                } else {
                    users.remove(&device.user);
                }
            }
        }
        let is_mine = |users: &BTreeSet<UserId>| match viewer {
            Viewer::User(user) => users.contains(&user),
            Viewer::Application => false,
        };
        let reacting = reacting.into_iter().filter(|(_, users)| !users.is_empty());
        let reactions = reacting
            .map(|(reaction, users)| Reactions::new(reaction, users.len() as u64, is_mine(&users)));
        let mut seen = Message::new(Bytes::new());
        seen.edited = edited;
        seen.revised = revised.max(edited);
        seen.reactions = reactions.collect();
        Ok(seen)
    }

    /// What was done to the message at `seq` that is within `windows`.
    fn changes(
        &self,
        table: &Named<ChangeKey, ()>,
        talk: ConversationId,
        seq: u64,
        windows: &Windows,
    ) -> Result<impl Iterator<Item = Result<u64, Failure>>, Failure> {
        let all = change_key(talk, seq, 0)..=change_key(talk, seq, u64::MAX);
        let changes = table.read(self.txn)?.range(all)?;
        let changes = changes.map(|change| Ok(change?.0.value().4));
        Ok(changes.filter(|change: &Result<u64, Failure>| {
            change.as_ref().map_or(true, |seq| windows.contains(*seq))
        }))
    }
}

fn is_said_by_others(event: &Event, user: UserId) -> bool {
    let is_own = event.from.is_some_and(|device| device.user == user);
    !is_own && matches!(event.what, What::Message(_))
}
