//! A subscription that reads a history while live messages already arrive.

use std::{collections::VecDeque, sync::Arc};

use super::{connection::Connection, delivery::Missing, frame::cost_of, options::SubscribeOptions};
use crate::{
    Position, Result, Topic,
    bus::{HistoryPage, Message, Recovered, Recovery, RecoveryOptions, Step},
    sync::Mutex,
};

/// A subscription whose reader is being caught up from a history outside the hub.
///
/// From the moment it exists, live messages are held for it, within the bounds of its
/// [`RecoveryOptions`]. The caller reads pages of history after [`at`](Self::at) and hands them to
/// [`page`](Self::page) until that returns [`Progress::CaughtUp`]; then the connection receives the
/// missed messages, or a gap, and after them live messages, each once and in order. Publishing
/// never waits for it. Dropped before it has caught up, the subscription ends.
///
/// ```
/// use backplane::{Epoch, Position};
/// use backplane::bus::{HistoryPage, Message, RecoveryOptions};
/// use backplane::hub::{ConnectionOptions, Hub, HubOptions, Progress, SubscribeOptions};
///
/// let hub = Hub::new(HubOptions::inline());
/// let (connection, mut deliveries) = hub.connect_stream(&ConnectionOptions::default())?;
/// let topic: backplane::Topic = "room:1".parse()?;
/// let at = |offset| Position::new(Epoch::new(7), offset);
///
/// let mut catch_up =
///     connection.catch_up(&topic, at(1), &SubscribeOptions::default(), RecoveryOptions::default())?;
/// let _ = hub.publish_at(&topic, "three".into(), at(3)); // while the history is being read
/// hub.run_once();
/// let missed = vec![Message::new(at(2), "two".into()), Message::new(at(3), "three".into())];
/// assert_eq!(catch_up.page(HistoryPage::new(missed, at(3))), Progress::CaughtUp);
/// hub.run_once();
/// assert_eq!(deliveries.drain().len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "dropping it ends the subscription"]
pub struct CatchUp<'a> {
    connection: &'a Connection,
    subscription: super::SubscriptionId,
    mailbox: Arc<Mailbox>,
    recovery: Recovery,
    done: bool,
}

/// How far a [`CatchUp`] has come.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a driver that does not know a step cannot take it"
)]
pub enum Progress {
    /// Read the history after [`CatchUp::at`] and hand the page to [`CatchUp::page`].
    Read,
    /// The subscription is live.
    CaughtUp,
}

impl<'a> CatchUp<'a> {
    pub(super) fn begin(
        connection: &'a Connection,
        topic: &Topic,
        since: Position,
        options: &SubscribeOptions,
        bounds: RecoveryOptions,
    ) -> Result<Self> {
        let mailbox = Arc::new(Mailbox::new(bounds.max_buffered, bounds.max_buffered_bytes));
        let subscription = connection.subscribe_into(topic, options, &mailbox)?;
        Ok(Self {
            connection,
            subscription,
            mailbox,
            recovery: Recovery::new(since, bounds),
            done: false,
        })
    }

    /// The position after which the next page of history is to be read.
    #[must_use]
    pub const fn at(&self) -> Position {
        self.recovery.at()
    }

    /// How many messages to ask the next page for.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.recovery.limit()
    }

    /// How many payload bytes to ask the next page for.
    #[must_use]
    pub const fn byte_limit(&self) -> usize {
        self.recovery.byte_limit()
    }

    /// The subscription.
    #[must_use]
    pub const fn subscription(&self) -> super::SubscriptionId {
        self.subscription
    }

    /// Takes a page of the history after [`at`](Self::at), read after this value was made.
    pub fn page(&mut self, page: HistoryPage) -> Progress {
        if self.done {
            return Progress::CaughtUp;
        }
        for message in self.mailbox.take() {
            self.recovery.live(message);
        }
        match self.recovery.page(page) {
            Step::Read => Progress::Read,
            Step::Done(recovered) => {
                self.done = true;
                self.mailbox.finish(recovered);
                self.connection.caught_up(self.subscription);
                Progress::CaughtUp
            }
        }
    }
}

impl Drop for CatchUp<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.connection.cancel(self.subscription);
        }
    }
}

/// What waits between a shard and a [`CatchUp`]. Both hold its lock only to move values.
#[derive(Debug)]
pub(super) struct Mailbox {
    mail: Mutex<Mail>,
    max_messages: usize,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct Mail {
    live: VecDeque<Message>,
    bytes: usize,
    lost: Option<Missing>,
    recovered: Option<Recovered>,
}

/// What a shard delivers when a subscription has caught up.
#[derive(Debug)]
pub(super) struct HandOver {
    pub(super) recovered: Recovered,
    /// Live messages since the last page.
    pub(super) live: VecDeque<Message>,
    /// A loss that was announced meanwhile.
    pub(super) lost: Option<Missing>,
}

impl Mailbox {
    fn new(max_messages: usize, max_bytes: usize) -> Self {
        Self {
            mail: Mutex::default(),
            max_messages,
            max_bytes,
        }
    }

    /// Holds a live message back. The oldest make room: the history has them, and where it does not,
    /// the recovery finds a hole.
    pub(super) fn hold(&self, message: Message) {
        let mut mail = self.mail.lock();
        mail.bytes += cost_of(&message.payload);
        mail.live.push_back(message);
        while mail.live.len() > self.max_messages.max(1)
            || (mail.bytes > self.max_bytes && mail.live.len() > 1)
        {
            let oldest = mail.live.pop_front();
            mail.bytes -= oldest.map_or(0, |message| cost_of(&message.payload));
        }
    }

    pub(super) fn lose(&self, missing: Missing) {
        Missing::append(&mut self.mail.lock().lost, missing);
    }

    /// What to deliver, once the recovery is finished.
    pub(super) fn hand_over(&self) -> Option<HandOver> {
        let mut mail = self.mail.lock();
        Some(HandOver {
            recovered: mail.recovered.take()?,
            live: std::mem::take(&mut mail.live),
            lost: mail.lost.take(),
        })
    }

    fn take(&self) -> VecDeque<Message> {
        let mut mail = self.mail.lock();
        mail.bytes = 0;
        std::mem::take(&mut mail.live)
    }

    fn finish(&self, recovered: Recovered) {
        self.mail.lock().recovered = Some(recovered);
    }
}
