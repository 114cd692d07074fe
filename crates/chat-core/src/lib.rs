//! Chat for applications that already have users: ordered, complete delivery to every device, and
//! presence.

// The engine, and the ways through it.
mod acknowledge;
mod catch_up;
mod chat;
mod send;

// What the ways end in: traits, and the values they exchange.
mod conversation;
mod error;
mod event;
mod id;
mod inbox;
mod log;
mod options;

// Around it.
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod memory;
pub mod sync;

pub use acknowledge::Acknowledged;
pub use chat::{Chat, ChatParts};
pub use conversation::{
    ConversationId, GroupId, HistoryStart, NewGroup, Pair, ParseConversationError, Role, Windows,
};
pub use error::{Error, ErrorKind, Result};
pub use event::{
    Act, Event, MAX_ABOUT, MAX_BODY, MAX_REACTIONS, Message, MessageRef, NewEvent, Reaction,
    Reactions, What,
};
pub use id::{ClientId, Device, DeviceId, MessageId, UserId};
pub use inbox::{Advance, Advanced, Cursor, Inbox, InboxEntry, InboxPage};
pub use log::{
    Answer, Appended, Founded, Group, LogRead, Member, MessageLog, Owed, Page, Receipt, Refusal,
    START, Seek, Stamp, Told, Unread, UnreadAsk, Viewer, check_events, rules,
};
pub use memory::{MemoryInbox, MemoryInboxOptions, MemoryLog, MemoryLogOptions};
pub use options::ChatOptions;
pub use send::Sent;
