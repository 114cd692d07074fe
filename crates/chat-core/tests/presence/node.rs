//! A node's core, and the true time it lives in.

use std::time::Duration;

use backplane::Timestamp;
use chat_core::presence::{Effect, Moment, PresenceCore, PresenceOptions, Progress, Report};

/// A core on a clock that can be wrong.
pub(crate) struct Node {
    pub(crate) core: PresenceCore,
    /// What a perfect clock would show.
    pub(crate) time: Duration,
    /// What this one shows.
    pub(crate) clock: Moment,
    pub(crate) effects: Vec<Effect>,
}

impl Node {
    pub(crate) fn new(options: PresenceOptions) -> Self {
        let clock = Moment {
            monotonic: Duration::from_secs(1_000),
            wall: Timestamp::from_millis(1_790_000_000_000),
        };
        Self {
            core: PresenceCore::new(options, clock),
            time: Duration::ZERO,
            clock,
            effects: Vec::new(),
        }
    }

    /// Lets time go by that the clock shows.
    pub(crate) fn pass(&mut self, step: Duration) {
        self.time += step;
        self.clock.monotonic += step;
        self.clock.wall = self.clock.wall.saturating_add(step);
    }

    /// Ticks until there is nothing left to do, and answers how often that was.
    pub(crate) fn tick(&mut self) -> usize {
        let mut ticks = 1;
        while self.core.tick(self.clock, &mut self.effects) == Progress::More {
            ticks += 1;
        }
        ticks
    }

    /// Lets time go by in steps of a quarter of a second, with `each` after every one.
    pub(crate) fn run(&mut self, time: Duration, mut each: impl FnMut(&mut Self)) {
        let end = self.time + time;
        while self.time < end {
            self.pass(Duration::from_millis(250).min(end.saturating_sub(self.time)));
            self.tick();
            each(self);
        }
    }

    /// The reports so far, taken out.
    pub(crate) fn reports(&mut self) -> Vec<Report> {
        let effects = self.effects.drain(..);
        let reports = effects.filter_map(|effect| match effect {
            Effect::Report(report) => Some(report),
            _ => None,
        });
        reports.collect()
    }
}
