use std::sync::Arc;

use backend_redb::Writer;
use backplane::Timestamp;
use feed_core::{Circle, Feed, Hydrator, HydratorParts, LiveFeeds, UserId};

use crate::{Accounts, Problem, Stop, Store, live::Connections};

/// What the handlers work on. Clones share it.
#[derive(Clone, Debug)]
pub struct Api {
    feed: Feed,
    live: LiveFeeds,
    hydrator: Hydrator,
    accounts: Accounts,
    writer: Writer,
    connections: Arc<Connections>,
    stop: Stop,
}

impl Api {
    /// The API over what `store` holds. Its live streams end at `stop`.
    #[must_use]
    pub fn new(store: &Store, stop: Stop) -> Self {
        let parts = store.parts.clone();
        let hydrator = HydratorParts::new(
            Arc::clone(&parts.outbox),
            Arc::new(store.accounts.clone()),
            Arc::clone(&parts.clock),
        );
        Self {
            feed: Feed::new(parts),
            live: store.live.clone(),
            hydrator: Hydrator::new(hydrator),
            accounts: store.accounts.clone(),
            writer: store.writer.clone(),
            connections: Arc::default(),
            stop,
        }
    }

    /// The feed.
    #[must_use]
    pub const fn feed(&self) -> &Feed {
        &self.feed
    }

    /// The users.
    #[must_use]
    pub const fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// What writes the database.
    #[must_use]
    pub const fn writer(&self) -> &Writer {
        &self.writer
    }

    pub(crate) const fn live(&self) -> &LiveFeeds {
        &self.live
    }

    pub(crate) const fn hydrator(&self) -> &Hydrator {
        &self.hydrator
    }

    pub(crate) const fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    pub(crate) const fn stop(&self) -> &Stop {
        &self.stop
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.feed.parts().clock.now()
    }

    /// Whom `viewer` follows, blocks and mutes.
    pub(crate) async fn circle(&self, viewer: UserId) -> Result<Arc<Circle>, Problem> {
        let mut circles = self.feed.parts().graph.circles(&[viewer]).await?;
        let nobody = || Arc::new(Circle::new(viewer, [], [], []));
        Ok(circles.pop().unwrap_or_else(nobody))
    }
}
