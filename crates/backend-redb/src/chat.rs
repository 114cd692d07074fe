//! The traits of chat-core.

mod epoch;
mod inbox;
mod log;
mod rows;

pub use inbox::{RedbInbox, RedbInboxOptions};
pub use log::{RedbMessageLog, RedbMessageLogOptions};
