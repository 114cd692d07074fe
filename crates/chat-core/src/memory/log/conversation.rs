//! One conversation: its events, the keys they were sent under, and its members.

use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
    mem,
    ops::Bound,
};

use backplane::{Epoch, Position};
use bytes::Bytes;
use hashbrown::HashMap;

use super::{
    reading::Reading,
    row::{Deed, Row, Said, Words},
};
use crate::{
    Act, Answer, Appended, ClientId, ConversationId, Device, Event, Group, HistoryStart, LogRead,
    Member, Message, MessageRef, NewEvent, NewGroup, Owed, Pair, Receipt, Refusal, Role, Stamp,
    Told, Unread, UserId, Viewer, Windows,
    rules::{Facts, TargetFacts, decide},
};

#[derive(Debug)]
pub(super) struct Conversation {
    id: ConversationId,
    epoch: Epoch,
    /// The number of the oldest row, or of the next if there is none.
    first: u64,
    rows: VecDeque<Row>,
    keys: HashMap<(Option<Device>, ClientId), Kept>,
    /// Up to where all were told.
    settled: u64,
    /// Whether it is on the list of those with something to tell.
    pub(super) is_listed: bool,
    group: Option<GroupRow>,
}

/// What is known of an event by its key.
#[derive(Clone, Copy, Debug)]
struct Kept {
    seq: u64,
    fingerprint: u64,
}

#[derive(Debug)]
struct GroupRow {
    limit: u32,
    history: HistoryStart,
    about: Bytes,
    /// How many have a role.
    admitted: u32,
    /// All who are or were in it.
    standings: BTreeMap<UserId, Standing>,
}

#[derive(Debug)]
struct Standing {
    role: Option<Role>,
    windows: Windows,
}

impl Conversation {
    pub(super) fn direct(id: ConversationId, epoch: Epoch) -> Self {
        Self {
            id,
            epoch,
            first: 1,
            rows: VecDeque::new(),
            keys: HashMap::new(),
            settled: 0,
            is_listed: false,
            group: None,
        }
    }

    pub(super) fn found(new: &NewGroup, stamp: Stamp, epoch: Epoch) -> Self {
        let members = new.roster();
        let standing = |&(user, role): &(UserId, Role)| {
            let windows = Windows::all();
            let role = Some(role);
            (user, Standing { role, windows })
        };
        let mut conversation = Self::direct(ConversationId::Group(new.group), epoch);
        conversation.group = Some(GroupRow {
            limit: new.limit,
            history: new.history,
            about: new.about.clone(),
            admitted: u32::try_from(members.len()).unwrap_or(u32::MAX),
            standings: members.iter().map(standing).collect(),
        });
        let about = new.about.clone();
        conversation.rows.push_back(Row {
            id: stamp.id,
            at: stamp.at,
            from: None,
            key: None,
            deed: Deed::Found { members, about },
        });
        conversation
    }

    pub(super) fn top(&self) -> u64 {
        self.first + self.rows.len() as u64 - 1
    }

    fn row(&self, seq: u64) -> Option<&Row> {
        self.rows
            .get(usize::try_from(seq.checked_sub(self.first)?).ok()?)
    }

    fn row_mut(&mut self, seq: u64) -> Option<&mut Row> {
        self.rows
            .get_mut(usize::try_from(seq.checked_sub(self.first)?).ok()?)
    }

    /// The receipt of the event at `seq`.
    pub(super) fn receipt(&self, seq: u64) -> Option<Receipt> {
        let row = self.row(seq)?;
        Some(Receipt {
            id: row.id,
            position: Position::new(self.epoch, seq),
            at: row.at,
        })
    }

    pub(super) fn append(&mut self, event: &NewEvent) -> Appended {
        let key = event.key.map(|key| (event.from, key));
        let kept = key.and_then(|key| self.keys.get(&key).copied());
        if let Some((kept, receipt)) = kept.and_then(|kept| Some((kept, self.receipt(kept.seq)?))) {
            return if kept.fingerprint == event.act.fingerprint() {
                Appended::Duplicate(receipt)
            } else {
                Appended::Conflict(receipt)
            };
        }
        if let Err(refusal) = decide(event, self.facts(event)) {
            return Appended::Refused(refusal);
        }
        let seq = self.top() + 1;
        if let Some(key) = key {
            let fingerprint = event.act.fingerprint();
            self.keys.insert(key, Kept { seq, fingerprint });
        }
        let deed = self.perform(event, seq);
        self.rows.push_back(Row {
            id: event.id,
            at: event.at,
            from: event.from,
            key: event.key,
            deed,
        });
        let receipt = Receipt {
            id: event.id,
            position: Position::new(self.epoch, seq),
            at: event.at,
        };
        let members = self.size();
        Appended::Stored { receipt, members }
    }

    fn facts(&self, event: &NewEvent) -> Facts {
        let role = |user| self.standing(user).and_then(|member| member.role);
        Facts {
            actor: event.from.and_then(|device| role(device.user)),
            subject: event.act.subject().and_then(role),
            target: event
                .act
                .target()
                .and_then(|target| self.target(event, target)),
            has_room: self
                .group
                .as_ref()
                .is_some_and(|group| group.admitted < group.limit),
        }
    }

    fn target(&self, event: &NewEvent, target: MessageRef) -> Option<TargetFacts> {
        let row = self.row(target.seq).filter(|row| row.id == target.id)?;
        let may_read = |device: Device| {
            let windows = self.windows(Viewer::User(device.user));
            windows.is_some_and(|windows| windows.contains(target.seq))
        };
        if !event.from.is_none_or(may_read) {
            return None;
        }
        let reaction = match &event.act {
            Act::React { reaction, .. } => Some(reaction),
            _ => None,
        };
        row.as_target(event.from.map(|device| device.user), reaction)
    }

    /// Does what was decided, and says what is kept of it at its own place.
    fn perform(&mut self, event: &NewEvent, seq: u64) -> Deed {
        match &event.act {
            Act::Message(body) => Deed::Message(Said::new(body.clone())),
            Act::Edit { target, body } => {
                if let Some(said) = self.said_mut(*target) {
                    said.edited = seq;
                    said.revisions.push(seq);
                }
                Deed::Edit(*target, body.clone())
            }
            Act::Delete { target } => {
                self.erase(*target, seq);
                Deed::Delete(*target)
            }
            Act::React {
                target,
                reaction,
                on,
            } => {
                if let Some((said, device)) = self.said_mut(*target).zip(event.from) {
                    said.react(device.user, reaction, *on);
                    said.revisions.push(seq);
                }
                Deed::React {
                    target: *target,
                    reaction: reaction.clone(),
                    on: *on,
                }
            }
            Act::Join { user, role } => {
                self.group
                    .iter_mut()
                    .for_each(|group| group.join(*user, *role, seq));
                Deed::Join(*user, *role)
            }
            Act::Leave { user } => {
                self.group
                    .iter_mut()
                    .for_each(|group| group.leave(*user, seq));
                Deed::Leave(*user)
            }
            Act::Appoint { user, role } => {
                self.group
                    .iter_mut()
                    .for_each(|group| group.appoint(*user, *role));
                Deed::Appoint(*user, *role)
            }
            Act::Describe(about) => {
                self.group
                    .iter_mut()
                    .for_each(|group| group.about = about.clone());
                Deed::Describe(about.clone())
            }
        }
    }

    /// Forgets what a message said, and what its edits did.
    fn erase(&mut self, target: MessageRef, by: u64) {
        let said = self.row_mut(target.seq);
        let said = said.map(|row| mem::replace(&mut row.deed, Deed::Deleted { by }));
        let Some(Deed::Message(said)) = said else {
            return;
        };
        for revision in said.revisions {
            if let Some(Deed::Edit(_, body)) = self.row_mut(revision).map(|row| &mut row.deed) {
                *body = Bytes::new();
            }
        }
    }

    fn said(&self, target: MessageRef) -> Option<&Said> {
        match &self.row(target.seq)?.deed {
            Deed::Message(said) => Some(said),
            _ => None,
        }
    }

    fn said_mut(&mut self, target: MessageRef) -> Option<&mut Said> {
        match &mut self.row_mut(target.seq)?.deed {
            Deed::Message(said) => Some(said),
            _ => None,
        }
    }

    /// What `user` is to the conversation.
    pub(super) fn standing(&self, user: UserId) -> Option<Member> {
        match &self.group {
            None => direct_member(self.id, user),
            Some(group) => {
                let standing = group.standings.get(&user)?;
                Some(Member::new(user, standing.role, standing.windows.clone()))
            }
        }
    }

    pub(super) fn members(&self, since: u64, after: Option<UserId>, limit: usize) -> Vec<Member> {
        let Some(group) = &self.group else {
            return direct_members(self.id, after).take(limit).collect();
        };
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let standings = group.standings.range((after, Bound::Unbounded));
        let concerned = standings.filter(|(_, standing)| standing.windows.end(u64::MAX) >= since);
        let members = concerned
            .map(|(user, standing)| Member::new(*user, standing.role, standing.windows.clone()));
        members.take(limit).collect()
    }

    pub(super) fn group(&self) -> Option<Group> {
        let group = self.group.as_ref()?;
        let about = group.about.clone();
        Some(Group::new(
            group.admitted,
            group.limit,
            group.history,
            about,
        ))
    }

    pub(super) fn read(&self, read: &LogRead) -> Answer {
        let Some(windows) = self.windows(read.viewer) else {
            return Answer::Refused(Refusal::NotMember);
        };
        Reading::new(self, read, windows).answer()
    }

    /// What `viewer` may read; `None` if nothing, ever.
    fn windows(&self, viewer: Viewer) -> Option<Cow<'_, Windows>> {
        match (viewer, &self.group) {
            (Viewer::Application, _) => Some(Cow::Owned(Windows::all())),
            (Viewer::User(user), None) => Some(Cow::Owned(direct_member(self.id, user)?.windows)),
            (Viewer::User(user), Some(group)) => {
                Some(Cow::Borrowed(&group.standings.get(&user)?.windows))
            }
        }
    }

    pub(super) fn unread(&self, user: UserId, read: Position, cap: u32) -> Unread {
        let Some(windows) = self.windows(Viewer::User(user)) else {
            return Unread::NONE;
        };
        let top = windows.end(self.top());
        let read = if read.epoch == self.epoch {
            read.offset
        } else {
            0
        };
        let stretch = read.saturating_add(1).max(self.first)..=top;
        let rows = windows
            .within(stretch)
            .flatten()
            .filter_map(|seq| self.row(seq));
        let is_others = |row: &&Row| {
            let is_own = row.from.is_some_and(|device| device.user == user);
            !is_own && matches!(row.deed, Deed::Message(_))
        };
        let count = rows.filter(is_others).take(cap as usize).count();
        Unread {
            count: u32::try_from(count).unwrap_or(cap),
            top: Position::new(self.epoch, top),
        }
    }

    /// Forgets what is before `seq`, and says how many events that were.
    pub(super) fn trim(&mut self, seq: u64) -> usize {
        let mut trimmed = 0;
        while self.first < seq
            && let Some(row) = self.rows.pop_front()
        {
            if let Some(key) = row.key {
                self.keys.remove(&(row.from, key));
            }
            self.first += 1;
            trimmed += 1;
        }
        self.settled = self.settled.max(self.first - 1);
        trimmed
    }

    pub(super) const fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(super) const fn first(&self) -> u64 {
        self.first
    }

    /// How many members there are.
    fn size(&self) -> u32 {
        match (&self.group, self.id.pair()) {
            (Some(group), _) => group.admitted,
            (None, pair) => pair.map_or(0, Pair::size),
        }
    }

    pub(super) fn settle(&mut self, told: Told) {
        let Told { after, until, .. } = told;
        if until.epoch == self.epoch && after <= self.settled {
            self.settled = self.settled.max(until.offset.min(self.top()));
        }
    }

    /// What is to be told, and since when; `None` if nothing.
    pub(super) fn owed(&self) -> Option<(backplane::Timestamp, Owed)> {
        let oldest = self.row(self.settled + 1)?;
        let owed = Owed {
            conversation: self.id,
            settled: self.settled,
            top: Position::new(self.epoch, self.top()),
        };
        Some((oldest.at, owed))
    }

    /// The event at `seq` for a viewer who may read `windows`.
    pub(super) fn show(&self, seq: u64, viewer: Viewer, windows: &Windows) -> Option<Event> {
        let row = self.row(seq)?;
        let words = match &row.deed {
            Deed::Message(said) if windows.is_whole(seq..=said.last_revision()) => {
                Words::Message(said.show(self.body(said), viewer))
            }
            Deed::Message(said) => Words::Message(self.as_seen(said, viewer, windows)),
            Deed::Edit(target, body) => Words::Edit(self.said(*target).map(|_| body.clone())),
            _ => Words::None,
        };
        Some(row.show(seq, words))
    }

    /// What a message says now.
    fn body(&self, said: &Said) -> Bytes {
        let edit = self.row(said.edited).map(|row| &row.deed);
        match edit {
            Some(Deed::Edit(_, body)) => body.clone(),
            _ => said.body.clone(),
        }
    }

    /// What a message reads as for who may see only some of what was done to it.
    fn as_seen(&self, said: &Said, viewer: Viewer, windows: &Windows) -> Message {
        let mut seen = Said::new(said.body.clone());
        let revisions = said.revisions.iter().filter(|seq| windows.contains(**seq));
        for (seq, row) in revisions.filter_map(|seq| Some((*seq, self.row(seq.to_owned())?))) {
            match (&row.deed, row.from) {
                (Deed::Edit(..), _) => seen.edited = seq,
                (Deed::React { reaction, on, .. }, Some(device)) => {
                    seen.react(device.user, reaction, *on);
                }
                _ => {}
            }
            seen.revisions.push(seq);
        }
        seen.show(self.body(&seen), viewer)
    }
}

impl GroupRow {
    fn join(&mut self, user: UserId, role: Role, seq: u64) {
        let standing = self.standings.entry(user).or_insert_with(|| Standing {
            role: None,
            windows: Windows::default(),
        });
        standing.role = Some(role);
        standing.windows.open(match self.history {
            HistoryStart::Beginning => 1,
            HistoryStart::Joining => seq,
        });
        self.admitted += 1;
    }

    fn appoint(&mut self, user: UserId, role: Role) {
        if let Some(standing) = self.standings.get_mut(&user) {
            standing.role = Some(role);
        }
    }

    fn leave(&mut self, user: UserId, seq: u64) {
        if let Some(standing) = self.standings.get_mut(&user) {
            standing.role = None;
            standing.windows.close(seq);
            self.admitted -= 1;
        }
    }
}

/// What `user` is to a direct conversation.
pub(super) fn direct_member(id: ConversationId, user: UserId) -> Option<Member> {
    let is_one = id.pair().is_some_and(|pair| pair.contains(user));
    is_one.then(|| Member::new(user, Some(Role::Member), Windows::all()))
}

/// The members of a direct conversation after `after`.
pub(super) fn direct_members(
    id: ConversationId,
    after: Option<UserId>,
) -> impl Iterator<Item = Member> {
    let users = id.pair().into_iter().flat_map(Pair::users);
    let users = users.filter(move |&user| after.is_none_or(|after| user > after));
    users.map(|user| Member::new(user, Some(Role::Member), Windows::all()))
}

#[cfg(test)]
mod tests {
    use backplane::Timestamp;

    use super::*;
    use crate::{DeviceId, MessageId};

    const ANN: UserId = UserId::new(1);

    fn event(raw: u64, act: Act) -> NewEvent {
        let talk = ConversationId::direct(ANN, ANN);
        let device = Some(Device::new(ANN, DeviceId::new(1)));
        NewEvent::new(talk, MessageId::new(raw), Timestamp::EPOCH, device, act)
    }

    #[test]
    fn nothing_that_a_deleted_message_said_is_kept() {
        let talk = ConversationId::direct(ANN, ANN);
        let mut conversation = Conversation::direct(talk, Epoch::new(1));
        let target = MessageRef {
            seq: 1,
            id: MessageId::new(1),
        };
        let body = || Bytes::from_static(b"secret");
        let edit = Act::Edit {
            target,
            body: body(),
        };
        for (raw, act) in (1..).zip([Act::Message(body()), edit, Act::Delete { target }]) {
            let _ = conversation.append(&event(raw, act));
        }
        assert!(!format!("{conversation:?}").contains("secret"));
    }

    #[test]
    fn a_trim_leaves_no_key_behind() {
        let talk = ConversationId::direct(ANN, ANN);
        let mut conversation = Conversation::direct(talk, Epoch::new(1));
        for raw in 1..=3 {
            let event = event(raw, Act::Message(Bytes::new()));
            let _ = conversation.append(&event.with_key(raw.to_string().parse().unwrap()));
        }
        assert_eq!(conversation.trim(3), 2);
        assert_eq!(conversation.keys.len(), 1);
    }
}
