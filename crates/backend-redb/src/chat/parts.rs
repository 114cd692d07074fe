use std::sync::Arc;

use backplane::{
    Clock,
    id::{KeeperOptions, Layout},
};
use chat_core::{ChatOptions, ChatParts, Result};
use futures::future::try_join3;

use super::{RedbInbox, RedbInboxOptions, RedbMessageLog, RedbMessageLogOptions};
use crate::{RedbIds, Writer};

/// Opens what a chat in one file is made of.
///
/// # What is durable
///
/// All of it: events, groups and their members, who is still to be told, inboxes with their copies and
/// cursors are on disk when the call that made them returns. No id of an event is issued twice, also after
/// a crash. A chat sends in three steps, which are each on disk before the next: the event, word of it, and
/// that all were told.
///
/// That a crash of the machine does not lose a new file takes [`sync_path`](crate::sync_path). A file
/// carries one process. Dropping the chat closes it, and waits for what is still being written. After
/// a crash, redb reads the whole file when it is opened, and the first messages may be refused until
/// the clock has passed what [`ids`](RedbChatOptions::ids) had reserved, as [`Sent::Busy`](chat_core::Sent):
/// two seconds after the crash, unless set.
///
/// ```
/// use std::sync::Arc;
/// use backend_redb::{RedbChatOptions, Writer, WriterOptions, chat_parts, redb::Database};
/// use backplane::SystemClock;
/// use chat_core::{Chat, ConversationId, Device, DeviceId, Sent, UserId};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("chat.redb");
/// let writer = Writer::start(Arc::new(Database::create(path)?), WriterOptions::default())?;
/// let clock = Arc::new(SystemClock::new());
/// let chat = Chat::new(chat_parts(&writer, clock, RedbChatOptions::default()).await?);
///
/// let [ann, bob] = [1, 2].map(|user| Device::new(UserId::new(user), DeviceId::new(1)));
/// let talk = ConversationId::direct(ann.user, bob.user);
/// let sent = chat.send(ann, talk, "my-first".parse()?, "on disk when this returns").await?;
/// assert!(matches!(sent, Sent::Stored(receipt) if receipt.position.offset == 1));
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// What the [`Writer`] fails with.
pub async fn chat_parts(
    writer: &Writer,
    clock: Arc<dyn Clock>,
    options: RedbChatOptions,
) -> Result<ChatParts> {
    let name = &*options.name;
    let ids = async {
        let (ground, clock) = (format!("chat.{name}"), Arc::clone(&clock));
        let (layout, node) = (Layout::TWITTER, options.node);
        let ids = RedbIds::open(writer, &ground, layout, node, clock, &options.ids);
        Ok(ids.await?)
    };
    let (log, inbox, ids) = try_join3(
        RedbMessageLog::open(writer, name, options.log),
        RedbInbox::open(writer, name, options.inbox),
        ids,
    )
    .await?;
    Ok(ChatParts {
        log: Arc::new(log),
        inbox: Arc::new(inbox),
        ids: Arc::new(ids),
        options: options.chat,
        ..ChatParts::in_memory_at(clock)
    })
}

/// The bounds of what [`chat_parts`] opens.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RedbChatOptions {
    /// Tells the chats of one file apart. `main` by default.
    pub name: String,
    /// Which node's ids events get, in [`Layout::TWITTER`]. 0 by default.
    pub node: u32,
    /// How far ahead ids are reserved on disk.
    pub ids: KeeperOptions,
    /// The bounds of the log.
    pub log: RedbMessageLogOptions,
    /// The bounds of the inboxes.
    pub inbox: RedbInboxOptions,
    /// The bounds of the chat itself. Groups are told by marks by default, of whatever size: a copy costs the
    /// file more than the read that it saves.
    pub chat: ChatOptions,
}

impl RedbChatOptions {
    /// Sets [`name`](Self::name).
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets [`node`](Self::node).
    #[must_use]
    pub const fn with_node(mut self, node: u32) -> Self {
        self.node = node;
        self
    }

    /// Sets [`ids`](Self::ids).
    #[must_use]
    pub fn with_ids(mut self, ids: KeeperOptions) -> Self {
        self.ids = ids;
        self
    }

    /// Sets [`log`](Self::log).
    #[must_use]
    pub const fn with_log(mut self, log: RedbMessageLogOptions) -> Self {
        self.log = log;
        self
    }

    /// Sets [`inbox`](Self::inbox).
    #[must_use]
    pub const fn with_inbox(mut self, inbox: RedbInboxOptions) -> Self {
        self.inbox = inbox;
        self
    }

    /// Sets [`chat`](Self::chat).
    #[must_use]
    pub const fn with_chat(mut self, chat: ChatOptions) -> Self {
        self.chat = chat;
        self
    }
}

impl Default for RedbChatOptions {
    fn default() -> Self {
        Self {
            name: "main".to_owned(),
            node: 0,
            ids: KeeperOptions::default(),
            log: RedbMessageLogOptions::default(),
            inbox: RedbInboxOptions::default(),
            chat: ChatOptions::default().with_queue_limit(0),
        }
    }
}
