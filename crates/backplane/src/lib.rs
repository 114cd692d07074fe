//! The ground floor: what a feed, a chat, a notification pipeline, a crawler and a "who is nearby"
//! have in common.
pub mod backoff;
pub mod bus;
pub mod clock;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod directory;
mod error;
mod fencing;
pub mod hub;
pub mod id;
pub mod memory;
pub mod position;
pub mod queue;
pub mod rate;
pub mod ring;
mod signal;
mod sync;
pub mod topic;

pub use backoff::{Backoff, BackoffOptions};
pub use clock::{Clock, CoarseClock, ManualClock, Sleep, SystemClock, Timestamp};
pub use error::{Error, ErrorKind, Result};
pub use fencing::FencingToken;
pub use position::{Epoch, ParseEpochError, Position};
pub use signal::{Listener, Signal};
pub use topic::Topic;
