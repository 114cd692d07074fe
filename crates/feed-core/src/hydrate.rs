//! From entries to what a reader sees.

mod answer;
mod cached;
mod far;
mod flight;
mod holds;
mod item;
mod kind;
mod options;
mod shard;
mod source;
mod stats;

use std::{fmt, iter::zip, sync::Arc};

use backplane::Clock;
use futures::join;

pub use self::{
    answer::Lack,
    item::{Hydrated, Item, Part, Skipped},
    options::{CacheOptions, HydratorOptions},
    source::{OutboxPosts, PostSource, PostVersion, User, UserSource},
    stats::CacheStats,
};
use self::{
    answer::Want,
    cached::Cached,
    far::Far,
    kind::{Posts, Users},
};
use crate::{Entry, FeedParts, Outbox, Post, PostId, PostState, Result, SharedCache, UserId};

/// Turns the entries of a page into posts and users, out of two levels of cache over their sources.
///
/// The first level, for hot content, is in this process, and bounded by bytes and by time. The second is
/// a [`SharedCache`], if there is one; its failures count as misses. What neither has comes from the
/// source. A page costs at most one call of the [`PostSource`] and one of the [`UserSource`], and none if
/// everything is cached. For either kind, missing content costs one call of the shared cache, and up to
/// three more for what that lacks too.
///
/// Concurrent callers share one fetch of the same content. If it fails, it fails for all of them, and the
/// next call tries again. After [`fetch_timeout`](HydratorOptions::fetch_timeout) new callers start their
/// own; those who have joined wait as long as the source takes. What the source does not have is
/// remembered too, for a shorter time.
///
/// Bodies are never older than the page: the outbox states the version of each post, and a body that is
/// cached in an older version is fetched anew. Users have no versions. A cached profile lives for a time;
/// after an edit, [forget](Self::forget_users) it.
///
/// Caches hold what is the same for every viewer, and nothing that changes when somebody likes or
/// answers a post.
///
/// Clones share the caches.
///
/// ```
/// use std::sync::Arc;
/// use feed_core::{Feed, Hydrator, HydratorParts, NewPost, PageRequest, Result, User, UserId, UserSource};
///
/// #[derive(Debug)]
/// struct Names;
///
/// #[async_trait::async_trait]
/// impl UserSource for Names {
///     async fn users(&self, users: &[UserId]) -> Result<Vec<Option<User>>> {
///         Ok(users.iter().map(|&user| Some(User::new(user, "Ann"))).collect())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<()> {
/// let (feed, ann) = (Feed::in_memory(), UserId::new(1));
/// let hydrator = Hydrator::new(HydratorParts::of(feed.parts(), Arc::new(Names)));
///
/// let published = feed.publish(ann, NewPost::new("hello")).await?;
/// assert!(published.post().is_some());
/// let page = feed.author(ann, ann, PageRequest::newest()).await?;
/// let shown = hydrator.hydrate(&page.entries).await?;
/// assert_eq!(shown.items[0].post.body, "hello");
/// assert_eq!(shown.items[0].author.profile, "Ann");
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Hydrator {
    outbox: Arc<dyn Outbox>,
    posts: Arc<Cached<Posts>>,
    users: Arc<Cached<Users>>,
}

/// What a [`Hydrator`] is made of. Start from [`HydratorParts::of`] and replace what you bring.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a new part is a decision for everybody who assembles a hydrator"
)]
pub struct HydratorParts {
    /// Says which version of a post is the newest.
    pub outbox: Arc<dyn Outbox>,
    /// Where the bodies of posts are.
    pub posts: Arc<dyn PostSource>,
    /// Where the profiles of users are.
    pub users: Arc<dyn UserSource>,
    /// The cache that the nodes share, if they do.
    pub shared: Option<Arc<dyn SharedCache>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The bounds.
    pub options: HydratorOptions,
}

impl HydratorParts {
    /// Bodies out of the outbox, no shared cache, the default options.
    #[must_use]
    pub fn new(outbox: Arc<dyn Outbox>, users: Arc<dyn UserSource>, clock: Arc<dyn Clock>) -> Self {
        Self {
            posts: Arc::new(OutboxPosts::new(Arc::clone(&outbox))),
            outbox,
            users,
            shared: None,
            clock,
            options: HydratorOptions::default(),
        }
    }

    /// For a hydrator of the posts in a feed, otherwise as [`new`](Self::new).
    #[must_use]
    pub fn of(feed: &FeedParts, users: Arc<dyn UserSource>) -> Self {
        Self::new(Arc::clone(&feed.outbox), users, Arc::clone(&feed.clock))
    }

    fn cached<K: kind::Kind>(&self, kind: K, options: &CacheOptions) -> Arc<Cached<K>> {
        let far = self.shared.as_ref().map(|cache| {
            let (cache, clock) = (Arc::clone(cache), Arc::clone(&self.clock));
            Far::new(cache, clock, &self.options, options.shared_ttl)
        });
        let clock = Arc::clone(&self.clock);
        Arc::new(Cached::new(kind, far, clock, options, &self.options))
    }
}

impl Hydrator {
    /// A hydrator of these parts, whose caches are empty.
    #[must_use]
    pub fn new(mut parts: HydratorParts) -> Self {
        parts.options = parts.options.workable();
        let posts = Posts(Arc::clone(&parts.posts));
        let users = Users(Arc::clone(&parts.users));
        Self {
            posts: parts.cached(posts, &parts.options.posts),
            users: parts.cached(users, &parts.options.users),
            outbox: parts.outbox,
        }
    }

    /// What there is to show of each entry: the post, or the original that was reposted, its author,
    /// and who reposted it.
    ///
    /// Costs one lookup in the outbox, for the versions. A body is the newest as of that lookup, or
    /// newer.
    ///
    /// # Errors
    ///
    /// Fails if the outbox does. If a source fails, the entries that need it are skipped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons nobody else: fetches that others wait for go on.
    pub async fn hydrate(&self, entries: &[Entry]) -> Result<Hydrated> {
        let origins: Vec<_> = entries.iter().map(|entry| entry.origin).collect();
        let origins = self.outbox.lookup(&origins).await?;
        Ok(self.content(entries, &origins).await)
    }

    /// Posts, each in the version named with it or a newer one, in the order asked.
    ///
    /// # Cancel safety
    ///
    /// As for [`hydrate`](Self::hydrate).
    pub async fn posts(&self, wanted: &[PostVersion]) -> Vec<Result<Post, Lack>> {
        let wants: Vec<_> = wanted.iter().copied().map(Want::post).collect();
        self.posts.get(&wants).await
    }

    /// Users, in the order asked.
    ///
    /// # Cancel safety
    ///
    /// As for [`hydrate`](Self::hydrate).
    pub async fn users(&self, users: &[UserId]) -> Vec<Result<User, Lack>> {
        let wants: Vec<_> = users.iter().map(|&user| Want::user(user)).collect();
        self.users.get(&wants).await
    }

    /// Drops posts from both levels of cache, as when they are erased.
    ///
    /// No call that starts afterwards is answered with what was read before, here or from the shared
    /// cache. Nothing that was read before, by whichever process, is stored in the shared cache
    /// afterwards. What is read during the [hold](HydratorOptions::hold) is not cached either, so that
    /// a source that lags behind by less brings nothing back. On other processes all this is so as long as
    /// the shared cache does not lose the mark that says so; one that loses it may answer with what was
    /// forgotten until its [time](CacheOptions::shared_ttl) has passed. Other processes keep what they have until
    /// its time has passed; their pages leave erased posts out all the same.
    ///
    /// # Errors
    ///
    /// Fails if the shared cache does; this process has then forgotten the posts, and the shared cache
    /// may hold them until their time has passed. Retrying is safe.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave them in either level; a retry drops them.
    pub async fn forget_posts(&self, posts: &[PostId]) -> Result<()> {
        let ids: Vec<_> = posts.iter().map(|post| post.get()).collect();
        self.posts.forget(&ids).await
    }

    /// Drops users from both levels of cache: to be called when a profile was edited or erased, after
    /// the source has it.
    ///
    /// It promises what [`forget_posts`](Self::forget_posts) does. Other processes may show what they
    /// have for as long as [`CacheOptions::ttl`] says.
    ///
    /// # Errors
    ///
    /// As for [`forget_posts`](Self::forget_posts).
    ///
    /// # Cancel safety
    ///
    /// As for [`forget_posts`](Self::forget_posts).
    pub async fn forget_users(&self, users: &[UserId]) -> Result<()> {
        let ids: Vec<_> = users.iter().map(|user| user.get()).collect();
        self.users.forget(&ids).await
    }

    /// What the caches of posts have done.
    #[must_use]
    pub fn post_stats(&self) -> CacheStats {
        self.posts.stats()
    }

    /// What the caches of users have done.
    #[must_use]
    pub fn user_stats(&self) -> CacheStats {
        self.users.stats()
    }

    /// The items of entries whose origins are in these states.
    async fn content(&self, entries: &[Entry], origins: &[PostState]) -> Hydrated {
        let mut posts = Vec::with_capacity(entries.len());
        let mut users = Vec::with_capacity(2 * entries.len());
        for (entry, origin) in zip(entries, origins) {
            if let PostState::Live {
                entry: post,
                version,
            } = origin
            {
                posts.push(Want::post(PostVersion::new(post.post, *version)));
                users.push(Want::user(post.author));
                users.extend(entry.is_repost().then(|| Want::user(entry.author)));
            }
        }
        let (posts, users) = join!(self.posts.get(&posts), self.users.get(&users));
        let mut content = Content {
            posts: posts.into_iter(),
            users: users.into_iter(),
        };
        let mut hydrated = Hydrated {
            items: Vec::with_capacity(entries.len()),
            skipped: Vec::new(),
        };
        for (&entry, origin) in zip(entries, origins) {
            match content.item(entry, origin.live()) {
                Ok(item) => hydrated.items.push(item),
                Err((part, lack)) => hydrated.skipped.push(Skipped { entry, part, lack }),
            }
        }
        hydrated
    }
}

impl fmt::Debug for Hydrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hydrator")
            .field("posts", &self.post_stats())
            .field("users", &self.user_stats())
            .finish_non_exhaustive()
    }
}

/// The content of a page, in the order of its entries.
struct Content<P, U> {
    posts: P,
    users: U,
}

impl<P, U> Content<P, U>
where
    P: Iterator<Item = Result<Post, Lack>>,
    U: Iterator<Item = Result<User, Lack>>,
{
    /// Takes what belongs to the next entry, all of it, and makes an item if nothing lacks.
    fn item(&mut self, entry: Entry, origin: Option<Entry>) -> Result<Item, (Part, Lack)> {
        let Some(origin) = origin else {
            return Err((Part::Post(entry.origin), Lack::Absent));
        };
        let post = self.posts.next().unwrap_or(Err(Lack::Absent));
        let author = self.users.next().unwrap_or(Err(Lack::Absent));
        let reposter = entry.is_repost().then(|| self.users.next());
        let reposter = reposter.flatten().transpose();
        let lacks = |user: UserId| move |lack| (Part::User(user), lack);
        Ok(Item {
            entry,
            post: post.map_err(|lack| (Part::Post(entry.origin), lack))?,
            author: author.map_err(lacks(origin.author))?,
            reposter: reposter.map_err(lacks(entry.author))?,
        })
    }
}
