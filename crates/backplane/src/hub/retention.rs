//! The recent past of a topic, for resuming within one process.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;

use super::{core::Core, frame::cost_of};
use crate::{
    Epoch, Position, Topic,
    bus::{Gap, GapReason, Message},
};

/// How much of a topic's past the hub keeps.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RetainOptions {
    /// Most messages. Default 256.
    pub messages: usize,
    /// Most bytes, where a message counts as its payload plus
    /// [`MESSAGE_OVERHEAD`](super::ConnectionOptions::MESSAGE_OVERHEAD). Default 1 MiB.
    pub bytes: usize,
}

impl RetainOptions {
    /// Keeps at most `messages`.
    #[must_use]
    pub fn with_messages(mut self, messages: usize) -> Self {
        self.messages = messages;
        self
    }

    /// Keeps at most `bytes`.
    #[must_use]
    pub fn with_bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }
}

impl Default for RetainOptions {
    fn default() -> Self {
        Self {
            messages: 256,
            bytes: 1 << 20,
        }
    }
}

/// Keeps a topic's recent messages for as long as it lives. See [`Hub::retain`](super::Hub::retain).
#[derive(Debug)]
#[must_use = "dropping it forgets the history"]
pub struct Retained {
    core: Arc<Core>,
    topic: Topic,
    epoch: Epoch,
}

impl Retained {
    pub(super) fn new(core: Arc<Core>, topic: Topic, epoch: Epoch) -> Self {
        Self { core, topic, epoch }
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// The epoch of the positions that the topic's messages take.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The position of the newest message.
    #[must_use]
    pub fn top(&self) -> Position {
        self.core
            .top_of(&self.topic)
            .unwrap_or_else(|| Position::new(self.epoch, 0))
    }
}

impl Drop for Retained {
    fn drop(&mut self) {
        self.core.forget(&self.topic);
    }
}

/// The recent messages of one topic.
#[derive(Debug)]
pub(super) struct History {
    payloads: VecDeque<Bytes>,
    bytes: usize,
    top: Position,
    options: RetainOptions,
}

/// What a subscription begins with.
#[derive(Debug)]
pub(super) struct Resumed {
    pub(super) gap: Option<Gap>,
    pub(super) messages: Vec<Message>,
}

impl History {
    pub(super) fn new(epoch: Epoch, options: RetainOptions) -> Self {
        Self {
            payloads: VecDeque::with_capacity(options.messages.min(16)),
            bytes: 0,
            top: Position::new(epoch, 0),
            options,
        }
    }

    pub(super) const fn top(&self) -> Position {
        self.top
    }

    pub(super) fn push(&mut self, payload: Bytes) {
        self.top = self.top.next();
        self.bytes += cost_of(&payload);
        self.payloads.push_back(payload);
        while self.payloads.len() > self.options.messages || self.bytes > self.options.bytes {
            let Some(oldest) = self.payloads.pop_front() else {
                return;
            };
            self.bytes -= cost_of(&oldest);
        }
    }

    /// What a reader that stands at `since` has missed: all of it, or a gap and then what is left.
    pub(super) fn since(&self, since: Position) -> Resumed {
        let first = self.top.offset - self.payloads.len() as u64;
        let lost = if since.epoch != self.top.epoch {
            Some(GapReason::EpochChanged)
        } else if since.offset > self.top.offset {
            Some(GapReason::Ahead)
        } else if since.offset < first {
            Some(GapReason::Trimmed)
        } else {
            None
        };
        let from = match lost {
            None => since.offset,
            Some(GapReason::Ahead) => self.top.offset,
            Some(_) => first,
        };
        let until = Position::new(self.top.epoch, from);
        Resumed {
            gap: lost.map(|reason| Gap::new(Some(since), until, reason)),
            messages: self.after(from, first),
        }
    }

    fn after(&self, from: u64, first: u64) -> Vec<Message> {
        let offsets = first + 1..;
        offsets
            .zip(&self.payloads)
            .filter(|&(offset, _)| offset > from)
            .map(|(offset, payload)| {
                Message::new(Position::new(self.top.epoch, offset), payload.clone())
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(published: u64, kept: usize) -> History {
        let options = RetainOptions::default().with_messages(kept);
        let mut history = History::new(Epoch::new(1), options);
        for offset in 1..=published {
            history.push(Bytes::from(offset.to_string()));
        }
        history
    }

    fn offsets(resumed: &Resumed) -> Vec<u64> {
        let messages = resumed.messages.iter();
        messages.map(|message| message.position.offset).collect()
    }

    fn at(epoch: u64, offset: u64) -> Position {
        Position::new(Epoch::new(epoch), offset)
    }

    #[test]
    fn a_reader_within_the_history_misses_nothing() {
        for offset in 2..=5 {
            let resumed = history(5, 3).since(at(1, offset));
            assert!(resumed.gap.is_none());
            assert_eq!(offsets(&resumed), (offset + 1..=5).collect::<Vec<_>>());
            assert!(
                resumed
                    .messages
                    .iter()
                    .all(|message| { message.payload == message.position.offset.to_string() })
            );
        }
    }

    #[test]
    fn a_reader_before_the_history_gets_a_gap_and_what_is_left() {
        let resumed = history(5, 3).since(at(1, 1));
        let gap = Gap::new(Some(at(1, 1)), at(1, 2), GapReason::Trimmed);
        assert_eq!(resumed.gap, Some(gap));
        assert_eq!(offsets(&resumed), [3, 4, 5]);
    }

    #[test]
    fn a_position_of_another_epoch_or_of_the_future_is_a_gap() {
        let foreign = history(5, 3).since(at(2, 4));
        assert_eq!(
            foreign.gap.map(|gap| gap.reason),
            Some(GapReason::EpochChanged)
        );
        assert_eq!(offsets(&foreign), [3, 4, 5]);
        let ahead = history(5, 3).since(at(1, 6));
        assert_eq!(ahead.gap.map(|gap| gap.reason), Some(GapReason::Ahead));
        assert!(ahead.messages.is_empty());
    }

    #[test]
    fn the_history_stays_within_its_bytes() {
        let options = RetainOptions::default().with_bytes(200);
        let mut history = History::new(Epoch::new(1), options);
        (0..5).for_each(|_| history.push(Bytes::from_static(&[0; 30])));
        assert_eq!(offsets(&history.since(at(1, 0))), [4, 5]);
        history.push(Bytes::from_static(&[0; 300]));
        assert!(history.since(at(1, 6)).gap.is_none());
        assert_eq!(history.payloads.len(), 0);
    }
}
