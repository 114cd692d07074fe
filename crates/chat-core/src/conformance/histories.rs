//! Random histories of calls, to be played on two stores that must answer alike.
//!
//! A conformance case shows one guarantee; a history looks for what no case thought of. Each module
//! makes the histories of one trait with proptest and plays them on the store in memory and on one of
//! the caller's, with few users and few conversations, so that calls meet.
#![expect(
    clippy::unwrap_used,
    reason = "a test plays a history, and panics where stores differ"
)]

pub mod inbox;
pub mod log;
pub mod presence;

pub use backplane::conformance::few_cases;

/// Calls in the order they are made. At `None` the caller's store is closed and opened again.
pub type History<Op> = Vec<Option<Op>>;
