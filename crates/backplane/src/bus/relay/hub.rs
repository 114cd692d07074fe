use super::{Audience, Relay};
use crate::{
    Error, ErrorKind, Position, Result, Topic,
    bus::{Gap, HistoryRead, Message, RecoveryOptions},
    hub::{Connection, Hub, Interest, Progress, Published, SubscribeOptions},
};

/// Built with [`Hub::with_interest`], a hub tells the relay what its connections subscribe to.
impl Interest for Relay {
    fn first_subscribed(&self, topic: &Topic) {
        self.want(topic);
    }

    fn last_unsubscribed(&self, topic: &Topic) {
        self.release(topic);
    }
}

/// What a hub refuses for lack of room reaches its subscribers as a gap.
impl Audience for Hub {
    fn message(&self, topic: &Topic, message: Message) {
        let Message { position, payload } = message;
        if self.publish_at(topic, payload, position) == Published::Refused {
            let before = Position::new(position.epoch, position.offset.saturating_sub(1));
            self.publish_gap(topic, Some(1), Some(before));
        }
    }

    fn gap(&self, topic: &Topic, gap: Gap) {
        self.publish_gap(topic, gap.missed(), gap.after);
    }
}

impl Relay {
    /// Subscribes `connection` to `topic` for a reader whose last message stood at `since`: what it
    /// missed comes first, from the history of the bus, then what is live, each once and in order;
    /// or a gap in the place of what the history no longer has.
    ///
    /// The connection is one of the hub that this relay serves.
    ///
    /// # Errors
    ///
    /// As [`Connection::catch_up`], [`joined`](Self::joined) and
    /// [`Bus::history`](crate::bus::Bus::history), as a whole or of the one page. The connection is not subscribed then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the subscription.
    pub async fn resume(
        &self,
        connection: &Connection,
        topic: &Topic,
        since: Position,
        options: &SubscribeOptions,
        bounds: RecoveryOptions,
    ) -> Result<()> {
        let mut catch_up = connection.catch_up(topic, since, options, bounds)?;
        self.joined(topic).await?;
        loop {
            let read = HistoryRead::new(topic.clone(), Some(catch_up.at()), catch_up.limit());
            let read = read.with_bytes(catch_up.byte_limit());
            let pages = self.bus.history(&[read]).await?;
            let page = pages.into_iter().next();
            let page = page.ok_or_else(|| Error::bare(ErrorKind::Corrupt, "history"))??;
            if catch_up.page(page) == Progress::CaughtUp {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, sync::Arc};

    use futures::future::{Either, select};

    use super::*;
    use crate::{
        Clock, ManualClock,
        bus::{Bus, BusLimits, Outgoing, RelayOptions},
        hub::{ConnectionOptions, Deliveries, Delivery, HubOptions},
        memory::{MemoryBus, MemoryBusOptions, MemoryNode},
    };

    struct Node {
        publisher: MemoryNode,
        relay: Arc<Relay>,
        hub: Hub,
    }

    impl Node {
        fn new(history: usize) -> Self {
            let mut limits = BusLimits::new();
            limits.history = history;
            let options = MemoryBusOptions::default().with_limits(limits);
            let clock = Arc::new(ManualClock::default());
            let bus = MemoryBus::new(options, Arc::<ManualClock>::clone(&clock) as Arc<dyn Clock>);
            let node: Arc<dyn Bus> = Arc::new(bus.node());
            let relay = Arc::new(Relay::new(node, clock, RelayOptions::default()));
            let interest: Arc<dyn Interest> = Arc::<Relay>::clone(&relay);
            Self {
                publisher: bus.node(),
                hub: Hub::with_interest(HubOptions::inline(), interest),
                relay,
            }
        }

        async fn run<T>(&self, script: impl Future<Output = T>) -> T {
            match select(pin!(self.relay.run(&self.hub)), pin!(script)).await {
                Either::Left((ended, _)) => panic!("the relay ended: {ended:?}"),
                Either::Right((result, _)) => result,
            }
        }

        fn say(&self) -> Position {
            let message = Outgoing::new(topic(), "x");
            self.publisher.publish_one(&message).unwrap().position()
        }

        async fn settle(&self) {
            for _ in 0..20 {
                tokio::task::yield_now().await;
                while self.hub.run_once() > 0 {}
            }
        }

        /// What a reader gets that saw `seen` messages of 5, while 2 more are published.
        async fn resume_after(&self, seen: u64) -> Vec<Delivery> {
            let top = [(); 5].map(|()| self.say())[4];
            let (connection, mut deliveries) = self.connect();
            self.run(async {
                let options = SubscribeOptions::default();
                let since = Position::new(top.epoch, seen);
                let bounds = RecoveryOptions::default();
                let name = topic();
                let resume = self
                    .relay
                    .resume(&connection, &name, since, &options, bounds);
                let live = async {
                    self.say();
                    self.settle().await;
                };
                let (resumed, ()) = futures::join!(resume, live);
                resumed.unwrap();
                self.say();
                self.settle().await;
            })
            .await;
            deliveries.drain()
        }

        fn connect(&self) -> (Connection, Deliveries) {
            self.hub
                .connect_stream(&ConnectionOptions::default())
                .unwrap()
        }
    }

    fn topic() -> Topic {
        "a".parse().unwrap()
    }

    fn offset(delivery: &Delivery) -> Option<u64> {
        match delivery {
            Delivery::Message { position, .. } => position.map(|at| at.offset),
            _ => None,
        }
    }

    #[tokio::test]
    async fn a_subscriber_of_the_hub_hears_what_another_node_publishes() {
        let node = Node::new(100);
        let (connection, mut deliveries) = node.connect();
        node.run(async {
            let name = topic();
            connection
                .subscribe(&name, &SubscribeOptions::default())
                .unwrap();
            node.relay.joined(&name).await.unwrap();
            node.say();
            node.settle().await;
        })
        .await;
        assert_eq!(
            deliveries
                .drain()
                .iter()
                .filter_map(offset)
                .collect::<Vec<_>>(),
            [1]
        );
    }

    #[tokio::test]
    async fn a_reader_resumes_without_a_hole_or_a_duplicate() {
        let deliveries = Node::new(100).resume_after(2).await;
        let offsets: Vec<_> = deliveries.iter().map(offset).collect();
        assert_eq!(offsets, [3, 4, 5, 6, 7].map(Some));
    }

    #[tokio::test]
    async fn a_reader_that_was_away_too_long_is_told_what_it_missed() {
        let deliveries = Node::new(3).resume_after(0).await;
        let Some(Delivery::Gap { missed, .. }) = deliveries.first() else {
            panic!("{deliveries:?}");
        };
        let missed = missed.unwrap();
        assert!(missed > 0);
        let offsets: Vec<_> = deliveries[1..].iter().map(offset).collect();
        assert_eq!(offsets, (missed + 1..=7).map(Some).collect::<Vec<_>>());
    }
}
