use std::{mem, sync::Arc};

use super::PresenceCore;
use crate::presence::{
    Effect, EndReason,
    beat::Beat,
    beats::Slot,
    session::{Rest, Stage},
};

/// How far the look at every session has come.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    next: u32,
    end: u32,
    due: u32,
    turn: u32,
}

/// What a sweep finds.
#[derive(Clone, Copy, Debug)]
enum Finding {
    /// Silent since this tick.
    Silent(u32, u32),
    /// Nothing was done since this tick.
    Drowsy(u32, u32),
    /// Asleep, for long enough to be idle.
    Asleep,
}

/// In how many sweeps every session is asked once whether it is idle.
const TURNS: u32 = 8;

/// How many neighbours are asked in the same sweep.
const BLOCK: u32 = 64;

impl Sweep {
    fn is_turn_of(&self, slot: u32) -> bool {
        let block = slot / BLOCK;
        block.wrapping_add(self.turn).is_multiple_of(TURNS)
    }
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
            let turn = self.sweep.turn.wrapping_add(1);
            self.sweep = Sweep {
                next: 0,
                end,
                due,
                turn,
            };
        }
        let (findings, next) = self.look(*changes);
        self.sweep.next = next;
        *changes = changes.saturating_sub(u32::try_from(findings.len()).unwrap_or(u32::MAX));
        let beats = Arc::clone(&self.beats);
        for (slot, finding) in findings {
            if let Some(beats) = beats.slot(slot) {
                self.act_on(slot, beats, finding, effects);
            }
        }
        self.sweep.next < self.sweep.end
    }

    /// Goes through some slots, and finds sessions that time has changed, `most` and less than a block
    /// more at the most; and where to go on.
    fn look(&self, most: u32) -> (Vec<(u32, Finding)>, u32) {
        let silent = self.time.cutoff(self.waits.timeout);
        let slice = self.options.sessions_per_tick.max(1);
        let end = self.sweep.end.min(self.sweep.next.saturating_add(slice));
        let mut findings = Vec::new();
        for (first, seen, active) in self.beats.runs(self.sweep.next, end) {
            for (first, seen, active) in blocks(first, seen, active) {
                let is_turn = self.sweep.is_turn_of(first);
                // Nearly always nothing; who is not there is at tick zero.
                if oldest(seen) <= silent || is_turn && self.may_rest(active) {
                    let slots = (first..).zip(seen.iter().zip(active));
                    let find = |(slot, (seen, active)): (u32, (&Beat, &Beat))| {
                        let found = self.find(slot, seen.read(), active.read().1, silent)?;
                        Some((slot, found))
                    };
                    findings.extend(slots.filter_map(find));
                }
                if findings.len() >= most as usize {
                    return (
                        findings,
                        first.saturating_add(BLOCK - first % BLOCK).min(end),
                    );
                }
            }
        }
        (findings, end)
    }

    /// Whether somebody of a block may have become less active.
    fn may_rest(&self, active: &[Beat]) -> bool {
        let drowsy = self.time.cutoff(self.waits.window);
        // Those who sleep already are at tick zero.
        let since = active.iter().map(|active| active.read().1.wrapping_sub(1));
        self.waits.window < self.waits.idle || since.fold(u32::MAX, u32::min) < drowsy
    }

    /// What time has done to a session that was heard of and active at these ticks.
    fn find(&self, slot: u32, seen: (u32, u32), active: u32, silent: u32) -> Option<Finding> {
        let (generation, tick) = seen;
        if generation % 2 == 0 {
            return None;
        }
        if tick <= silent {
            return Some(Finding::Silent(generation, tick));
        }
        if active == 0 {
            return self.is_idle_now(slot).then_some(Finding::Asleep);
        }
        let drowsy = self.time.cutoff(self.waits.window);
        (active <= drowsy).then_some(Finding::Drowsy(generation, active))
    }

    fn is_idle_now(&self, slot: u32) -> bool {
        // There is no time between active and idle, unless somebody wants to know of it.
        self.waits.window < self.waits.idle && {
            let session = &self.sessions[slot as usize];
            session.rest == Rest::Quiet && session.slept <= self.time.cutoff(self.waits.idle)
        }
    }

    fn act_on(&mut self, slot: u32, beats: Slot<'_>, finding: Finding, effects: &mut Vec<Effect>) {
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
            Finding::Asleep => {
                let slept = self.sessions[slot as usize].slept;
                self.lay_down(slot, Rest::Idle, slept, effects);
            }
        }
    }

    fn time_out(&mut self, slot: u32, effects: &mut Vec<Effect>) {
        self.end(slot);
        let session = self.sessions[slot as usize];
        effects.push(Effect::Ended(session.ended(slot, EndReason::TimedOut)));
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

/// A run in blocks, each with the number of its first slot.
fn blocks<'a>(
    first: u32,
    seen: &'a [Beat],
    active: &'a [Beat],
) -> impl Iterator<Item = (u32, &'a [Beat], &'a [Beat])> {
    let (mut first, mut seen, mut active) = (first, seen, active);
    std::iter::from_fn(move || {
        let len = seen.len().min((BLOCK - first % BLOCK) as usize);
        let (block, others) = (seen.split_at(len), active.split_at(len));
        let start = first;
        first += u32::try_from(len).ok().filter(|&len| len > 0)?;
        (seen, active) = (block.1, others.1);
        Some((start, block.0, others.0))
    })
}

/// The first tick at which anybody of them was last heard of. Without an early end it is a straight loop.
fn oldest(block: &[Beat]) -> u32 {
    let ticks = block.iter().map(|seen| seen.read().1);
    ticks.fold(u32::MAX, u32::min)
}
