//! Every trait in process memory: the reference model, and the fast path.
mod inbox;
mod log;

pub use inbox::{MemoryInbox, MemoryInboxOptions};
pub use log::{MemoryLog, MemoryLogOptions};

use crate::ConversationId;

/// Which shard a conversation is in.
fn place(id: ConversationId) -> u64 {
    match id {
        ConversationId::Group(group) => group.get(),
        ConversationId::Direct(pair) => pair.users().fold(1, |place: u64, user| {
            place.rotate_left(32).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ user.get()
        }),
    }
}
