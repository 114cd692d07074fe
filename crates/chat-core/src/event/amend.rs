//! What an event does to a copy of the message that it is about.

use crate::{Event, Message, Reaction, Reactions, UserId, What};

impl Event {
    /// Applies `later` to this copy of an event, as `reader` sees it. Nothing happens unless this is the
    /// message that `later` is about, and does not know of it yet: so it does no harm to apply an event
    /// twice, or to a copy that was read after it happened.
    ///
    /// A device that applies all events of a conversation, in order, to the copies that it holds, holds
    /// them as the log reads them.
    ///
    /// ```
    /// # use chat_core::{Event, Message, MessageId, MessageRef, UserId, What};
    /// # let event = |seq, what| Event::new(seq, MessageId::new(seq), backplane::Timestamp::EPOCH, None, None, what);
    /// let mut held = event(1, What::Message(Message::new("helo".into())));
    /// let target = MessageRef { seq: 1, id: held.id };
    /// let edit = event(2, What::Edit { target, body: Some("hello".into()) });
    ///
    /// held.amend(&edit, UserId::new(1));
    /// let What::Message(message) = &held.what else { panic!() };
    /// assert_eq!((&message.body[..], message.edited), (&b"hello"[..], 2));
    /// ```
    pub fn amend(&mut self, later: &Self, reader: UserId) {
        if later.target().is_none_or(|target| target.id != self.id) {
            return;
        }
        let What::Message(message) = &mut self.what else {
            return;
        };
        if message.revised >= later.seq {
            return;
        }
        match &later.what {
            What::Delete { .. } => self.what = What::Deleted { by: later.seq },
            What::Edit { body, .. } => {
                if let Some(body) = body {
                    message.body = body.clone();
                }
                (message.edited, message.revised) = (later.seq, later.seq);
            }
            What::React { reaction, on, .. } => {
                let is_mine = later.from.is_some_and(|device| device.user == reader);
                message.react(reaction, *on, is_mine);
                message.revised = later.seq;
            }
            _ => {}
        }
    }
}

impl Message {
    fn react(&mut self, reaction: &Reaction, on: bool, is_mine: bool) {
        let place = self
            .reactions
            .binary_search_by(|known| known.reaction.cmp(reaction));
        let place = place.unwrap_or_else(|place| {
            let none = Reactions::new(reaction.clone(), 0, false);
            self.reactions.insert(place, none);
            place
        });
        let reactions = &mut self.reactions[place];
        reactions.mine = if is_mine { on } else { reactions.mine };
        reactions.count = if on {
            reactions.count + 1
        } else {
            reactions.count.saturating_sub(1)
        };
        if reactions.count == 0 {
            self.reactions.remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use backplane::Timestamp;

    use super::*;
    use crate::{Device, DeviceId, MessageId, MessageRef};

    const ANN: UserId = UserId::new(1);
    const BOB: UserId = UserId::new(2);

    fn event(seq: u64, by: UserId, what: What) -> Event {
        let device = Device::new(by, DeviceId::new(1));
        Event::new(
            seq,
            MessageId::new(seq),
            Timestamp::EPOCH,
            Some(device),
            None,
            what,
        )
    }

    fn reacts(seq: u64, by: UserId, text: &str, on: bool) -> Event {
        let (id, reaction) = (MessageId::new(1), text.parse().unwrap());
        let target = MessageRef { seq: 1, id };
        event(
            seq,
            by,
            What::React {
                target,
                reaction,
                on,
            },
        )
    }

    #[test]
    fn reactions_come_and_go() {
        let mut held = event(1, ANN, What::Message(Message::default()));
        for later in [
            reacts(2, ANN, "b", true),
            reacts(3, BOB, "b", true),
            reacts(4, BOB, "a", true),
            reacts(4, BOB, "a", true), // again
            reacts(5, ANN, "b", false),
        ] {
            held.amend(&later, BOB);
        }
        let reaction = |text: &str| Reactions::new(text.parse().unwrap(), 1, true);
        let What::Message(message) = &held.what else {
            panic!("nobody has deleted it");
        };
        assert_eq!(message.reactions, [reaction("a"), reaction("b")]);

        held.amend(&reacts(6, BOB, "a", false), BOB);
        let What::Message(message) = &held.what else {
            panic!("nobody has deleted it");
        };
        assert_eq!(
            (message.revised, &message.reactions[..]),
            (6, &[reaction("b")][..])
        );
    }
}
