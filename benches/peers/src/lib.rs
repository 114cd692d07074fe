//! Other people's crates behind one shape, so that a bench can put them beside ours.
//!
//! Each adapter uses its crate the way that crate's own documentation shows first.
pub mod fanout;
pub mod ids;
pub mod limits;
pub mod queues;
pub mod rings;
pub mod timelines;
