//! Those who are away: whom to notify of what was said, and when.
//!
//! An [`OfflineSink`] is what the application joins to a service of notifications. [`Offline`] tells it of each message
//! whom to notify: members who are connected nowhere at once, and those who are when no device of theirs has
//! [received](crate::Cursor::Received) it a while later. Nobody is notified twice of a message, but for failures, and nobody
//! is left out: what is to be decided lies in a [`TaskQueue`] before the message counts as told, and stays there
//! until it was.

mod decision;
mod errand;
mod options;
mod work;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use backplane::{
    Clock, Position,
    queue::{Enqueued, NewTask, TaskQueue},
};

use self::errand::Errand;
pub use self::{
    decision::{Decision, Whereabouts, Wish, decide},
    options::OfflineOptions,
};
use crate::{
    Advance, ChatEvents, ChatParts, ConversationId, Error, ErrorKind, Event, Inbox, MessageLog,
    News, Result, UserId, What, presence::Presence,
};

/// Notifies users who are away.
#[async_trait]
pub trait OfflineSink: fmt::Debug + Send + Sync {
    /// Notifies the user of each notice.
    ///
    /// A notice may come again: conversation, position and user name it.
    ///
    /// # Errors
    ///
    /// If it fails, all of them come again, later.
    async fn notify(&self, notices: &[OfflineNotice]) -> Result<()>;
}

/// Somebody is to be notified of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct OfflineNotice {
    /// Who.
    pub user: UserId,
    /// Where it was said.
    pub conversation: ConversationId,
    /// At which place.
    pub position: Position,
    /// The message, as it reads now.
    pub event: Arc<Event>,
}

/// Says what members want to be notified of.
#[async_trait]
pub trait Wishes: fmt::Debug + Send + Sync {
    /// What each user wishes of a message, in the order asked.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be found out now; it is asked again later.
    async fn wishes(
        &self,
        conversation: ConversationId,
        event: &Event,
        users: &[UserId],
    ) -> Result<Vec<Wish>>;
}

/// Everybody wants to be notified, unless they do not want to be disturbed.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct NotifyAll;

#[async_trait]
impl Wishes for NotifyAll {
    async fn wishes(&self, _: ConversationId, _: &Event, users: &[UserId]) -> Result<Vec<Wish>> {
        Ok(vec![Wish::Notify; users.len()])
    }
}

/// Finds out who is to be notified of what is said in a chat, and has them notified.
///
/// It is [attached](Self::attach) to the chat of every process, and [`run`](Self::run) in some of them.
///
/// ```
/// use std::sync::Arc;
/// use backplane::memory::MemoryQueue;
/// use chat_core::{Chat, ChatParts, ConversationId, Device, DeviceId, MemoryPresence, UserId};
/// use chat_core::offline::{Offline, OfflineNotice, OfflineOptions, OfflineSink};
///
/// #[derive(Debug)]
/// struct Printer;
///
/// #[async_trait::async_trait]
/// impl OfflineSink for Printer {
///     async fn notify(&self, notices: &[OfflineNotice]) -> chat_core::Result<()> {
///         notices.iter().for_each(|notice| println!("{}: {}", notice.user, notice.conversation));
///         Ok(())
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> chat_core::Result<()> {
/// let (queue, presence) = (Arc::new(MemoryQueue::default()), Arc::new(MemoryPresence::default()));
/// let mut parts = ChatParts::in_memory();
/// let offline = Offline::new(&parts, presence, queue, Arc::new(Printer), OfflineOptions::default());
/// offline.attach(&mut parts);
/// let (chat, ann) = (Chat::new(parts), Device::new(UserId::new(1), DeviceId::new(1)));
///
/// let talk = ConversationId::direct(ann.user, UserId::new(2));
/// chat.send(ann, talk, "my-first".parse()?, "hello").await?.receipt().expect("stored");
/// assert_eq!(offline.work(10).await?, 1); // in a server: `offline.run(…)`, in the background
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Offline {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    log: Arc<dyn MessageLog>,
    inbox: Arc<dyn Inbox>,
    clock: Arc<dyn Clock>,
    presence: Arc<dyn Presence>,
    queue: Arc<dyn TaskQueue>,
    sink: Arc<dyn OfflineSink>,
    wishes: Arc<dyn Wishes>,
    options: OfflineOptions,
}

impl Offline {
    /// Looks after those who are away from a chat of these parts. `queue` is for this alone.
    #[must_use]
    pub fn new(
        parts: &ChatParts,
        presence: Arc<dyn Presence>,
        queue: Arc<dyn TaskQueue>,
        sink: Arc<dyn OfflineSink>,
        options: OfflineOptions,
    ) -> Self {
        Self::with_wishes(parts, presence, queue, (sink, Arc::new(NotifyAll)), options)
    }

    /// The same, for members who want to be notified of some things only.
    #[must_use]
    pub fn with_wishes(
        parts: &ChatParts,
        presence: Arc<dyn Presence>,
        queue: Arc<dyn TaskQueue>,
        (sink, wishes): (Arc<dyn OfflineSink>, Arc<dyn Wishes>),
        options: OfflineOptions,
    ) -> Self {
        let shared = Shared {
            log: Arc::clone(&parts.log),
            inbox: Arc::clone(&parts.inbox),
            clock: Arc::clone(&parts.clock),
            presence,
            queue,
            sink,
            wishes,
            options,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Has a chat that is to be made of these parts tell this what is said.
    ///
    /// To be called before [`Chat::new`](crate::Chat::new), in every process.
    pub fn attach(&self, parts: &mut ChatParts) {
        parts.events.push(Arc::new(self.clone()));
    }
}

impl Shared {
    async fn enqueue(&self, tasks: &[NewTask]) -> Result<()> {
        match self.queue.enqueue(tasks).await? {
            Enqueued::Accepted(_) => Ok(()),
            Enqueued::Full { .. } => Err(Error::bare(ErrorKind::Full, "notify")),
        }
    }
}

#[async_trait]
impl ChatEvents for Offline {
    async fn happened(&self, news: &News<'_>) -> Result<()> {
        if news.members > self.shared.options.max_members {
            return Ok(());
        }
        let is_message = |event: &&Event| matches!(event.what, What::Message(_));
        let messages = news.events.iter().filter(is_message);
        let tasks = messages.map(|event| {
            let position = Position::new(news.epoch, event.seq);
            Errand::first(news.conversation, position).task()
        });
        let tasks: Vec<_> = tasks.collect();
        if tasks.is_empty() {
            return Ok(());
        }
        self.shared.enqueue(&tasks).await
    }

    async fn acknowledged(&self, _: &Advance) -> Result<()> {
        Ok(())
    }
}
