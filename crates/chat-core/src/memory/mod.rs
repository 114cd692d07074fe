//! Every trait in process memory: the reference model, and the fast path.
mod log;

pub use log::{MemoryLog, MemoryLogOptions};
