use crate::{
    Position, Topic,
    bus::{BusEvent, Gap, GapReason, Message, RecoveryOptions},
};

/// What arrives of a topic before the position of its subscription is known.
#[derive(Debug, Default)]
pub(super) struct Held {
    messages: Vec<Message>,
    bytes: usize,
    /// Up to where there were messages that are not held.
    missing: Option<Position>,
    /// Whether there may have been others, nobody knows up to where.
    doubtful: bool,
}

impl Held {
    /// Holds a message within `bounds`, and remembers where the others stand.
    pub(super) fn push(&mut self, event: BusEvent, bounds: &RecoveryOptions) {
        match event {
            BusEvent::Message { message, .. } if self.has_room(&message, bounds) => {
                self.bytes += message.payload.len();
                self.messages.push(message);
            }
            BusEvent::Message { message, .. } => self.miss(message.position),
            BusEvent::Gap { gap, .. } => self.miss(gap.until),
            BusEvent::Resubscribed { .. } => self.doubtful = true,
        }
    }

    /// Keeps no more of the messages than where they stand, as it may be long before they are told.
    pub(super) fn let_go(&mut self) {
        self.bytes = 0;
        for message in std::mem::take(&mut self.messages) {
            self.miss(message.position);
        }
    }

    /// What was held, once it can be told what follows it.
    pub(super) fn into_events(self, topic: &Topic) -> impl Iterator<Item = BusEvent> {
        let topic = || topic.clone();
        let messages = self.messages.into_iter().map(move |message| {
            let topic = topic();
            BusEvent::Message { topic, message }
        });
        let missing = self.missing.map(move |until| BusEvent::Gap {
            topic: topic(),
            gap: Gap::new(None, until, GapReason::Overflow),
        });
        let doubt = self
            .doubtful
            .then(|| BusEvent::Resubscribed { topic: topic() });
        messages.chain(missing).chain(doubt)
    }

    fn has_room(&self, message: &Message, bounds: &RecoveryOptions) -> bool {
        let room = bounds.max_buffered_bytes.saturating_sub(self.bytes);
        self.messages.len() < bounds.max_buffered && message.payload.len() <= room
    }

    fn miss(&mut self, until: Position) {
        let known = self.missing.filter(|known| known.epoch == until.epoch);
        if known.is_none_or(|known| known.offset < until.offset) {
            self.missing = Some(until);
        }
    }
}
