mod merge;
mod publish;
mod rows;

use async_trait::async_trait;
use bytes::Bytes;
use feed_core::{
    Appended, Entry, Error, ErrorKind, IdempotencyKey, Outbox, Post, PostId, PostState,
    Publication, Result, Retracted, Revised, Seek, UserId,
};

use crate::{
    CorruptRow, Writer,
    feed::outbox::{merge::merge, rows::OutboxTables},
    store::Store,
};

/// An [`Outbox`] in a redb file.
///
/// What a write has answered is on disk; an [`append`](Outbox::append) is on disk as a whole or not
/// at all. Reads see what is on disk, each at one instant, and run on the caller's thread: nothing
/// but redb's cache is in memory, so the posts may be many more than fit there.
///
/// A post whose row does not decode is absent to [`lookup`](Outbox::lookup) and
/// [`posts`](Outbox::posts), which many pages share, and told as an error event of `tracing`; a write
/// of that post is `Corrupt`, so that its row stays as it is, until its author is erased. What is
/// remembered of an author beside the posts is made up for from other rows.
///
/// Several outboxes under one name on one [`Writer`] are the same outbox.
///
/// # Erasure
///
/// What was retracted or erased cannot be read again. Its bytes may stay in free pages of the file
/// until those are used again or the database is compacted.
///
/// ```
/// use std::sync::Arc;
/// use backend_redb::{RedbOutbox, RedbOutboxOptions, Writer, WriterOptions, redb::Database};
/// use feed_core::{Entry, Outbox, PostId, Publication, Seek, UserId};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("feed.redb");
/// let writer = Writer::start(Arc::new(Database::create(path)?), WriterOptions::default())?;
/// let outbox = RedbOutbox::open(&writer, "main", RedbOutboxOptions::default()).await?;
/// let ann = UserId::new(1);
/// let entry = Entry::original(PostId::new(10), ann);
/// outbox.append(&[Publication::new(entry, "on disk when this returns".into())]).await?;
/// assert_eq!(outbox.latest(&[ann], Seek::Newest, 20).await?, [entry]);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct RedbOutbox {
    store: Store<OutboxTables>,
    options: RedbOutboxOptions,
}

/// The bounds of a [`RedbOutbox`].
///
/// A file that was written under larger ones keeps more for a while: each key and each retraction that
/// is added lets up to 64 of its author's go.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RedbOutboxOptions {
    /// How many live posts there may be; more are refused as
    /// [`ErrorKind::Full`](feed_core::ErrorKind::Full). 1,000,000,000 by default.
    pub max_posts: u64,
    /// How many idempotency keys are kept for each author, the newest. 1,000 by default: a retry is
    /// recognised until its author has published that often since.
    pub keys_per_author: u64,
    /// How many retractions are kept for each author, those with the largest ids. 10,000 by default.
    /// A post whose retraction is not kept is absent, and every absent post of its author up to that
    /// id counts as retracted: an append that comes later stores nothing.
    pub retractions_per_author: u64,
}

impl RedbOutbox {
    /// Opens the outbox called `name`, which is empty if the file does not know it.
    ///
    /// # Errors
    ///
    /// What the [`Writer`] fails with.
    pub async fn open(writer: &Writer, name: &str, options: RedbOutboxOptions) -> Result<Self> {
        let store = Store::open(writer, OutboxTables::new(name)).await?;
        Ok(Self { store, options })
    }
}

#[async_trait]
impl Outbox for RedbOutbox {
    async fn append(&self, items: &[Publication]) -> Result<Vec<Appended>> {
        const OP: &str = "append";
        Publication::check_ids(items, OP)?;
        let (options, items) = (self.options.clone(), items.to_vec());
        let append = self.store.write(OP, move |txn, tables| {
            publish::append(txn, tables, &options, &items)
        });
        append
            .await?
            .ok_or_else(|| Error::bare(ErrorKind::Full, OP))
    }

    async fn revise(&self, author: UserId, post: PostId, body: Bytes) -> Result<Revised> {
        let revise = self.store.write("revise", move |txn, tables| {
            publish::revise(txn, tables, author, post, &body)
        });
        revise.await
    }

    async fn retract(&self, author: UserId, post: PostId) -> Result<Retracted> {
        let options = self.options.clone();
        let retract = self.store.write("retract", move |txn, tables| {
            publish::retract(txn, tables, &options, author, post)
        });
        retract.await
    }

    async fn latest(&self, authors: &[UserId], seek: Seek, limit: usize) -> Result<Vec<Entry>> {
        self.store.read("latest", |txn, tables| {
            merge(&tables.lines.read(txn)?, authors, seek, limit)
        })
    }

    async fn heads(&self, authors: &[UserId]) -> Result<Vec<Option<PostId>>> {
        self.store.read("heads", |txn, tables| {
            let lines = tables.lines.read(txn)?;
            let head = |author: &UserId| {
                let author = author.get();
                let newest = lines.range((author, 0)..=(author, u64::MAX))?.next_back();
                let newest = newest.transpose()?;
                Ok(newest.map(|(key, _)| PostId::new(key.value().1)))
            };
            authors.iter().map(head).collect()
        })
    }

    async fn lookup(&self, posts: &[PostId]) -> Result<Vec<PostState>> {
        self.store.read("lookup", |txn, tables| {
            let rows = tables.posts.read(txn)?;
            let state = |&post: &PostId| {
                let row = CorruptRow::pass_over(tables.post(&rows, post), None)?;
                Ok(row.map_or(PostState::Absent, |row| row.state(post)))
            };
            posts.iter().map(state).collect()
        })
    }

    async fn posts(&self, posts: &[PostId]) -> Result<Vec<Option<Post>>> {
        self.store.read("posts", |txn, tables| {
            let (rows, bodies) = (tables.posts.read(txn)?, tables.bodies.read(txn)?);
            let whole = |&post: &PostId| {
                let row = CorruptRow::pass_over(tables.post(&rows, post), None)?;
                let Some(row) = row else { return Ok(None) };
                let PostState::Live { entry, version } = row.state(post) else {
                    return Ok(None);
                };
                let body = bodies.get(post.get())?;
                let body =
                    body.map_or_else(Bytes::new, |body| Bytes::copy_from_slice(body.value()));
                Ok(Some(
                    Post::new(entry, version, body).in_reply_to(row.reply_to()),
                ))
            };
            posts.iter().map(whole).collect()
        })
    }

    async fn published(&self, author: UserId, key: &IdempotencyKey) -> Result<Option<PostId>> {
        self.store.read("published", |txn, tables| {
            let keys = tables.keys.read(txn)?;
            let post = keys.get((author.get(), key.as_str()))?;
            Ok(post.map(|post| PostId::new(post.value())))
        })
    }

    async fn erase(&self, author: UserId, limit: usize) -> Result<usize> {
        let options = self.options.clone();
        let erase = self.store.write("erase", move |txn, tables| {
            publish::erase(txn, tables, &options, author, limit)
        });
        erase.await
    }
}

impl RedbOutboxOptions {
    /// Room for `posts` live posts.
    #[must_use]
    pub const fn with_max_posts(mut self, posts: u64) -> Self {
        self.max_posts = posts;
        self
    }

    /// Keep `keys` idempotency keys for each author.
    #[must_use]
    pub const fn with_keys_per_author(mut self, keys: u64) -> Self {
        self.keys_per_author = keys;
        self
    }

    /// Keep `retractions` retractions for each author.
    #[must_use]
    pub const fn with_retractions_per_author(mut self, retractions: u64) -> Self {
        self.retractions_per_author = retractions;
        self
    }
}

impl Default for RedbOutboxOptions {
    fn default() -> Self {
        Self {
            max_posts: 1_000_000_000,
            keys_per_author: 1_000,
            retractions_per_author: 10_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use backplane::ManualClock;
    use feed_core::conformance::{Fresh, TestTime};
    use redb::ReadableTableMetadata;

    use super::*;
    use crate::{CorruptRow, scratch::Scratch};

    const ANN: UserId = UserId::new(1);
    const BOB: UserId = UserId::new(2);

    async fn open(scratch: &Scratch, options: RedbOutboxOptions) -> RedbOutbox {
        RedbOutbox::open(&scratch.writer(), "test", options)
            .await
            .unwrap()
    }

    async fn fresh() -> Fresh<dyn Outbox> {
        let outbox = open(&Scratch::new(), RedbOutboxOptions::default()).await;
        Fresh {
            store: Arc::new(outbox),
            time: TestTime::Manual(ManualClock::default()),
        }
    }

    feed_core::outbox_conformance!(fresh());

    fn item(author: UserId, raw: u64) -> Publication {
        Publication::new(Entry::original(PostId::new(raw), author), Bytes::new())
    }

    fn keyed(author: UserId, raw: u64) -> Publication {
        let key = raw.to_string().parse().expect("digits are a key");
        item(author, raw).with_key(key)
    }

    #[tokio::test]
    async fn a_bound_that_was_lowered_is_reached_step_by_step() {
        const KEPT: u64 = 70;
        let writer = Scratch::new().writer();
        let open = async |bound| {
            let options = RedbOutboxOptions::default()
                .with_keys_per_author(bound)
                .with_retractions_per_author(bound);
            RedbOutbox::open(&writer, "test", options).await.unwrap()
        };
        let wide = open(KEPT).await;
        let items: Vec<_> = (1..=KEPT).map(|raw| keyed(ANN, raw)).collect();
        wide.append(&items).await.unwrap();
        for raw in 1..=KEPT {
            wide.retract(ANN, PostId::new(raw)).await.unwrap();
        }
        let rows = async || {
            let tables = OutboxTables::new("test");
            let count = writer.run(move |txn| {
                let retractions = tables.retractions.write(txn)?.len()?;
                Ok((tables.keys.write(txn)?.len()?, retractions))
            });
            count.await.unwrap()
        };
        assert_eq!(rows().await, (KEPT, KEPT));

        let narrow = open(2).await;
        let mut left = KEPT;
        for raw in KEPT + 1..=KEPT + 3 {
            narrow.append(&[keyed(ANN, raw)]).await.unwrap();
            narrow.retract(ANN, PostId::new(raw)).await.unwrap();
            left = (left + 1).saturating_sub(64).max(2);
            assert_eq!(rows().await, (left, left));
        }
        let again = narrow.append(&[item(ANN, 1)]).await.unwrap();
        assert_eq!(again, [Appended::Retracted]);
        let newest = (KEPT + 3).to_string().parse().unwrap();
        let published = narrow.published(ANN, &newest).await.unwrap();
        assert_eq!(published, Some(PostId::new(KEPT + 3)));
    }

    #[tokio::test]
    async fn a_full_outbox_refuses_the_whole_batch() {
        let options = RedbOutboxOptions::default().with_max_posts(2);
        let outbox = open(&Scratch::new(), options).await;
        outbox.append(&[item(ANN, 1)]).await.unwrap();
        let refused = outbox.append(&[item(ANN, 2), item(BOB, 3)]).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Full);
        let all = outbox.latest(&[ANN, BOB], Seek::Newest, 9).await.unwrap();
        assert_eq!(all.len(), 1);

        outbox.append(&[item(ANN, 2)]).await.unwrap();
        let retries = outbox.append(&[item(ANN, 1), item(ANN, 2)]).await.unwrap();
        assert_eq!(
            retries,
            [1, 2].map(|raw| Appended::Duplicate(PostId::new(raw)))
        );
        outbox.retract(ANN, PostId::new(1)).await.unwrap();
        outbox.append(&[item(BOB, 3)]).await.unwrap();
    }

    #[tokio::test]
    async fn a_past_that_does_not_decode_is_made_up_for() {
        let writer = Scratch::new().writer();
        let options = RedbOutboxOptions::default()
            .with_keys_per_author(2)
            .with_retractions_per_author(2);
        let outbox = RedbOutbox::open(&writer, "test", options).await.unwrap();
        let damage = async || {
            let tables = OutboxTables::new("test");
            let garbage = writer.run(move |txn| {
                tables.pasts.write(txn)?.insert(ANN.get(), &[9][..])?;
                Ok(())
            });
            garbage.await.unwrap();
        };
        let append = async |items: &[Publication]| outbox.append(items).await.unwrap();
        append(&[keyed(ANN, 1), keyed(ANN, 2)]).await;
        damage().await;
        append(&[keyed(ANN, 3)]).await;
        let known = async |key: &str| {
            let published = outbox.published(ANN, &key.parse().unwrap()).await;
            published.unwrap().is_some()
        };
        assert_eq!([known("1").await, known("3").await], [false, true]);

        for raw in 1..=3 {
            damage().await;
            outbox.retract(ANN, PostId::new(raw)).await.unwrap();
        }
        damage().await;
        let late = append(&[1, 2, 3].map(|raw| item(ANN, raw))).await;
        assert_eq!(late, [Appended::Retracted; 3]);
        assert_eq!(append(&[item(ANN, 4)]).await, [Appended::Stored]);
        damage().await;
        assert_eq!(outbox.erase(ANN, 2).await.unwrap(), 2);
        assert_eq!(outbox.erase(ANN, 2).await.unwrap(), 1);
        assert_eq!(append(&[item(ANN, 1)]).await, [Appended::Stored]);
    }

    #[tokio::test]
    async fn a_row_that_does_not_decode_is_absent_from_pages_and_named_to_writes() {
        let scratch = Scratch::new();
        let writer = scratch.writer();
        let outbox = RedbOutbox::open(&writer, "test", RedbOutboxOptions::default())
            .await
            .unwrap();
        let tables = OutboxTables::new("test");
        let garbage = writer.run(move |txn| {
            tables.posts.write(txn)?.insert(7, &[9, 9][..])?;
            Ok(())
        });
        garbage.await.unwrap();
        let error = outbox.retract(ANN, PostId::new(7)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        let row = CorruptRow::behind(&error).expect("a row is the cause");
        assert_eq!(row.table, "feed.outbox.test.posts");
        assert_eq!(row.row, "PostId(7)");
        assert_eq!(
            outbox.append(&[item(ANN, 8)]).await.unwrap(),
            [Appended::Stored]
        );
        let page = [7, 8].map(PostId::new);
        let states = outbox.lookup(&page).await.unwrap();
        assert_eq!(states[0], PostState::Absent);
        assert!(matches!(states[1], PostState::Live { .. }));
        let posts = outbox.posts(&page).await.unwrap();
        assert_eq!((posts[0].is_some(), posts[1].is_some()), (false, true));
    }
}
