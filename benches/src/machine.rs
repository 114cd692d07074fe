use std::{fmt, hint::black_box};

use crate::CpuTime;

/// How fast the machine was while a bench ran: what a chain of instructions costs of which each waits
/// for the last, and what nothing can beat that waits for memory once. On a shared host both change
/// from hour to hour.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// A shift, an exclusive or and a multiplication: five cycles on most processors.
    chain: f64,
    wait: f64,
}

impl Machine {
    /// Measures for about a second.
    #[must_use]
    pub fn measure() -> Self {
        let loads = Loads::new();
        Self {
            chain: least(|| {
                let factor = black_box(0x9E37_79B9_7F4A_7C15_u64);
                black_box((0..STEPS).fold(factor, |x, _| (x ^ x >> 29).wrapping_mul(factor)));
            }),
            wait: least(|| loads.follow()),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chain, wait } = self;
        write!(
            f,
            "the machine: {chain:.2} ns a shift, an exclusive or and a multiplication in a chain, \
             {wait:.0} ns a load that waits for memory"
        )
    }
}

/// A walk in which each step is read from where the last one led, in an order that no cache foresees.
struct Loads {
    /// Of each cache line, the next.
    next: Vec<[u32; 16]>,
}

impl Loads {
    /// 256 MiB, more than the caches hold.
    const LINES: u32 = 1 << 22;

    fn new() -> Self {
        // A single cycle through all lines, by Sattolo's algorithm.
        let mut order: Vec<u32> = (0..Self::LINES).collect();
        let mut rng = fastrand::Rng::with_seed(1);
        for last in (1..order.len()).rev() {
            order.swap(last, rng.usize(..last));
        }
        let next = order.into_iter().map(|line| [line; 16]);
        Self {
            next: next.collect(),
        }
    }

    fn follow(&self) {
        let end = (0..STEPS).fold(0, |line: u32, _| self.next[line as usize][0]);
        black_box(end);
    }
}

const STEPS: u32 = 200_000;

/// Nanoseconds a step, of the run that was disturbed least.
fn least(run: impl Fn()) -> f64 {
    let runs = (0..5).map(|_| {
        let start = CpuTime::Thread.read();
        run();
        let took = CpuTime::Thread.read().saturating_sub(start);
        took.as_secs_f64() * 1e9 / f64::from(STEPS)
    });
    runs.fold(f64::INFINITY, f64::min)
}
