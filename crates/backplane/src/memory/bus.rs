mod shard;
mod stream;

use std::{fmt, sync::Arc, task::Waker, time::Duration};

use async_trait::async_trait;

use self::shard::Shards;
use crate::{
    Clock, Error, ErrorKind, Position, Result, SystemClock, Topic,
    bus::{Bus, BusEvents, BusLimits, EventQueue, HistoryPage, HistoryRead, Outgoing, Published},
};

/// A [`Bus`] among nodes of one process: the reference, and all that a server without peers needs.
///
/// Clones share the streams. [`node`](Self::node) makes an end of it; its methods are synchronous, and
/// the [`Bus`] trait forwards to them.
///
/// Memory is bounded by `max_topics` times what [`BusLimits`] lets a topic retain. A topic that
/// nobody subscribes to, whose history and idempotency keys have expired and to which nothing was
/// published for `topic_ttl`, is forgotten; one to which nothing was ever published, but which
/// somebody has asked for, after `history_ttl`. Should it come back, it does so in a new epoch. What
/// has expired is dropped by later calls, a little at a time, and by no task.
#[derive(Clone)]
pub struct MemoryBus {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    options: MemoryBusOptions,
    shards: Shards,
}

/// The bounds of a [`MemoryBus`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct MemoryBusOptions {
    /// What a topic and a call may hold. Default [`BusLimits::new`].
    pub limits: BusLimits,
    /// Most payload bytes queued for a node that does not read its events. Default 64 MiB.
    pub queue_bytes: usize,
    /// Most topics that have a stream. Default 1,048,576.
    pub max_topics: usize,
    /// How long an empty topic keeps its epoch, if it ever held a message. Default one day.
    pub topic_ttl: Duration,
    /// Where the epochs come from; without a seed they differ from process to process. A seed is for
    /// tests: a process that starts twice from one repeats its epochs. Default none.
    pub seed: Option<u64>,
}

/// One node's end of a [`MemoryBus`]. Dropping it is draining it.
pub struct MemoryNode {
    shared: Arc<Shared>,
    queue: Arc<EventQueue>,
}

impl MemoryBus {
    /// An empty bus that reads the time, for expiry only, from `clock`.
    #[must_use]
    pub fn new(options: MemoryBusOptions, clock: Arc<dyn Clock>) -> Self {
        Self {
            shared: Arc::new(Shared {
                clock,
                shards: Shards::new(&options),
                options,
            }),
        }
    }

    /// A new end of the bus, with no subscriptions.
    #[must_use]
    pub fn node(&self) -> MemoryNode {
        let options = &self.shared.options;
        MemoryNode {
            shared: Arc::clone(&self.shared),
            queue: Arc::new(EventQueue::new(options.limits.queue, options.queue_bytes)),
        }
    }

    /// How many topics have a stream.
    #[must_use]
    pub fn topics(&self) -> usize {
        self.shared.shards.len()
    }

    /// Loses what a topic held and begins its next epoch, as an engine does that restarts without its
    /// data. Subscriptions stay.
    pub fn lose(&self, topic: &Topic) {
        self.shared.shards.restart(topic);
    }

    /// Takes from every node the events that it has not read and tells it
    /// [`Resubscribed`](crate::bus::BusEvent::Resubscribed) for each of its topics, as a connection
    /// does that broke and was made again. Streams stay as they are.
    pub fn cut(&self) {
        for queue in self.shared.shards.nodes() {
            queue.cut();
        }
    }
}

impl Default for MemoryBus {
    fn default() -> Self {
        Self::new(MemoryBusOptions::default(), Arc::new(SystemClock::new()))
    }
}

impl fmt::Debug for MemoryBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBus")
            .field("options", &self.shared.options)
            .field("topics", &self.topics())
            .finish_non_exhaustive()
    }
}

impl MemoryBusOptions {
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

    /// Holds at most `topics` streams.
    #[must_use]
    pub fn with_max_topics(mut self, topics: usize) -> Self {
        self.max_topics = topics;
        self
    }

    /// Keeps the epoch of an empty topic for `ttl`.
    #[must_use]
    pub fn with_topic_ttl(mut self, ttl: Duration) -> Self {
        self.topic_ttl = ttl;
        self
    }

    /// Draws epochs from `seed`.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }
}

impl Default for MemoryBusOptions {
    fn default() -> Self {
        Self {
            limits: BusLimits::new(),
            queue_bytes: 64 << 20,
            max_topics: 1 << 20,
            topic_ttl: Duration::from_secs(24 * 60 * 60),
            seed: None,
        }
    }
}

impl MemoryNode {
    /// See [`Bus::publish`].
    ///
    /// # Errors
    ///
    /// As [`Bus::publish`], but never `Unavailable`.
    pub fn publish(&self, messages: &[Outgoing]) -> Result<Vec<Result<Published>>> {
        let now = self.admit_messages(messages)?;
        let publish = |message| self.shared.publish(message, now);
        Ok(messages.iter().map(publish).collect())
    }

    /// Publishes one message, without allocating for a batch.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish), and those of one message.
    pub fn publish_one(&self, message: &Outgoing) -> Result<Published> {
        let now = self.admit_messages(std::slice::from_ref(message))?;
        self.shared.publish(message, now)
    }

    /// See [`Bus::subscribe`].
    ///
    /// # Errors
    ///
    /// As [`Bus::subscribe`], but never `Unavailable`.
    pub fn subscribe(&self, topics: &[Topic]) -> Result<Vec<Result<Position>>> {
        let now = self.admit("subscribe", topics.len())?;
        let shards = &self.shared.shards;
        let subscribe = |topic| {
            let joined = shards.with(topic, now, |stream| {
                let tracked = self.queue.track(topic);
                tracked.then(|| stream.join(&self.queue, now))
            });
            joined
                .ok_or_else(|| Error::bare(ErrorKind::Full, "subscribe"))?
                .ok_or_else(|| Error::bare(ErrorKind::Closed, "subscribe"))
        };
        Ok(topics.iter().map(subscribe).collect())
    }

    /// See [`Bus::unsubscribe`].
    ///
    /// # Errors
    ///
    /// As [`Bus::unsubscribe`], but never `Unavailable`.
    pub fn unsubscribe(&self, topics: &[Topic]) -> Result<()> {
        self.admit("unsubscribe", topics.len())?;
        for topic in topics {
            self.leave(topic);
        }
        Ok(())
    }

    /// See [`Bus::history`].
    ///
    /// # Errors
    ///
    /// As [`Bus::history`], but never `Unavailable`.
    pub fn history(&self, reads: &[HistoryRead]) -> Result<Vec<Result<HistoryPage>>> {
        let now = self.admit("history", reads.len())?;
        let Shared {
            shards, options, ..
        } = &*self.shared;
        let read = |read: &HistoryRead| {
            let page = shards.with(&read.topic, now, |stream| {
                stream.expire(now);
                stream.page(read.since, read.limit.min(options.limits.page), read.bytes)
            });
            page.ok_or_else(|| Error::bare(ErrorKind::Full, "history"))
        };
        Ok(reads.iter().map(read).collect())
    }

    /// See [`Bus::events`].
    #[must_use]
    pub fn events(&self) -> BusEvents {
        self.queue.events()
    }

    /// See [`Bus::drain`].
    pub fn drain(&self) {
        for topic in self.queue.close() {
            self.leave(&topic);
        }
    }

    fn leave(&self, topic: &Topic) {
        let now = self.shared.clock.monotonic();
        self.shared.shards.with_existing(topic, |stream| {
            self.queue.untrack(topic);
            stream.leave(&self.queue, now);
        });
    }

    fn admit_messages(&self, messages: &[Outgoing]) -> Result<Duration> {
        let payload = self.shared.options.limits.payload;
        if messages
            .iter()
            .any(|message| message.payload.len() > payload)
        {
            return Err(Error::new(
                ErrorKind::Invalid,
                "publish",
                "payload too large",
            ));
        }
        self.admit("publish", messages.len())
    }

    /// Checks what refuses a call as a whole.
    fn admit(&self, op: &'static str, batch: usize) -> Result<Duration> {
        if self.queue.is_closed() {
            return Err(Error::bare(ErrorKind::Closed, op));
        }
        if batch > self.shared.options.limits.batch {
            return Err(Error::new(ErrorKind::Invalid, op, "batch too large"));
        }
        Ok(self.shared.clock.monotonic())
    }
}

impl Drop for MemoryNode {
    fn drop(&mut self) {
        self.drain();
    }
}

impl fmt::Debug for MemoryNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryNode").finish_non_exhaustive()
    }
}

#[async_trait]
impl Bus for MemoryNode {
    fn limits(&self) -> BusLimits {
        self.shared.options.limits.clone()
    }

    async fn publish(&self, messages: &[Outgoing]) -> Result<Vec<Result<Published>>> {
        self.publish(messages)
    }

    async fn subscribe(&self, topics: &[Topic]) -> Result<Vec<Result<Position>>> {
        self.subscribe(topics)
    }

    async fn unsubscribe(&self, topics: &[Topic]) -> Result<()> {
        self.unsubscribe(topics)
    }

    async fn history(&self, reads: &[HistoryRead]) -> Result<Vec<Result<HistoryPage>>> {
        self.history(reads)
    }

    fn events(&self) -> BusEvents {
        self.events()
    }

    async fn drain(&self) -> Result<()> {
        self.drain();
        Ok(())
    }
}

impl Shared {
    fn publish(&self, message: &Outgoing, now: Duration) -> Result<Published> {
        let mut wakers: Vec<Waker> = Vec::new();
        let published = self.shards.with(&message.topic, now, |stream| {
            stream.publish(message, now, &self.options.limits, &mut wakers)
        });
        wakers.into_iter().for_each(Waker::wake);
        published.ok_or_else(|| Error::bare(ErrorKind::Full, "publish"))
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};

    use super::*;
    use crate::{
        ManualClock,
        bus::BusEvent,
        conformance::{Fresh, TestTime, bus::BusNetwork},
    };

    #[async_trait]
    impl BusNetwork for MemoryBus {
        async fn join(&self) -> Arc<dyn Bus> {
            Arc::new(self.node())
        }

        async fn lose(&self, topic: &Topic) {
            self.lose(topic);
        }

        async fn cut(&self) {
            self.cut();
        }
    }

    fn small_bus() -> (MemoryBus, ManualClock) {
        let mut limits = BusLimits::new();
        limits.history = 20;
        limits.page = 10;
        limits.queue = 50;
        limits.idempotency_keys = 10;
        limits.payload = 1_000;
        let clock = ManualClock::default();
        let options = MemoryBusOptions::default()
            .with_limits(limits)
            .with_max_topics(200)
            .with_seed(7);
        (MemoryBus::new(options, Arc::new(clock.clone())), clock)
    }

    crate::bus_conformance!(async {
        let (bus, clock) = small_bus();
        Fresh::<dyn BusNetwork> {
            store: Arc::new(bus),
            time: TestTime::Manual(clock),
        }
    });

    fn topic(name: impl fmt::Display) -> Topic {
        format!("{name}").parse().unwrap()
    }

    fn say(name: impl fmt::Display) -> Outgoing {
        Outgoing::new(topic(name), "x")
    }

    #[test]
    fn a_topic_without_room_keeps_no_other_of_its_batch_back() {
        let (bus, _) = small_bus();
        let node = bus.node();
        let batch: Vec<_> = (0..200).map(say).collect();
        assert!(
            node.publish(&batch[..199])
                .unwrap()
                .iter()
                .all(Result::is_ok)
        );
        let published = node.publish(&[say(0), say(199), say(200), say(1)]).unwrap();
        let kinds = published
            .into_iter()
            .map(|one| one.map_err(|error| error.kind()).err());
        assert!(kinds.eq([None, None, Some(ErrorKind::Full), None]));
        let read = |name| {
            node.history(&[HistoryRead::top(topic(name))])
                .unwrap()
                .remove(0)
        };
        assert_eq!(read(1).unwrap().top.offset, 2);
        assert_eq!(read(200).unwrap_err().kind(), ErrorKind::Full);
        let joined = node.subscribe(&[topic(200), topic(0)]).unwrap();
        assert!(joined[0].is_err() && joined[1].is_ok());
        assert_eq!(bus.topics(), 200);
    }

    #[test]
    fn idle_topics_are_forgotten_and_return_in_a_new_epoch() {
        let (bus, clock) = small_bus();
        let node = bus.node();
        let before = node.publish_one(&say("idle")).unwrap().position();
        node.subscribe(&[topic("watched")]).unwrap();
        for _ in 0..3 {
            clock.advance(Duration::from_secs(13 * 60 * 60));
            bus.shared.shards.sweep_all(clock.monotonic());
        }
        assert_eq!(bus.topics(), 1, "only the watched one is left");
        let after = node.publish_one(&say("idle")).unwrap().position();
        assert_eq!(after.offset, 1);
        assert_ne!(after.epoch, before.epoch);
    }

    #[test]
    fn a_key_is_remembered_for_its_window_though_the_topic_is_empty_for_longer() {
        let mut limits = BusLimits::new();
        limits.history_ttl = Duration::from_secs(1);
        limits.idempotency_window = Duration::from_secs(100);
        let clock = ManualClock::default();
        let options = MemoryBusOptions::default()
            .with_limits(limits)
            .with_max_topics(1)
            .with_topic_ttl(Duration::from_secs(1));
        let bus = MemoryBus::new(options, Arc::new(clock.clone()));
        let node = bus.node();
        let message = say("a").with_key(crate::bus::IdempotencyKey::new(7));
        let first = node.publish_one(&message).unwrap().position();
        for _ in 0..99 {
            clock.advance(Duration::from_secs(1));
            node.publish_one(&say("b")).unwrap_err();
            let again = node.publish_one(&message).unwrap();
            assert_eq!(again, Published::Duplicate(first));
        }
        clock.advance(Duration::from_secs(1));
        node.publish_one(&say("b")).unwrap();
    }

    #[test]
    fn topics_that_were_only_read_make_room_soon() {
        let (bus, clock) = small_bus();
        let node = bus.node();
        let made_up: Vec<_> = (0..200)
            .map(|n| HistoryRead::top(topic(format_args!("made up {n}"))))
            .collect();
        let first = node.history(&made_up).unwrap();
        assert_eq!(
            node.publish_one(&say(0)).unwrap_err().kind(),
            ErrorKind::Full
        );
        clock.advance(bus.shared.options.limits.history_ttl / 2);
        let again = node.history(&made_up).unwrap();
        assert!(
            first
                .iter()
                .zip(again)
                .all(|(first, again)| first.as_ref().unwrap().top == again.unwrap().top)
        );
        clock.advance(bus.shared.options.limits.history_ttl / 2);
        for _ in 0..8 {
            bus.shared.shards.sweep_all(clock.monotonic());
        }
        assert_eq!(bus.topics(), 0);
    }

    #[test]
    fn a_full_bus_sweeps_nothing_for_topics_that_it_has() {
        let (bus, clock) = small_bus();
        let node = bus.node();
        node.publish(&(0..200).map(say).collect::<Vec<_>>())
            .unwrap();
        for _ in 0..2 {
            clock.advance(Duration::from_secs(25 * 60 * 60));
            node.publish_one(&say(0)).unwrap();
        }
        assert!(
            bus.topics() > 190,
            "only the topic's own shard: {}",
            bus.topics()
        );
        let others: Vec<_> = (200..300).map(say).collect();
        assert!(node.publish(&others).unwrap().iter().all(Result::is_ok));
    }

    #[test]
    fn a_dropped_node_leaves_no_subscription_behind() {
        let (bus, clock) = small_bus();
        let node = bus.node();
        node.subscribe(&[topic("a")]).unwrap();
        drop(node);
        clock.advance(Duration::from_secs(25 * 60 * 60));
        bus.shared.shards.sweep_all(clock.monotonic());
        assert_eq!(bus.topics(), 0, "the topic of the dropped node is idle");
    }

    #[test]
    fn the_queue_is_bounded_in_bytes() {
        let options = MemoryBusOptions::default().with_queue_bytes(10);
        let bus = MemoryBus::new(options, Arc::new(ManualClock::default()));
        let node = bus.node();
        node.subscribe(&[topic("a")]).unwrap();
        let large = Outgoing::new(topic("a"), "6 byte");
        node.publish(&[large.clone(), large.clone(), large])
            .unwrap();
        let mut events = node.events();
        let mut next = || events.next().now_or_never().flatten();
        assert!(matches!(next(), Some(BusEvent::Message { .. })));
        let Some(BusEvent::Gap { gap, .. }) = next() else {
            panic!("the second and third fit no more");
        };
        assert_eq!(gap.missed(), Some(2));
        assert_eq!(next(), None);
    }

    #[test]
    fn a_key_beyond_the_number_remembered_displaces_the_oldest() {
        let (bus, _) = small_bus();
        let node = bus.node();
        let with_key = |key| say("a").with_key(crate::bus::IdempotencyKey::new(key));
        for key in 0..11 {
            node.publish_one(&with_key(key)).unwrap();
        }
        assert!(matches!(
            node.publish_one(&with_key(10)),
            Ok(Published::Duplicate(_))
        ));
        assert!(matches!(
            node.publish_one(&with_key(0)),
            Ok(Published::New(_))
        ));
    }
}
