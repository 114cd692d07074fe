//! Home feeds that deliver changes by themselves.
//!
//! What happens to an author's posts is published once, on the author's topic; a viewer who watches
//! subscribes to the authors they follow, so that nothing is spent on those who do not. A message is
//! a hint: whether the viewer may see the post is decided when it arrives, by what the stores say.

mod hint;
mod known;
mod watch;

use std::{error::Error as StdError, sync::Arc};

use async_trait::async_trait;
use backplane::{
    Clock, Topic,
    bus::{Bus, Outgoing, Relay, RelayOptions},
    hub::{self, Hub, HubOptions, Interest},
};

pub use self::watch::{LiveChange, LiveEvent, LiveFeed, LiveRequest};

use self::hint::Hint;
use crate::{
    Audience, Error, ErrorKind, Feed, FeedEvent, FeedEvents, FeedParts, Result, Tee, UserId,
};

/// Carries what happens in a feed to those who watch it.
///
/// It listens to the feeds that it is [attached](Self::attach) to, and hands out [`LiveFeed`]s of them.
/// Clones share one hub.
///
/// ```
/// use backplane::hub::HubOptions;
/// use feed_core::{Feed, FeedParts, LiveChange, LiveFeeds, LiveRequest, NewPost, UserId};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> feed_core::Result<()> {
/// let live = LiveFeeds::new(HubOptions::default());
/// let mut parts = FeedParts::in_memory();
/// live.attach(&mut parts);
/// let (feed, ann) = (Feed::new(parts), UserId::new(1));
///
/// let mut mine = live.watch(&feed, ann, LiveRequest::default()).await?;
/// let first = mine.next().await?.expect("the hub is open");
/// assert!(matches!(first.change, LiveChange::Reset(page) if page.entries.is_empty()));
///
/// let post = feed.publish(ann, NewPost::new("hello")).await?.post();
/// feed.work_all().await?;
/// let second = mine.next().await?.expect("the hub is open");
/// assert!(matches!(second.change, LiveChange::Added(entry) if Some(entry.post) == post));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct LiveFeeds {
    hub: Hub,
    nodes: Option<Nodes>,
}

/// What joins the hubs of several nodes.
#[derive(Clone, Debug)]
struct Nodes {
    bus: Arc<dyn Bus>,
    relay: Arc<Relay>,
}

impl LiveFeeds {
    /// For a feed whose workers and readers are all in this process.
    ///
    /// # Panics
    ///
    /// If the operating system refuses a thread.
    #[must_use]
    pub fn new(options: HubOptions) -> Self {
        Self {
            hub: Hub::new(options),
            nodes: None,
        }
    }

    /// For a feed of several processes, each with a node of one bus. Nothing arrives unless
    /// [`run`](Self::run) runs.
    ///
    /// # Panics
    ///
    /// If the operating system refuses a thread.
    #[must_use]
    pub fn across(bus: Arc<dyn Bus>, clock: Arc<dyn Clock>, options: HubOptions) -> Self {
        let relay = Arc::new(Relay::new(Arc::clone(&bus), clock, RelayOptions::default()));
        let interest: Arc<dyn Interest> = Arc::<Relay>::clone(&relay);
        Self {
            hub: Hub::with_interest(options, interest),
            nodes: Some(Nodes { bus, relay }),
        }
    }

    /// Adds this to the listeners of a feed to be made of these parts.
    ///
    /// To be called before [`Feed::new`], in every process that publishes or works.
    pub fn attach(&self, parts: &mut FeedParts) {
        let others = Arc::clone(&parts.events);
        parts.events = Arc::new(Tee(vec![Arc::new(self.clone()), others]));
    }

    /// Brings here what happens at other nodes, until this node is drained off the bus, once. In a
    /// single process there is nothing to bring, and it returns at once.
    ///
    /// # Errors
    ///
    /// Fails if it was run before, and if somebody else reads the events of the node.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends it for good: nothing arrives from other nodes any more.
    pub async fn run(&self) -> Result<()> {
        match &self.nodes {
            Some(nodes) => Ok(nodes.relay.run(&self.hub).await?),
            None => Ok(()),
        }
    }

    /// The hub that feeds those who watch: to drain it before the process ends, and to see how much
    /// it holds.
    #[must_use]
    pub const fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Opens a viewer's home feed. This must be [attached](Self::attach) to the feed: otherwise nothing
    /// arrives after the first page.
    ///
    /// Among several nodes it waits until the bus brings what happens at the others, for which
    /// [`run`](Self::run) must run. Where the bus cannot serve some of the authors now, it opens without,
    /// and shows the feed anew once it can.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ForeignCursor`] for a place in another feed, and [`ErrorKind::InvalidCursor`] for
    /// one that leads to older pages; [`ErrorKind::Full`] if the hub has no room,
    /// [`ErrorKind::Closed`] if it drains; otherwise fails if an engine does.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn watch(
        &self,
        feed: &Feed,
        viewer: UserId,
        request: LiveRequest,
    ) -> Result<LiveFeed> {
        LiveFeed::open(self.clone(), feed.clone(), viewer, request).await
    }

    async fn publish(&self, messages: Vec<(Topic, Hint)>) -> Result<()> {
        let Some(nodes) = &self.nodes else {
            let outgoing = |(topic, hint): (Topic, Hint)| hub::Outgoing::new(topic, hint.encode());
            let mut batch: Vec<_> = messages.into_iter().map(outgoing).collect();
            self.hub.publish_batch(&mut batch);
            let refused = |sent: &hub::Outgoing| sent.outcome == Some(hub::Published::Refused);
            if batch.iter().any(refused) {
                return Err(Error::bare(ErrorKind::Unavailable, "emit"));
            }
            return Ok(());
        };
        let outgoing = |(topic, hint): (Topic, Hint)| Outgoing::new(topic, hint.encode());
        let messages: Vec<_> = messages.into_iter().map(outgoing).collect();
        let mut failure = None;
        for batch in messages.chunks(nodes.bus.limits().batch.max(1)) {
            failure = nodes
                .bus
                .publish(batch)
                .await?
                .into_iter()
                .find_map(Result::err)
                .or(failure);
        }
        failure.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Waits until what other nodes publish on these topics arrives here. A topic that the bus cannot
    /// serve now is heard of as a gap once it can.
    async fn joined(&self, topics: &[Topic]) -> Result<()> {
        let Some(nodes) = &self.nodes else {
            return Ok(());
        };
        for topic in topics {
            match nodes.relay.joined(topic).await.map_err(Error::from) {
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::Closed | ErrorKind::Invalid) => {
                    return Err(error);
                }
                Err(error) => {
                    let error: &dyn StdError = &error;
                    tracing::warn!(error, topic = topic.as_str(), "not heard live yet");
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl FeedEvents for LiveFeeds {
    async fn emit(&self, events: &[FeedEvent]) -> Result<()> {
        let mut messages = Vec::with_capacity(events.len());
        for event in events {
            match event {
                FeedEvent::Post {
                    entry,
                    change,
                    audience: Audience::Author,
                } => {
                    let hint = Hint::Post {
                        entry: *entry,
                        change: *change,
                    };
                    messages.push((hint::posts_of(entry.author), hint));
                }
                FeedEvent::CircleChanged { viewer } => {
                    messages.push((hint::circle_of(*viewer), Hint::Circle));
                }
                FeedEvent::Erased { user } => messages.push((hint::posts_of(*user), Hint::Circle)),
                FeedEvent::Post { .. }
                | FeedEvent::Followed { .. }
                | FeedEvent::Acted(_)
                | FeedEvent::Withdrawn(_) => {}
            }
        }
        self.publish(messages).await
    }
}
