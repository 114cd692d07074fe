mod append;
mod perform;
mod reading;
mod rows;
mod settle;
mod shelf;
mod tables;

use async_trait::async_trait;
use backplane::{Epoch, Position, Timestamp};
use chat_core::{
    Answer, Appended, ConversationId, Error, ErrorKind, Founded, Group, GroupId, LogRead, Member,
    MessageLog, NewEvent, NewGroup, Owed, Result, Stamp, Told, Unread, UnreadAsk, UserId,
    check_events,
};

use self::{append::Desk, shelf::Shelf, tables::LogTables};
use crate::{Writer, chat::rows::talk_of, store::Store};

/// A [`MessageLog`] in a redb file.
///
/// What a write has answered is on disk: all events of an [`append`](MessageLog::append), and all groups
/// of a [`found`](MessageLog::found), together or none of them. A file loses nothing that was
/// acknowledged, so its conversations keep their epoch, which all have in common.
///
/// Reads see what is on disk, all conversations of one call at one instant, and run on the caller's
/// thread: nothing but redb's cache is in memory. Several logs under one name on one [`Writer`] are the
/// same log.
///
/// # Costs
///
/// An event is a row, what it says another, and its key a third; beside them a row of the conversation
/// changes. A change to a message does not move what it says. An event is found by its number, so a page
/// costs what is on it. Three things cost more: [`unread`](MessageLog::unread) looks at every event from
/// the place read on until it has counted enough; [`members`](MessageLog::members) at every one who ever
/// was in the group; and a message of which the reader may see only some changes is put together from
/// those. [`trim`](MessageLog::trim) goes in steps of 1,000 events, of which one that is cut short leaves
/// those done.
///
/// # Damage
///
/// An event whose row does not decode is left out of pages and counts, and told as an error event of
/// `tracing`; so is who is or was in a group. A write that depends on such a row is `Corrupt`. The
/// row of a conversation is made up from its events, which are then owed again, unless none is left.
///
/// # Erasure
///
/// What was deleted or trimmed cannot be read again. Its bytes may stay in free pages of the file until
/// those are used again or the database is compacted.
///
/// ```
/// use std::sync::Arc;
/// use backend_redb::{RedbMessageLog, RedbMessageLogOptions, Writer, WriterOptions, redb::Database};
/// use backplane::Timestamp;
/// use chat_core::{Act, ConversationId, MessageId, MessageLog, NewEvent, UserId};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("chat.redb");
/// let writer = Writer::start(Arc::new(Database::create(path)?), WriterOptions::default())?;
/// let log = RedbMessageLog::open(&writer, "main", RedbMessageLogOptions::default()).await?;
///
/// let talk = ConversationId::direct(UserId::new(1), UserId::new(2));
/// let welcome = Act::Message("on disk when this returns".into());
/// let event = NewEvent::new(talk, MessageId::new(7), Timestamp::EPOCH, None, welcome);
/// assert_eq!(log.append(&[event]).await?[0].receipt().unwrap().position.offset, 1);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct RedbMessageLog {
    store: Store<LogTables>,
    epoch: Epoch,
    options: RedbMessageLogOptions,
}

/// The bounds of a [`RedbMessageLog`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RedbMessageLogOptions {
    /// How many events there may be; a call that could make them more is refused as a whole, as
    /// [`ErrorKind::Full`]. 10,000,000,000 by default.
    pub max_events: u64,
    /// Whether the file may have lost what it acknowledged, as an earlier copy of it has that takes its
    /// place: positions of until then are refused as stale. For one opening. False by default.
    pub after_loss: bool,
    /// The seed of an epoch. Drawn by the operating system by default.
    pub seed: u64,
}

impl RedbMessageLog {
    /// Opens the log called `name`, which is empty if the file does not know it.
    ///
    /// # Errors
    ///
    /// What the [`Writer`] fails with.
    pub async fn open(writer: &Writer, name: &str, options: RedbMessageLogOptions) -> Result<Self> {
        let store = Store::open(writer, LogTables::new(name)).await?;
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

    fn look<R>(
        &self,
        op: &'static str,
        look: impl FnOnce(&Shelf<'_>) -> Result<R, crate::Failure>,
    ) -> Result<R> {
        let epoch = self.epoch;
        self.store
            .read(op, |txn, tables| look(&Shelf::open(txn, tables, epoch)?))
    }
}

#[async_trait]
impl MessageLog for RedbMessageLog {
    async fn found(&self, groups: &[(NewGroup, Stamp)]) -> Result<Vec<Founded>> {
        const OP: &str = "found groups";
        groups.iter().try_for_each(|(group, _)| group.check(OP))?;
        let (epoch, max, groups) = (self.epoch, self.options.max_events, groups.to_vec());
        let found = self.store.write(OP, move |txn, tables| {
            let mut desk = Desk::open(txn, tables, epoch)?;
            if !desk.has_room(groups.len(), max)? {
                return Ok(None);
            }
            let found = groups
                .iter()
                .map(|(group, stamp)| desk.found(group, *stamp));
            found.collect::<Result<_, _>>().map(Some)
        });
        found.await?.ok_or_else(|| Error::bare(ErrorKind::Full, OP))
    }

    async fn append(&self, events: &[NewEvent]) -> Result<Vec<Appended>> {
        const OP: &str = "append";
        check_events(events, OP)?;
        let (epoch, max, events) = (self.epoch, self.options.max_events, events.to_vec());
        let append = self.store.write(OP, move |txn, tables| {
            let mut desk = Desk::open(txn, tables, epoch)?;
            if !desk.has_room(events.len(), max)? {
                return Ok(None);
            }
            let appended = events.iter().map(|event| desk.append(event));
            appended.collect::<Result<_, _>>().map(Some)
        });
        append
            .await?
            .ok_or_else(|| Error::bare(ErrorKind::Full, OP))
    }

    async fn read(&self, reads: &[LogRead]) -> Result<Vec<Answer>> {
        self.look("read", |shelf| {
            reads.iter().map(|read| shelf.answer(read)).collect()
        })
    }

    async fn unread(&self, asks: &[UnreadAsk]) -> Result<Vec<Unread>> {
        self.look("count unread messages", |shelf| {
            asks.iter().map(|ask| shelf.unread(ask)).collect()
        })
    }

    async fn members(
        &self,
        conversation: ConversationId,
        since: u64,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<Member>> {
        self.look("list members", |shelf| {
            shelf.members(conversation, since, after, limit)
        })
    }

    async fn lookup(&self, asks: &[(ConversationId, UserId)]) -> Result<Vec<Option<Member>>> {
        self.look("look members up", |shelf| {
            let member = |&(talk, user): &(_, _)| shelf.member(talk, user);
            asks.iter().map(member).collect()
        })
    }

    async fn groups(&self, groups: &[GroupId]) -> Result<Vec<Option<Group>>> {
        self.look("look groups up", |shelf| {
            groups.iter().map(|group| shelf.group(*group)).collect()
        })
    }

    async fn trim(&self, conversation: ConversationId, seq: u64) -> Result<u64> {
        let epoch = self.epoch;
        loop {
            let trim = self.store.write("trim", move |txn, tables| {
                settle::trim(&mut Desk::open(txn, tables, epoch)?, conversation, seq)
            });
            let trimmed = trim.await?;
            if trimmed.is_all {
                return Ok(trimmed.first);
            }
        }
    }

    async fn settle(&self, told: &[Told]) -> Result<()> {
        let (epoch, told) = (self.epoch, told.to_vec());
        let settle = self.store.write("settle", move |txn, tables| {
            let mut desk = Desk::open(txn, tables, epoch)?;
            let mut told = told.iter();
            told.try_for_each(|told| settle::settle(&mut desk, *told))
        });
        settle.await
    }

    async fn owed(&self, until: Timestamp, limit: usize) -> Result<Vec<Owed>> {
        self.look("list what is owed", |shelf| {
            let mut found = Vec::new();
            for talk in shelf.owing(until)?.take(limit) {
                let talk = talk_of(talk?);
                if let Some(row) = shelf.talk(talk)?
                    && row.settled < row.top
                {
                    found.push(Owed {
                        conversation: talk,
                        settled: row.settled,
                        top: Position::new(self.epoch, row.top),
                    });
                }
            }
            Ok(found)
        })
    }
}

impl RedbMessageLogOptions {
    /// Room for `events` events.
    #[must_use]
    pub const fn with_max_events(mut self, events: u64) -> Self {
        self.max_events = events;
        self
    }

    /// Begins another epoch, since the file may have lost what it acknowledged.
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

impl Default for RedbMessageLogOptions {
    fn default() -> Self {
        Self {
            max_events: 10_000_000_000,
            after_loss: false,
            seed: fastrand::u64(..),
        }
    }
}

#[cfg(test)]
mod tests;
