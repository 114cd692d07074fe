use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use rustix::time::{ClockId, clock_gettime};

/// CPU time, for criterion: what the work cost, whatever else the machine was doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the system keeps one CPU clock a thread and one a process"
)]
pub enum CpuTime {
    /// Of the measuring thread alone.
    Thread,
    /// Of all threads of this process, for work that is spread over several.
    Process,
}

impl CpuTime {
    /// The CPU time used so far. A reading is a system call: 0.2 to 0.5 µs.
    #[must_use]
    pub fn read(self) -> Duration {
        let time = clock_gettime(match self {
            Self::Thread => ClockId::ThreadCPUTime,
            Self::Process => ClockId::ProcessCPUTime,
        });
        Duration::new(time.tv_sec.cast_unsigned(), nanos(time.tv_nsec))
    }
}

fn nanos(nanos: i64) -> u32 {
    u32::try_from(nanos).expect("a clock's nanoseconds are below 10^9")
}

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        self.read()
    }

    fn end(&self, start: Duration) -> Duration {
        self.read().saturating_sub(start)
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_secs_f64() * 1e9
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        static NANOSECONDS: WallTime = WallTime;
        NANOSECONDS.formatter()
    }
}
