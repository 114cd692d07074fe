//! What the benches of this workspace share: CPU time as criterion's measurement, paced bursts,
//! sustained runs, and the table of bars that a bench closes with.
//!
//! Wall time on a machine that does other work is noise. Every figure here is CPU time, and every
//! comparison is a ratio to a peer of the same run.
mod bars;
mod burst;
mod cpu;
mod machine;
mod sustained;

pub use bars::{Bars, Row};
pub use burst::Bursts;
pub use cpu::CpuTime;
pub use machine::Machine;
pub use sustained::Sustained;
