//! The traits of chat-core.

mod epoch;
mod inbox;
mod log;
mod marks;
mod parts;
mod rows;

pub use inbox::{RedbInbox, RedbInboxOptions};
pub use log::{RedbMessageLog, RedbMessageLogOptions};
pub use marks::RedbSequenceMarks;
pub use parts::{RedbChatOptions, chat_parts};
