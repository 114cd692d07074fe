//! The traits of feed-core.

mod actions;
mod activity;
mod answer;
mod graph;

pub use actions::RedisActions;
pub use activity::RedisActivity;
pub use graph::RedisGraph;
