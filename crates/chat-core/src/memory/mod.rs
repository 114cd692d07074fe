//! Every trait in process memory: the reference model, and the fast path.
mod inbox;
mod log;
mod presence;
mod sequence_marks;

pub use inbox::{MemoryInbox, MemoryInboxOptions};
pub use log::{MemoryLog, MemoryLogOptions};
pub use presence::{MemoryPresence, MemoryPresenceOptions};
pub use sequence_marks::MemorySequenceMarks;
