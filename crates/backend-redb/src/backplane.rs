//! The traits of the ground floor.

mod queue;
mod task_codec;

pub use queue::RedbQueue;
