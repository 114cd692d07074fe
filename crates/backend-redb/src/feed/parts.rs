use std::sync::Arc;

use ::backplane::{
    Clock,
    id::{KeeperOptions, Layout},
    queue::QueueOptions,
};
use feed_core::{FeedOptions, FeedParts, MemoryTimelines, MemoryTimelinesOptions, Result};
use futures::future::{try_join, try_join4};

use super::{
    RedbActions, RedbActionsOptions, RedbActivity, RedbActivityOptions, RedbGraph,
    RedbGraphOptions, RedbOutbox, RedbOutboxOptions,
};
use crate::{RedbIds, RedbQueue, Writer};

/// Opens what a feed in one file is made of; what the file does not keep is as in
/// [`FeedParts::in_memory`]. Replace what you bring.
///
/// # What is durable
///
/// Posts, follows, blocks, mutes, lists, routes, likes, replies, reposts, read markers and the work
/// of fanout are on disk when the call that made them returns. No id of a post is issued twice, also
/// after a crash. Visits and the rhythm of posting wait in memory for the next one that comes a
/// second later, or for the feed to be dropped, as [`RedbActivity`] says: if nobody comes, a crash
/// loses them.
/// In memory are home timelines, of which one that is lost is built anew when its viewer comes back,
/// and shows the same; the order of ranked pages, which begin again from the first; and what counts
/// against the post quota.
///
/// That a crash of the machine does not lose a new file takes [`sync_path`](crate::sync_path). A file
/// carries one process. Dropping the feed closes it, and waits for what is still being written. After
/// a crash, redb reads the whole file when it is opened, which takes time in proportion to it; a
/// [callback](redb::Builder::set_repair_callback) tells how far it is. The first posts then may be
/// refused until the clock has passed what [`ids`](RedbFeedOptions::ids) had reserved: two seconds
/// after the crash, unless set.
///
/// ```
/// use std::sync::Arc;
/// use backend_redb::{RedbFeedOptions, Writer, WriterOptions, feed_parts, redb::Database};
/// use backplane::SystemClock;
/// use feed_core::{Feed, NewPost, PageRequest, Published, UserId};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("feed.redb");
/// let writer = Writer::start(Arc::new(Database::create(path)?), WriterOptions::default())?;
/// let clock = Arc::new(SystemClock::new());
/// let feed = Feed::new(feed_parts(&writer, clock, RedbFeedOptions::default()).await?);
///
/// let ann = UserId::new(1);
/// let published = feed.publish(ann, NewPost::new("on disk when this returns")).await?;
/// feed.work_all().await?;
/// let page = feed.home(ann, PageRequest::newest()).await?;
/// assert_eq!(published, Published::Accepted(page.entries[0].post));
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// `Invalid` if a feed of this name is open already, `Corrupt` if something that is stored does not
/// decode, and whatever the [`Writer`] fails with.
pub async fn feed_parts(
    writer: &Writer,
    clock: Arc<dyn Clock>,
    options: RedbFeedOptions,
) -> Result<FeedParts> {
    let name = &*options.name;
    let stores = try_join4(
        RedbOutbox::open(writer, name, options.outbox),
        RedbGraph::open(writer, name, options.graph),
        RedbActivity::open(writer, name, Arc::clone(&clock), options.activity),
        RedbActions::open(writer, name, options.actions),
    );
    let (outbox, graph, activity, actions) = stores.await?;
    let ground = format!("feed.{name}");
    let (layout, node) = (Layout::TWITTER, options.node);
    let (queue, ids) = try_join(
        RedbQueue::open(writer, &ground, Arc::clone(&clock), options.queue),
        RedbIds::open(
            writer,
            &ground,
            layout,
            node,
            Arc::clone(&clock),
            &options.ids,
        ),
    )
    .await?;
    let actions = Arc::new(actions);
    Ok(FeedParts {
        timelines: Arc::new(MemoryTimelines::new(options.timelines)),
        outbox: Arc::new(outbox),
        graph: Arc::new(graph),
        activity: Arc::new(activity),
        actions: Arc::clone(&actions) as _,
        counters: actions,
        queue: Arc::new(queue),
        ids: Arc::new(ids),
        options: options.feed,
        ..FeedParts::in_memory_at(clock)
    })
}

/// The bounds of what [`feed_parts`] opens.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RedbFeedOptions {
    /// Tells the feeds of one file apart. `main` by default.
    pub name: String,
    /// Which node's ids posts get, in [`Layout::TWITTER`]. 0 by default.
    pub node: u32,
    /// How far ahead ids are reserved on disk.
    pub ids: KeeperOptions,
    /// The bounds of the outbox.
    pub outbox: RedbOutboxOptions,
    /// The bounds of the graph.
    pub graph: RedbGraphOptions,
    /// The bounds of visits and read markers.
    pub activity: RedbActivityOptions,
    /// The bounds of likes, replies and reposts.
    pub actions: RedbActionsOptions,
    /// The bounds of the queue of fanout.
    pub queue: QueueOptions,
    /// The bounds of the home timelines.
    pub timelines: MemoryTimelinesOptions,
    /// The bounds of the feed itself.
    pub feed: FeedOptions,
}

impl RedbFeedOptions {
    /// Sets [`name`](Self::name).
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets [`node`](Self::node).
    #[must_use]
    pub const fn with_node(mut self, node: u32) -> Self {
        self.node = node;
        self
    }

    /// Sets [`ids`](Self::ids).
    #[must_use]
    pub fn with_ids(mut self, ids: KeeperOptions) -> Self {
        self.ids = ids;
        self
    }

    /// Sets [`outbox`](Self::outbox).
    #[must_use]
    pub fn with_outbox(mut self, outbox: RedbOutboxOptions) -> Self {
        self.outbox = outbox;
        self
    }

    /// Sets [`graph`](Self::graph).
    #[must_use]
    pub fn with_graph(mut self, graph: RedbGraphOptions) -> Self {
        self.graph = graph;
        self
    }

    /// Sets [`activity`](Self::activity).
    #[must_use]
    pub fn with_activity(mut self, activity: RedbActivityOptions) -> Self {
        self.activity = activity;
        self
    }

    /// Sets [`actions`](Self::actions).
    #[must_use]
    pub fn with_actions(mut self, actions: RedbActionsOptions) -> Self {
        self.actions = actions;
        self
    }

    /// Sets [`queue`](Self::queue).
    #[must_use]
    pub fn with_queue(mut self, queue: QueueOptions) -> Self {
        self.queue = queue;
        self
    }

    /// Sets [`timelines`](Self::timelines).
    #[must_use]
    pub fn with_timelines(mut self, timelines: MemoryTimelinesOptions) -> Self {
        self.timelines = timelines;
        self
    }

    /// Sets [`feed`](Self::feed).
    #[must_use]
    pub fn with_feed(mut self, feed: FeedOptions) -> Self {
        self.feed = feed;
        self
    }
}

impl Default for RedbFeedOptions {
    fn default() -> Self {
        Self {
            name: "main".to_owned(),
            node: 0,
            ids: KeeperOptions::default(),
            outbox: RedbOutboxOptions::default(),
            graph: RedbGraphOptions::default(),
            activity: RedbActivityOptions::default(),
            actions: RedbActionsOptions::default(),
            queue: QueueOptions::default(),
            timelines: MemoryTimelinesOptions::default(),
            feed: FeedOptions::default(),
        }
    }
}
