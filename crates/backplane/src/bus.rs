//! The edge between nodes: topics with positions, history and recovery.

mod live_buffer;
mod message;
mod recovery;

pub use message::{Gap, GapReason, HistoryPage, Message};
pub use recovery::{Recovered, Recovery, RecoveryOptions, Step};
