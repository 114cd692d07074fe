mod author;
mod authors;
mod merge;
#[cfg(test)]
mod model;

use std::fmt;

use async_trait::async_trait;
use backplane::memory::{Room, Shards};
use bytes::Bytes;
use hashbrown::{HashMap, hash_map::Entry as Slot};

use crate::{
    Appended, Entry, IdempotencyKey, Outbox, Post, PostId, PostState, Publication, Result,
    Retracted, Revised, Seek, UserId,
    memory::outbox::{authors::Authors, merge::merge},
};

/// An [`Outbox`] in process memory: durable as long as the process.
///
/// The trait's methods are here without `async` too, and cannot fail but for lack of room. Readers
/// see each author, and each page of [`latest`](Self::latest), at one instant.
///
/// ```
/// use feed_core::{Entry, MemoryOutbox, PostId, Publication, Seek, UserId};
///
/// let outbox = MemoryOutbox::default();
/// let (ann, bob) = (UserId::new(1), UserId::new(2));
/// let posts = [(10, ann), (11, bob), (12, ann)].map(|(post, author)| {
///     Publication::new(Entry::original(PostId::new(post), author), "hello".into())
/// });
/// outbox.append(&posts)?;
///
/// let page = outbox.latest(&[ann, bob], Seek::Newest, 2);
/// assert_eq!(page, [posts[2].entry, posts[1].entry]);
/// # Ok::<_, feed_core::Error>(())
/// ```
pub struct MemoryOutbox {
    options: MemoryOutboxOptions,
    /// Where both are locked, the author's shard comes first: whoever sees a line finds its post.
    authors: Shards<Authors>,
    /// One shard of these at a time for a writer.
    posts: Shards<HashMap<PostId, Record>>,
    live: Room,
}

/// The bounds of a [`MemoryOutbox`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MemoryOutboxOptions {
    /// How many live posts there may be; more are refused as [`ErrorKind::Full`](crate::ErrorKind::Full). 10,000,000 by
    /// default. A post takes about 170 bytes and its body.
    pub max_posts: usize,
    /// How many idempotency keys are kept for each author, the newest. 1,000 by default: a retry is
    /// recognised until its author has published that often since.
    pub keys_per_author: usize,
    /// How many retractions are kept for each author, those with the largest ids. 10,000 by default.
    /// A post whose retraction is not kept is absent, and every absent post of its author up to that
    /// id counts as retracted: an append that comes later stores nothing.
    pub retractions_per_author: usize,
}

enum Record {
    Live(LivePost),
    Retracted,
}

struct LivePost {
    author: UserId,
    origin: PostId,
    version: u32,
    /// Apart, since every page looks posts up and few want this.
    content: Box<Content>,
}

struct Content {
    body: Bytes,
    reply_to: Option<PostId>,
}

impl MemoryOutbox {
    /// An empty outbox within the bounds of `options`.
    #[must_use]
    pub fn new(options: MemoryOutboxOptions) -> Self {
        Self {
            live: Room::new(options.max_posts),
            options,
            authors: Shards::default(),
            posts: Shards::default(),
        }
    }

    /// See [`Outbox::append`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Full`](crate::ErrorKind::Full) if the new posts among the items are more than
    /// there is room for, and [`ErrorKind::ReservedPostId`](crate::ErrorKind::ReservedPostId). Nothing
    /// was stored.
    pub fn append(&self, items: &[Publication]) -> Result<Vec<Appended>> {
        Publication::check_ids(items, "append")?;
        let reserved = self.reserve(items)?;
        let answers: Vec<_> = items.iter().map(|item| self.publish(item)).collect();
        let stored = answers.iter().filter(|&&answer| answer == Appended::Stored);
        let stored = stored.count();
        if stored > reserved {
            // An erasure came in between, and made room.
            self.live.overdraw(stored - reserved);
        } else {
            self.live.give(reserved - stored);
        }
        Ok(answers)
    }

    /// See [`Outbox::revise`].
    pub fn revise(&self, author: UserId, post: PostId, body: &[u8]) -> Revised {
        let mut posts = self.posts.write(post.get());
        match posts.get_mut(&post) {
            Some(Record::Live(live)) if live.author == author => {
                live.content.body = compact(body);
                live.version = live.version.saturating_add(1);
                Revised::Stored(live.version)
            }
            Some(Record::Live(_)) => Revised::NotAuthor,
            Some(Record::Retracted) | None => Revised::Gone,
        }
    }

    /// See [`Outbox::retract`].
    pub fn retract(&self, author: UserId, post: PostId) -> Retracted {
        let mut authors = self.authors.write(author.get());
        let known = authors.get(author);
        let removed = match self.posts.write(post.get()).entry(post) {
            Slot::Vacant(_) if known.is_some_and(|outbox| outbox.has_retracted(post)) => {
                return Retracted::Absent;
            }
            Slot::Vacant(slot) => {
                slot.insert(Record::Retracted);
                None
            }
            Slot::Occupied(mut slot) => match slot.get() {
                Record::Retracted => return Retracted::Absent,
                Record::Live(live) if live.author != author => return Retracted::NotAuthor,
                Record::Live(live) => {
                    let entry = live.entry(post);
                    slot.insert(Record::Retracted);
                    Some(entry)
                }
            },
        };
        let outbox = authors.get_or_insert(author);
        if removed.is_some() {
            outbox.remove(post);
            self.live.give(1);
        }
        if let Some(forgotten) = outbox.retract(post, self.options.retractions_per_author) {
            self.posts.write(forgotten.get()).remove(&forgotten);
        }
        removed.map_or(Retracted::Absent, Retracted::Removed)
    }

    /// See [`Outbox::latest`].
    #[must_use]
    pub fn latest(&self, authors: &[UserId], seek: Seek, limit: usize) -> Vec<Entry> {
        let shards = self
            .authors
            .read_many(authors.iter().map(|author| author.get()));
        let found = authors
            .iter()
            .filter_map(|&author| shards.of(author.get()).get(author));
        merge(found, seek, limit)
    }

    /// See [`Outbox::heads`].
    #[must_use]
    pub fn heads(&self, authors: &[UserId]) -> Vec<Option<PostId>> {
        let shards = self
            .authors
            .read_many(authors.iter().map(|author| author.get()));
        let boxes = authors
            .iter()
            .map(|&author| shards.of(author.get()).get(author));
        boxes.map(|outbox| outbox?.newest()).collect()
    }

    /// See [`Outbox::lookup`].
    #[must_use]
    pub fn lookup(&self, posts: &[PostId]) -> Vec<PostState> {
        let shards = self.posts.read_many(posts.iter().map(|post| post.get()));
        let state = |&post: &PostId| match shards.of(post.get()).get(&post) {
            None => PostState::Absent,
            Some(Record::Retracted) => PostState::Retracted,
            Some(Record::Live(live)) => PostState::Live {
                entry: live.entry(post),
                version: live.version,
            },
        };
        posts.iter().map(state).collect()
    }

    /// See [`Outbox::posts`].
    #[must_use]
    pub fn posts(&self, posts: &[PostId]) -> Vec<Option<Post>> {
        let shards = self.posts.read_many(posts.iter().map(|post| post.get()));
        let whole = |&post: &PostId| match shards.of(post.get()).get(&post)? {
            Record::Live(live) => {
                let Content { body, reply_to } = &*live.content;
                let whole = Post::new(live.entry(post), live.version, body.clone());
                Some(whole.in_reply_to(*reply_to))
            }
            Record::Retracted => None,
        };
        posts.iter().map(whole).collect()
    }

    /// See [`Outbox::published`].
    #[must_use]
    pub fn published(&self, author: UserId, key: &IdempotencyKey) -> Option<PostId> {
        let authors = self.authors.read(author.get());
        authors.get(author)?.published(key)
    }

    /// See [`Outbox::erase`]. The author's keys go first, all at once, with what is known of
    /// retractions that are not kept.
    pub fn erase(&self, author: UserId, limit: usize) -> usize {
        let mut authors = self.authors.write(author.get());
        let Some(erased) = authors.prune(author, |outbox| outbox.erase(limit)) else {
            return 0;
        };
        for &post in erased.live.iter().chain(&erased.retracted) {
            self.posts.write(post.get()).remove(&post);
        }
        self.live.give(erased.live.len());
        erased.live.len() + erased.retracted.len()
    }

    /// Takes room for the new posts among `items`, at least, and answers for how many.
    fn reserve(&self, items: &[Publication]) -> Result<usize> {
        const OP: &str = "append";
        if self.live.take(items.len(), OP).is_ok() {
            return Ok(items.len());
        }
        // A retry of what is stored already needs no room.
        let new = items.iter().filter(|item| self.is_new(item)).count();
        self.live.take(new, OP)?;
        Ok(new)
    }

    fn is_new(&self, item: &Publication) -> bool {
        let Entry { post, author, .. } = item.entry;
        let authors = self.authors.read(author.get());
        let is_known = authors.get(author).is_some_and(|outbox| {
            let mut key = item.key.iter();
            outbox.has_retracted(post) || key.any(|key| outbox.published(key).is_some())
        });
        !is_known && !self.posts.read(post.get()).contains_key(&post)
    }

    fn publish(&self, item: &Publication) -> Appended {
        let Entry { post, author, .. } = item.entry;
        let mut authors = self.authors.write(author.get());
        let known = authors.get(author);
        if let Some(key) = &item.key
            && let Some(post) = known.and_then(|outbox| outbox.published(key))
        {
            return Appended::Duplicate(post);
        }
        match self.posts.write(post.get()).entry(post) {
            Slot::Vacant(_) if known.is_some_and(|outbox| outbox.has_retracted(post)) => {
                return Appended::Retracted;
            }
            Slot::Vacant(slot) => slot.insert(Record::Live(LivePost::first(item))),
            Slot::Occupied(slot) => {
                return match slot.get() {
                    Record::Live(_) => Appended::Duplicate(post),
                    Record::Retracted => Appended::Retracted,
                };
            }
        };
        let outbox = authors.get_or_insert(author);
        outbox.insert(item.entry);
        if let Some(key) = &item.key {
            outbox.remember(key, post, self.options.keys_per_author);
        }
        Appended::Stored
    }
}

impl Default for MemoryOutbox {
    fn default() -> Self {
        Self::new(MemoryOutboxOptions::default())
    }
}

impl fmt::Debug for MemoryOutbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryOutbox")
            .field("options", &self.options)
            .field("live", &self.live.taken())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Outbox for MemoryOutbox {
    async fn append(&self, items: &[Publication]) -> Result<Vec<Appended>> {
        Self::append(self, items)
    }

    async fn revise(&self, author: UserId, post: PostId, body: Bytes) -> Result<Revised> {
        Ok(Self::revise(self, author, post, &body))
    }

    async fn retract(&self, author: UserId, post: PostId) -> Result<Retracted> {
        Ok(Self::retract(self, author, post))
    }

    async fn latest(&self, authors: &[UserId], seek: Seek, limit: usize) -> Result<Vec<Entry>> {
        Ok(Self::latest(self, authors, seek, limit))
    }

    async fn heads(&self, authors: &[UserId]) -> Result<Vec<Option<PostId>>> {
        Ok(Self::heads(self, authors))
    }

    async fn lookup(&self, posts: &[PostId]) -> Result<Vec<PostState>> {
        Ok(Self::lookup(self, posts))
    }

    async fn posts(&self, posts: &[PostId]) -> Result<Vec<Option<Post>>> {
        Ok(Self::posts(self, posts))
    }

    async fn published(&self, author: UserId, key: &IdempotencyKey) -> Result<Option<PostId>> {
        Ok(Self::published(self, author, key))
    }

    async fn erase(&self, author: UserId, limit: usize) -> Result<usize> {
        Ok(Self::erase(self, author, limit))
    }
}

/// A body of its own: what arrives is often a slice of a buffer that is much larger.
fn compact(body: &[u8]) -> Bytes {
    Bytes::copy_from_slice(body)
}

impl LivePost {
    fn first(item: &Publication) -> Self {
        Self {
            author: item.entry.author,
            origin: item.entry.origin,
            version: 1,
            content: Box::new(Content {
                body: compact(&item.body),
                reply_to: item.reply_to,
            }),
        }
    }

    const fn entry(&self, post: PostId) -> Entry {
        Entry {
            post,
            author: self.author,
            origin: self.origin,
        }
    }
}

impl MemoryOutboxOptions {
    /// Room for `posts` live posts.
    #[must_use]
    pub const fn with_max_posts(mut self, posts: usize) -> Self {
        self.max_posts = posts;
        self
    }

    /// Keep `keys` idempotency keys for each author.
    #[must_use]
    pub const fn with_keys_per_author(mut self, keys: usize) -> Self {
        self.keys_per_author = keys;
        self
    }

    /// Keep `retractions` retractions for each author.
    #[must_use]
    pub const fn with_retractions_per_author(mut self, retractions: usize) -> Self {
        self.retractions_per_author = retractions;
        self
    }
}

impl Default for MemoryOutboxOptions {
    fn default() -> Self {
        Self {
            max_posts: 10_000_000,
            keys_per_author: 1_000,
            retractions_per_author: 10_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
        },
        thread,
    };

    use backplane::ManualClock;

    use super::*;
    use crate::{
        ErrorKind,
        conformance::{Fresh, TestTime},
    };

    const ANN: UserId = UserId::new(1);
    const BOB: UserId = UserId::new(2);

    fn fresh() -> Fresh<dyn Outbox> {
        let options = MemoryOutboxOptions::default()
            .with_max_posts(2_000)
            .with_keys_per_author(100)
            .with_retractions_per_author(100);
        Fresh {
            store: Arc::new(MemoryOutbox::new(options)),
            time: TestTime::Manual(ManualClock::default()),
        }
    }

    crate::outbox_conformance!(async { fresh() });

    fn item(author: UserId, raw: u64) -> Publication {
        Publication::new(Entry::original(PostId::new(raw), author), Bytes::new())
    }

    fn keyed(raw: u64) -> Publication {
        let key = format!("key {raw}").parse().unwrap();
        item(ANN, raw).with_key(key)
    }

    #[test]
    fn a_full_outbox_refuses_the_whole_batch() {
        let outbox = MemoryOutbox::new(MemoryOutboxOptions::default().with_max_posts(2));
        outbox.append(&[keyed(1)]).unwrap();
        let refused = outbox.append(&[item(ANN, 2), item(BOB, 3)]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Full);
        assert_eq!(outbox.latest(&[ANN, BOB], Seek::Newest, 9).len(), 1);

        outbox.append(&[item(ANN, 2)]).unwrap();
        let retries = outbox.append(&[keyed(1), item(ANN, 2)]).unwrap();
        assert_eq!(
            retries,
            [1, 2].map(|raw| Appended::Duplicate(PostId::new(raw)))
        );
    }

    #[test]
    fn what_leaves_makes_room() {
        let outbox = MemoryOutbox::new(MemoryOutboxOptions::default().with_max_posts(1));
        for raw in 1..10 {
            outbox.append(&[item(ANN, raw)]).unwrap();
            assert!(outbox.append(&[item(ANN, 99)]).is_err());
            if raw % 2 == 0 {
                outbox.retract(ANN, PostId::new(raw));
            } else {
                outbox.erase(ANN, 1);
            }
        }
    }

    #[test]
    fn forgets_the_oldest_key() {
        let outbox = MemoryOutbox::new(MemoryOutboxOptions::default().with_keys_per_author(2));
        for raw in 1..=3 {
            outbox.append(&[keyed(raw)]).unwrap();
        }
        let known = |raw: u64| {
            outbox
                .published(ANN, keyed(raw).key.as_ref().unwrap())
                .is_some()
        };
        assert_eq!([1, 2, 3].map(known), [false, true, true]);
    }

    #[test]
    fn a_retraction_that_is_not_kept_still_holds() {
        let options = MemoryOutboxOptions::default().with_retractions_per_author(2);
        let outbox = MemoryOutbox::new(options);
        for raw in [3, 1, 2, 4] {
            outbox.append(&[item(ANN, raw)]).unwrap();
            outbox.retract(ANN, PostId::new(raw));
        }
        let states = outbox.lookup(&[1, 2, 3, 4].map(PostId::new));
        assert_eq!(states[..2], [PostState::Absent; 2]);
        assert_eq!(states[2..], [PostState::Retracted; 2]);

        for raw in 1..=4 {
            let late = outbox.append(&[item(ANN, raw)]).unwrap();
            assert_eq!(late, [Appended::Retracted]);
            assert_eq!(outbox.retract(ANN, PostId::new(raw)), Retracted::Absent);
        }
        let others = outbox.append(&[item(BOB, 1), item(ANN, 5)]).unwrap();
        assert_eq!(others, [Appended::Stored; 2]);

        while outbox.erase(ANN, 9) > 0 {}
        let anew = outbox.append(&[item(ANN, 2)]).unwrap();
        assert_eq!(anew, [Appended::Stored]);
    }

    #[test]
    fn an_author_of_whom_nothing_is_left_takes_no_memory() {
        let outbox = MemoryOutbox::default();
        outbox.append(&[keyed(1)]).unwrap();
        outbox.retract(ANN, PostId::new(1));
        assert_eq!(outbox.erase(ANN, 9), 1);
        assert!(outbox.authors.read(ANN.get()).is_empty());
        assert!(outbox.posts.read(1).is_empty());
    }

    #[test]
    fn a_reader_sees_what_was_appended_before_it_asked() {
        const POSTS: u64 = 20_000;
        let outbox = MemoryOutbox::default();
        let done = AtomicU64::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                for raw in 1..=POSTS {
                    let author = UserId::new(raw % 7);
                    outbox.append(&[item(author, raw)]).unwrap();
                    if raw % 3 == 0 {
                        outbox.retract(author, PostId::new(raw));
                    } else {
                        done.store(raw, Ordering::Release);
                    }
                }
            });
            let authors: Vec<_> = (0..7).map(UserId::new).collect();
            while done.load(Ordering::Acquire) < POSTS - 1 {
                let seen = done.load(Ordering::Acquire);
                let page = outbox.latest(&authors, Seek::Newest, 5);
                let newest = page.first().map_or(0, |entry| entry.post.get());
                assert!(newest >= seen, "{newest} {seen}");
                assert!(page.is_sorted_by(|a, b| a.post > b.post));
                let posts: Vec<_> = page.iter().map(|entry| entry.post).collect();
                assert!(!outbox.lookup(&posts).contains(&PostState::Absent));
            }
        });
    }
}
