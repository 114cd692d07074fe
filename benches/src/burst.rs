use std::{hint::black_box, time::Duration};

use crate::CpuTime;

/// Work in bursts of a fixed length with an idle gap before each, of which only the bursts count.
///
/// A generator with a cap cannot be measured in a tight loop: the loop soon measures how it waits.
/// A burst below the cap, after a gap in which the cap recovers, measures what an item costs.
#[derive(Clone, Copy, Debug)]
pub struct Bursts {
    len: usize,
    gap: Duration,
}

impl Bursts {
    /// Bursts of `len` items, each after `gap` of sleep.
    #[must_use]
    pub const fn new(len: usize, gap: Duration) -> Self {
        Self { len, gap }
    }

    /// Items in a burst.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a burst is never empty")]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// The CPU time of `bursts` bursts of the items that `fill` writes.
    ///
    /// `check` sees every burst after its time was taken.
    pub fn run<T: Copy + Default>(
        &self,
        bursts: u64,
        mut fill: impl FnMut(&mut [T]),
        mut check: impl FnMut(&[T]),
    ) -> Duration {
        let mut items = vec![T::default(); self.len];
        let mut spent = Duration::ZERO;
        for _ in 0..bursts {
            std::thread::sleep(self.gap);
            // What the sleep evicted is fetched before the clock starts, that of reading the clock
            // too: the first reading after a sleep takes most of a microsecond longer.
            items.fill(T::default());
            black_box(CpuTime::Thread.read());
            let start = CpuTime::Thread.read();
            fill(black_box(&mut items));
            spent += CpuTime::Thread.read().saturating_sub(start);
            check(&items);
        }
        spent
    }
}
