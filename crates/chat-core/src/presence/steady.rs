use std::{collections::VecDeque, time::Duration};

use backplane::Timestamp;

/// An instant by both clocks: monotonic time decides, wall time stamps what is told.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the two readings of a clock")]
pub struct Moment {
    /// Of [`Clock::monotonic`](backplane::Clock::monotonic).
    pub monotonic: Duration,
    /// Of [`Clock::now`](backplane::Clock::now).
    pub wall: Timestamp,
}

/// Time that neither goes back nor jumps, in ticks of a tenth of a second.
///
/// It advances with the monotonic clock, but by no more than the longest step at a time: while nobody looked at
/// the clock no heartbeat could be dated, so that time counts for nobody. After a pause, of the process or of
/// the machine, everything that waits begins anew.
#[derive(Debug)]
pub(super) struct SteadyTime {
    read: Duration,
    elapsed: Duration,
    longest_step: Duration,
    pause: Duration,
    /// Nothing counts from before.
    armed: u32,
    /// From which tick on which wall time holds, oldest first.
    anchors: VecDeque<Anchor>,
}

#[derive(Clone, Copy, Debug)]
struct Anchor {
    tick: u32,
    wall: Timestamp,
}

/// The length of a tick.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// By how much the wall clock may drift before it is looked at anew.
const DRIFT: Duration = Duration::from_secs(1);

/// How many changes of the wall clock are remembered.
const ANCHORS: usize = 16;

impl SteadyTime {
    /// Time that begins at `now`, with tick 1; steps longer than `longest_step` count as that, and from `pause` on
    /// as a pause.
    pub(super) fn new(now: Moment, longest_step: Duration, pause: Duration) -> Self {
        let first = Anchor {
            tick: 1,
            wall: now.wall,
        };
        Self {
            read: now.monotonic,
            elapsed: TICK,
            longest_step,
            pause,
            armed: 1,
            anchors: VecDeque::from([first]),
        }
    }

    /// Brings the time up to `now`, and answers it.
    pub(super) fn advance(&mut self, now: Moment) -> u32 {
        let step = now.monotonic.saturating_sub(self.read);
        self.read = now.monotonic;
        self.elapsed = self.elapsed.saturating_add(step.min(self.longest_step));
        if step >= self.pause {
            self.armed = self.now();
        }
        self.follow(now.wall);
        self.now()
    }

    /// The present tick.
    pub(super) fn now(&self) -> u32 {
        u32::try_from(self.elapsed.as_millis() / TICK.as_millis()).unwrap_or(u32::MAX)
    }

    /// The last tick that was `wait` ticks ago or longer; zero if there is none, since the time began or since a
    /// pause.
    pub(super) fn cutoff(&self, wait: u32) -> u32 {
        let cutoff = self.now().checked_sub(wait);
        cutoff.filter(|&tick| tick >= self.armed).unwrap_or(0)
    }

    /// The wall time of a tick.
    pub(super) fn wall(&self, tick: u32) -> Timestamp {
        let before = self.anchors.iter().rev().find(|anchor| anchor.tick <= tick);
        let anchor = before.or_else(|| self.anchors.front());
        let Some(anchor) = anchor else {
            return Timestamp::EPOCH;
        };
        let distance = TICK * tick.abs_diff(anchor.tick);
        if anchor.tick <= tick {
            anchor.wall.saturating_add(distance)
        } else {
            anchor.wall.saturating_sub(distance)
        }
    }

    fn follow(&mut self, wall: Timestamp) {
        let tick = self.now();
        let expected = self.wall(tick);
        let drift = expected
            .saturating_since(wall)
            .max(wall.saturating_since(expected));
        if drift > DRIFT {
            if self.anchors.len() == ANCHORS {
                self.anchors.pop_front();
            }
            self.anchors.push_back(Anchor { tick, wall });
        }
    }
}

/// How many ticks go by before `duration` is certain to have passed since one of them.
pub(super) fn ticks(duration: Duration) -> u32 {
    let whole = duration.as_millis().div_ceil(TICK.as_millis());
    u32::try_from(whole).unwrap_or(u32::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Moment {
        Moment {
            monotonic: Duration::from_secs(second),
            wall: Timestamp::from_millis(1_000_000 + second * 1_000),
        }
    }

    fn steady() -> SteadyTime {
        SteadyTime::new(at(100), Duration::from_secs(1), Duration::from_secs(15))
    }

    #[test]
    fn a_clock_that_goes_back_stands_still() {
        let mut time = steady();
        assert_eq!(time.advance(at(101)), 11);
        assert_eq!(time.advance(at(50)), 11);
        assert_eq!(time.advance(at(51)), 21);
    }

    #[test]
    fn a_pause_counts_as_one_step_and_arms_everything_anew() {
        let mut time = steady();
        time.advance(at(101));
        assert_eq!(time.cutoff(10), 1);
        time.advance(at(111));
        assert_eq!((time.now(), time.cutoff(11)), (21, 10));
        time.advance(at(500));
        assert_eq!((time.now(), time.cutoff(1)), (31, 0));
        time.advance(at(501));
        assert_eq!((time.now(), time.cutoff(10), time.cutoff(11)), (41, 31, 0));
    }

    #[test]
    fn the_wall_time_of_a_tick_is_as_it_was_then() {
        let mut time = steady();
        time.advance(at(101));
        // The machine sleeps for an hour.
        time.advance(at(3_701));
        assert_eq!(time.wall(11), at(101).wall);
        assert_eq!(time.wall(time.now()), at(3_701).wall);
        let mut set_back = at(3_702);
        set_back.wall = Timestamp::from_millis(5_000);
        time.advance(set_back);
        assert_eq!(time.wall(11), at(101).wall);
        assert_eq!(time.wall(time.now()), set_back.wall);
    }

    #[test]
    fn as_many_ticks_as_are_certain_to_last_so_long() {
        assert_eq!(ticks(Duration::ZERO), 1);
        assert_eq!(ticks(Duration::from_millis(1)), 2);
        assert_eq!(ticks(Duration::from_secs(60)), 601);
        assert_eq!(ticks(Duration::MAX), u32::MAX);
    }
}
