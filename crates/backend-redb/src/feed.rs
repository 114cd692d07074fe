//! The traits of feed-core.

mod actions;
mod activity;
mod graph;
mod outbox;
mod parts;

pub use actions::{RedbActions, RedbActionsOptions};
pub use activity::{RedbActivity, RedbActivityOptions};
pub use graph::{RedbGraph, RedbGraphOptions};
pub use outbox::{RedbOutbox, RedbOutboxOptions};
pub use parts::{RedbFeedOptions, feed_parts};
