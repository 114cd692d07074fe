use std::time::Duration;

use backplane::{Clock, SystemClock};

use crate::CpuTime;

/// What a source of items yields when it is asked without pause.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Sustained {
    /// Items a second of wall time. Lower on a busy machine.
    pub per_second: f64,
    /// CPU nanoseconds of the process an item, its waiting included.
    pub cpu_nanos: f64,
}

impl Sustained {
    /// Calls `chunk`, which returns how many items it drew, for at least `wall` of wall time.
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of a bench are far below 2^52"
    )]
    pub fn measure(wall: Duration, mut chunk: impl FnMut() -> usize) -> Self {
        let clock = SystemClock::new();
        let (start, cpu) = (clock.monotonic(), CpuTime::Process.read());
        let mut items = 0;
        while clock.monotonic() < start + wall {
            items += chunk();
        }
        let wall = clock.monotonic().saturating_sub(start);
        let cpu = CpuTime::Process.read().saturating_sub(cpu);
        Self {
            per_second: items as f64 / wall.as_secs_f64(),
            cpu_nanos: cpu.as_secs_f64() * 1e9 / items as f64,
        }
    }
}
