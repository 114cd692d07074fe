//! The memory implementation of every trait: the reference and the fast path.
mod sequence_marks;

pub use sequence_marks::MemorySequenceMarks;
