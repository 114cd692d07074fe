use std::{mem, ops::Range};

use super::Sequencer;

/// Numbers that were given up, which one caller is about to settle; another can, if that is dropped.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    sequencer: &'a Sequencer,
    numbers: Range<u64>,
}

impl<'a> Claim<'a> {
    pub(super) const fn new(sequencer: &'a Sequencer, numbers: Range<u64>) -> Self {
        Self { sequencer, numbers }
    }

    pub(super) fn numbers(&self) -> Range<u64> {
        self.numbers.clone()
    }

    /// The numbers are decided in the store.
    pub(super) fn settle(mut self) {
        let numbers = mem::take(&mut self.numbers);
        self.sequencer.ledger.lock().settle(&numbers);
        self.sequencer.complete_late(numbers);
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if !self.numbers.is_empty() {
            self.sequencer.ledger.lock().disclaim(&self.numbers);
            self.sequencer.abandonment.raise();
        }
    }
}
