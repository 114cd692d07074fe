//! Chat for applications that already have users: ordered, complete delivery to every device, and
//! presence.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod conversation;
mod error;
mod event;
mod id;
mod inbox;
mod log;
mod memory;
pub mod sync;

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
