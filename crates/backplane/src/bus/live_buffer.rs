use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{Epoch, Position};

/// Live messages of one epoch, by offset.
#[derive(Debug, Default)]
pub(super) struct LiveBuffer {
    epoch: Option<Epoch>,
    /// The largest offset that is known, whether its message is here or not.
    newest: u64,
    /// Whether messages of another epoch were dropped for those of this one.
    mixed: bool,
    entries: BTreeMap<u64, Held>,
    bytes: usize,
}

impl LiveBuffer {
    pub(super) fn epoch(&self) -> Option<Epoch> {
        self.epoch
    }

    pub(super) fn insert(&mut self, position: Position, held: Held) {
        if position.offset == 0 {
            return; // no message stands there
        }
        self.reach(position);
        self.bytes += held.size();
        let replaced = self.entries.insert(position.offset, held);
        self.bytes -= replaced.map_or(0, |held| held.size());
    }

    /// Notes that the stream has reached `position`, whatever of it arrived.
    pub(super) fn reach(&mut self, position: Position) {
        if self.is_foreign_to(position.epoch) {
            *self = Self {
                mixed: true,
                ..Self::default()
            };
        }
        self.epoch = Some(position.epoch);
        self.newest = self.newest.max(position.offset);
    }

    /// Forgets the oldest messages until the bounds are met.
    pub(super) fn shrink_to(&mut self, messages: usize, bytes: usize) {
        while self.entries.len() > messages || self.bytes > bytes {
            self.remove_first();
        }
    }

    /// Whether it holds messages, or lost track of some, of another epoch.
    pub(super) fn is_foreign_to(&self, epoch: Epoch) -> bool {
        self.epoch.is_some_and(|own| own != epoch)
    }

    /// Whether it dropped messages of another epoch since [`settle`](Self::settle).
    pub(super) fn is_mixed(&self) -> bool {
        self.mixed
    }

    /// Notes that a read begins, which will show what was dropped.
    pub(super) fn settle(&mut self) {
        self.mixed = false;
    }

    pub(super) fn has_after(&self, at: Position) -> bool {
        self.epoch == Some(at.epoch) && self.newest > at.offset
    }

    pub(super) fn discard_through(&mut self, at: Position) {
        while self
            .entries
            .first_key_value()
            .is_some_and(|(&first, _)| first <= at.offset)
        {
            self.remove_first();
        }
    }

    pub(super) fn take(&mut self, position: Position) -> Option<Held> {
        if self.is_foreign_to(position.epoch) {
            return None;
        }
        let held = self.entries.remove(&position.offset)?;
        self.bytes -= held.size();
        Some(held)
    }

    /// The offset before the run of entries, perhaps an empty one, that ends with the newest.
    pub(super) fn point_before_last_run(&self) -> u64 {
        let newest_first = self.entries.keys().rev();
        newest_first.fold(
            self.newest,
            |point, &offset| {
                if offset == point { point - 1 } else { point }
            },
        )
    }

    fn remove_first(&mut self) {
        if let Some((_, held)) = self.entries.pop_first() {
            self.bytes -= held.size();
        }
    }
}

/// What stands at an offset of the live stream.
#[derive(Debug)]
pub(super) enum Held {
    Message(Bytes),
    /// A message that is not for this reader.
    Filtered,
}

impl Held {
    fn size(&self) -> usize {
        match self {
            Self::Message(payload) => payload.len(),
            Self::Filtered => 0,
        }
    }
}
