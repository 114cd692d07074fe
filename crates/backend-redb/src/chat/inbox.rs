mod boxes;
mod tables;
mod view;

use std::sync::Arc;

use async_trait::async_trait;
use backplane::{Epoch, Position};
use chat_core::{
    Advance, Advanced, ConversationId, Device, Error, ErrorKind, Event, Inbox, InboxEntry,
    InboxPage, Result, UserId,
};

use self::{
    boxes::Boxes,
    tables::{Copy, InboxTables},
    view::View,
};
use crate::{Failure, Writer, store::Store};

/// An [`Inbox`] in a redb file.
///
/// What a call has answered is on disk. One that fails has changed nothing, but for a
/// [delivery](Inbox::deliver) of more than 4 MiB, of which some users may have their copies. Reads see what
/// is on disk, each at one instant, and run on the caller's thread: nothing but redb's cache is in memory.
/// Several inboxes under one name on one [`Writer`] are the same inboxes.
///
/// # Costs
///
/// A [mark](Inbox::mark) changes one row, however many it is for. It is found when they look: unless no
/// conversation was marked since, [`changes`](Inbox::changes) looks once at each conversation in which
/// the user is enrolled; other changes it finds by their number, and reads no more of them than it
/// answers. A [delivery](Inbox::deliver) writes for each user the entry of the conversation, the number
/// of its change and each copy; [`changes`](Inbox::changes) then reads the copies since, and
/// [`erase`](Inbox::erase) all of the queue. [`forget`](Inbox::forget) looks at all conversations of the
/// user.
///
/// # Damage
///
/// Copies and marks that do not decode are passed over, and told as error events of `tracing`. An entry
/// begins anew, with cursors at the start.
///
/// ```
/// use std::sync::Arc;
/// use backend_redb::{RedbInbox, RedbInboxOptions, Writer, WriterOptions, redb::Database};
/// use backplane::{Epoch, Position};
/// use chat_core::{ConversationId, GroupId, Inbox, START, UserId};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("chat.redb");
/// let writer = Writer::start(Arc::new(Database::create(path)?), WriterOptions::default())?;
/// let inbox = RedbInbox::open(&writer, "main", RedbInboxOptions::default()).await?;
/// let (ann, group) = (UserId::new(1), ConversationId::Group(GroupId::new(7)));
/// let at = |seq| Position::new(Epoch::new(9), seq);
/// inbox.enroll(group, &[ann], at(1)).await?;
/// let known = inbox.changes(ann, START, 10).await?.through;
///
/// inbox.mark(&[(group, at(2))]).await?;
/// assert_eq!(inbox.changes(ann, known, 10).await?.entries[0].top, at(2));
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct RedbInbox {
    store: Store<InboxTables>,
    epoch: Epoch,
    options: RedbInboxOptions,
}

/// The bounds of a [`RedbInbox`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RedbInboxOptions {
    /// How many conversations all inboxes have together; a call that would make them more is refused as a
    /// whole, as [`ErrorKind::Full`]. 1,000,000,000 by default.
    pub max_entries: u64,
    /// How many copies of events a user's queue holds. 500 by default.
    pub max_copies: usize,
    /// Of how many devices of a user each conversation knows how far they have received it. 32 by default.
    pub max_devices: usize,
    /// Whether the file may have lost what it acknowledged, as an earlier copy of it has that takes its
    /// place: who has read of changes until then reads all anew. For one opening. False by default.
    pub after_loss: bool,
    /// The seed of an epoch. Drawn by the operating system by default.
    pub seed: u64,
}

impl RedbInbox {
    /// Opens the inboxes called `name`, which are empty if the file does not know them.
    ///
    /// # Errors
    ///
    /// What the [`Writer`] fails with.
    pub async fn open(writer: &Writer, name: &str, options: RedbInboxOptions) -> Result<Self> {
        let store = Store::open(writer, InboxTables::new(name)).await?;
        let drawn = fastrand::Rng::with_seed(options.seed).u64(1..);
        let after_loss = options.after_loss;
        let epoch = store.write("open", move |txn, tables| {
            tables.epoch.stand(txn, drawn, after_loss)
        });
        Ok(Self {
            epoch: epoch.await?,
            store,
            options,
        })
    }

    async fn change<R: Send + 'static>(
        &self,
        op: &'static str,
        mut change: impl FnMut(&mut Boxes<'_>) -> Result<R, Failure> + Send + 'static,
    ) -> Result<R> {
        let changed = self.store.write(op, move |txn, tables| {
            let mut boxes = Boxes::open(txn, tables)?;
            let changed = change(&mut boxes)?;
            boxes.close()?;
            Ok(changed)
        });
        changed.await
    }

    /// As [`change`](Self::change), of what `users` know of `talk`, if there is room for that.
    async fn change_entries(
        &self,
        op: &'static str,
        talk: ConversationId,
        users: &[UserId],
        mut change: impl FnMut(&mut Boxes<'_>, &[UserId]) -> Result<(), Failure> + Send + 'static,
    ) -> Result<()> {
        let (max, users) = (self.options.max_entries, users.to_vec());
        let changed = self.change(op, move |boxes| {
            let fits = boxes.has_room(talk, &users, max)?;
            if fits {
                change(boxes, &users)?;
            }
            Ok(fits)
        });
        let fits = changed.await?;
        fits.then_some(())
            .ok_or_else(|| Error::bare(ErrorKind::Full, op))
    }

    fn look<R>(
        &self,
        op: &'static str,
        look: impl FnOnce(&View<'_>) -> Result<R, Failure>,
    ) -> Result<R> {
        self.store.read(op, |txn, tables| {
            look(&View::open(txn, tables, self.epoch)?)
        })
    }
}

#[async_trait]
impl Inbox for RedbInbox {
    async fn enroll(
        &self,
        conversation: ConversationId,
        users: &[UserId],
        at: Position,
    ) -> Result<()> {
        let enroll = self.change_entries("enroll", conversation, users, move |boxes, users| {
            boxes.decide(conversation, users, at, true)
        });
        enroll.await
    }

    async fn withdraw(
        &self,
        conversation: ConversationId,
        users: &[UserId],
        at: Position,
    ) -> Result<()> {
        let withdraw = self.change_entries("withdraw", conversation, users, move |boxes, users| {
            boxes.decide(conversation, users, at, false)
        });
        withdraw.await
    }

    async fn mark(&self, marks: &[(ConversationId, Position)]) -> Result<()> {
        let marks = marks.to_vec();
        self.change("mark", move |boxes| boxes.mark(&marks)).await
    }

    async fn deliver(
        &self,
        conversation: ConversationId,
        users: &[UserId],
        top: Position,
        events: &[Event],
    ) -> Result<()> {
        let (most, epoch) = (self.options.max_copies, top.epoch);
        let row = |event: &Event| {
            let (talk, event) = (conversation, event.clone());
            Copy { talk, epoch, event }.row()
        };
        let rows: Arc<[_]> = events.iter().map(row).collect();
        let bytes: usize = rows.iter().map(|row| row.bytes.len()).sum();
        for crowd in users.chunks((STEP / bytes.max(1)).max(1)) {
            let rows = Arc::clone(&rows);
            let deliver =
                self.change_entries("deliver", conversation, crowd, move |boxes, users| {
                    let mut users = users.iter();
                    users.try_for_each(|user| boxes.deliver(conversation, *user, top, &rows, most))
                });
            deliver.await?;
        }
        Ok(())
    }

    async fn erase(
        &self,
        conversation: ConversationId,
        users: &[UserId],
        seqs: &[u64],
    ) -> Result<()> {
        let (users, seqs) = (users.to_vec(), seqs.to_vec());
        let erase = self.change("erase", move |boxes| {
            let mut users = users.iter();
            users.try_for_each(|user| boxes.erase(conversation, *user, &seqs))
        });
        erase.await
    }

    async fn changes(&self, user: UserId, since: Position, limit: usize) -> Result<InboxPage> {
        self.look("look for changes", |view| view.changes(user, since, limit))
    }

    async fn entries(&self, asks: &[(UserId, ConversationId)]) -> Result<Vec<Option<InboxEntry>>> {
        self.look("look entries up", |view| {
            let asks = asks.iter();
            asks.map(|(user, talk)| view.entry(*user, *talk)).collect()
        })
    }

    async fn advance(&self, moves: &[Advance]) -> Result<Vec<Advanced>> {
        let (devices, moves) = (self.options.max_devices, moves.to_vec());
        let advance = self.change("advance", move |boxes| {
            let moves = moves.iter();
            moves.map(|one| boxes.advance(one, devices)).collect()
        });
        advance.await
    }

    async fn received(&self, asks: &[(Device, ConversationId)]) -> Result<Vec<Position>> {
        self.look("look cursors up", |view| {
            let asks = asks.iter();
            asks.map(|(device, talk)| view.received(*device, *talk))
                .collect()
        })
    }

    async fn forget(&self, device: Device) -> Result<()> {
        self.change("forget", move |boxes| boxes.forget(device))
            .await
    }
}

/// How many bytes of copies are written in one step, while others wait.
const STEP: usize = 4 << 20;

impl RedbInboxOptions {
    /// Room for `entries` conversations of all users together.
    #[must_use]
    pub const fn with_max_entries(mut self, entries: u64) -> Self {
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

    /// Begins another epoch if the file may have lost what it acknowledged.
    #[must_use]
    pub const fn with_after_loss(mut self, after_loss: bool) -> Self {
        self.after_loss = after_loss;
        self
    }

    /// Draws epochs from `seed`.
    #[must_use]
    pub const fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

impl Default for RedbInboxOptions {
    fn default() -> Self {
        Self {
            max_entries: 1_000_000_000,
            max_copies: 500,
            max_devices: 32,
            after_loss: false,
            seed: fastrand::u64(..),
        }
    }
}

#[cfg(test)]
mod tests;
