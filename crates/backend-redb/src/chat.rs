//! The traits of chat-core.

mod epoch;
mod log;
mod rows;

pub use log::{RedbMessageLog, RedbMessageLogOptions};
