//! Cases that every implementation of a trait must pass. Not covered by semver.
//!
//! A list is one macro per trait. An implementation's whole test is a call of it with an
//! expression that makes a [`Fresh`] subject; each case gets its own, so that cases run in parallel.
pub mod actions;
pub mod activity;
pub mod graph;
pub mod histories;
pub mod outbox;
pub mod shared_cache;
pub mod timeline;

pub use backplane::{
    conformance::{Fresh, ROUNDS, TestTime},
    conformance_cases,
};

/// Ids that a store loses if it takes them for floating point numbers, or for signed ones: forty of
/// one millisecond, neighbours above 2^53, and both ends.
fn awkward_ids() -> Vec<u64> {
    let mut ids: Vec<u64> = (0..40).map(|n| (1_790_000_000_000 << 16) + n).collect();
    ids.extend([0, 1, (1 << 53) + 1, (1 << 53) + 2, (1 << 63) - 1, 1 << 63]);
    ids.extend([u64::MAX - 1, u64::MAX]);
    ids.sort_unstable();
    ids
}
