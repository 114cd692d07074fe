mod row;

use std::ops::RangeInclusive;

use async_trait::async_trait;
use feed_core::{
    Action, ActionKind, Actions, Counters, Counts, Error, ErrorKind, PostId, Recorded, Result,
    UserId,
};
use redb::{ReadableTable, ReadableTableMetadata, Table, WriteTransaction};

use crate::{
    CorruptRow, Failure, Writer,
    feed::actions::row::{
        Count, Done, DoneKey, DrawnKey, MadeKey, REPLY, decode, encode, number_of,
    },
    store::{Named, Store, Tables},
};

/// [`Actions`] and their [`Counters`] in a redb file.
///
/// What a write has answered is on disk: the sets and the counts of all actions of one call together,
/// or nothing of it. Reads see what is on disk, each at one instant, and run on the caller's thread:
/// nothing but redb's cache is in memory.
///
/// Counts that do not decode are read as none and told as an error event of `tracing`. The next write
/// that changes them counts anew, and for that looks once at each author to whose posts anything was
/// done.
///
/// ```
/// use std::sync::Arc;
/// use backend_redb::{RedbActions, RedbActionsOptions, Writer, WriterOptions, redb::Database};
/// use feed_core::{Action, Actions, Counters, Entry, PostId, UserId};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("feed.redb");
/// let writer = Writer::start(Arc::new(Database::create(path)?), WriterOptions::default())?;
/// let actions = RedbActions::open(&writer, "main", RedbActionsOptions::default()).await?;
/// let (ann, bob, post) = (UserId::new(1), UserId::new(2), PostId::new(10));
/// for _ in 0..2 {
///     actions.record(&[Action::like(ann, Entry::original(post, bob))]).await?;
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
        let (max, new) = (self.options.max_actions, all_new(OP, actions)?);
        let record = self.store.write(OP, move |txn, tables| {
            let mut sets = Sets::open(txn, tables)?;
            // Looked at before anything is written, so that a refusal undoes nobody else's work.
            if sets.done.len()?.saturating_add(sets.count_new(&new)?) > max {
                return Ok(None);
            }
            let recorded = new.iter().map(|&(done, author)| sets.record(done, author));
            recorded.collect::<Result<_, _>>().map(Some)
        });
        record
            .await?
            .ok_or_else(|| Error::bare(ErrorKind::Full, OP))
    }

    async fn withdraw(&self, actions: &[Action]) -> Result<Vec<bool>> {
        const OP: &str = "withdraw";
        let done = all_new(OP, actions)?;
        let withdraw = self.store.write(OP, move |txn, tables| {
            let mut sets = Sets::open(txn, tables)?;
            let withdrawn = done.iter().map(|&(done, _)| sets.withdraw(done));
            withdrawn.map(|done| Ok(done?.is_some())).collect()
        });
        withdraw.await
    }

    async fn withdraw_items(&self, actor: UserId, items: &[PostId]) -> Result<Vec<Action>> {
        let items = items.to_vec();
        let withdraw = self.store.write("withdraw items", move |txn, tables| {
            let mut sets = Sets::open(txn, tables)?;
            let mut withdrawn = Vec::new();
            for item in &items {
                for done in sets.made_as(actor.get(), item.get())? {
                    let author = sets.withdraw(done)?;
                    withdrawn.extend(author.and_then(|author| done.action(author)));
                }
            }
            Ok(withdrawn)
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

    async fn forget(&self, posts: &[PostId], limit: usize) -> Result<usize> {
        let posts = posts.to_vec();
        let forget = self.store.write("forget", move |txn, tables| {
            let mut sets = Sets::open(txn, tables)?;
            let mut left = limit;
            for post in &posts {
                left -= sets.forget(post.get(), left)?;
            }
            Ok(limit - left)
        });
        forget.await
    }

    async fn erase(&self, user: UserId, limit: usize) -> Result<usize> {
        let erase = self.store.write("erase", move |txn, tables| {
            Sets::open(txn, tables)?.erase(user.get(), limit)
        });
        erase.await
    }
}

#[async_trait]
impl Counters for RedbActions {
    async fn counts(&self, posts: &[PostId]) -> Result<Vec<Counts>> {
        self.store.read("counts", |txn, tables| {
            let rows = tables.counts.read(txn)?;
            let counts = |post: &PostId| {
                let count = CorruptRow::pass_over(tables.count_of(&rows, post.get()), None)?;
                Ok(count.map_or_else(Counts::default, |count| count.counts))
            };
            posts.iter().map(counts).collect()
        })
    }
}

/// How actions lie on disk.
///
/// | table | key | row |
/// |---|---|---|
/// | done | actor, kind, post, item | nothing; kind is 0 for a like, 1 for a reply, 2 for a repost |
/// | made | actor, item, kind, post | nothing; the replies and reposts of `done` |
/// | drawn | author, post, actor, kind, item | nothing; `done` by whom and what it was done to |
/// | counts | post | version 2 `u8`, author `u64`, likes `u64`, replies `u64`, reposts `u64` |
#[derive(Debug)]
struct ActionTables {
    done: Named<DoneKey, ()>,
    made: Named<MadeKey, ()>,
    drawn: Named<DrawnKey, ()>,
    counts: Named<u64, &'static [u8]>,
}

impl ActionTables {
    fn new(store: &str) -> Self {
        const KIND: &str = "feed.actions";
        Self {
            done: Named::new(KIND, store, "done"),
            made: Named::new(KIND, store, "made"),
            drawn: Named::new(KIND, store, "drawn"),
            counts: Named::new(KIND, store, "counts"),
        }
    }

    fn count_of(
        &self,
        counts: &impl ReadableTable<u64, &'static [u8]>,
        post: u64,
    ) -> Result<Option<Count>, Failure> {
        let Some(row) = counts.get(post)? else {
            return Ok(None);
        };
        self.counts.intact(post, decode(row.value())).map(Some)
    }
}

impl Tables for ActionTables {
    type Error = Error;

    fn create(&self, txn: &WriteTransaction) -> Result<(), Failure> {
        self.done.create(txn)?;
        self.made.create(txn)?;
        self.drawn.create(txn)?;
        self.counts.create(txn)
    }
}

/// The tables in one transaction. They change together.
struct Sets<'txn> {
    tables: &'txn ActionTables,
    done: Table<'txn, DoneKey, ()>,
    made: Table<'txn, MadeKey, ()>,
    drawn: Table<'txn, DrawnKey, ()>,
    counts: Table<'txn, u64, &'static [u8]>,
}

impl<'txn> Sets<'txn> {
    fn open(txn: &'txn WriteTransaction, tables: &'txn ActionTables) -> Result<Self, Failure> {
        Ok(Self {
            tables,
            done: tables.done.write(txn)?,
            made: tables.made.write(txn)?,
            drawn: tables.drawn.write(txn)?,
            counts: tables.counts.write(txn)?,
        })
    }

    /// How many are not there, at most.
    fn count_new(&self, new: &[(Done, u64)]) -> Result<u64, Failure> {
        let mut count = 0;
        for &(done, _) in new {
            count += u64::from(self.existing(done)?.is_none());
        }
        Ok(count)
    }

    fn record(&mut self, done: Done, author: u64) -> Result<Recorded, Failure> {
        if let Some(item) = self.existing(done)? {
            return Ok(Recorded::Existing(item));
        }
        let author = self.count(done, author, u64::checked_add)?;
        self.done.insert(done.key(), ())?;
        self.drawn.insert(done.drawn(author), ())?;
        if let Some(made) = done.made() {
            self.made.insert(made, ())?;
        }
        Ok(Recorded::New)
    }

    /// Answers whose post it was done to, if it was done.
    fn withdraw(&mut self, done: Done) -> Result<Option<u64>, Failure> {
        if self.done.remove(done.key())?.is_none() {
            return Ok(None);
        }
        let author = self.count(done, 0, u64::checked_sub)?;
        self.drawn.remove(done.drawn(author))?;
        if let Some(made) = done.made() {
            self.made.remove(made)?;
        }
        Ok(Some(author))
    }

    fn forget(&mut self, post: u64, limit: usize) -> Result<usize, Failure> {
        let count = self.tables.count_of(&self.counts, post);
        let Some(Count { author, .. }) = CorruptRow::make_up(count, || self.recount(post))? else {
            return Ok(0);
        };
        let first = (author, post, 0, 0, 0);
        let last = (author, post, u64::MAX, u8::MAX, u64::MAX);
        self.withdraw_drawn(first..=last, limit)
    }

    fn erase(&mut self, user: u64, limit: usize) -> Result<usize, Failure> {
        let all = (user, 0, 0, 0)..=(user, u8::MAX, u64::MAX, u64::MAX);
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
        let last = (user, u64::MAX, u64::MAX, u8::MAX, u64::MAX);
        let drawn = self.withdraw_drawn((user, 0, 0, 0, 0)..=last, limit - gone.len())?;
        Ok(gone.len() + drawn)
    }

    fn withdraw_drawn(
        &mut self,
        range: RangeInclusive<DrawnKey>,
        limit: usize,
    ) -> Result<usize, Failure> {
        let mut gone = Vec::new();
        for drawn in self.drawn.range(range)?.take(limit) {
            gone.push(Done::of_drawn(drawn?.0.value()));
        }
        for &done in &gone {
            self.withdraw(done)?;
        }
        Ok(gone.len())
    }

    /// The actions that `item` was made by.
    fn made_as(&self, actor: u64, item: u64) -> Result<Vec<Done>, Failure> {
        let all = (actor, item, 0, 0)..=(actor, item, u8::MAX, u64::MAX);
        let made = self.made.range(all)?;
        made.map(|made| Ok(Done::of_made(made?.0.value())))
            .collect()
    }

    /// The item of an action that stands in the way of this one.
    fn existing(&self, done: Done) -> Result<Option<PostId>, Failure> {
        if done.kind == REPLY {
            let same = self.done.get(done.key())?;
            return Ok(same.map(|_| PostId::new(done.item)));
        }
        first_item(&self.done, (done.actor, done.kind, done.post))
    }

    /// Changes a count, and answers whose post it is: `author`'s, if nothing was done to it before.
    fn count(
        &mut self,
        done: Done,
        author: u64,
        by_one: fn(u64, u64) -> Option<u64>,
    ) -> Result<u64, Failure> {
        let Done { kind, post, .. } = done;
        let none = Count {
            author,
            counts: Counts::default(),
        };
        let counted = |count: Option<Count>| {
            let mut count = count.unwrap_or(none);
            let of_kind = count.of_kind(kind);
            *of_kind = by_one(*of_kind, 1)?;
            Some(count)
        };
        let count = self.tables.count_of(&self.counts, post);
        let count = count.and_then(|count| self.tables.counts.intact(post, counted(count)));
        let count = CorruptRow::make_up(count, || {
            let count = self.recount(post)?;
            Ok(counted(count).or(count).unwrap_or(none))
        })?;
        self.set_count(post, &count)?;
        Ok(count.author)
    }

    fn set_count(&mut self, post: u64, count: &Count) -> Result<(), Failure> {
        if count.counts == Counts::default() {
            self.counts.remove(post)?;
        } else {
            self.counts.insert(post, &*encode(count))?;
        }
        Ok(())
    }

    /// Counts by what is drawn to `post`; `None` if nothing is.
    fn recount(&mut self, post: u64) -> Result<Option<Count>, Failure> {
        let Some(author) = self.drawn_from(post)? else {
            self.counts.remove(post)?;
            return Ok(None);
        };
        let mut count = Count {
            author,
            counts: Counts::default(),
        };
        let all = (author, post, 0, 0, 0)..=(author, post, u64::MAX, u8::MAX, u64::MAX);
        for drawn in self.drawn.range(all)? {
            *count.of_kind(Done::of_drawn(drawn?.0.value()).kind) += 1;
        }
        self.set_count(post, &count)?;
        Ok(Some(count))
    }

    /// Whose post it is, by a look at each author to whom anything is drawn: only its count says it
    /// at once.
    fn drawn_from(&self, post: u64) -> Result<Option<u64>, Failure> {
        let mut next = Some(0);
        while let Some(author) = next {
            let Some(drawn) = self.drawn.range((author, post, 0, 0, 0)..)?.next() else {
                break;
            };
            let (found, its_post, ..) = drawn?.0.value();
            if (found, its_post) == (author, post) {
                return Ok(Some(author));
            }
            next = if found > author {
                Some(found)
            } else {
                author.checked_add(1)
            };
        }
        Ok(None)
    }
}

/// Actions as their tables have them, each with its post's author.
fn all_new(op: &'static str, actions: &[Action]) -> Result<Vec<(Done, u64)>> {
    let new = |action: &Action| {
        let kind = number_of(action.kind).ok_or_else(|| Error::bare(ErrorKind::Invalid, op))?;
        let done = Done {
            actor: action.actor.get(),
            kind,
            post: action.post.get(),
            item: action.item.get(),
        };
        Ok((done, action.author.get()))
    };
    actions.iter().map(new).collect()
}

fn first_item(
    done: &impl ReadableTable<DoneKey, ()>,
    (actor, kind, post): (u64, u8, u64),
) -> Result<Option<PostId>, Failure> {
    let items = (actor, kind, post, 0)..=(actor, kind, post, u64::MAX);
    let first = done.range(items)?.next().transpose()?;
    Ok(first.map(|(done, _)| PostId::new(done.value().3)))
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
mod tests;
