use std::collections::BTreeMap;

use crate::ErrorKind;

/// What waits for calls of one kind, and how much of it one call takes.
///
/// A call of which every part is unavailable may have been more than the engine has patience for: the
/// next takes half, down to one. Each that brings something doubles it again.
#[derive(Debug)]
pub(super) struct Lane<T> {
    /// By place, in the order of coming.
    waiting: BTreeMap<u64, T>,
    next_place: u64,
    batch: usize,
    max_batch: usize,
}

impl<T> Lane<T> {
    pub(super) fn new(max_batch: usize) -> Self {
        Self {
            waiting: BTreeMap::new(),
            next_place: 0,
            batch: max_batch,
            max_batch,
        }
    }

    /// How much the next call takes at most.
    pub(super) fn batch(&self) -> usize {
        self.batch
    }

    /// Returns the place by which it can be removed, for as long as it waits.
    pub(super) fn push(&mut self, item: T) -> u64 {
        let place = self.next_place;
        self.next_place += 1;
        self.waiting.insert(place, item);
        place
    }

    pub(super) fn remove(&mut self, place: u64) {
        self.waiting.remove(&place);
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        self.waiting.pop_first().map(|(_, item)| item)
    }

    pub(super) fn take_batch(&mut self) -> Vec<T> {
        let batch = self.batch;
        std::iter::from_fn(|| self.pop()).take(batch).collect()
    }

    /// Takes how the parts of a call ended.
    pub(super) fn ended<'a, A: 'a>(
        &mut self,
        outcomes: impl ExactSizeIterator<Item = &'a Result<A, ErrorKind>>,
    ) {
        let count = outcomes.len();
        let mut outcomes = outcomes;
        self.batch = if outcomes.all(|outcome| matches!(outcome, Err(ErrorKind::Unavailable))) {
            (count / 2).max(1)
        } else {
            self.batch.saturating_mul(2).min(self.max_batch)
        };
    }
}
