use std::{collections::VecDeque, sync::Arc};

use async_trait::async_trait;
use backplane::{
    Topic,
    bus::{Bus, Outgoing},
    hub::{Connection, ConnectionOptions, Deliveries, Delivery, Hub, Overflow, SubscribeOptions},
};
use bytes::Bytes;
use feed_core::{FeedEvent, FeedEvents, PostId};
use futures::StreamExt;

use crate::Problem;

/// The posts of one screen whose counts are kept up to date: the newest it was shown.
///
/// What feed-core tells of is who may see which post. How a post fares is this application's own
/// matter, so it has topics of its own on the same hub.
#[derive(Debug)]
pub(crate) struct Watched {
    connection: Connection,
    deliveries: Deliveries,
    posts: VecDeque<PostId>,
}

/// How many posts of a screen are watched.
const MAX: usize = 100;

impl Watched {
    pub(crate) fn new(hub: &Hub) -> Result<Self, Problem> {
        let options = ConnectionOptions::default().with_max_subscriptions(MAX);
        let (connection, deliveries) = hub.connect_stream(&options)?;
        Ok(Self {
            connection,
            deliveries,
            posts: VecDeque::with_capacity(MAX),
        })
    }

    /// Watches nothing any more.
    pub(crate) fn clear(&mut self) {
        for post in self.posts.drain(..) {
            self.connection.unsubscribe(&topic_of(post));
        }
    }

    /// Watches this post too, and not the one any more that was added first of too many.
    pub(crate) fn add(&mut self, post: PostId) -> Result<(), Problem> {
        if self.posts.contains(&post) {
            return Ok(());
        }
        if self.posts.len() == MAX
            && let Some(oldest) = self.posts.pop_front()
        {
            self.connection.unsubscribe(&topic_of(oldest));
        }
        // Only the newest word of a post counts.
        let options = SubscribeOptions::default().with_overflow(Overflow::Conflate);
        self.connection.subscribe(&topic_of(post), &options)?;
        self.posts.push_back(post);
        Ok(())
    }

    /// The next post that somebody reacted to; `None` once the hub is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Option<PostId> {
        loop {
            match self.deliveries.next().await? {
                Delivery::Message { payload, .. } => {
                    if let Ok(raw) = <[u8; 8]>::try_from(&*payload) {
                        return Some(PostId::new(u64::from_be_bytes(raw)));
                    }
                }
                Delivery::Closed(_) => return None,
                _ => {}
            }
        }
    }
}

/// Tells the screens that show a post to look at its counts again, when those have changed.
#[derive(Debug)]
pub(crate) struct Announcer {
    hub: Hub,
    /// Where there are other servers, and which brings word back here.
    bus: Option<Arc<dyn Bus>>,
}

impl Announcer {
    pub(crate) const fn new(hub: Hub, bus: Option<Arc<dyn Bus>>) -> Self {
        Self { hub, bus }
    }
}

#[async_trait]
impl FeedEvents for Announcer {
    async fn emit(&self, events: &[FeedEvent]) -> feed_core::Result<()> {
        let words = events.iter().filter_map(|event| match event {
            FeedEvent::Acted(action) | FeedEvent::Withdrawn(action) => {
                let word = Bytes::copy_from_slice(&action.post.get().to_be_bytes());
                Some((topic_of(action.post), word))
            }
            _ => None,
        });
        // A hint: a screen that misses it shows the counts of its last look.
        match &self.bus {
            None => {
                for (topic, word) in words {
                    let _ = self.hub.publish(&topic, word);
                }
            }
            Some(bus) => {
                let words: Vec<_> = words
                    .map(|(topic, word)| Outgoing::new(topic, word))
                    .collect();
                for words in words.chunks(bus.limits().batch.max(1)) {
                    let _ = bus.publish(words).await;
                }
            }
        }
        Ok(())
    }
}

fn topic_of(post: PostId) -> Topic {
    let topic = format!("feed-server:{post}:reactions").parse();
    topic.expect("a number makes a valid topic")
}
