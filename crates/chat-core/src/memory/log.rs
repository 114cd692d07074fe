mod conversation;
#[cfg(test)]
mod model;
mod reading;
mod row;

use std::fmt;

use async_trait::async_trait;
use backplane::{
    Epoch, Timestamp,
    memory::{Room, Shards},
};
use hashbrown::{HashMap, hash_map::Entry as Slot};
use parking_lot::Mutex;

use self::conversation::{Conversation, direct_member, direct_members};
use crate::{
    Answer, Appended, ConversationId, Founded, Group, GroupId, LogRead, Member, MessageLog,
    NewEvent, NewGroup, Owed, Page, Refusal, Result, START, Stamp, Told, Unread, UnreadAsk, UserId,
    Viewer, check_events,
};

/// A [`MessageLog`] in process memory: durable as long as the process.
///
/// The trait's methods are here without `async` too, and cannot fail but for lack of room.
///
/// ```
/// use backplane::Timestamp;
/// use chat_core::{
///     Act, Answer, ConversationId, Device, DeviceId, LogRead, MemoryLog, MessageId, NewEvent, START,
///     Seek, UserId, Viewer,
/// };
///
/// let log = MemoryLog::default();
/// let (ann, bob) = (UserId::new(1), UserId::new(2));
/// let phone = Device::new(ann, DeviceId::new(1));
/// let talk = ConversationId::direct(ann, bob);
///
/// let hello = Act::Message("hello".into());
/// let event = NewEvent::new(talk, MessageId::new(7), Timestamp::EPOCH, Some(phone), hello);
/// let sent = log.append(&[event.with_key("first".parse()?)])?;
/// assert_eq!(sent[0].receipt().unwrap().position.offset, 1);
///
/// let missed = LogRead::new(talk, Viewer::User(bob), Seek::After(START), 100);
/// let Answer::Page(page) = &log.read(&[missed])[0] else { panic!("bob is one of the two") };
/// assert_eq!(page.events[0].id, MessageId::new(7));
/// # Ok::<(), chat_core::Error>(())
/// ```
pub struct MemoryLog {
    shards: Shards<Shard>,
    epochs: Mutex<fastrand::Rng>,
    room: Room,
}

/// The bounds of a [`MemoryLog`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MemoryLogOptions {
    /// How many events there may be; more are refused as [`ErrorKind::Full`](crate::ErrorKind::Full).
    /// 10,000,000 by default. A message takes about 320 bytes and its body.
    pub max_events: usize,
    /// The seed of the epochs. Drawn by the operating system by default.
    pub seed: u64,
}

#[derive(Debug, Default)]
struct Shard {
    conversations: HashMap<ConversationId, Conversation>,
    /// Those in which somebody may not have been told of something, and some where all have been.
    listed: Vec<ConversationId>,
}

impl MemoryLog {
    /// An empty log within the bounds of `options`.
    #[must_use]
    pub fn new(options: &MemoryLogOptions) -> Self {
        Self {
            shards: Shards::default(),
            epochs: Mutex::new(fastrand::Rng::with_seed(options.seed)),
            room: Room::new(options.max_events),
        }
    }

    /// See [`MessageLog::found`].
    ///
    /// # Errors
    ///
    /// As there; on [`ErrorKind::Full`](crate::ErrorKind::Full) none was founded.
    pub fn found(&self, groups: &[(NewGroup, Stamp)]) -> Result<Vec<Founded>> {
        const OP: &str = "found groups";
        groups.iter().try_for_each(|(group, _)| group.check(OP))?;
        self.room.take(groups.len(), OP)?;
        let answers: Vec<_> = groups
            .iter()
            .map(|(group, stamp)| self.found_one(group, *stamp))
            .collect();
        let existing = answers
            .iter()
            .filter(|&&answer| answer == Founded::Existing);
        self.room.give(existing.count());
        Ok(answers)
    }

    fn found_one(&self, group: &NewGroup, stamp: Stamp) -> Founded {
        let id = ConversationId::Group(group.group);
        let epoch = self.draw_epoch();
        let mut shard = self.shards.write(id.mixed());
        let Shard {
            conversations,
            listed,
        } = &mut *shard;
        let Slot::Vacant(slot) = conversations.entry(id) else {
            return Founded::Existing;
        };
        let conversation = slot.insert(Conversation::found(group, stamp, epoch));
        list(conversation, id, listed);
        let receipt = conversation.receipt(1);
        receipt.map_or(Founded::Existing, Founded::New)
    }

    /// See [`MessageLog::append`].
    ///
    /// # Errors
    ///
    /// As there; on [`ErrorKind::Full`](crate::ErrorKind::Full) none was stored.
    pub fn append(&self, events: &[NewEvent]) -> Result<Vec<Appended>> {
        const OP: &str = "append";
        check_events(events, OP)?;
        self.room.take(events.len(), OP)?;
        let answers: Vec<_> = events.iter().map(|event| self.append_one(event)).collect();
        let stored = |answer: &&Appended| matches!(answer, Appended::Stored { .. });
        self.room
            .give(events.len() - answers.iter().filter(stored).count());
        Ok(answers)
    }

    fn append_one(&self, event: &NewEvent) -> Appended {
        let id = event.conversation;
        let mut shard = self.shards.write(id.mixed());
        let Shard {
            conversations,
            listed,
        } = &mut *shard;
        if let Some(conversation) = conversations.get_mut(&id) {
            return append_to(conversation, event, listed);
        }
        if id.pair().is_none() {
            return Appended::Refused(Refusal::UnknownConversation);
        }
        let mut conversation = Conversation::direct(id, self.draw_epoch());
        let answer = append_to(&mut conversation, event, listed);
        if conversation.top() > 0 {
            conversations.insert(id, conversation);
        }
        answer
    }

    /// See [`MessageLog::read`].
    #[must_use]
    pub fn read(&self, reads: &[LogRead]) -> Vec<Answer> {
        reads.iter().map(|read| self.read_one(read)).collect()
    }

    fn read_one(&self, read: &LogRead) -> Answer {
        let id = read.conversation;
        let shard = self.shards.read(id.mixed());
        match (shard.conversations.get(&id), read.viewer) {
            (Some(conversation), _) => conversation.read(read),
            (None, _) if id.pair().is_none() => Answer::Refused(Refusal::UnknownConversation),
            (None, Viewer::User(user)) if direct_member(id, user).is_none() => {
                Answer::Refused(Refusal::NotMember)
            }
            (None, _) if read.seek.is_beyond(0) => Answer::Stale { top: START },
            (None, _) => Answer::Page(Page::new(START.epoch, 1, 0, (1, 0), Vec::new())),
        }
    }

    /// See [`MessageLog::unread`].
    #[must_use]
    pub fn unread(&self, asks: &[UnreadAsk]) -> Vec<Unread> {
        let count = |ask: &UnreadAsk| {
            let shard = self.shards.read(ask.conversation.mixed());
            let conversation = shard.conversations.get(&ask.conversation);
            conversation.map_or(Unread::NONE, |conversation| {
                conversation.unread(ask.user, ask.read, ask.cap)
            })
        };
        asks.iter().map(count).collect()
    }

    /// See [`MessageLog::members`].
    #[must_use]
    pub fn members(
        &self,
        conversation: ConversationId,
        since: u64,
        after: Option<UserId>,
        limit: usize,
    ) -> Vec<Member> {
        let shard = self.shards.read(conversation.mixed());
        match shard.conversations.get(&conversation) {
            Some(conversation) => conversation.members(since, after, limit),
            None => direct_members(conversation, after).take(limit).collect(),
        }
    }

    /// See [`MessageLog::lookup`].
    #[must_use]
    pub fn lookup(&self, asks: &[(ConversationId, UserId)]) -> Vec<Option<Member>> {
        let look = |&(id, user): &(ConversationId, UserId)| {
            let shard = self.shards.read(id.mixed());
            match shard.conversations.get(&id) {
                Some(conversation) => conversation.standing(user),
                None => direct_member(id, user),
            }
        };
        asks.iter().map(look).collect()
    }

    /// See [`MessageLog::groups`].
    #[must_use]
    pub fn groups(&self, groups: &[GroupId]) -> Vec<Option<Group>> {
        let look = |&group: &GroupId| {
            let id = ConversationId::Group(group);
            self.shards.read(id.mixed()).conversations.get(&id)?.group()
        };
        groups.iter().map(look).collect()
    }

    /// See [`MessageLog::trim`].
    #[must_use]
    pub fn trim(&self, conversation: ConversationId, seq: u64) -> u64 {
        let mut shard = self.shards.write(conversation.mixed());
        let Some(conversation) = shard.conversations.get_mut(&conversation) else {
            return 1;
        };
        self.room.give(conversation.trim(seq));
        conversation.first()
    }

    /// See [`MessageLog::settle`].
    pub fn settle(&self, told: &[Told]) {
        for told in told {
            let mut shard = self.shards.write(told.conversation.mixed());
            if let Some(conversation) = shard.conversations.get_mut(&told.conversation) {
                conversation.settle(*told);
            }
        }
    }

    /// See [`MessageLog::owed`]. Those that have waited longest come first.
    #[must_use]
    pub fn owed(&self, until: Timestamp, limit: usize) -> Vec<Owed> {
        let mut owed = Vec::new();
        for mut shard in self.shards.iter_write() {
            owed.extend(
                shard
                    .owed()
                    .into_iter()
                    .filter(|(since, _)| *since <= until),
            );
        }
        owed.sort_unstable_by_key(|(since, owed)| (*since, owed.conversation));
        owed.into_iter().take(limit).map(|(_, owed)| owed).collect()
    }

    /// An epoch that no conversation has had. [`START`]'s is never drawn.
    fn draw_epoch(&self) -> Epoch {
        Epoch::new(self.epochs.lock().u64(1..))
    }
}

fn append_to(
    conversation: &mut Conversation,
    event: &NewEvent,
    listed: &mut Vec<ConversationId>,
) -> Appended {
    let answer = conversation.append(event);
    if matches!(answer, Appended::Stored { .. }) {
        list(conversation, event.conversation, listed);
    }
    answer
}

/// Notes that somebody is to be told.
fn list(conversation: &mut Conversation, id: ConversationId, listed: &mut Vec<ConversationId>) {
    if !std::mem::replace(&mut conversation.is_listed, true) {
        listed.push(id);
    }
}

impl Shard {
    /// What is to be told, and since when. Takes those off the list where nothing is.
    fn owed(&mut self) -> Vec<(Timestamp, Owed)> {
        let Self {
            conversations,
            listed,
        } = self;
        let mut found = Vec::new();
        listed.retain(|id| {
            let Some(conversation) = conversations.get_mut(id) else {
                return false;
            };
            let owed = conversation.owed();
            conversation.is_listed = owed.is_some();
            found.extend(owed);
            conversation.is_listed
        });
        found
    }
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new(&MemoryLogOptions::default())
    }
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLog")
            .field("events", &self.room.taken())
            .finish_non_exhaustive()
    }
}

impl MemoryLogOptions {
    /// Takes up to so many events.
    #[must_use]
    pub const fn with_max_events(mut self, events: usize) -> Self {
        self.max_events = events;
        self
    }

    /// Draws epochs from `seed`.
    #[must_use]
    pub const fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

impl Default for MemoryLogOptions {
    fn default() -> Self {
        Self {
            max_events: 10_000_000,
            seed: fastrand::u64(..),
        }
    }
}

#[async_trait]
impl MessageLog for MemoryLog {
    async fn found(&self, groups: &[(NewGroup, Stamp)]) -> Result<Vec<Founded>> {
        self.found(groups)
    }

    async fn append(&self, events: &[NewEvent]) -> Result<Vec<Appended>> {
        self.append(events)
    }

    async fn read(&self, reads: &[LogRead]) -> Result<Vec<Answer>> {
        Ok(self.read(reads))
    }

    async fn unread(&self, asks: &[UnreadAsk]) -> Result<Vec<Unread>> {
        Ok(self.unread(asks))
    }

    async fn members(
        &self,
        conversation: ConversationId,
        since: u64,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<Member>> {
        Ok(self.members(conversation, since, after, limit))
    }

    async fn lookup(&self, asks: &[(ConversationId, UserId)]) -> Result<Vec<Option<Member>>> {
        Ok(self.lookup(asks))
    }

    async fn groups(&self, groups: &[GroupId]) -> Result<Vec<Option<Group>>> {
        Ok(self.groups(groups))
    }

    async fn trim(&self, conversation: ConversationId, seq: u64) -> Result<u64> {
        Ok(self.trim(conversation, seq))
    }

    async fn settle(&self, told: &[Told]) -> Result<()> {
        self.settle(told);
        Ok(())
    }

    async fn owed(&self, until: Timestamp, limit: usize) -> Result<Vec<Owed>> {
        Ok(self.owed(until, limit))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use backplane::ManualClock;

    use super::*;
    use crate::conformance::{Fresh, TestTime};

    fn fresh() -> Fresh<dyn MessageLog> {
        Fresh {
            store: Arc::new(MemoryLog::default()),
            time: TestTime::Manual(ManualClock::default()),
        }
    }

    crate::message_log_conformance!(async { fresh() });
}
