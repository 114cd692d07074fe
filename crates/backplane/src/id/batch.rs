use std::iter::FusedIterator;

use super::{Id, layout::Splice};

/// Identifiers that were reserved in one step, in order.
///
/// They carry the time of the reservation. Those that are not taken are lost, never issued again.
/// Not `Clone`: a copy would issue them twice.
#[derive(Debug)]
#[must_use = "reserved identifiers that are not used are lost"]
pub struct IdBatch {
    word: u64,
    left: usize,
    splice: Splice,
}

impl IdBatch {
    pub(super) const fn new(word: u64, left: usize, splice: Splice) -> Self {
        Self { word, left, splice }
    }
}

impl Iterator for IdBatch {
    type Item = Id;

    #[inline]
    fn next(&mut self) -> Option<Id> {
        self.left = self.left.checked_sub(1)?;
        let id = self.splice.id(self.word);
        self.word = self.word.wrapping_add(1);
        Some(id)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for IdBatch {}

impl FusedIterator for IdBatch {}
