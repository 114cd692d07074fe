use std::collections::VecDeque;

/// What waits for calls of one kind, and how much of it one call takes.
///
/// A call that is refused as a whole says nothing of its parts: the next takes half, down to one. Each
/// call that succeeds doubles it again.
#[derive(Debug)]
pub(super) struct Lane<T> {
    waiting: VecDeque<T>,
    batch: usize,
    max_batch: usize,
}

impl<T> Lane<T> {
    pub(super) fn new(max_batch: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            batch: max_batch,
            max_batch,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How much the next call takes at most.
    pub(super) fn batch(&self) -> usize {
        self.batch
    }

    pub(super) fn push(&mut self, item: T) {
        self.waiting.push_back(item);
    }

    pub(super) fn extend(&mut self, items: Vec<T>) {
        self.waiting.extend(items);
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        self.waiting.pop_front()
    }

    pub(super) fn take_batch(&mut self) -> Vec<T> {
        let count = self.waiting.len().min(self.batch);
        self.waiting.drain(..count).collect()
    }

    pub(super) fn succeeded(&mut self) {
        self.batch = self.batch.saturating_mul(2).min(self.max_batch);
    }

    /// Notes that a call with `count` of it was refused, perhaps for one alone.
    pub(super) fn refused(&mut self, count: usize) {
        self.batch = (count / 2).max(1);
    }
}
