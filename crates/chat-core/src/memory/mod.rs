//! Every trait in process memory: the reference model, and the fast path.
mod inbox;
mod log;
mod sequence_marks;

pub use inbox::{MemoryInbox, MemoryInboxOptions};
pub use log::{MemoryLog, MemoryLogOptions};
pub use sequence_marks::MemorySequenceMarks;
