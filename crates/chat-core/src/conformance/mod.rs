//! Cases that every implementation of a trait must pass. Not covered by semver.
//!
//! A list is one macro per trait, called with an expression that makes a
//! [`Fresh`](backplane::conformance::Fresh) subject.

pub mod sequence_marks;
