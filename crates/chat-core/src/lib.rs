//! Chat for applications that already have users: ordered, complete delivery to every device, and
//! presence.

mod coalesce;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod error;
mod id;
pub mod memory;
pub mod sequencer;
mod sync;

pub use coalesce::Coalescer;
pub use error::{Error, ErrorKind, Result};
pub use id::{ClientId, ConversationId, Device, DeviceId, MessageId, UserId};
