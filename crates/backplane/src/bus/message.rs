use bytes::Bytes;

use crate::{Position, Topic};

/// One message of a topic's stream.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Message {
    /// Where it stands in the stream. No other message ever stands there.
    pub position: Position,
    /// What was published.
    pub payload: Bytes,
}

impl Message {
    /// The message that stands at `position`.
    #[must_use]
    pub const fn new(position: Position, payload: Bytes) -> Self {
        Self { position, payload }
    }
}

/// Which part of a topic's history to read.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct HistoryRead {
    /// The topic.
    pub topic: Topic,
    /// Messages after this position, or from the oldest retained one.
    pub since: Option<Position>,
    /// Most messages to return; 0 asks for the top alone.
    pub limit: usize,
    /// Most payload bytes to return; the first message is returned however large it is.
    pub bytes: usize,
}

impl HistoryRead {
    /// Up to `limit` messages of `topic` after `since`, or from the oldest retained one, of any size.
    #[must_use]
    pub const fn new(topic: Topic, since: Option<Position>, limit: usize) -> Self {
        Self {
            topic,
            since,
            limit,
            bytes: usize::MAX,
        }
    }

    /// No message after the first that would make it more than `bytes` of payload.
    #[must_use]
    pub const fn with_bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// Only the position of the topic's newest message.
    #[must_use]
    pub const fn top(topic: Topic) -> Self {
        Self::new(topic, None, 0)
    }
}

/// A run of a topic's retained messages, and the newest position of its stream.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct HistoryPage {
    /// Messages in order of offset, without a hole between them.
    pub messages: Vec<Message>,
    /// The position of the newest message ever published, retained or not, read in the same atomic
    /// step as the messages.
    pub top: Position,
}

impl HistoryPage {
    /// A page of `messages` out of a stream that has reached `top`.
    #[must_use]
    pub const fn new(messages: Vec<Message>, top: Position) -> Self {
        Self { messages, top }
    }
}

/// Messages that a reader of a topic will not get.
///
/// What the reader knows of the topic may be stale: it reloads from the source of truth, and goes on
/// with the messages after `until`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Gap {
    /// The last position the reader has seen, if it had one.
    pub after: Option<Position>,
    /// The position with which reading goes on: the next message is the one after it.
    pub until: Position,
    /// Why they are gone.
    pub reason: GapReason,
}

impl Gap {
    /// The gap that begins after `after` and ends with `until`.
    #[must_use]
    pub const fn new(after: Option<Position>, until: Position, reason: GapReason) -> Self {
        Self {
            after,
            until,
            reason,
        }
    }

    /// How many messages are missing; `None` where nobody can know.
    #[must_use]
    pub fn missed(&self) -> Option<u64> {
        let after = self.after?;
        if after.epoch != self.until.epoch {
            return None;
        }
        self.until.offset.checked_sub(after.offset)
    }
}

/// Why messages are missing.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum GapReason {
    /// The history no longer holds them.
    Trimmed,
    /// The stream began anew; offsets of before mean nothing in it.
    EpochChanged,
    /// The reader claimed a position that the stream has not reached.
    Ahead,
    /// More were missing than the reader's bounds let it recover.
    TooFar,
    /// They were published, but neither the live stream nor the history has them.
    Lost,
    /// The reader's queue was full.
    Overflow,
    /// The node could not join the topic when the reader asked for it, and has now.
    Late,
}
