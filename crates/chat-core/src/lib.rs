//! Chat for applications that already have users: ordered, complete delivery to every device, and
//! presence.

mod coalesce;
mod error;
mod id;

pub use coalesce::Coalescer;
pub use error::{Error, ErrorKind, Result};
pub use id::{ClientId, ConversationId, Device, DeviceId, MessageId, UserId};
