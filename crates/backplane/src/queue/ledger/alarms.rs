//! When something has to happen to a task by itself.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use super::chain::Slot;

/// Alarms by time. Cancelling one costs nothing: its owner forgets the stamp, and an alarm whose
/// stamp nobody knows is skipped when its time comes, or swept out once most are such.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    heap: BinaryHeap<Reverse<Alarm>>,
    last_stamp: u64,
}

/// Fires at `at` for the task at `slot`, if that still carries `stamp`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Alarm {
    pub(super) at: Duration,
    pub(super) stamp: Stamp,
    pub(super) slot: Slot,
}

/// Names one alarm; [`Stamp::NONE`] names none.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Stamp(u64);

impl Stamp {
    pub(super) const NONE: Self = Self(0);
}

impl Alarms {
    /// Sets an alarm, and says whether it comes before all others. Of two for one time, the one
    /// that was set first fires first.
    pub(super) fn set(&mut self, at: Duration, slot: Slot) -> (Stamp, bool) {
        self.last_stamp += 1;
        let stamp = Stamp(self.last_stamp);
        let is_first = self.heap.peek().is_none_or(|Reverse(first)| at < first.at);
        self.heap.push(Reverse(Alarm { at, stamp, slot }));
        (stamp, is_first)
    }

    /// Takes out the first alarm if its time has come.
    pub(super) fn pop_due(&mut self, now: Duration) -> Option<Alarm> {
        let Reverse(first) = self.heap.peek()?;
        if first.at > now {
            return None;
        }
        self.heap.pop().map(|Reverse(alarm)| alarm)
    }

    /// When the first alarm fires that `is_live`.
    pub(super) fn first(&mut self, is_live: impl Fn(&Alarm) -> bool) -> Option<Duration> {
        while let Some(Reverse(first)) = self.heap.peek() {
            if is_live(first) {
                return Some(first.at);
            }
            self.heap.pop();
        }
        None
    }

    /// Drops cancelled alarms once there are clearly more of them than of the `live` ones, which
    /// makes each cost a constant, amortised.
    pub(super) fn sweep(&mut self, live: usize, is_live: impl Fn(&Alarm) -> bool) {
        if self.heap.len() > 2 * live + SLACK {
            self.heap.retain(|Reverse(alarm)| is_live(alarm));
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }
}

/// Below this many cancelled alarms a sweep is not worth its call.
const SLACK: usize = 256;
