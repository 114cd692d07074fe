//! An application's tables, a shared cache that can fail, and nodes over both.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use backplane::{ManualClock, Signal};
use bytes::Bytes;
use feed_core::{
    CacheItem, Entry, Error, ErrorKind, Hydrator, HydratorOptions, HydratorParts, MemoryOutbox,
    MemorySharedCache, MemorySharedCacheOptions, Post, PostId, PostSource, PostVersion,
    Publication, Result, Revised, SharedCache, User, UserId, UserSource,
};
use parking_lot::Mutex;

pub(crate) const ANN: UserId = UserId::new(1);
pub(crate) const BOB: UserId = UserId::new(2);

/// The application's posts and users. Counts its calls; can fail, and can be slow to answer.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    state: Mutex<State>,
    opened: Signal,
}

#[derive(Debug, Default)]
struct State {
    posts: BTreeMap<PostId, Post>,
    users: BTreeMap<UserId, Bytes>,
    post_calls: Vec<Vec<u64>>,
    user_calls: Vec<Vec<u64>>,
    failing: bool,
    closed: bool,
}

impl Tables {
    pub(crate) fn set_post(&self, entry: Entry, version: u32, body: &str) {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let post = Post::new(entry, version, body);
        self.state.lock().posts.insert(entry.post, post);
    }

    pub(crate) fn remove_post(&self, post: PostId) {
        self.state.lock().posts.remove(&post);
    }

    pub(crate) fn set_user(&self, user: UserId, profile: &str) {
        let profile = Bytes::copy_from_slice(profile.as_bytes());
        self.state.lock().users.insert(user, profile);
    }

    pub(crate) fn remove_user(&self, user: UserId) {
        self.state.lock().users.remove(&user);
    }

    pub(crate) fn fail(&self, failing: bool) {
        self.state.lock().failing = failing;
    }

    /// From now on calls read what is there and wait with their answer.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
    }

    /// From now on calls answer; those that wait go on waiting.
    pub(crate) fn heal(&self) {
        self.state.lock().closed = false;
    }

    /// Lets all calls answer.
    pub(crate) fn open(&self) {
        self.state.lock().closed = false;
        self.opened.raise();
    }

    /// Which posts were asked for, call by call, since this was last asked.
    pub(crate) fn post_calls(&self) -> Vec<Vec<u64>> {
        std::mem::take(&mut self.state.lock().post_calls)
    }

    pub(crate) fn user_calls(&self) -> Vec<Vec<u64>> {
        std::mem::take(&mut self.state.lock().user_calls)
    }

    /// How many calls of posts and of users there were.
    pub(crate) fn calls(&self) -> (usize, usize) {
        (self.post_calls().len(), self.user_calls().len())
    }

    async fn answer<T>(
        &self,
        read: impl FnOnce(&mut State) -> Vec<Option<T>>,
    ) -> Result<Vec<Option<T>>> {
        let opened = self.opened.listen();
        let (answer, closed) = {
            let mut state = self.state.lock();
            let answer = read(&mut state);
            let failed = Error::bare(ErrorKind::Unavailable, "tables");
            (
                if state.failing {
                    Err(failed)
                } else {
                    Ok(answer)
                },
                state.closed,
            )
        };
        if closed {
            opened.await;
        }
        answer
    }
}

#[async_trait]
impl PostSource for Tables {
    async fn posts(&self, wanted: &[PostVersion]) -> Result<Vec<Option<Post>>> {
        let read = |state: &mut State| {
            let ids = wanted.iter().map(|wanted| wanted.post.get()).collect();
            state.post_calls.push(ids);
            let post = |wanted: &PostVersion| state.posts.get(&wanted.post).cloned();
            wanted.iter().map(post).collect()
        };
        self.answer(read).await
    }
}

#[async_trait]
impl UserSource for Tables {
    async fn users(&self, users: &[UserId]) -> Result<Vec<Option<User>>> {
        let read = |state: &mut State| {
            let ids = users.iter().map(|user| user.get()).collect();
            state.user_calls.push(ids);
            let user = |id: &UserId| Some(User::new(*id, state.users.get(id)?.clone()));
            users.iter().map(user).collect()
        };
        self.answer(read).await
    }
}

/// What a [`FlakyCache`] does with a call.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Mood {
    #[default]
    Well,
    Failing,
    /// Never answers.
    Stuck,
    /// Never answers, and does what it was asked when it is told to [`catch_up`](FlakyCache::catch_up).
    Late,
}

#[derive(Debug)]
pub(crate) struct FlakyCache {
    pub(crate) inner: MemorySharedCache,
    mood: Mutex<Mood>,
    late: Mutex<Vec<Write>>,
}

#[derive(Debug)]
enum Write {
    Add(Vec<CacheItem>),
    Replace(Vec<(Bytes, CacheItem)>),
}

impl FlakyCache {
    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.lock() = mood;
    }

    async fn strike(&self) -> Result<()> {
        let mood = *self.mood.lock();
        match mood {
            Mood::Well => Ok(()),
            Mood::Failing => Err(Error::bare(ErrorKind::Unavailable, "cache")),
            Mood::Stuck | Mood::Late => std::future::pending().await,
        }
    }

    /// Is well again, and does what was asked of it meanwhile.
    pub(crate) fn catch_up(&self) {
        self.set(Mood::Well);
        for write in std::mem::take(&mut *self.late.lock()) {
            match write {
                Write::Add(items) => drop(self.inner.add_many(&items)),
                Write::Replace(items) => drop(self.inner.replace_many(&items)),
            }
        }
    }

    fn note(&self, write: Write) {
        if *self.mood.lock() == Mood::Late {
            self.late.lock().push(write);
        }
    }
}

#[async_trait]
impl SharedCache for FlakyCache {
    async fn get_many(&self, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>> {
        self.strike().await?;
        Ok(self.inner.get_many(keys))
    }

    async fn put_many(&self, items: &[CacheItem]) -> Result<()> {
        self.strike().await?;
        self.inner.put_many(items);
        Ok(())
    }

    async fn add_many(&self, items: &[CacheItem]) -> Result<Vec<bool>> {
        self.note(Write::Add(items.to_vec()));
        self.strike().await?;
        Ok(self.inner.add_many(items))
    }

    async fn replace_many(&self, items: &[(Bytes, CacheItem)]) -> Result<Vec<bool>> {
        self.note(Write::Replace(items.to_vec()));
        self.strike().await?;
        Ok(self.inner.replace_many(items))
    }

    async fn remove_many(&self, keys: &[Bytes]) -> Result<()> {
        self.strike().await?;
        self.inner.remove_many(keys);
        Ok(())
    }
}

pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) outbox: Arc<MemoryOutbox>,
    pub(crate) tables: Arc<Tables>,
    pub(crate) cache: Arc<FlakyCache>,
    options: HydratorOptions,
}

impl World {
    pub(crate) fn new(options: HydratorOptions) -> Self {
        let clock = ManualClock::default();
        let inner =
            MemorySharedCache::new(Arc::new(clock.clone()), MemorySharedCacheOptions::default());
        Self {
            clock,
            outbox: Arc::default(),
            tables: Arc::default(),
            cache: Arc::new(FlakyCache {
                inner,
                mood: Mutex::default(),
                late: Mutex::default(),
            }),
            options,
        }
    }

    /// With users in its tables.
    pub(crate) fn inhabited(options: HydratorOptions) -> Self {
        let world = Self::new(options);
        world.tables.set_user(ANN, "Ann");
        world.tables.set_user(BOB, "Bob");
        world
    }

    /// A process without the shared cache.
    pub(crate) fn lone_node(&self) -> Hydrator {
        Hydrator::new(self.parts())
    }

    /// A process that shares the cache with other nodes.
    pub(crate) fn node(&self) -> Hydrator {
        let mut parts = self.parts();
        let cache = Arc::clone(&self.cache);
        parts.shared = Some(cache);
        Hydrator::new(parts)
    }

    fn parts(&self) -> HydratorParts {
        let outbox = Arc::clone(&self.outbox);
        let users = Arc::clone(&self.tables);
        let clock = Arc::new(self.clock.clone());
        let mut parts = HydratorParts::new(outbox, users, clock);
        let posts = Arc::clone(&self.tables);
        parts.posts = posts;
        parts.options = self.options.clone();
        parts
    }

    /// Publishes a post whose body is `body`, in the table and in the outbox.
    pub(crate) fn publish(&self, author: UserId, post: u64, body: &str) -> Entry {
        let entry = Entry::original(PostId::new(post), author);
        self.tables.set_post(entry, 1, body);
        self.append(entry);
        entry
    }

    pub(crate) fn repost(&self, author: UserId, post: u64, of: u64) -> Entry {
        let entry = Entry::repost(PostId::new(post), author, PostId::new(of));
        self.append(entry);
        entry
    }

    fn append(&self, entry: Entry) {
        let item = Publication::new(entry, Bytes::new());
        self.outbox.append(&[item]).expect("there is room");
    }

    /// Edits a post as an application does: the table first, then the feed.
    pub(crate) fn edit(&self, entry: Entry, version: u32, body: &str) {
        self.tables.set_post(entry, version, body);
        let revised = self.outbox.revise(entry.author, entry.post, b"");
        assert_eq!(revised, Revised::Stored(version));
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }
}

impl Default for World {
    fn default() -> Self {
        Self::inhabited(HydratorOptions::default())
    }
}
