use std::{fmt, sync::Arc};

use backplane::{
    Clock, CoarseClock,
    id::{IdGenerator, Layout, SnowflakeGenerator, SnowflakeOptions},
};

use crate::{ChatEvents, ChatOptions, Inbox, MemoryInbox, MemoryLog, MessageLog};

/// Conversations over the stores it is given. Clones share them.
///
/// The engine keeps no state of its own: several processes may run one over the same stores.
///
/// ```
/// use chat_core::{Chat, ConversationId, Device, DeviceId, START, Sent, UserId, sync::SyncRequest};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> chat_core::Result<()> {
/// let chat = Chat::in_memory();
/// let [ann, bob] = [1, 2].map(|user| Device::new(UserId::new(user), DeviceId::new(1)));
/// let talk = ConversationId::direct(ann.user, bob.user);
///
/// let Sent::Stored(receipt) = chat.send(ann, talk, "first".parse()?, "hello").await? else {
///     panic!("nothing is in the way");
/// };
/// // Sending it again, under the same name, is sending it once:
/// assert_eq!(chat.send(ann, talk, "first".parse()?, "hello").await?, Sent::Duplicate(receipt));
///
/// let missed = chat.sync(bob, &SyncRequest::new(Some(START), vec![], 100)).await?;
/// assert_eq!(missed.heads[0].conversation, talk);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Chat {
    pub(crate) parts: Arc<ChatParts>,
}

/// What a [`Chat`] is made of. Start from [`ChatParts::in_memory`] and replace what you bring.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a new part is a decision for everybody who assembles a chat"
)]
pub struct ChatParts {
    /// What happened in each conversation.
    pub log: Arc<dyn MessageLog>,
    /// What each user's devices need to know of it.
    pub inbox: Arc<dyn Inbox>,
    /// Makes the ids of events.
    pub ids: Arc<dyn IdGenerator>,
    /// Who is told what happens, one after the other. Nobody to begin with.
    pub events: Vec<Arc<dyn ChatEvents>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The bounds.
    pub options: ChatOptions,
}

impl Chat {
    /// A chat of these parts.
    #[must_use]
    pub fn new(mut parts: ChatParts) -> Self {
        parts.options = parts.options.workable();
        Self {
            parts: Arc::new(parts),
        }
    }

    /// A chat that lives in this process and dies with it.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::new(ChatParts::in_memory())
    }

    /// What the chat is made of.
    #[must_use]
    pub fn parts(&self) -> &ChatParts {
        &self.parts
    }
}

impl fmt::Debug for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chat")
            .field("options", &self.parts.options)
            .finish_non_exhaustive()
    }
}

impl ChatParts {
    /// Every store in memory, and the default options.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::in_memory_at(Arc::new(CoarseClock::new()))
    }

    /// The same on a given clock, as tests want it.
    ///
    /// # Panics
    ///
    /// Never: the layout of the ids has a node 0.
    #[must_use]
    pub fn in_memory_at(clock: Arc<dyn Clock>) -> Self {
        let ids = SnowflakeGenerator::with_clock(
            Layout::TWITTER,
            0,
            Arc::clone(&clock),
            &SnowflakeOptions::default(),
        );
        Self {
            log: Arc::new(MemoryLog::default()),
            inbox: Arc::new(MemoryInbox::default()),
            ids: Arc::new(ids.expect("the layout has a node 0")),
            events: Vec::new(),
            clock,
            options: ChatOptions::default(),
        }
    }
}
