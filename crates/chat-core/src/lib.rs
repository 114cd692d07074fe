//! Chat for applications that already have users: ordered, complete delivery to every device, and
//! presence.

mod bucket;
mod coalesce;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod error;
mod id;
mod locks;
pub mod memory;
pub mod sequencer;

pub use bucket::{Bucket, BucketSpan, BucketWalk, TimeBuckets};
pub use coalesce::Coalescer;
pub use error::{Error, ErrorKind, Result};
pub use id::{ClientId, ConversationId, Device, DeviceId, MessageId, UserId};
