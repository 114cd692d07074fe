//! A log that keeps nothing but what was asked of it, and finds every answer by going through that
//! from the beginning.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use backplane::{Epoch, Position, Timestamp};
use bytes::Bytes;
use parking_lot::Mutex;
use proptest::prelude::*;

use super::MemoryLog;
use crate::{
    Act, Answer, Appended, ClientId, ConversationId, Device, Event, Founded, Group, GroupId,
    HistoryStart, LogRead, Member, Message, MessageLog, MessageRef, NewEvent, NewGroup, Owed, Page,
    Pair, Reactions, Receipt, Refusal, Result, Role, START, Seek, Stamp, Told, Unread, UnreadAsk,
    UserId, Viewer, What, Windows,
    conformance::histories::log::{histories, play_beside},
    rules::{Facts, TargetFacts, decide},
};

const EPOCH: Epoch = Epoch::new(7);

#[derive(Debug, Default)]
struct Oracle(Mutex<BTreeMap<ConversationId, Story>>);

/// All that happened in a conversation.
#[derive(Clone, Debug)]
struct Story {
    talk: ConversationId,
    /// How a group was founded.
    founding: Option<(NewGroup, Stamp)>,
    /// From number 1 on, or from 2 in a group.
    events: Vec<NewEvent>,
    first: u64,
    settled: u64,
}

impl Story {
    fn new(talk: ConversationId, founding: Option<(NewGroup, Stamp)>) -> Self {
        Self {
            talk,
            founding,
            events: Vec::new(),
            first: 1,
            settled: 0,
        }
    }

    fn offset(&self) -> u64 {
        u64::from(self.founding.is_some())
    }

    fn top(&self) -> u64 {
        self.offset() + self.events.len() as u64
    }

    /// Every event but the founding, with its number.
    fn numbered(&self) -> impl Iterator<Item = (u64, &NewEvent)> {
        (self.offset() + 1..).zip(&self.events)
    }

    fn receipt(&self, seq: u64) -> Receipt {
        let stamp = match (&self.founding, self.numbered().find(|(n, _)| *n == seq)) {
            (_, Some((_, event))) => Stamp {
                id: event.id,
                at: event.at,
            },
            (Some((_, stamp)), None) => *stamp,
            (None, None) => panic!("nothing happened at {seq}"),
        };
        Receipt {
            id: stamp.id,
            position: Position::new(EPOCH, seq),
            at: stamp.at,
        }
    }

    fn roles(&self) -> BTreeMap<UserId, Role> {
        let mut roles = BTreeMap::new();
        roles.extend(
            self.talk
                .pair()
                .into_iter()
                .flat_map(Pair::users)
                .map(|user| (user, Role::Member)),
        );
        roles.extend(self.founding.iter().flat_map(|(group, _)| group.roster()));
        for event in &self.events {
            match event.act {
                Act::Join { user, role } | Act::Appoint { user, role } => {
                    roles.insert(user, role);
                }
                Act::Leave { user } => {
                    roles.remove(&user);
                }
                _ => {}
            }
        }
        roles
    }

    /// The numbers that `viewer` may read; `None` for who never was here.
    fn readable(&self, viewer: Viewer) -> Option<BTreeSet<u64>> {
        let all = || (1..=self.top()).collect();
        let Viewer::User(user) = viewer else {
            return Some(all());
        };
        let Some((group, _)) = &self.founding else {
            return self
                .talk
                .pair()
                .filter(|pair| pair.contains(user))
                .map(|_| all());
        };
        let mut is_in = group.roster().iter().any(|(member, _)| *member == user);
        let mut read = is_in.then(|| BTreeSet::from([1]));
        for (seq, event) in self.numbered() {
            match event.act {
                Act::Join { user: joined, .. } if joined == user => {
                    is_in = true;
                    let read = read.get_or_insert_default();
                    if group.history == HistoryStart::Beginning {
                        read.extend(1..seq);
                    }
                    read.insert(seq);
                }
                Act::Leave { user: left } if left == user => {
                    is_in = false;
                    read.get_or_insert_default().insert(seq);
                }
                _ if is_in => {
                    read.get_or_insert_default().insert(seq);
                }
                _ => {}
            }
        }
        read
    }

    fn member(&self, user: UserId) -> Option<Member> {
        let readable = self.readable(Viewer::User(user))?;
        let role = self.roles().get(&user).copied();
        let mut windows = Windows::default();
        let mut last = None;
        for &seq in &readable {
            if last != Some(seq - 1) {
                windows.open(seq);
            }
            last = Some(seq);
            if !readable.contains(&(seq + 1)) {
                windows.close(seq);
            }
        }
        if role.is_some() {
            windows.open(last.map_or(1, |last| last + 1));
        }
        Some(Member::new(user, role, windows))
    }

    /// What is known of the key of `event`, as long as its event is retained.
    fn earlier(&self, event: &NewEvent) -> Option<(u64, &NewEvent)> {
        let key: (Option<Device>, ClientId) = (event.from, event.key?);
        let is_same =
            |(_, other): &(u64, &NewEvent)| other.key == Some(key.1) && other.from == key.0;
        self.numbered()
            .filter(|(seq, _)| *seq >= self.first)
            .find(is_same)
    }

    fn append(&mut self, event: &NewEvent) -> Appended {
        if let Some((seq, earlier)) = self.earlier(event) {
            let receipt = self.receipt(seq);
            return if earlier.act == event.act {
                Appended::Duplicate(receipt)
            } else {
                Appended::Conflict(receipt)
            };
        }
        if let Err(refusal) = decide(event, self.facts(event)) {
            return Appended::Refused(refusal);
        }
        self.events.push(event.clone());
        let receipt = self.receipt(self.top());
        let members = u32::try_from(self.roles().len()).unwrap();
        Appended::Stored { receipt, members }
    }

    fn facts(&self, event: &NewEvent) -> Facts {
        let roles = self.roles();
        let limit = self
            .founding
            .as_ref()
            .map_or(0, |(group, _)| group.limit as usize);
        Facts {
            actor: event
                .from
                .and_then(|device| roles.get(&device.user).copied()),
            subject: event
                .act
                .subject()
                .and_then(|user| roles.get(&user).copied()),
            target: event
                .act
                .target()
                .and_then(|target| self.target(event, target)),
            has_room: roles.len() < limit,
        }
    }

    fn target(&self, event: &NewEvent, target: MessageRef) -> Option<TargetFacts> {
        let (_, said) = self.numbered().find(|(seq, _)| *seq == target.seq)?;
        let user = event.from.map(|device| device.user);
        let readable = self.readable(user.map_or(Viewer::Application, Viewer::User))?;
        if said.id != target.id || target.seq < self.first || !readable.contains(&target.seq) {
            return None;
        }
        let What::Message(message) = self.what(target.seq, Viewer::Application)? else {
            return None;
        };
        let asked = match &event.act {
            Act::React { reaction, .. } => Some(reaction),
            _ => None,
        };
        // Their last word in this matter.
        let mut words = self
            .about(target.seq)
            .filter(|(_, event)| event.from.map(|d| d.user) == user);
        let last = words.rfind(|(_, event)| matches!(&event.act, Act::React { reaction, .. } if Some(reaction) == asked));
        Some(TargetFacts {
            author: said.from.map(|device| device.user),
            reactions: message.reactions.len(),
            has_reaction: message
                .reactions
                .iter()
                .any(|one| Some(&one.reaction) == asked),
            has_mine: last
                .is_some_and(|(_, event)| matches!(event.act, Act::React { on: true, .. })),
        })
    }

    /// What was done to the message at `seq`.
    fn about(&self, seq: u64) -> impl DoubleEndedIterator<Item = (u64, &NewEvent)> {
        let is_about =
            move |event: &NewEvent| event.act.target().is_some_and(|target| target.seq == seq);
        let events: Vec<_> = self
            .numbered()
            .filter(|(_, event)| is_about(event))
            .collect();
        events.into_iter()
    }

    /// How the message at `seq` is after all that was done to it and `viewer` may read.
    fn message(&self, seq: u64, body: &Bytes, viewer: Viewer) -> What {
        let mut message = Message::new(body.clone());
        let mut reacting = BTreeSet::new();
        let readable = self.readable(viewer).unwrap_or_default();
        for (by, event) in self.about(seq) {
            match &event.act {
                Act::Delete { .. } => return What::Deleted { by },
                _ if !readable.contains(&by) => {}
                Act::Edit { body, .. } => {
                    message.body = body.clone();
                    (message.edited, message.revised) = (by, by);
                }
                Act::React { reaction, on, .. } => {
                    let line = (reaction.clone(), event.from.unwrap().user);
                    if *on {
                        reacting.insert(line)
                    } else {
                        reacting.remove(&line)
                    };
                    message.revised = by;
                }
                _ => {}
            }
        }
        for (reaction, user) in reacting {
            let mine = viewer == Viewer::User(user);
            match message
                .reactions
                .last_mut()
                .filter(|last| last.reaction == reaction)
            {
                Some(last) => (last.count, last.mine) = (last.count + 1, last.mine || mine),
                None => message.reactions.push(Reactions::new(reaction, 1, mine)),
            }
        }
        What::Message(message)
    }

    fn what(&self, seq: u64, viewer: Viewer) -> Option<What> {
        let Some((_, event)) = self.numbered().find(|(n, _)| *n == seq) else {
            let (group, _) = self.founding.as_ref().filter(|_| seq == 1)?;
            let members = group.roster();
            let about = group.about.clone();
            return Some(What::Found { members, about });
        };
        Some(match event.act.clone() {
            Act::Message(body) => self.message(seq, &body, viewer),
            Act::Edit { target, body } => {
                let now = self.what(target.seq, viewer)?;
                let is_there = matches!(now, What::Message(_)) && target.seq >= self.first;
                let body = is_there.then_some(body);
                What::Edit { target, body }
            }
            Act::Delete { target } => What::Delete { target },
            Act::React {
                target,
                reaction,
                on,
            } => What::React {
                target,
                reaction,
                on,
            },
            Act::Join { user, role } => What::Join { user, role },
            Act::Leave { user } => What::Leave { user },
            Act::Appoint { user, role } => What::Appoint { user, role },
            Act::Describe(about) => What::Describe(about),
        })
    }

    fn event(&self, seq: u64, viewer: Viewer) -> Event {
        let receipt = self.receipt(seq);
        let (from, key) = self
            .numbered()
            .find(|(n, _)| *n == seq)
            .map_or((None, None), |(_, event)| (event.from, event.key));
        let what = self.what(seq, viewer).unwrap();
        Event::new(seq, receipt.id, receipt.at, from, key, what)
    }

    fn read(&self, read: &LogRead) -> Answer {
        let Some(readable) = self.readable(read.viewer) else {
            return Answer::Refused(Refusal::NotMember);
        };
        let top = readable.last().copied().unwrap_or(0);
        let end = self.top() + u64::from(matches!(read.seek, Seek::Before(_)));
        if read
            .seek
            .position()
            .is_some_and(|at| at.offset > 0 && (at.epoch != EPOCH || at.offset > end))
        {
            let top = Position::new(EPOCH, top);
            return Answer::Stale { top };
        }
        let readable: Vec<_> = readable
            .into_iter()
            .filter(|seq| *seq >= self.first)
            .collect();
        // Where the page begins if it goes forth, and where it ends if it goes back.
        let (forth, back) = match read.seek {
            Seek::Latest => (None, Some(top)),
            Seek::Before(at) => (None, Some(top.min(at.offset.saturating_sub(1)))),
            Seek::After(at) => (Some(self.first.max(at.offset + 1)), None),
            Seek::Around(at) => {
                let middle = self.first.max(at.offset);
                (Some(middle), Some(top.min(middle - 1)))
            }
        };
        let is_around = forth.is_some() && back.is_some();
        let share = |whole: usize| if is_around { whole / 2 } else { whole };
        let (mut events, mut from, mut until) = (Vec::new(), 0, 0);
        if let Some(back) = back {
            let seqs = readable.iter().rev().copied().filter(|seq| *seq <= back);
            let (taken, next) = self.take(seqs, read.viewer, share(read.limit), share(read.bytes));
            events.extend(taken.into_iter().rev());
            (from, until) = (
                next.map_or_else(|| self.first.min(back + 1), |next| next + 1),
                back,
            );
        }
        if let Some(forth) = forth {
            let seqs = readable.iter().copied().filter(|seq| *seq >= forth);
            let bytes = if is_around {
                read.bytes - read.bytes / 2
            } else {
                read.bytes
            };
            let (taken, next) = self.take(seqs, read.viewer, read.limit - events.len(), bytes);
            events.extend(taken);
            until = next.map_or_else(|| top.max(forth - 1), |next| next - 1);
            from = if is_around { from } else { forth };
        }
        Answer::Page(Page::new(EPOCH, self.first, top, (from, until), events))
    }

    fn take(
        &self,
        seqs: impl Iterator<Item = u64>,
        viewer: Viewer,
        limit: usize,
        bytes: usize,
    ) -> (Vec<Event>, Option<u64>) {
        let (mut events, mut long) = (Vec::new(), 0);
        for seq in seqs {
            if events.len() == limit || long >= bytes {
                return (events, Some(seq));
            }
            let event = self.event(seq, viewer);
            long += match &event.what {
                What::Message(message) => message.body.len(),
                What::Edit { body, .. } => body.as_ref().map_or(0, Bytes::len),
                What::Describe(about) | What::Found { about, .. } => about.len(),
                _ => 0,
            };
            events.push(event);
        }
        (events, None)
    }

    fn unread(&self, ask: &UnreadAsk) -> Unread {
        let viewer = Viewer::User(ask.user);
        let readable = self.readable(viewer).unwrap_or_default();
        let read = if ask.read.epoch == EPOCH {
            ask.read.offset
        } else {
            0
        };
        let count = readable.iter().filter(|&&seq| {
            let event = self.numbered().find(|(n, _)| *n == seq);
            let by = event
                .and_then(|(_, event)| event.from)
                .map(|device| device.user);
            let is_said = matches!(self.what(seq, viewer), Some(What::Message(_)));
            seq > read && seq >= self.first && is_said && by != Some(ask.user)
        });
        let count = u32::try_from(count.count()).unwrap().min(ask.cap);
        let top = readable
            .last()
            .map_or(START, |&top| Position::new(EPOCH, top));
        Unread { count, top }
    }
}

impl Oracle {
    fn story(&self, talk: ConversationId) -> Option<Story> {
        self.0.lock().get(&talk).cloned()
    }

    /// The story of `talk`, which in a direct conversation may be empty.
    fn story_or_none(&self, talk: ConversationId) -> Option<Story> {
        let direct = talk.pair().map(|_| Story::new(talk, None));
        self.story(talk).or(direct)
    }
}

#[async_trait]
impl MessageLog for Oracle {
    async fn found(&self, groups: &[(NewGroup, Stamp)]) -> Result<Vec<Founded>> {
        groups
            .iter()
            .try_for_each(|(group, _)| group.check("found"))?;
        let found = |(group, stamp): &(NewGroup, Stamp)| {
            let talk = ConversationId::Group(group.group);
            if self.story(talk).is_some() {
                return Founded::Existing;
            }
            let story = Story::new(talk, Some((group.clone(), *stamp)));
            let receipt = story.receipt(1);
            self.0.lock().insert(talk, story);
            Founded::New(receipt)
        };
        Ok(groups.iter().map(found).collect())
    }

    async fn append(&self, events: &[NewEvent]) -> Result<Vec<Appended>> {
        let append = |event: &NewEvent| {
            let Some(mut story) = self.story_or_none(event.conversation) else {
                return Appended::Refused(Refusal::UnknownConversation);
            };
            let answer = story.append(event);
            if story.top() > 0 {
                self.0.lock().insert(event.conversation, story);
            }
            answer
        };
        Ok(events.iter().map(append).collect())
    }

    async fn read(&self, reads: &[LogRead]) -> Result<Vec<Answer>> {
        let read = |read: &LogRead| match self.story_or_none(read.conversation) {
            None => Answer::Refused(Refusal::UnknownConversation),
            Some(story) if story.top() > 0 => story.read(read),
            Some(story) if story.readable(read.viewer).is_none() => {
                Answer::Refused(Refusal::NotMember)
            }
            Some(_) => match read.seek.position() {
                Some(at) if at.offset > u64::from(matches!(read.seek, Seek::Before(_))) => {
                    Answer::Stale { top: START }
                }
                _ => Answer::Page(Page::new(START.epoch, 1, 0, (1, 0), Vec::new())),
            },
        };
        Ok(reads.iter().map(read).collect())
    }

    async fn unread(&self, asks: &[UnreadAsk]) -> Result<Vec<Unread>> {
        let count = |ask: &UnreadAsk| {
            let story = self.story(ask.conversation);
            story.map_or(Unread::NONE, |story| story.unread(ask))
        };
        Ok(asks.iter().map(count).collect())
    }

    async fn members(
        &self,
        talk: ConversationId,
        since: u64,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<Member>> {
        let Some(story) = self.story_or_none(talk) else {
            return Ok(Vec::new());
        };
        let mut users: BTreeSet<_> = story.roles().into_keys().collect();
        users.extend(story.events.iter().filter_map(|event| event.act.subject()));
        users.extend(
            story
                .founding
                .iter()
                .flat_map(|(group, _)| group.roster())
                .map(|(user, _)| user),
        );
        let members = users
            .into_iter()
            .filter(|&user| after.is_none_or(|after| user > after));
        let members = members.filter_map(|user| story.member(user));
        let concerned = members.filter(|member| {
            let last = story
                .readable(Viewer::User(member.user))
                .and_then(|read| read.last().copied());
            member.role.is_some() || last.is_some_and(|last| last >= since)
        });
        Ok(concerned.take(limit).collect())
    }

    async fn lookup(&self, asks: &[(ConversationId, UserId)]) -> Result<Vec<Option<Member>>> {
        let look = |&(talk, user): &(_, _)| self.story_or_none(talk)?.member(user);
        Ok(asks.iter().map(look).collect())
    }

    async fn groups(&self, groups: &[GroupId]) -> Result<Vec<Option<Group>>> {
        let look = |&group: &GroupId| {
            let story = self.story(ConversationId::Group(group))?;
            let members = u32::try_from(story.roles().len()).unwrap();
            let (new, _) = story.founding.as_ref()?;
            let described = story
                .events
                .iter()
                .rev()
                .find_map(|event| match &event.act {
                    Act::Describe(about) => Some(about.clone()),
                    _ => None,
                });
            let about = described.unwrap_or_else(|| new.about.clone());
            Some(Group::new(members, new.limit, new.history, about))
        };
        Ok(groups.iter().map(look).collect())
    }

    async fn trim(&self, talk: ConversationId, seq: u64) -> Result<u64> {
        let mut stories = self.0.lock();
        let Some(story) = stories.get_mut(&talk) else {
            return Ok(1);
        };
        story.first = story.first.max(seq.min(story.top() + 1));
        story.settled = story.settled.max(story.first - 1);
        Ok(story.first)
    }

    async fn settle(&self, told: &[Told]) -> Result<()> {
        let mut stories = self.0.lock();
        for Told {
            conversation,
            after,
            until,
        } in told
        {
            let story = stories
                .get_mut(conversation)
                .filter(|_| until.epoch == EPOCH);
            if let Some(story) = story.filter(|story| *after <= story.settled) {
                story.settled = story.settled.max(until.offset.min(story.top()));
            }
        }
        Ok(())
    }

    async fn owed(&self, until: Timestamp, limit: usize) -> Result<Vec<Owed>> {
        let stories = self.0.lock();
        let owing = stories.values().filter(|story| {
            story.settled < story.top() && story.receipt(story.settled + 1).at <= until
        });
        let owed = owing.map(|story| Owed {
            conversation: story.talk,
            settled: story.settled,
            top: Position::new(EPOCH, story.top()),
        });
        Ok(owed.take(limit).collect())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// The log in memory answers as one that goes through all that ever happened.
    #[test]
    fn answers_as_the_whole_story_does(history in histories()) {
        let log = std::sync::Arc::new(MemoryLog::default());
        let open = async || std::sync::Arc::clone(&log);
        futures::executor::block_on(play_beside(&Oracle::default(), &history, open));
    }
}
