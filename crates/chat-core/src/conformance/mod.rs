//! Cases that every implementation of a trait must pass. Not covered by semver.
//!
//! A list is one macro per trait. An implementation's whole test is a call of it with an
//! expression that makes a [`Fresh`] subject; each case gets its own, so that cases run in parallel.
pub mod histories;
pub mod inbox;
pub mod log;
pub mod presence;
pub mod sequence_marks;

pub use backplane::{
    conformance::{Fresh, ROUNDS, TestTime},
    conformance_cases,
};
