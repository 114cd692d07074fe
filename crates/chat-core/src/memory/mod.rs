//! Every trait in process memory: the reference model, and the fast path.
mod presence;

pub use presence::{MemoryPresence, MemoryPresenceOptions};
