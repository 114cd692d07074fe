use std::{mem, sync::Arc};

use super::PresenceCore;
use crate::{
    Device,
    presence::{
        Effect, EndReason,
        beats::Slot,
        session::{Rest, Stage},
    },
};

/// How far the look at every session has come.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    next: u32,
    end: u32,
    due: u32,
}

/// What a sweep finds.
#[derive(Clone, Copy, Debug)]
enum Finding {
    /// Silent since this tick.
    Silent(u32, u32),
    /// Nothing was done since this tick.
    Drowsy(u32, u32),
    /// Asleep, and perhaps for long enough to be idle.
    Asleep(u32),
}

impl PresenceCore {
    /// Ends those whose grace is over; whether more of them wait.
    pub(super) fn end_lingering(&mut self, changes: &mut u32, effects: &mut Vec<Effect>) -> bool {
        let cutoff = self.time.cutoff(self.waits.grace);
        while let Some(lost) = self
            .lingering
            .front()
            .copied()
            .filter(|lost| lost.since <= cutoff)
        {
            if *changes == 0 {
                return true;
            }
            self.lingering.pop_front();
            let session = self.sessions[lost.slot as usize];
            if session.generation == lost.generation
                && session.stage == Stage::Lingering(lost.since)
            {
                *changes -= 1;
                self.release(lost.slot);
                self.settle(session.user, effects);
            }
        }
        false
    }

    /// Looks at the next sessions; whether there are more to look at.
    pub(super) fn sweep(&mut self, changes: &mut u32, effects: &mut Vec<Effect>) -> bool {
        if self.sweep.next >= self.sweep.end {
            if self.time.now() < self.sweep.due {
                return false;
            }
            let end = u32::try_from(self.sessions.len()).unwrap_or(u32::MAX);
            let due = self.time.now().saturating_add(self.waits.sweep);
            self.sweep = Sweep { next: 0, end, due };
        }
        let (findings, next) = self.look(*changes);
        self.sweep.next = next;
        *changes -= u32::try_from(findings.len()).unwrap_or(*changes);
        for (slot, finding) in findings {
            self.act_on(slot, finding, effects);
        }
        self.sweep.next < self.sweep.end
    }

    /// Goes through some slots, and finds at most `most` sessions that time has changed; and where to go on.
    fn look(&self, most: u32) -> (Vec<(u32, Finding)>, u32) {
        let silent = self.time.cutoff(self.waits.timeout);
        let drowsy = self.time.cutoff(self.waits.window);
        let may_be_quiet = self.waits.window < self.waits.idle;
        let find = |slot: &Slot| -> Option<Finding> {
            let (generation, seen) = slot.seen.read();
            if generation % 2 == 0 {
                return None;
            }
            if seen <= silent {
                return Some(Finding::Silent(generation, seen));
            }
            let (_, active) = slot.active.read();
            if active == 0 {
                return may_be_quiet.then_some(Finding::Asleep(generation));
            }
            (active <= drowsy).then_some(Finding::Drowsy(generation, active))
        };
        let slice = self.options.sessions_per_tick.max(1);
        let end = self.sweep.end.min(self.sweep.next.saturating_add(slice));
        let mut findings = Vec::new();
        for (first, run) in self.beats.runs(self.sweep.next, end) {
            for (slot, beats) in (first..).zip(run) {
                if findings.len() == most as usize {
                    return (findings, slot);
                }
                let found = find(beats).filter(|found| self.is_news(slot, *found));
                findings.extend(found.map(|found| (slot, found)));
            }
        }
        (findings, end)
    }

    /// Whether a finding changes anything: most of those who sleep do so for long.
    fn is_news(&self, slot: u32, found: Finding) -> bool {
        let Finding::Asleep(generation) = found else {
            return true;
        };
        let session = &self.sessions[slot as usize];
        session.generation == generation
            && session.rest == Rest::Quiet
            && session.slept <= self.time.cutoff(self.waits.idle)
    }

    fn act_on(&mut self, slot: u32, finding: Finding, effects: &mut Vec<Effect>) {
        let beats = Arc::clone(&self.beats);
        let Some(beats) = beats.slot(slot) else {
            return;
        };
        match finding {
            Finding::Silent(generation, seen) => {
                if beats.seen.end_if(generation, seen) {
                    self.time_out(slot, effects);
                }
            }
            Finding::Drowsy(generation, active) => {
                if beats.active.sleep_if(generation, active) {
                    let is_idle = active <= self.time.cutoff(self.waits.idle);
                    let rest = if is_idle { Rest::Idle } else { Rest::Quiet };
                    self.lay_down(slot, rest, active, effects);
                }
            }
            Finding::Asleep(_) => {
                let slept = self.sessions[slot as usize].slept;
                self.lay_down(slot, Rest::Idle, slept, effects);
            }
        }
    }

    fn time_out(&mut self, slot: u32, effects: &mut Vec<Effect>) {
        self.end(slot);
        let session = self.sessions[slot as usize];
        let device = Device::new(self.users.user(session.user).id, session.device);
        effects.push(Effect::Ended(session.ended(
            slot,
            device,
            EndReason::TimedOut,
        )));
        if self.options.grace.is_zero() {
            self.release(slot);
            self.settle(session.user, effects);
        } else {
            self.linger(slot);
        }
    }

    fn lay_down(&mut self, slot: u32, rest: Rest, slept: u32, effects: &mut Vec<Effect>) {
        let session = &mut self.sessions[slot as usize];
        session.slept = slept;
        let before = mem::replace(&mut session.rest, rest);
        let user = session.user;
        if before != rest {
            self.settle(user, effects);
        }
    }
}
