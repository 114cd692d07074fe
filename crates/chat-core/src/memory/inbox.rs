mod owner;

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use backplane::{
    Epoch, Position,
    memory::{Room, Shards},
};
use hashbrown::{HashMap, hash_map::Entry};
use parking_lot::RwLock;

use self::owner::{Delivery, Owner};
use crate::{
    Advance, Advanced, ConversationId, Cursor, Device, Event, Inbox, InboxEntry, InboxMark,
    InboxPage, InboxRow, Result, START, UserId,
};

/// An [`Inbox`] in process memory.
///
/// A mark raises one number for each member of a conversation, without looking anything up for them; what
/// it is about is found when they look. The trait's methods are here without `async` too, and cannot fail
/// but for lack of room.
///
/// ```
/// use backplane::{Epoch, Position};
/// use chat_core::{ConversationId, GroupId, MemoryInbox, START, UserId};
///
/// let inbox = MemoryInbox::default();
/// let (ann, group) = (UserId::new(1), ConversationId::Group(GroupId::new(7)));
/// let at = |seq| Position::new(Epoch::new(9), seq);
/// inbox.enroll(group, &[ann], at(1))?;
/// let known = inbox.changes(ann, START, 10).through;
///
/// inbox.mark(&[(group, at(2))]);
/// let news = inbox.changes(ann, known, 10);
/// assert_eq!(news.entries[0].top, at(2));
/// # Ok::<(), chat_core::Error>(())
/// ```
pub struct MemoryInbox {
    options: MemoryInboxOptions,
    epoch: Epoch,
    /// How many changes there have been in all inboxes. Whoever makes one draws its number under the
    /// lock of what it changes, so that a reader who knows of the number finds the change.
    changes: AtomicU64,
    users: Shards<HashMap<UserId, Owner>>,
    /// Where both are locked, the conversation's shard comes first.
    talks: Shards<HashMap<ConversationId, Talk>>,
    /// The last mark of each user.
    marks: RwLock<Vec<AtomicU64>>,
    rows: Room,
}

/// The bounds of a [`MemoryInbox`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MemoryInboxOptions {
    /// How many conversations all inboxes have together; more are refused as
    /// [`ErrorKind::Full`](crate::ErrorKind::Full). 10,000,000 by default, of about 180 bytes.
    pub max_entries: usize,
    /// How many copies of events a user's queue holds. 500 by default.
    pub max_copies: usize,
    /// Of how many devices of a user each conversation knows how far they have received it. 32 by default.
    pub max_devices: usize,
    /// The seed of the epoch. Drawn by the operating system by default.
    pub seed: u64,
}

/// What a mark is about, and for whom it is.
#[derive(Debug)]
struct Talk {
    mark: InboxMark,
    /// The slots of those who are enrolled.
    enrolled: Vec<usize>,
}

impl MemoryInbox {
    /// Inboxes within the bounds of `options`, all empty.
    #[must_use]
    pub fn new(options: MemoryInboxOptions) -> Self {
        Self {
            epoch: Epoch::new(fastrand::Rng::with_seed(options.seed).u64(1..)),
            changes: AtomicU64::new(0),
            users: Shards::default(),
            talks: Shards::default(),
            marks: RwLock::default(),
            rows: Room::new(options.max_entries),
            options,
        }
    }

    /// See [`Inbox::enroll`].
    ///
    /// # Errors
    ///
    /// As there; on [`ErrorKind::Full`](crate::ErrorKind::Full) some were enrolled.
    pub fn enroll(&self, talk: ConversationId, users: &[UserId], at: Position) -> Result<()> {
        self.decide(talk, users, at, true)
    }

    /// See [`Inbox::withdraw`].
    ///
    /// # Errors
    ///
    /// As there; on [`ErrorKind::Full`](crate::ErrorKind::Full) some were withdrawn.
    pub fn withdraw(&self, talk: ConversationId, users: &[UserId], at: Position) -> Result<()> {
        self.decide(talk, users, at, false)
    }

    fn decide(
        &self,
        talk: ConversationId,
        users: &[UserId],
        at: Position,
        is_enrolled: bool,
    ) -> Result<()> {
        let mut talks = self.talks.write(talk.mixed());
        let talked = talks.entry(talk).or_insert_with(|| Talk {
            mark: InboxMark::new(),
            enrolled: Vec::new(),
        });
        for &user in users {
            let mut owners = self.users.write(user.get());
            let owner = self.owner(&mut owners, user);
            let slot = owner.slot;
            let row = self.row(owner, talk)?;
            match (row.decide(is_enrolled, at), is_enrolled) {
                (true, true) => talked.enrolled.push(slot),
                (true, false) => talked.enrolled.retain(|enrolled| *enrolled != slot),
                (false, _) => {}
            }
            let change = self.draw();
            (row.changed, owner.changed) = (change, change);
        }
        Ok(())
    }

    /// See [`Inbox::mark`].
    pub fn mark(&self, marks: &[(ConversationId, Position)]) {
        for &(talk, top) in marks {
            let mut talks = self.talks.write(talk.mixed());
            let Some(talked) = talks.get_mut(&talk) else {
                continue;
            };
            if talked.mark.reach(top) {
                talked.mark.changed = self.draw();
                let slots = self.marks.read();
                for &slot in &talked.enrolled {
                    slots[slot].fetch_max(talked.mark.changed, Ordering::Relaxed);
                }
            }
        }
    }

    /// See [`Inbox::deliver`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn deliver(
        &self,
        talk: ConversationId,
        users: &[UserId],
        top: Position,
        events: &[Event],
    ) -> Result<()> {
        let deliveries = Delivery::all(talk, top.epoch, events);
        for &user in users {
            let mut owners = self.users.write(user.get());
            let owner = self.owner(&mut owners, user);
            let row = self.row(owner, talk)?;
            let change = self.draw();
            if row.reach(top) {
                (row.changed, owner.changed) = (change, change);
            }
            owner.put(talk, &deliveries, change, self.options.max_copies);
        }
        Ok(())
    }

    /// See [`Inbox::erase`].
    pub fn erase(&self, talk: ConversationId, users: &[UserId], seqs: &[u64]) {
        for user in users {
            if let Some(owner) = self.users.write(user.get()).get_mut(user) {
                owner.erase(talk, seqs);
            }
        }
    }

    /// See [`Inbox::changes`]. It names only conversations in which something changed.
    #[must_use]
    pub fn changes(&self, user: UserId, since: Position, limit: usize) -> InboxPage {
        let known = self.changes.load(Ordering::Acquire);
        let is_own = since.epoch == self.epoch && since.offset <= known;
        let since = if is_own { since.offset } else { 0 };
        let Some(mut changed) = self.changed(user, since) else {
            // A mark may be on its way, so the reader stays where they are.
            return InboxPage::new(Vec::new(), Position::new(self.epoch, since), false);
        };
        self.look_at_marks(&mut changed);
        changed.retain(|(change, ..)| *change > since);
        changed.sort_unstable_by_key(|(change, entry, _)| (*change, entry.conversation));
        let more = changed.len() > limit;
        changed.truncate(limit);
        let through = match changed.last() {
            Some((last, ..)) if more => known.min(*last),
            None if more => since,
            _ => known,
        };
        let mut entries: Vec<_> = changed.into_iter().map(|(_, entry, _)| entry).collect();
        if let Some(owner) = self.users.read(user.get()).get(&user) {
            owner.hand_out(&mut entries, since);
        }
        InboxPage::new(entries, Position::new(self.epoch, through), more)
    }

    /// What may have changed for `user` after `since`, with whether there are marks to look at; `None` if
    /// nothing has.
    fn changed(&self, user: UserId, since: u64) -> Option<Vec<(u64, InboxEntry, bool)>> {
        let owners = self.users.read(user.get());
        let owner = owners.get(&user)?;
        let mark = self.marks.read()[owner.slot].load(Ordering::Relaxed);
        if mark.max(owner.changed) <= since {
            return None;
        }
        let rows = owner
            .rows
            .iter()
            .filter(|(_, row)| row.changed > since || row.is_enrolled);
        let rows = rows.map(|(talk, row)| (row.changed, row.show(*talk), row.is_enrolled));
        Some(rows.collect())
    }

    /// Adds to what an inbox knows of conversations what their marks say. Whoever has drawn a number
    /// holds the lock that is taken here until the mark is made.
    fn look_at_marks(&self, changed: &mut [(u64, InboxEntry, bool)]) {
        for (change, entry, _) in changed.iter_mut().filter(|(.., is_enrolled)| *is_enrolled) {
            let talks = self.talks.read(entry.conversation.mixed());
            if let Some(talk) = talks.get(&entry.conversation) {
                talk.mark.show(entry);
                *change = talk.mark.changed.max(*change);
            }
        }
    }

    /// See [`Inbox::entries`].
    #[must_use]
    pub fn entries(&self, asks: &[(UserId, ConversationId)]) -> Vec<Option<InboxEntry>> {
        let look = |&(user, talk): &(UserId, ConversationId)| {
            let owners = self.users.read(user.get());
            let row = owners.get(&user)?.rows.get(&talk)?;
            let found = (0, row.show(talk), row.is_enrolled);
            drop(owners);
            let mut found = [found];
            self.look_at_marks(&mut found);
            let [(_, entry, _)] = found;
            Some(entry)
        };
        asks.iter().map(look).collect()
    }

    /// See [`Inbox::advance`].
    #[must_use]
    pub fn advance(&self, moves: &[Advance]) -> Vec<Advanced> {
        moves
            .iter()
            .map(|advance| self.advance_one(advance))
            .collect()
    }

    fn advance_one(&self, advance: &Advance) -> Advanced {
        let user = advance.device.user;
        let mut owners = self.users.write(user.get());
        let Some(owner) = owners.get_mut(&user) else {
            return Advanced::Unknown;
        };
        let Some(row) = owner.rows.get_mut(&advance.conversation) else {
            return Advanced::Unknown;
        };
        if !row.advance(advance, self.options.max_devices) {
            return Advanced::Behind;
        }
        if advance.cursor == Cursor::Read {
            let change = self.draw();
            (row.changed, owner.changed) = (change, change);
        }
        Advanced::Moved
    }

    /// See [`Inbox::received`].
    #[must_use]
    pub fn received(&self, asks: &[(Device, ConversationId)]) -> Vec<Position> {
        let look = |(device, talk): &(Device, ConversationId)| {
            let owners = self.users.read(device.user.get());
            let row = owners
                .get(&device.user)
                .and_then(|owner| owner.rows.get(talk));
            row.map_or(START, |row| row.received_by(device.id))
        };
        asks.iter().map(look).collect()
    }

    /// See [`Inbox::forget`].
    pub fn forget(&self, device: Device) {
        if let Some(owner) = self.users.write(device.user.get()).get_mut(&device.user) {
            for row in owner.rows.values_mut() {
                row.forget(device.id);
            }
        }
    }

    fn owner<'a>(&self, owners: &'a mut HashMap<UserId, Owner>, user: UserId) -> &'a mut Owner {
        owners.entry(user).or_insert_with(|| {
            let mut marks = self.marks.write();
            marks.push(AtomicU64::new(0));
            Owner::new(marks.len() - 1)
        })
    }

    fn row<'a>(&self, owner: &'a mut Owner, talk: ConversationId) -> Result<&'a mut InboxRow> {
        Ok(match owner.rows.entry(talk) {
            Entry::Occupied(row) => row.into_mut(),
            Entry::Vacant(slot) => {
                self.rows.take(1, "enroll")?;
                slot.insert(InboxRow::new())
            }
        })
    }

    /// The number of a change.
    fn draw(&self) -> u64 {
        self.changes.fetch_add(1, Ordering::Release) + 1
    }
}

impl Default for MemoryInbox {
    fn default() -> Self {
        Self::new(MemoryInboxOptions::default())
    }
}

impl fmt::Debug for MemoryInbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryInbox")
            .field("entries", &self.rows.taken())
            .finish_non_exhaustive()
    }
}

impl MemoryInboxOptions {
    /// Takes up to so many conversations of all users together.
    #[must_use]
    pub const fn with_max_entries(mut self, entries: usize) -> Self {
        self.max_entries = entries;
        self
    }

    /// Keeps up to so many copies for a user.
    #[must_use]
    pub const fn with_max_copies(mut self, copies: usize) -> Self {
        self.max_copies = copies;
        self
    }

    /// Knows so many devices of a user.
    #[must_use]
    pub const fn with_max_devices(mut self, devices: usize) -> Self {
        self.max_devices = devices;
        self
    }

    /// Draws the epoch from `seed`.
    #[must_use]
    pub const fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

impl Default for MemoryInboxOptions {
    fn default() -> Self {
        Self {
            max_entries: 10_000_000,
            max_copies: 500,
            max_devices: 32,
            seed: fastrand::u64(..),
        }
    }
}

#[async_trait]
impl Inbox for MemoryInbox {
    async fn enroll(
        &self,
        conversation: ConversationId,
        users: &[UserId],
        at: Position,
    ) -> Result<()> {
        self.enroll(conversation, users, at)
    }

    async fn withdraw(
        &self,
        conversation: ConversationId,
        users: &[UserId],
        at: Position,
    ) -> Result<()> {
        self.withdraw(conversation, users, at)
    }

    async fn mark(&self, marks: &[(ConversationId, Position)]) -> Result<()> {
        self.mark(marks);
        Ok(())
    }

    async fn deliver(
        &self,
        conversation: ConversationId,
        users: &[UserId],
        top: Position,
        events: &[Event],
    ) -> Result<()> {
        self.deliver(conversation, users, top, events)
    }

    async fn erase(
        &self,
        conversation: ConversationId,
        users: &[UserId],
        seqs: &[u64],
    ) -> Result<()> {
        self.erase(conversation, users, seqs);
        Ok(())
    }

    async fn changes(&self, user: UserId, since: Position, limit: usize) -> Result<InboxPage> {
        Ok(self.changes(user, since, limit))
    }

    async fn entries(&self, asks: &[(UserId, ConversationId)]) -> Result<Vec<Option<InboxEntry>>> {
        Ok(self.entries(asks))
    }

    async fn advance(&self, moves: &[Advance]) -> Result<Vec<Advanced>> {
        Ok(self.advance(moves))
    }

    async fn received(&self, asks: &[(Device, ConversationId)]) -> Result<Vec<Position>> {
        Ok(self.received(asks))
    }

    async fn forget(&self, device: Device) -> Result<()> {
        self.forget(device);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use backplane::ManualClock;

    use super::*;
    use crate::conformance::{Fresh, TestTime};

    fn fresh() -> Fresh<dyn Inbox> {
        let options = MemoryInboxOptions::default().with_max_copies(10);
        Fresh {
            store: Arc::new(MemoryInbox::new(options)),
            time: TestTime::Manual(ManualClock::default()),
        }
    }

    crate::inbox_conformance!(async { fresh() });
}
