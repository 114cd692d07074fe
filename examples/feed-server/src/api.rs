use std::{sync::Arc, time::Duration};

use backplane::{
    Timestamp,
    rate::{Decision, Quota},
};
use feed_core::{Feed, Hydrator, HydratorParts, LiveFeeds, UserId};

use crate::{Accounts, Engine, Problem, Reason, Stop, Store, live::Connections};

/// What the handlers work on. Clones share it.
#[derive(Clone, Debug)]
pub struct Api {
    feed: Feed,
    live: LiveFeeds,
    hydrator: Hydrator,
    accounts: Accounts,
    engine: Engine,
    connections: Arc<Connections>,
    action_quota: Option<Quota>,
    stop: Stop,
}

impl Api {
    /// The API over what `store` holds. Its live streams end at `stop`.
    #[must_use]
    pub fn new(store: &Store, stop: Stop) -> Self {
        let parts = store.parts.clone();
        let hydrator = HydratorParts::of(&parts, Arc::new(store.accounts.clone()));
        Self {
            feed: Feed::new(parts),
            live: store.live.clone(),
            hydrator: Hydrator::new(hydrator),
            accounts: store.accounts.clone(),
            engine: store.engine.clone(),
            connections: Arc::default(),
            action_quota: action_quota(),
            stop,
        }
    }

    /// Lets an account edit, delete, follow, mute, block, like, repost and take such things back as often
    /// as `quota` says; `None` for no limit. One a second by default, and 600 at once.
    ///
    /// Each attempt counts. Posts count by [`FeedOptions::post_quota`](feed_core::FeedOptions::post_quota)
    /// instead, and reposts by both.
    #[must_use]
    pub const fn with_action_quota(mut self, quota: Option<Quota>) -> Self {
        self.action_quota = quota;
        self
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

    /// Where everything is kept.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
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

    /// Takes one off what `viewer` may do, or says when there is more.
    pub(crate) async fn admit(&self, viewer: UserId) -> Result<(), Problem> {
        let Some(quota) = self.action_quota else {
            return Ok(());
        };
        let key = [&b"feed-server:action:"[..], &viewer.get().to_be_bytes()].concat();
        match self.feed.parts().limiter.check(&key, quota, 1).await? {
            Decision::Allowed { .. } => Ok(()),
            Decision::Limited { retry_after } => {
                Err(Problem::new(Reason::RateLimited).with_retry_after(retry_after))
            }
            _ => Err(Problem::new(Reason::Internal)),
        }
    }
}

/// More than a person does; and though nothing were worked off, one account would take a day to fill the
/// queue of fanout.
fn action_quota() -> Option<Quota> {
    let quota = Quota::new(3_600, Duration::from_secs(3_600)).ok()?;
    quota.with_burst(600).ok()
}
