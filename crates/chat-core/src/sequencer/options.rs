use super::progress::Word;

/// The bounds of a [`Sequencer`](super::Sequencer) and of a [`SequenceKeeper`](super::SequenceKeeper).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SequencerOptions {
    /// How many numbers of the conversation may be neither committed nor tombstones, at a time: 1,024
    /// unless set, and 8,191 at most. It bounds how many messages of it are written at once, and what
    /// the sequencer has to remember.
    pub window: u32,
    /// How many numbers a keeper leases at a time: 128 unless set, and at least 1. A conversation pays
    /// for a write of its mark once in so many messages, and has at most so many tombstones after a
    /// crash, beside those that were being written.
    pub block: u32,
}

impl Default for SequencerOptions {
    fn default() -> Self {
        Self {
            window: 1_024,
            block: 128,
        }
    }
}

impl SequencerOptions {
    /// Sets [`window`](Self::window).
    #[must_use]
    pub const fn with_window(mut self, window: u32) -> Self {
        self.window = window;
        self
    }

    /// Sets [`block`](Self::block).
    #[must_use]
    pub const fn with_block(mut self, block: u32) -> Self {
        self.block = block;
        self
    }

    pub(super) fn checked_window(self) -> u32 {
        self.window.min(Word::MOST)
    }
}
