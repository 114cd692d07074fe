//! Cases that every implementation of a trait must pass. Not covered by semver.
//!
//! Each list is a macro over an expression that makes an empty store; see
//! [`backplane::conformance`].
pub use backplane::conformance::{Fresh, TestTime};
