use async_trait::async_trait;
use feed_core::{
    Action, ActionKind, Actions, Counters, Counts, Error, ErrorKind, PostId, Recorded, Result,
    UserId,
};
use redb::{ReadableTable, ReadableTableMetadata, Table, WriteTransaction};

use crate::{
    Failure, Writer,
    feed::store::{Named, Store, Tables},
    row::Reader,
};

/// [`Actions`] and their [`Counters`] in a redb file.
///
/// What a write has answered is on disk: the sets and the counts of all actions of one call together,
/// or nothing of it. Reads see what is on disk, each at one instant, and run on the caller's thread:
/// nothing but redb's cache is in memory.
///
/// ```
/// use std::sync::Arc;
/// use backend_redb::{RedbActions, RedbActionsOptions, Writer, WriterOptions, redb::Database};
/// use feed_core::{Action, Actions, Counters, PostId, UserId};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("feed.redb");
/// let writer = Writer::start(Arc::new(Database::create(path)?), WriterOptions::default())?;
/// let actions = RedbActions::open(&writer, "main", RedbActionsOptions::default()).await?;
/// let (ann, post) = (UserId::new(1), PostId::new(10));
/// for _ in 0..2 {
///     actions.record(&[Action::like(ann, post)]).await?;
/// }
/// assert_eq!(actions.counts(&[post]).await?[0].likes, 1);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct RedbActions {
    store: Store<ActionTables>,
    options: RedbActionsOptions,
}

/// The bounds of a [`RedbActions`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RedbActionsOptions {
    /// How many actions are kept; a call that would make them more is refused as a whole, as
    /// [`ErrorKind::Full`](feed_core::ErrorKind::Full). 1,000,000,000 by default.
    pub max_actions: u64,
}

impl RedbActions {
    /// Opens the actions called `name`, of which there are none if the file does not know them.
    ///
    /// # Errors
    ///
    /// What the [`Writer`] fails with.
    pub async fn open(writer: &Writer, name: &str, options: RedbActionsOptions) -> Result<Self> {
        let store = Store::open(writer, ActionTables::new(name)).await?;
        Ok(Self { store, options })
    }
}

#[async_trait]
impl Actions for RedbActions {
    async fn record(&self, actions: &[Action]) -> Result<Vec<Recorded>> {
        const OP: &str = "record";
        let (max, done) = (self.options.max_actions, all_done(OP, actions)?);
        let record = self.store.write(OP, move |txn, tables| {
            let mut sets = Sets::open(txn, tables)?;
            // Looked at before anything is written, so that a refusal undoes nobody else's work.
            if sets.done.len()?.saturating_add(sets.count_new(&done)?) > max {
                return Ok(None);
            }
            let recorded = done.iter().map(|&done| sets.record(done));
            recorded.collect::<Result<_, _>>().map(Some)
        });
        record
            .await?
            .ok_or_else(|| Error::bare(ErrorKind::Full, OP))
    }

    async fn withdraw(&self, actions: &[Action]) -> Result<Vec<bool>> {
        const OP: &str = "withdraw";
        let done = all_done(OP, actions)?;
        let withdraw = self.store.write(OP, move |txn, tables| {
            let mut sets = Sets::open(txn, tables)?;
            done.iter().map(|&done| sets.withdraw(done)).collect()
        });
        withdraw.await
    }

    async fn acted(
        &self,
        actor: UserId,
        kind: ActionKind,
        posts: &[PostId],
    ) -> Result<Vec<Option<PostId>>> {
        const OP: &str = "acted";
        let kind = number_of(kind).ok_or_else(|| Error::bare(ErrorKind::Invalid, OP))?;
        self.store.read(OP, |txn, tables| {
            let done = tables.done.read(txn)?;
            let first = |post: &PostId| first_item(&done, (actor.get(), kind, post.get()));
            posts.iter().map(first).collect()
        })
    }

    async fn erase(&self, actor: UserId, limit: usize) -> Result<usize> {
        let erase = self.store.write("erase", move |txn, tables| {
            Sets::open(txn, tables)?.erase(actor, limit)
        });
        erase.await
    }
}

#[async_trait]
impl Counters for RedbActions {
    async fn counts(&self, posts: &[PostId]) -> Result<Vec<Counts>> {
        self.store.read("counts", |txn, tables| {
            let rows = tables.counts.read(txn)?;
            let counts = |post: &PostId| tables.counts_of(&rows, post.get());
            posts.iter().map(counts).collect()
        })
    }
}

/// How actions lie on disk.
///
/// | table | key | row |
/// |---|---|---|
/// | done | actor, kind, post, item | nothing; kind is 0 for a like, 1 for a reply, 2 for a repost |
/// | counts | post | version 1 `u8`, likes `u64`, replies `u64`, reposts `u64` |
#[derive(Debug)]
struct ActionTables {
    done: Named<(u64, u8, u64, u64), ()>,
    counts: Named<u64, &'static [u8]>,
}

/// An [`Action`] as its table has it.
#[derive(Clone, Copy)]
struct Done {
    actor: u64,
    kind: u8,
    post: u64,
    item: u64,
}

impl Done {
    /// The order in which actions are looked for.
    const fn key(self) -> (u64, u8, u64, u64) {
        (self.actor, self.kind, self.post, self.item)
    }
}

const LIKE: u8 = 0;
const REPLY: u8 = 1;
const REPOST: u8 = 2;

impl ActionTables {
    fn new(store: &str) -> Self {
        const KIND: &str = "actions";
        Self {
            done: Named::new(KIND, store, "done"),
            counts: Named::new(KIND, store, "counts"),
        }
    }

    fn counts_of(
        &self,
        counts: &impl ReadableTable<u64, &'static [u8]>,
        post: u64,
    ) -> Result<Counts, Failure> {
        let Some(row) = counts.get(post)? else {
            return Ok(Counts::default());
        };
        self.counts.intact(post, decode(row.value()))
    }
}

impl Tables for ActionTables {
    fn create(&self, txn: &WriteTransaction) -> Result<(), Failure> {
        self.done.create(txn)?;
        self.counts.create(txn)
    }
}

/// The tables in one transaction. A set and its count change together.
struct Sets<'txn> {
    tables: &'txn ActionTables,
    done: Table<'txn, (u64, u8, u64, u64), ()>,
    counts: Table<'txn, u64, &'static [u8]>,
}

impl<'txn> Sets<'txn> {
    fn open(txn: &'txn WriteTransaction, tables: &'txn ActionTables) -> Result<Self, Failure> {
        Ok(Self {
            tables,
            done: tables.done.write(txn)?,
            counts: tables.counts.write(txn)?,
        })
    }

    /// How many are not there, at most.
    fn count_new(&self, done: &[Done]) -> Result<u64, Failure> {
        let mut new = 0;
        for &done in done {
            new += u64::from(self.existing(done)?.is_none());
        }
        Ok(new)
    }

    fn record(&mut self, done: Done) -> Result<Recorded, Failure> {
        if let Some(item) = self.existing(done)? {
            return Ok(Recorded::Existing(item));
        }
        self.done.insert(done.key(), ())?;
        self.count(done, u64::checked_add)?;
        Ok(Recorded::New)
    }

    fn withdraw(&mut self, done: Done) -> Result<bool, Failure> {
        if self.done.remove(done.key())?.is_none() {
            return Ok(false);
        }
        self.count(done, u64::checked_sub)?;
        Ok(true)
    }

    fn erase(&mut self, actor: UserId, limit: usize) -> Result<usize, Failure> {
        let actor = actor.get();
        let all = (actor, 0, 0, 0)..=(actor, u8::MAX, u64::MAX, u64::MAX);
        let mut gone = Vec::new();
        for done in self.done.range(all)?.take(limit) {
            let (actor, kind, post, item) = done?.0.value();
            gone.push(Done {
                actor,
                kind,
                post,
                item,
            });
        }
        for &done in &gone {
            self.withdraw(done)?;
        }
        Ok(gone.len())
    }

    /// The item of an action that stands in the way of this one.
    fn existing(&self, done: Done) -> Result<Option<PostId>, Failure> {
        if done.kind == REPLY {
            let same = self.done.get(done.key())?;
            return Ok(same.map(|_| PostId::new(done.item)));
        }
        first_item(&self.done, (done.actor, done.kind, done.post))
    }

    fn count(&mut self, done: Done, by_one: fn(u64, u64) -> Option<u64>) -> Result<(), Failure> {
        let Done { kind, post, .. } = done;
        let mut counts = self.tables.counts_of(&self.counts, post)?;
        let count = match kind {
            LIKE => &mut counts.likes,
            REPLY => &mut counts.replies,
            _ => &mut counts.reposts,
        };
        *count = self.tables.counts.intact(post, by_one(*count, 1))?;
        if counts == Counts::default() {
            self.counts.remove(post)?;
        } else {
            self.counts.insert(post, &*encode(&counts))?;
        }
        Ok(())
    }
}

fn all_done(op: &'static str, actions: &[Action]) -> Result<Vec<Done>> {
    let done = |action: &Action| {
        let kind = number_of(action.kind).ok_or_else(|| Error::bare(ErrorKind::Invalid, op))?;
        Ok(Done {
            actor: action.actor.get(),
            kind,
            post: action.post.get(),
            item: action.item.get(),
        })
    };
    actions.iter().map(done).collect()
}

/// The number of a kind, if this version knows it.
const fn number_of(kind: ActionKind) -> Option<u8> {
    match kind {
        ActionKind::Like => Some(LIKE),
        ActionKind::Reply => Some(REPLY),
        ActionKind::Repost => Some(REPOST),
        _ => None,
    }
}

fn first_item(
    done: &impl ReadableTable<(u64, u8, u64, u64), ()>,
    (actor, kind, post): (u64, u8, u64),
) -> Result<Option<PostId>, Failure> {
    let items = (actor, kind, post, 0)..=(actor, kind, post, u64::MAX);
    let first = done.range(items)?.next().transpose()?;
    Ok(first.map(|(done, _)| PostId::new(done.value().3)))
}

const VERSION: u8 = 1;

fn encode(counts: &Counts) -> Vec<u8> {
    let mut row = vec![VERSION];
    for count in [counts.likes, counts.replies, counts.reposts] {
        row.extend(count.to_le_bytes());
    }
    row
}

fn decode(row: &[u8]) -> Option<Counts> {
    let mut row = Reader::of_version(VERSION, row)?;
    let mut counts = Counts::default();
    for count in [&mut counts.likes, &mut counts.replies, &mut counts.reposts] {
        *count = row.long()?;
    }
    row.end(counts)
}

impl RedbActionsOptions {
    /// Room for `actions` actions.
    #[must_use]
    pub const fn with_max_actions(mut self, actions: u64) -> Self {
        self.max_actions = actions;
        self
    }
}

impl Default for RedbActionsOptions {
    fn default() -> Self {
        Self {
            max_actions: 1_000_000_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use backplane::ManualClock;
    use feed_core::conformance::{Fresh, TestTime, actions::Subject};

    use super::*;
    use crate::{CorruptRow, scratch::Scratch};

    const ANN: UserId = UserId::new(1);
    const POST: PostId = PostId::new(10);

    async fn open(writer: &Writer, options: RedbActionsOptions) -> RedbActions {
        RedbActions::open(writer, "test", options).await.unwrap()
    }

    async fn fresh() -> Fresh<Subject> {
        let actions = open(&Scratch::new().writer(), RedbActionsOptions::default()).await;
        let actions = Arc::new(actions);
        Fresh {
            store: Arc::new(Subject {
                actions: Arc::clone(&actions) as _,
                counters: actions,
            }),
            time: TestTime::Manual(ManualClock::default()),
        }
    }

    feed_core::actions_conformance!(fresh());

    #[test]
    fn rows_lie_on_disk_as_they_always_have() {
        let mut counts = Counts::default();
        (counts.likes, counts.replies, counts.reposts) = (0x0102, 3, u64::MAX);
        let bytes = [
            1, 2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255,
            255,
        ];
        assert_eq!(encode(&counts), bytes);
        assert_eq!(decode(&bytes), Some(counts));
        assert_eq!(decode(&bytes[..24]), None);
        assert_eq!(decode(&[&bytes[..], &[0]].concat()), None);
        let kinds = [ActionKind::Like, ActionKind::Reply, ActionKind::Repost];
        assert_eq!(kinds.map(number_of), [Some(0), Some(1), Some(2)]);
    }

    #[tokio::test]
    async fn a_full_store_refuses_new_actions_and_no_retry() {
        let options = RedbActionsOptions::default().with_max_actions(1);
        let actions = open(&Scratch::new().writer(), options).await;
        let likes = [1, 2].map(|raw| Action::like(ANN, PostId::new(raw)));
        let refused = actions.record(&likes).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Full);
        assert_eq!(
            actions.counts(&[PostId::new(1)]).await.unwrap(),
            [Counts::default()]
        );
        for expected in [Recorded::New, Recorded::Existing(PostId::new(1))] {
            assert_eq!(actions.record(&likes[..1]).await.unwrap(), [expected]);
        }
        actions.withdraw(&likes[..1]).await.unwrap();
        assert_eq!(actions.record(&likes[1..]).await.unwrap(), [Recorded::New]);
    }

    #[tokio::test]
    async fn a_row_that_does_not_decode_is_named() {
        let writer = Scratch::new().writer();
        let actions = open(&writer, RedbActionsOptions::default()).await;
        let tables = ActionTables::new("test");
        let garbage = writer.run(move |txn| {
            tables.counts.write(txn)?.insert(POST.get(), &[9][..])?;
            Ok(())
        });
        garbage.await.unwrap();
        let read = actions.counts(&[POST]).await.unwrap_err();
        let write = actions
            .record(&[Action::like(ANN, POST)])
            .await
            .unwrap_err();
        for error in [read, write] {
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            let row = CorruptRow::behind(&error).expect("a row is the cause");
            assert_eq!((&*row.table, &*row.row), ("feed.actions.test.counts", "10"));
        }
        let acted = actions.acted(ANN, ActionKind::Like, &[POST]).await.unwrap();
        assert_eq!(acted, [None], "half of it is not there");
    }
}
