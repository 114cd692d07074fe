mod answer;
mod streams;
mod subscriber;
mod wire;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use backplane::{
    Clock, Error, ErrorKind, Position, Result, Sleep, SystemClock, Topic,
    bus::{Bus, BusEvents, BusLimits, EventQueue, HistoryPage, HistoryRead, Outgoing, Published},
};
use tokio::task::AbortHandle;

use self::{streams::Streams, subscriber::Subscriber};
use crate::Redis;

/// One node's end of a [`Bus`] on Redis.
///
/// Publishing to a topic is one script: it numbers the messages, keeps them in the history and sends
/// them to subscribers, in one step. A call sends one script for each of its topics, all at once. Redis
/// delivers to each subscriber at most once; what it drops shows in the positions, and is in the
/// history.
///
/// # Epochs
///
/// A stream begins a new epoch when it is next used after its server was started, or has taken over
/// from a master that died: Redis replicates and writes to disk after it has answered, so that the
/// newest messages may be gone then. Readers are told of a gap, and read anew from the truth. What tells
/// such a server is its replication id, which changes too once its first replica is attached, or none was
/// for as long as `repl-backlog-ttl` says: so attach replicas before there is load.
///
/// # Connections
///
/// Beside the connection of [`Redis`], which it shares, a node has one of its own for what it is
/// subscribed to; in a Cluster one for each master that serves a topic of its. When one is lost it is made
/// again, and every subscription with it, or where the slot is served by then.
///
/// In a Cluster topics are shard channels, of which other masters hear nothing. Redis 6.2 has none: there
/// each message goes to every node of the Cluster, whoever is subscribed.
pub struct RedisBus {
    streams: Streams,
    queue: Arc<EventQueue>,
    subscriber: Subscriber,
    keeper: AbortHandle,
}

/// The bounds of a [`RedisBus`]. All nodes have the same.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RedisBusOptions {
    /// What a topic and a call may hold. Default [`BusLimits::new`].
    pub limits: BusLimits,
    /// Most payload bytes queued for a node that does not read its events. Default 64 MiB.
    pub queue_bytes: usize,
    /// How long a topic keeps its epoch that nobody publishes to, reads or is subscribed to. At least as
    /// long as its history and its idempotency keys. Default one hour.
    pub topic_ttl: Duration,
    /// How often a connection is asked whether it still is one. Default 10 s.
    pub probe_every: Duration,
}

impl RedisBus {
    /// A node on the server or the Cluster of `redis`, which subscribes by connections that `client` makes:
    /// to the same server, or to the masters of the Cluster with the credentials of `client`. Its keys and
    /// channels begin with the prefix of `redis` and `{bus:`.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn new(redis: Redis, client: redis::Client, options: RedisBusOptions) -> Self {
        let queue = EventQueue::new(options.limits.queue, options.queue_bytes);
        let queue = Arc::new(queue);
        let (own, every) = (Arc::clone(&queue), options.probe_every);
        let subscriber = Subscriber::start(redis.clone(), client, own, every);
        let streams = Streams { redis, options };
        let keeper = tokio::spawn(keep(streams.clone(), Arc::clone(&queue))).abort_handle();
        Self {
            streams,
            queue,
            subscriber,
            keeper,
        }
    }

    fn channels(&self, topics: &[Topic]) -> Vec<(String, Topic)> {
        let topics = topics.iter();
        topics
            .map(|topic| (self.streams.channel(topic), topic.clone()))
            .collect()
    }

    fn admit(&self, op: &'static str, count: usize) -> Result<()> {
        if self.queue.is_closed() {
            return Err(Error::bare(ErrorKind::Closed, op));
        }
        if count > self.streams.options.limits.batch {
            return Err(Error::new(ErrorKind::Invalid, op, "a batch too large"));
        }
        Ok(())
    }
}

#[async_trait]
impl Bus for RedisBus {
    fn limits(&self) -> BusLimits {
        self.streams.options.limits.clone()
    }

    async fn publish(&self, messages: &[Outgoing]) -> Result<Vec<Result<Published>>> {
        self.admit("publish", messages.len())?;
        let too_long =
            |message: &Outgoing| message.payload.len() > self.streams.options.limits.payload;
        if messages.iter().any(too_long) {
            return Err(Error::new(
                ErrorKind::Invalid,
                "publish",
                "a payload too long",
            ));
        }
        Ok(self.streams.publish(messages).await)
    }

    async fn subscribe(&self, topics: &[Topic]) -> Result<Vec<Result<Position>>> {
        self.admit("subscribe", topics.len())?;
        let subscribed = self.subscriber.subscribe(&self.channels(topics)).await?;
        let reads: Vec<_> = topics.iter().cloned().map(HistoryRead::top).collect();
        let tops = self.streams.read("subscribe", &reads).await;
        let position = |(subscribed, page): (Result<()>, Result<HistoryPage>)| {
            subscribed?;
            Ok(page?.top)
        };
        let positions: Vec<_> = subscribed.into_iter().zip(tops).map(position).collect();
        let is_final =
            |error: &Error| !matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Corrupt);
        let refused = topics.iter().zip(&positions);
        let refused = refused.filter(|(_, position)| position.as_ref().is_err_and(is_final));
        let refused: Vec<_> = refused.map(|(topic, _)| topic.clone()).collect();
        if !refused.is_empty() {
            self.subscriber.unsubscribe(&self.channels(&refused)).await;
        }
        Ok(positions)
    }

    async fn unsubscribe(&self, topics: &[Topic]) -> Result<()> {
        self.admit("unsubscribe", topics.len())?;
        self.subscriber.unsubscribe(&self.channels(topics)).await;
        Ok(())
    }

    async fn history(&self, reads: &[HistoryRead]) -> Result<Vec<Result<HistoryPage>>> {
        self.admit("history", reads.len())?;
        Ok(self.streams.read("history", reads).await)
    }

    fn events(&self) -> BusEvents {
        self.queue.events()
    }

    async fn drain(&self) -> Result<()> {
        self.queue.close();
        self.keeper.abort();
        self.subscriber.stop().await;
        Ok(())
    }
}

impl Drop for RedisBus {
    fn drop(&mut self) {
        self.queue.close();
        self.keeper.abort();
    }
}

impl fmt::Debug for RedisBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBus")
            .field("streams", &self.streams)
            .finish_non_exhaustive()
    }
}

/// Keeps topics from being forgotten that are subscribed.
async fn keep(streams: Streams, queue: Arc<EventQueue>) {
    let clock = SystemClock::new();
    loop {
        let pause = streams.topic_ttl() / 3;
        clock.sleep(pause.min(Sleep::LONGEST)).await;
        let reads: Vec<_> = queue.topics().into_iter().map(HistoryRead::top).collect();
        for reads in reads.chunks(streams.options.limits.batch.max(1)) {
            // One that fails is made again next time, which is in time.
            streams.read("keep", reads).await;
        }
    }
}

impl RedisBusOptions {
    /// Bounds topics and calls by `limits`.
    #[must_use]
    pub fn with_limits(mut self, limits: BusLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Queues at most `bytes` of payload for a node.
    #[must_use]
    pub fn with_queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = bytes;
        self
    }

    /// Keeps topics that nobody uses for `time`.
    #[must_use]
    pub fn with_topic_ttl(mut self, time: Duration) -> Self {
        self.topic_ttl = time;
        self
    }

    /// Probes the connection every `interval`.
    #[must_use]
    pub fn with_probe_every(mut self, interval: Duration) -> Self {
        self.probe_every = interval;
        self
    }
}

impl Default for RedisBusOptions {
    fn default() -> Self {
        Self {
            limits: BusLimits::new(),
            queue_bytes: 64 << 20,
            topic_ttl: Duration::from_secs(3_600),
            probe_every: Duration::from_secs(10),
        }
    }
}
