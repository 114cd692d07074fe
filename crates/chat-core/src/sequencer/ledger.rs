use std::{collections::BTreeMap, ops::Range, task::Waker};

use smallvec::SmallVec;

use super::{
    progress::{Progress, Word},
    ranges::Ranges,
};

/// What does not fit the word: who waits, and numbers whose turn has not come.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Complete, but not everything below is.
    late: Ranges,
    /// Given up, and not known to be tombstones in the store.
    abandoned: Vec<Abandoned>,
    /// By the number waited for, and the waiter's ticket.
    waiting: BTreeMap<(u64, u64), Waker>,
    tickets: u64,
}

#[derive(Debug)]
struct Abandoned {
    numbers: Range<u64>,
    /// Whether somebody is about to settle them.
    claimed: bool,
}

/// Whom an advance of the watermark concerns. They are woken once the lock is released.
pub(super) type Woken = SmallVec<[Waker; 4]>;

impl Ledger {
    /// Completes `numbers`, and all that had waited for them.
    pub(super) fn complete(&mut self, progress: &Progress, numbers: Range<u64>) -> Woken {
        let word = progress.raise(Word::LATE);
        self.late.insert(numbers);
        let next = word.watermark() + 1;
        let complete = self.late.take_from(next).map_or(next, |run| run.end);
        let woken = self.reached(complete - 1);
        let mut over = 0;
        if self.late.is_empty() {
            over |= Word::LATE;
        }
        if self.waiting.is_empty() && word.has(Word::WAITING) {
            over |= Word::WAITING;
        }
        progress.advance(complete - next, over);
        woken
    }

    /// Lets the holder of `ticket`, or of a new one, wait for `number`. Returns the ticket, unless
    /// the watermark is there.
    pub(super) fn wait(
        &mut self,
        progress: &Progress,
        number: u64,
        ticket: Option<u64>,
        waker: &Waker,
    ) -> Option<u64> {
        if progress.raise(Word::WAITING).watermark() >= number {
            return None;
        }
        let ticket = ticket.unwrap_or_else(|| {
            self.tickets += 1;
            self.tickets
        });
        self.waiting.insert((number, ticket), waker.clone());
        Some(ticket)
    }

    pub(super) fn leave(&mut self, number: u64, ticket: u64) -> Option<Waker> {
        self.waiting.remove(&(number, ticket))
    }

    fn reached(&mut self, watermark: u64) -> Woken {
        let mut woken = Woken::new();
        while let Some(first) = self.waiting.first_entry()
            && first.key().0 <= watermark
        {
            woken.push(first.remove());
        }
        woken
    }

    pub(super) fn abandon(&mut self, numbers: Range<u64>) {
        let claimed = false;
        self.abandoned.push(Abandoned { numbers, claimed });
    }

    /// The first abandoned numbers that nobody has claimed, which the caller now has.
    pub(super) fn claim(&mut self) -> Option<Range<u64>> {
        let free = self.abandoned.iter_mut().find(|one| !one.claimed)?;
        free.claimed = true;
        Some(free.numbers.clone())
    }

    /// Gives back what was claimed.
    pub(super) fn disclaim(&mut self, numbers: &Range<u64>) {
        let claimed = self.abandoned.iter_mut();
        for one in claimed.filter(|one| one.numbers == *numbers) {
            one.claimed = false;
        }
    }

    /// Forgets what was claimed.
    pub(super) fn settle(&mut self, numbers: &Range<u64>) {
        self.abandoned.retain(|one| one.numbers != *numbers);
    }
}
