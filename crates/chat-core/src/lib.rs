//! Chat for applications that already have users: ordered, complete delivery to every device, and
//! presence.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod error;
mod id;
mod memory;
mod presence;

pub use error::{Error, ErrorKind, Result};
pub use id::{ClientId, ConversationId, Device, DeviceId, MessageId, UserId};
pub use memory::{MemoryPresence, MemoryPresenceOptions};
pub use presence::{
    AllFriends, Announcement, Audience, Audiences, Change, Departure, DeviceSession, Effect,
    EndReason, Fanout, Follows, GroupSummary, Liveness, Mode, Moment, NodeJoined, NodeLease,
    OwnPresence, Presence, PresenceCore, PresenceOptions, PresenceState, PresenceTracker, Progress,
    Published, Refollow, Report, Reported, Room, RoomMode, RoomNews, RoomOptions, SessionEnd,
    Setting, StateRead, Status, UserRecord, Version,
};
