//! Durable stores in one file, on [redb], with group commit.
//!
//! Every write goes through a [`Writer`]: a thread that puts the work of all callers who wait at a
//! moment into one transaction, and answers them once that is on disk. So an acknowledged write
//! survives the crash of the process and of the machine, and a thousand callers share one `fsync`.
//! That the machine finds a file again that was new takes [`sync_path`].
//!
//! ```
//! use std::sync::Arc;
//! use backend_redb::{RedbQueue, Writer, WriterOptions, redb::Database, sync_path};
//! use backplane::{SystemClock, queue::{NewTask, QueueOptions, TaskQueue}};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("data.redb");
//! let database = Arc::new(Database::create(&path)?);
//! sync_path(&path)?;
//! let writer = Writer::start(database, WriterOptions::default())?;
//! let clock = Arc::new(SystemClock::new());
//! let queue = RedbQueue::open(&writer, "fanout", clock, QueueOptions::default()).await?;
//! queue.enqueue(&[NewTask::new("on disk when this returns")]).await?;
//! # Ok(()) }
//! ```
//!
//! With the feature `feed`, [`feed_parts`] opens a whole feed in one file; with `chat`, [`chat_parts`] opens
//! a whole chat.
//!
//! # Rows and releases
//!
//! A file says its format. One that a later release wrote in a format that this one does not know is
//! refused when a store is opened, with [`NewerFormat`]. A single row that does not decode, as a
//! damaged disk leaves it, is not in the way of all others: a call that looks at many passes it over,
//! as its store says; what other rows tell too, as they do counts, is made up from those; erasing
//! removes it. To a call about it alone it is [`CorruptRow`]. What is passed over is kept, and told
//! with its table and key as an error event of `tracing`.
//!
//! # What it is not
//!
//! Not for two processes: redb locks the file. Not a cache: what a store must look at to decide is
//! either in a table or, where its documentation says so, in memory beside it. Not for an executor
//! that must never wait for a disk: reads that redb's cache does not hold go there, on the thread
//! of the caller.
//!
//! # Features
//!
//! `backplane`: the traits of the ground floor. `feed`: those of feed-core. `chat`: those of chat-core. All
//! are on by default.
#[cfg(feature = "backplane")]
mod backplane;
#[cfg(feature = "chat")]
mod chat;
mod failure;
#[cfg(feature = "feed")]
mod feed;
mod folder;
#[cfg(feature = "backplane")]
mod format;
#[cfg(feature = "backplane")]
mod row;
#[cfg(test)]
mod scratch;
#[cfg(any(feature = "feed", feature = "chat"))]
mod store;
mod writer;

pub use redb;

#[cfg(feature = "backplane")]
pub use self::backplane::{RedbHighWater, RedbIdCounter, RedbIds, RedbQueue};
#[cfg(feature = "chat")]
pub use self::chat::{
    RedbChatOptions, RedbInbox, RedbInboxOptions, RedbMessageLog, RedbMessageLogOptions,
    RedbSequenceMarks, chat_parts,
};
#[cfg(feature = "feed")]
pub use self::feed::{
    RedbActions, RedbActionsOptions, RedbActivity, RedbActivityOptions, RedbFeedOptions, RedbGraph,
    RedbGraphOptions, RedbOutbox, RedbOutboxOptions, feed_parts,
};
pub use failure::Failure;
pub use folder::sync_path;
#[cfg(feature = "backplane")]
pub use format::NewerFormat;
#[cfg(feature = "backplane")]
pub use row::CorruptRow;
pub use writer::{Claim, Permit, Writer, WriterOptions};
