//! News feeds for applications that already have users and posts.
mod activity;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod counters;
mod entry;
mod error;
mod graph;
mod memory;
mod outbox;
mod policy;
mod timeline;

pub use activity::{Activity, Habit, Rhythm};
pub use counters::{Action, ActionKind, Actions, Counters, Counts, Recorded};
pub use entry::{Entry, ListId, PostId, Seek, UserId};
pub use error::{Error, ErrorKind, Result};
pub use graph::{
    Circle, CircleEdge, Degree, EdgeRoute, EdgeSettings, Followed, Follower, Graph, Hide, Route,
    RouteStamp,
};
pub use memory::{
    MemoryActions, MemoryActionsOptions, MemoryActivity, MemoryActivityOptions, MemoryGraph,
    MemoryGraphOptions, MemoryOutbox, MemoryOutboxOptions,
};
pub use outbox::{
    Appended, IdempotencyKey, Outbox, Post, PostState, Publication, Retracted, Revised,
};
pub use policy::{AuthorStats, Delivery, FanoutPolicy, Hybrid, PairRate, PullAll, PushAll};
pub use timeline::{BuildStart, BuildTicket, PushReport, TimelineState, TimelineStore, Window};
