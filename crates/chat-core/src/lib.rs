//! Chat for applications that already have users: ordered, complete delivery to every device, and
//! presence.

mod error;
mod id;
mod presence;

pub use error::{Error, ErrorKind, Result};
pub use id::{ClientId, ConversationId, Device, DeviceId, MessageId, UserId};
pub use presence::{
    Departure, DeviceSession, Effect, EndReason, Liveness, Mode, Moment, PresenceCore,
    PresenceOptions, PresenceState, Progress, Report, SessionEnd, Setting, Status,
};
