use std::sync::{
    OnceLock,
    atomic::{AtomicU32, Ordering},
};

use super::{DeviceSession, Liveness, beat::Beat};

/// The sessions of a node as heartbeats see them: a word in a slot that is found without a lock.
///
/// Slots lie in chunks, each twice as large as the one before, so that they never move and room is taken as it is
/// needed.
#[derive(Debug)]
pub(super) struct Beats {
    /// The tick that heartbeats note, so that none of them reads a clock.
    now: AtomicU32,
    chunks: [OnceLock<Chunk>; CHUNKS],
}

/// What is noted of some sessions. A heartbeat and a sweep look at the first half alone.
#[derive(Debug)]
struct Chunk {
    seen: Box<[Beat]>,
    active: Box<[Beat]>,
}

/// What is noted of one session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot<'a> {
    /// When it was last heard of.
    pub(super) seen: &'a Beat,
    /// When its user last did something with it; zero once somebody has noted that this is long ago.
    pub(super) active: &'a Beat,
}

/// What became of an act.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Acted {
    Ended,
    Awake,
    /// The session slept: the core must be told.
    Woke,
}

/// Slots of the first chunk.
const FIRST: u32 = 1 << FIRST_BITS;
const FIRST_BITS: u32 = 10;
const CHUNKS: usize = 22;

impl Beats {
    /// The most slots there are.
    pub(super) const MOST: u32 = u32::MAX - FIRST;

    pub(super) fn new() -> Self {
        Self {
            now: AtomicU32::new(1),
            chunks: [const { OnceLock::new() }; CHUNKS],
        }
    }

    #[inline]
    pub(super) fn now(&self) -> u32 {
        self.now.load(Ordering::Relaxed)
    }

    pub(super) fn set_now(&self, tick: u32) {
        self.now.store(tick, Ordering::Relaxed);
    }

    /// Notes that a session is alive.
    #[inline]
    pub(super) fn heartbeat(&self, session: DeviceSession) -> Liveness {
        let touch = || {
            let (chunk, place) = locate(session.slot)?;
            let seen = self.chunks.get(chunk)?.get()?.seen.get(place)?;
            seen.touch(session.generation, self.now())
        };
        match touch() {
            Some(_) => Liveness::Alive,
            None => Liveness::Ended,
        }
    }

    /// Notes that the user has done something with a session.
    pub(super) fn act(&self, session: DeviceSession) -> Acted {
        if self.heartbeat(session) == Liveness::Ended {
            return Acted::Ended;
        }
        let beats = self.slot(session.slot);
        let now = self.now();
        match beats.and_then(|beats| beats.active.touch(session.generation, now)) {
            None => Acted::Ended,
            Some(0) => Acted::Woke,
            Some(_) => Acted::Awake,
        }
    }

    /// The slot of this number, if there ever was one.
    #[inline]
    pub(super) fn slot(&self, slot: u32) -> Option<Slot<'_>> {
        let (chunk, place) = locate(slot)?;
        let chunk = self.chunks.get(chunk)?.get()?;
        Some(Slot {
            seen: chunk.seen.get(place)?,
            active: chunk.active.get(place)?,
        })
    }

    /// The slot of this number, which must be below [`MOST`](Self::MOST).
    pub(super) fn make(&self, slot: u32) -> Option<Slot<'_>> {
        let (chunk, _) = locate(slot)?;
        self.chunks.get(chunk)?.get_or_init(|| {
            let beats = || {
                (0..(FIRST as usize) << chunk)
                    .map(|_| Beat::new())
                    .collect()
            };
            Chunk {
                seen: beats(),
                active: beats(),
            }
        });
        self.slot(slot)
    }

    /// What is noted of the sessions from `from` up to `to`, in runs that lie together, each with the number of its
    /// first: when they were heard of, and when something was done.
    pub(super) fn runs(&self, from: u32, to: u32) -> impl Iterator<Item = (u32, &[Beat], &[Beat])> {
        let mut from = from;
        std::iter::from_fn(move || {
            let (chunk, place) = locate(from).filter(|_| from < to)?;
            let chunk = self.chunks.get(chunk)?.get()?;
            let end = chunk.seen.len().min(place + (to - from) as usize);
            let (seen, active) = (chunk.seen.get(place..end)?, chunk.active.get(place..end)?);
            let first = from;
            from += u32::try_from(seen.len()).ok().filter(|&len| len > 0)?;
            Some((first, seen, active))
        })
    }
}

/// In which chunk a slot lies, and where there.
#[inline]
fn locate(slot: u32) -> Option<(usize, usize)> {
    let shifted = slot.checked_add(FIRST)?;
    let chunk = shifted.ilog2() - FIRST_BITS;
    Some((chunk as usize, (shifted - (FIRST << chunk)) as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_a_place_of_its_own() {
        let edges = [0, 1, 1_023, 1_024, 3_071, 3_072, 1 << 20, Beats::MOST - 1];
        let places = edges.map(|slot| locate(slot).unwrap());
        assert_eq!(places[..4], [(0, 0), (0, 1), (0, 1_023), (1, 0)]);
        assert_eq!(places[4..6], [(1, 2_047), (2, 0)]);
        assert!(
            places
                .iter()
                .all(|&(chunk, place)| place < (FIRST as usize) << chunk)
        );
        assert_eq!(locate(u32::MAX), None);
    }

    #[test]
    fn runs_cover_what_was_asked_for() {
        let beats = Beats::new();
        for slot in [0, 1_024, 3_072] {
            assert!(beats.make(slot).is_some());
        }
        let run = |from, to| {
            let runs = beats.runs(from, to);
            runs.map(|(first, seen, _)| (first, seen.len()))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            run(1_000, 4_000),
            [(1_000, 24), (1_024, 2_048), (3_072, 928)]
        );
        assert_eq!(run(5, 5), []);
        assert!(beats.slot(3_072).is_some());
        assert!(beats.slot(1 << 20).is_none());
    }
}
