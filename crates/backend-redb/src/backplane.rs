//! The traits of the ground floor.

mod high_water;
mod id_counter;
mod ids;
mod queue;
mod task_codec;

pub use high_water::RedbHighWater;
pub use id_counter::RedbIdCounter;
pub use ids::RedbIds;
pub use queue::RedbQueue;
