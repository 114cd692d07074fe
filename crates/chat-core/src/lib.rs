//! Chat for applications that already have users: ordered, complete delivery to every device, and
//! presence.
//!
//! A [`Chat`] takes what devices say, stores it, tells whom it concerns, and answers devices that come
//! back. It is put together of [`ChatParts`], each behind a trait: all of them in memory to begin with.
//!
//! ```
//! use chat_core::{Answer, Chat, ConversationId, Device, DeviceId, START, UserId, sync::SyncRequest};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> chat_core::Result<()> {
//! let chat = Chat::in_memory();
//! let [ann, bob] = [1, 2].map(|user| Device::new(UserId::new(user), DeviceId::new(1)));
//! let talk = ConversationId::direct(ann.user, bob.user);
//! chat.send(ann, talk, "my-first".parse()?, "hello").await?.receipt().expect("stored");
//!
//! let missed = chat.sync(bob, &SyncRequest::new(None, vec![(talk, START)], 100)).await?;
//! let Answer::Page(page) = &missed.deltas[0].answer else { panic!("bob is one of the two") };
//! assert_eq!(page.events.len(), 1);
//! # Ok(()) }
//! ```
//!
//! # Concepts
//!
//! - A [`ConversationId`] names the conversation of two users, or a group.
//! - What happens in a conversation is a sequence of [`Event`]s in its [`MessageLog`]: messages, edits,
//!   deletions, reactions, and who comes and goes, numbered 1, 2, 3, … A [`MessageId`] addresses one; its
//!   number orders it, and shows a device that another is missing.
//! - A [position](backplane::Position) is a number and the epoch in which it counts. An engine that may
//!   have lost what it acknowledged begins another epoch, and says so to whoever comes with the old one.
//! - An [`Inbox`] tells a user's devices in which conversations something happened, and how far was read.
//! - A [`Session`](session::Session) tells a device that is connected what happens, live and complete.
//!   [`ClientSync`](sync::ClientSync) runs on a device, and keeps one in step that asks by itself.
//! - [`ChatEvents`] are told what happens, to bring it to people.
//! - [`presence`] says who is there.
//!
//! # What is promised
//!
//! - **Order.** All readers of a conversation read the same events in the same order, without a hole.
//! - **Durability.** What was answered as stored is stored, to the degree of the log's engine.
//! - **Once.** A device that sends again under the same [`ClientId`] gets the first receipt.
//! - **Completeness.** A device that asks until nothing is left has all that its user may read, whatever
//!   was lost, doubled or turned round on the way, and whoever died.
//! - **Privacy.** Who has left a group reads nothing that happened later, not even in what was said
//!   before. What is deleted is gone for everybody.
//! - **Cancellation.** A future that is dropped leaves what a failure leaves: the operation is done or
//!   not, and a retry finds out.
//!
//! # What it is not
//!
//! - Not a server: it opens no socket and starts no thread or task. The application calls
//!   [`Chat::redeliver`] now and then, and knows its users.
//! - Not a store of files: a body is bytes to it.
//!
//! # Features
//!
//! - `conformance`: the cases that every implementation of a trait must pass. Outside semver.

// The engine, and the ways through it.
mod acknowledge;
mod catch_up;
mod chat;
mod send;

// What the ways end in: traits, and the values they exchange.
mod conversation;
mod error;
mod event;
mod events;
mod id;
mod inbox;
mod log;
mod options;

// Around it.
mod bucket;
mod coalesce;
pub mod codec;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod content;
mod locks;
mod memory;
pub mod offline;
pub mod placement;
pub mod presence;
pub mod sequencer;
pub mod session;
pub mod sync;
mod token_key;

pub use acknowledge::Acknowledged;
pub use bucket::{Bucket, BucketSpan, BucketWalk, TimeBuckets};
pub use chat::{Chat, ChatParts};
pub use coalesce::Coalescer;
pub use conversation::{
    ConversationId, GroupId, HistoryStart, NewGroup, Pair, ParseConversationError, Role, Windows,
};
pub use error::{Error, ErrorKind, Result};
pub use event::{
    Act, Event, MAX_ABOUT, MAX_BODY, MAX_REACTIONS, Message, MessageRef, NewEvent, Reaction,
    Reactions, What,
};
pub use events::{ChatEvents, News};
pub use id::{ClientId, Device, DeviceId, MessageId, UserId};
pub use inbox::{Advance, Advanced, Cursor, Inbox, InboxEntry, InboxMark, InboxPage, InboxRow};
pub use log::{
    Answer, Appended, Founded, Group, LogRead, Member, MessageLog, Owed, Page, Receipt, Refusal,
    START, Seek, Stamp, Told, Unread, UnreadAsk, Viewer, check_events, rules,
};
pub use memory::{
    MemoryInbox, MemoryInboxOptions, MemoryLog, MemoryLogOptions, MemoryPresence,
    MemoryPresenceOptions, MemorySequenceMarks,
};
pub use options::ChatOptions;
pub use send::Sent;
pub use token_key::TokenKey;
