//! What a heartbeat writes.

#[cfg(all(test, loom))]
use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(all(test, loom)))]
use std::sync::atomic::{AtomicU64, Ordering};

/// Which session holds a slot and when it was last heard of, in one word: a generation in the upper half, a tick
/// in the lower one.
///
/// The generation is odd while somebody holds the slot and grows by one whenever that changes, so a handle
/// of a former holder never matches. Both stand in one word because they must change together: a plain
/// store by a thread that was held up after it had checked the generation would write an old tick into the
/// slot of the next holder. Each change is a compare-and-swap of the word.
///
/// Relaxed ordering is enough: all threads agree on the order in which one atomic changes, and nothing else is
/// read by what was found here.
#[derive(Debug)]
pub(super) struct Beat(AtomicU64);

impl Beat {
    /// A slot that nobody has held.
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// The generation, and the tick at which its holder was last heard of.
    #[inline]
    pub(super) fn read(&self) -> (u32, u32) {
        split(self.0.load(Ordering::Relaxed))
    }

    /// Gives the slot to `generation`, who is heard of at `tick`. Only of a slot that is free.
    pub(super) fn begin(&self, generation: u32, tick: u32) {
        self.0.store(join(generation, tick), Ordering::Relaxed);
    }

    /// Notes that `generation` was heard of at `tick`, unless it was later, and answers when it was before;
    /// `None` if it does not hold the slot.
    #[inline]
    pub(super) fn touch(&self, generation: u32, tick: u32) -> Option<u32> {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let (held, before) = split(word);
            if held != generation {
                return None;
            }
            if before >= tick {
                return Some(before);
            }
            let touched = join(generation, tick);
            match self.swap(word, touched) {
                Ok(_) => return Some(before),
                Err(changed) => word = changed,
            }
        }
    }

    /// Moves `generation` back to tick zero, if it was last heard of at `tick`: whoever hears of it next is told.
    pub(super) fn sleep_if(&self, generation: u32, tick: u32) -> bool {
        self.exchange(join(generation, tick), join(generation, 0))
    }

    /// Takes the slot from `generation`, if it was last heard of at `tick`.
    pub(super) fn end_if(&self, generation: u32, tick: u32) -> bool {
        let next = generation.saturating_add(1);
        self.exchange(join(generation, tick), join(next, 0))
    }

    /// Takes the slot from `generation`, whenever it was heard of; answers when that was, or `None` if it
    /// does not hold the slot.
    pub(super) fn end(&self, generation: u32) -> Option<u32> {
        loop {
            let (held, tick) = self.read();
            if held != generation {
                return None;
            }
            if self.end_if(generation, tick) {
                return Some(tick);
            }
        }
    }

    fn swap(&self, from: u64, to: u64) -> Result<u64, u64> {
        self.0
            .compare_exchange_weak(from, to, Ordering::Relaxed, Ordering::Relaxed)
    }

    fn exchange(&self, from: u64, to: u64) -> bool {
        let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        self.0.compare_exchange(from, to, success, failure).is_ok()
    }
}

fn join(generation: u32, tick: u32) -> u64 {
    u64::from(generation) << u32::BITS | u64::from(tick)
}

#[expect(clippy::cast_possible_truncation, reason = "the halves of a word")]
fn split(word: u64) -> (u32, u32) {
    ((word >> u32::BITS) as u32, word as u32)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn only_the_holder_touches_and_never_moves_the_tick_back() {
        let beat = Beat::new();
        beat.begin(1, 10);
        assert_eq!(beat.touch(1, 12), Some(10));
        assert_eq!(beat.touch(1, 11), Some(12));
        assert_eq!(beat.read(), (1, 12));
        assert_eq!(beat.touch(3, 13), None);
    }

    #[test]
    fn a_slot_is_taken_only_as_it_was_seen() {
        let beat = Beat::new();
        beat.begin(1, 10);
        assert!(!beat.end_if(1, 9));
        assert!(beat.end_if(1, 10));
        assert_eq!(beat.touch(1, 11), None);
        assert_eq!(beat.end(1), None);
        assert_eq!(beat.read(), (2, 0));
    }

    #[test]
    fn whoever_wakes_a_sleeper_is_told() {
        let beat = Beat::new();
        beat.begin(1, 10);
        assert!(beat.sleep_if(1, 10));
        assert_eq!(beat.touch(1, 11), Some(0));
        assert_eq!(beat.touch(1, 12), Some(11));
    }
}
