use std::{fmt, sync::Arc};

use backplane::{Clock, CoarseClock, id::IdGenerator, queue::TaskQueue, rate::RateLimiter};

use crate::{
    Actions, Activity, Counters, FanoutPolicy, FeedEvents, FeedOptions, Graph, Outbox, SharedCache,
    TimelineStore, UserSource,
};

/// News feeds over the stores it is given. Clones share them.
///
/// The engine keeps no state of its own: several processes may run one over the same stores, each
/// with a worker ([`run`](Self::run)) or without.
///
/// ```
/// use feed_core::{Feed, NewPost, PageRequest, Published, UserId};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> feed_core::Result<()> {
/// let (feed, ann, bob) = (Feed::in_memory(), UserId::new(1), UserId::new(2));
/// feed.follow(bob, ann).await?;
/// let Published::Accepted(post) = feed.publish(ann, NewPost::new("hello")).await? else {
///     panic!("nothing limits the first post");
/// };
/// feed.work_all().await?;
/// let page = feed.home(bob, PageRequest::newest()).await?;
/// assert_eq!(page.entries[0].post, post);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Feed {
    pub(crate) parts: Arc<FeedParts>,
}

/// What a [`Feed`] is made of. Start from [`FeedParts::in_memory`] and replace what you bring.
///
/// ```
/// use std::sync::Arc;
/// use feed_core::{Feed, FeedOptions, FeedParts, PushAll};
/// let mut parts = FeedParts::in_memory();
/// parts.policy = Arc::new(PushAll);
/// parts.options = FeedOptions::default().with_followers_per_piece(500);
/// let feed = Feed::new(parts);
/// ```
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a new part is a decision for everybody who assembles a feed"
)]
pub struct FeedParts {
    /// The home timelines.
    pub timelines: Arc<dyn TimelineStore>,
    /// What each author has published.
    pub outbox: Arc<dyn Outbox>,
    /// Who follows, blocks and mutes whom.
    pub graph: Arc<dyn Graph>,
    /// When users were here, and how far they have read.
    pub activity: Arc<dyn Activity>,
    /// Who liked, answered and reposted what.
    pub actions: Arc<dyn Actions>,
    /// How often that was done.
    pub counters: Arc<dyn Counters>,
    /// The work of fanout.
    pub queue: Arc<dyn TaskQueue>,
    /// Makes the ids of posts.
    pub ids: Arc<dyn IdGenerator>,
    /// Counts what authors post.
    pub limiter: Arc<dyn RateLimiter>,
    /// Keeps ranked pages in their order, from one page to the next.
    pub snapshots: Arc<dyn SharedCache>,
    /// Says which users there are. Without it, every user id is taken to exist.
    pub users: Option<Arc<dyn UserSource>>,
    /// Decides whose posts are pushed.
    pub policy: Arc<dyn FanoutPolicy>,
    /// Gets what happens.
    pub events: Arc<dyn FeedEvents>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The bounds.
    pub options: FeedOptions,
}

impl Feed {
    /// A feed of these parts.
    #[must_use]
    pub fn new(mut parts: FeedParts) -> Self {
        parts.options = parts.options.workable();
        Self {
            parts: Arc::new(parts),
        }
    }

    /// A feed that lives in this process and dies with it.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::new(FeedParts::in_memory())
    }

    /// What the feed is made of.
    #[must_use]
    pub fn parts(&self) -> &FeedParts {
        &self.parts
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed")
            .field("options", &self.parts.options)
            .finish_non_exhaustive()
    }
}

impl FeedParts {
    /// Every store in memory, the default policy and options, and nobody who listens.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::in_memory_at(Arc::new(CoarseClock::new()))
    }

    /// The same on a given clock, as tests want it.
    #[must_use]
    pub fn in_memory_at(clock: Arc<dyn Clock>) -> Self {
        crate::memory::feed_parts(clock)
    }
}
