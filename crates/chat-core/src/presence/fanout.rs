use std::{fmt, sync::Arc};

use async_trait::async_trait;
use backplane::bus::{Bus, Outgoing};

use super::{Announcement, Change, Published};
use crate::{Result, UserId};

/// Who is told of a user's presence.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Audience {
    /// Whoever follows them, by one message on the user's [topic](Announcement::topic). Who may subscribe to that is
    /// for the application to say.
    #[default]
    Friends,
    /// These alone, by a message each on [its own topic](Announcement::pair_topic), for a user whom not all friends may
    /// see. More of them than [`Fanout::pairs`] are not told, and ask.
    Circle(Vec<UserId>),
    /// Nobody: whoever wants to know asks.
    Nobody,
}

/// Says who is told of whom.
#[async_trait]
pub trait Audiences: fmt::Debug + Send + Sync {
    /// Who is told of each user, in the order asked.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be found out now; nobody is told, and it is tried again.
    ///
    /// # Cancel safety
    ///
    /// Reads have no effect.
    async fn audiences(&self, users: &[UserId]) -> Result<Vec<Audience>>;
}

/// Friends are told of everybody.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct AllFriends;

#[async_trait]
impl Audiences for AllFriends {
    async fn audiences(&self, users: &[UserId]) -> Result<Vec<Audience>> {
        Ok(vec![Audience::Friends; users.len()])
    }
}

/// Tells of changes over a [`Bus`].
///
/// What is told is a hint, and the version the truth: a message may come twice, or late. Whoever begins to look on
/// subscribes first and then reads the states.
#[derive(Clone, Debug)]
pub struct Fanout {
    bus: Arc<dyn Bus>,
    audiences: Arc<dyn Audiences>,
    pairs: usize,
}

impl Fanout {
    /// Tells friends, over `bus`.
    #[must_use]
    pub fn new(bus: Arc<dyn Bus>) -> Self {
        Self {
            bus,
            audiences: Arc::new(AllFriends),
            pairs: 32,
        }
    }

    /// Tells those whom `audiences` names.
    #[must_use]
    pub fn with_audiences(mut self, audiences: Arc<dyn Audiences>) -> Self {
        self.audiences = audiences;
        self
    }

    /// Tells circles of at most `pairs`; 32 by default. Larger ones ask.
    #[must_use]
    pub fn with_pairs(mut self, pairs: usize) -> Self {
        self.pairs = pairs;
        self
    }

    /// How many are told one by one.
    #[must_use]
    pub const fn pairs(&self) -> usize {
        self.pairs
    }

    /// Tells those concerned what is news to them. Nothing is said of a user whom others see as before.
    ///
    /// # Errors
    ///
    /// Fails if the bus does, or the audiences do; some may have been told, and telling them again is safe.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves some of them told.
    pub async fn announce(&self, changes: &[Change]) -> Result<()> {
        let mut messages: Vec<_> = changes
            .iter()
            .filter(|change| change.is_own_news)
            .map(|change| {
                let own = Announcement::Own(change.own);
                Outgoing::new(Announcement::own_topic(change.own.user), own.encode())
            })
            .collect();
        let news = changes.iter().filter(|change| change.is_news);
        let news: Vec<_> = news.map(|change| change.published).collect();
        if !news.is_empty() {
            let users: Vec<_> = news.iter().map(|news| news.user).collect();
            let audiences = self.audiences.audiences(&users).await?;
            for (published, audience) in news.iter().zip(audiences) {
                self.address(published, audience, &mut messages);
            }
        }
        for some in messages.chunks(self.bus.limits().batch.max(1)) {
            for published in self.bus.publish(some).await? {
                published?;
            }
        }
        Ok(())
    }

    fn address(&self, published: &Published, audience: Audience, messages: &mut Vec<Outgoing>) {
        let user = published.user;
        let said = || Announcement::Published(*published).encode();
        match audience {
            Audience::Friends => messages.push(Outgoing::new(Announcement::topic(user), said())),
            Audience::Circle(viewers) if viewers.len() <= self.pairs => {
                let payload = said();
                messages.extend(viewers.into_iter().map(|viewer| {
                    Outgoing::new(Announcement::pair_topic(user, viewer), payload.clone())
                }));
            }
            Audience::Circle(_) | Audience::Nobody => {}
        }
    }
}
