//! What changes an outbox, decided within the transaction that writes it.

use bytes::Bytes;
use feed_core::{Appended, Entry, IdempotencyKey, PostId, Publication, Retracted, Revised, UserId};
use redb::{ReadableTable, ReadableTableMetadata, Table, Value, WriteTransaction};

use super::{
    RedbOutboxOptions,
    rows::{OutboxTables, PastRow, PostRow},
};
use crate::{CorruptRow, Failure};

/// Publishes each item. `None`: there is no room for the new ones, and nothing was stored.
pub(super) fn append(
    txn: &WriteTransaction,
    tables: &OutboxTables,
    options: &RedbOutboxOptions,
    items: &[Publication],
) -> Result<Option<Vec<Appended>>, Failure> {
    let mut shelves = Shelves::open(txn, tables, options)?;
    let live = shelves.lines.len()?;
    if live.saturating_add(items.len() as u64) > options.max_posts {
        // A retry of what is stored already needs no room.
        let mut new = 0;
        for item in items {
            new += u64::from(shelves.known(item)?.is_none());
        }
        if new > options.max_posts.saturating_sub(live) {
            return Ok(None);
        }
    }
    let published = items.iter().map(|item| shelves.publish(item));
    published.collect::<Result<_, _>>().map(Some)
}

/// The tables that an append may touch.
struct Shelves<'txn> {
    txn: &'txn WriteTransaction,
    tables: &'txn OutboxTables,
    options: &'txn RedbOutboxOptions,
    posts: Table<'txn, u64, &'static [u8]>,
    bodies: Table<'txn, u64, &'static [u8]>,
    lines: Table<'txn, (u64, u64), u64>,
    keys: Table<'txn, (u64, &'static str), u64>,
    pasts: Table<'txn, u64, &'static [u8]>,
}

impl<'txn> Shelves<'txn> {
    fn open(
        txn: &'txn WriteTransaction,
        tables: &'txn OutboxTables,
        options: &'txn RedbOutboxOptions,
    ) -> Result<Self, Failure> {
        Ok(Self {
            txn,
            tables,
            options,
            posts: tables.posts.write(txn)?,
            bodies: tables.bodies.write(txn)?,
            lines: tables.lines.write(txn)?,
            keys: tables.keys.write(txn)?,
            pasts: tables.pasts.write(txn)?,
        })
    }

    /// What an append of `item` answers without storing it, if it does not.
    fn known(&self, item: &Publication) -> Result<Option<Appended>, Failure> {
        let Entry { post, author, .. } = item.entry;
        if let Some(key) = &item.key
            && let Some(earlier) = self.keys.get((author.get(), key.as_str()))?
        {
            return Ok(Some(Appended::Duplicate(PostId::new(earlier.value()))));
        }
        Ok(match self.tables.post(&self.posts, post)? {
            Some(PostRow::Live { .. }) => Some(Appended::Duplicate(post)),
            Some(PostRow::Retracted) => Some(Appended::Retracted),
            None => {
                let past = self.past(author)?;
                past.has_retracted(post).then_some(Appended::Retracted)
            }
        })
    }

    fn publish(&mut self, item: &Publication) -> Result<Appended, Failure> {
        if let Some(known) = self.known(item)? {
            return Ok(known);
        }
        let Entry {
            post,
            author,
            origin,
        } = item.entry;
        let row = PostRow::first(item).encode();
        self.posts.insert(post.get(), &*row)?;
        self.lines
            .insert((author.get(), post.get()), origin.get())?;
        put_body(&mut self.bodies, post, &item.body)?;
        if let Some(key) = &item.key {
            self.remember(author, key, post)?;
        }
        Ok(Appended::Stored)
    }

    /// Keeps `key` as one of the author's newest.
    fn remember(
        &mut self,
        author: UserId,
        key: &IdempotencyKey,
        post: PostId,
    ) -> Result<(), Failure> {
        let mut past = self.past(author)?;
        let author = author.get();
        let mut order = self.tables.key_order.write(self.txn)?;
        let next = last_of(&order, author)?.map_or(Some(0), |last| last.checked_add(1));
        let next = self.tables.key_order.intact(author, next)?;
        order.insert((author, next), key.as_str())?;
        self.keys.insert((author, key.as_str()), post.get())?;

        past.keys = past.keys.saturating_add(1);
        for _ in 0..surplus(past.keys, self.options.keys_per_author) {
            let Some(oldest) = first_of(&order, author)? else {
                break;
            };
            if let Some(key) = order.remove((author, oldest))? {
                self.keys.remove((author, key.value()))?;
                past.keys -= 1;
            }
        }
        self.pasts.insert(author, &*past.encode())?;
        Ok(())
    }

    fn past(&self, author: UserId) -> Result<PastRow, Failure> {
        let found = self.tables.past(&self.pasts, author);
        past(self.txn, self.tables, self.options, author, found)
    }
}

/// What was `found` of the author's past; if it does not decode, what the other tables tell of it.
///
/// Those do not tell up to which post absent ones count as retracted: up to the first retraction that
/// is kept, if there may have been earlier ones.
fn past(
    txn: &WriteTransaction,
    tables: &OutboxTables,
    options: &RedbOutboxOptions,
    author: UserId,
    found: Result<PastRow, Failure>,
) -> Result<PastRow, Failure> {
    CorruptRow::make_up(found, || {
        let author = author.get();
        let kept = tables.retractions.write(txn)?;
        let retractions = count_of(&kept, author)?;
        let first = first_of(&kept, author)?.map(PostId::new);
        Ok(PastRow {
            retractions,
            keys: count_of(&tables.key_order.write(txn)?, author)?,
            retracted_to: first.filter(|_| retractions >= options.retractions_per_author),
        })
    })
}

pub(super) fn revise(
    txn: &WriteTransaction,
    tables: &OutboxTables,
    reviser: UserId,
    post: PostId,
    body: &Bytes,
) -> Result<Revised, Failure> {
    let mut posts = tables.posts.write(txn)?;
    let Some(PostRow::Live {
        author,
        origin,
        version,
        reply_to,
    }) = tables.post(&posts, post)?
    else {
        return Ok(Revised::Gone);
    };
    if author != reviser {
        return Ok(Revised::NotAuthor);
    }
    let version = version.saturating_add(1);
    let row = PostRow::Live {
        author,
        origin,
        version,
        reply_to,
    };
    posts.insert(post.get(), &*row.encode())?;
    put_body(&mut tables.bodies.write(txn)?, post, body)?;
    Ok(Revised::Stored(version))
}

pub(super) fn retract(
    txn: &WriteTransaction,
    tables: &OutboxTables,
    options: &RedbOutboxOptions,
    by: UserId,
    post: PostId,
) -> Result<Retracted, Failure> {
    let mut posts = tables.posts.write(txn)?;
    let mut pasts = tables.pasts.write(txn)?;
    let mut past = past(txn, tables, options, by, tables.past(&pasts, by))?;
    let answer = match tables.post(&posts, post)? {
        Some(PostRow::Retracted) => return Ok(Retracted::Absent),
        Some(PostRow::Live { author, .. }) if author != by => return Ok(Retracted::NotAuthor),
        Some(PostRow::Live { origin, .. }) => {
            tables.lines.write(txn)?.remove((by.get(), post.get()))?;
            tables.bodies.write(txn)?.remove(post.get())?;
            Retracted::Removed(Entry {
                post,
                author: by,
                origin,
            })
        }
        None if past.has_retracted(post) => return Ok(Retracted::Absent),
        None => Retracted::Absent,
    };
    let mut retractions = tables.retractions.write(txn)?;
    posts.insert(post.get(), &*PostRow::Retracted.encode())?;
    retractions.insert((by.get(), post.get()), ())?;
    past.retractions = past.retractions.saturating_add(1);
    for _ in 0..surplus(past.retractions, options.retractions_per_author) {
        let Some(smallest) = first_of(&retractions, by.get())? else {
            break;
        };
        retractions.remove((by.get(), smallest))?;
        posts.remove(smallest)?;
        past.retractions -= 1;
        past.retracted_to = past.retracted_to.max(Some(PostId::new(smallest)));
    }
    pasts.insert(by.get(), &*past.encode())?;
    Ok(answer)
}

/// Forgets the author's keys, and up to `limit` posts: live ones newest first, then retracted ones.
pub(super) fn erase(
    txn: &WriteTransaction,
    tables: &OutboxTables,
    options: &RedbOutboxOptions,
    author: UserId,
    limit: usize,
) -> Result<usize, Failure> {
    forget_keys(txn, tables, author)?;
    let mut pasts = tables.pasts.write(txn)?;
    let found = tables.past(&pasts, author);
    let mut past = PastRow {
        keys: 0,
        retracted_to: None,
        ..past(txn, tables, options, author, found)?
    };
    let author = author.get();
    let mut posts = tables.posts.write(txn)?;
    let mut bodies = tables.bodies.write(txn)?;
    let mut lines = tables.lines.write(txn)?;
    let mut erased = 0;
    while erased < limit
        && let Some(post) = last_of(&lines, author)?
    {
        lines.remove((author, post))?;
        posts.remove(post)?;
        bodies.remove(post)?;
        erased += 1;
    }
    let mut retractions = tables.retractions.write(txn)?;
    while erased < limit
        && let Some(post) = first_of(&retractions, author)?
    {
        retractions.remove((author, post))?;
        posts.remove(post)?;
        past.retractions = past.retractions.saturating_sub(1);
        erased += 1;
    }
    if past == PastRow::default() {
        pasts.remove(author)?;
    } else {
        pasts.insert(author, &*past.encode())?;
    }
    Ok(erased)
}

fn forget_keys(
    txn: &WriteTransaction,
    tables: &OutboxTables,
    author: UserId,
) -> Result<(), Failure> {
    let author = author.get();
    let mut keys = tables.keys.write(txn)?;
    let mut order = tables.key_order.write(txn)?;
    for entry in order.extract_from_if((author, 0)..=(author, u64::MAX), |_, _| true)? {
        let (_, key) = entry?;
        keys.remove((author, key.value()))?;
    }
    Ok(())
}

fn put_body(
    bodies: &mut Table<'_, u64, &'static [u8]>,
    post: PostId,
    body: &[u8],
) -> Result<(), Failure> {
    if body.is_empty() {
        bodies.remove(post.get())?;
    } else {
        bodies.insert(post.get(), body)?;
    }
    Ok(())
}

/// How many of those that are kept go with one that was added. They are more than one if the bound
/// was larger when the outbox was last open; not all then go at once, for which others would wait.
fn surplus(kept: u64, bound: u64) -> u64 {
    kept.saturating_sub(bound).min(64)
}

fn count_of<V: Value + 'static>(
    table: &Table<'_, (u64, u64), V>,
    author: u64,
) -> Result<u64, Failure> {
    let mut count = 0;
    for own in table.range((author, 0)..=(author, u64::MAX))? {
        own?;
        count += 1;
    }
    Ok(count)
}

/// The smallest second half of the author's keys.
fn first_of<V: Value + 'static>(
    table: &Table<'_, (u64, u64), V>,
    author: u64,
) -> Result<Option<u64>, Failure> {
    let mut own = table.range((author, 0)..=(author, u64::MAX))?;
    let first = own.next().transpose()?;
    Ok(first.map(|(key, _)| key.value().1))
}

/// The largest second half of the author's keys.
fn last_of<V: Value + 'static>(
    table: &Table<'_, (u64, u64), V>,
    author: u64,
) -> Result<Option<u64>, Failure> {
    let mut own = table.range((author, 0)..=(author, u64::MAX))?;
    let last = own.next_back().transpose()?;
    Ok(last.map(|(key, _)| key.value().1))
}
