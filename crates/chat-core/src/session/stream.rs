use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use backplane::{
    Position,
    hub::{CloseReason, Deliveries, Delivery},
};
use bytes::Bytes;
use futures::{Stream, StreamExt, ready};

use super::{
    Frame, ResumeToken,
    desk::Desk,
    word::{Word, is_of_signals},
};
use crate::{ConversationId, Cursor, Device, GroupId, UserId, sync::Step};

/// What a session tells its device.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SessionEvent {
    /// The service has lost what the device was told before: it forgets all that it holds, and is told anew.
    Anew,
    /// What comes next in a conversation: each event once, in order, without a hole.
    Step(ConversationId, Step<Frame>),
    /// The device has been told everything up to now. It keeps the token, to [resume](super::Sessions::open) by once
    /// it has stored what it was told.
    Caught(ResumeToken),
    /// Somebody else has received or read what was said in a direct conversation.
    Receipt {
        /// Where.
        conversation: ConversationId,
        /// Who.
        user: UserId,
        /// Which of the two.
        cursor: Cursor,
        /// Up to where.
        to: Position,
    },
    /// A device [says](super::Sessions::signal) something that is not stored.
    Signal {
        /// Where.
        conversation: ConversationId,
        /// Who.
        from: Device,
        /// What.
        body: Bytes,
    },
    /// The session is over. Nothing comes after it.
    Closed(CloseReason),
}

/// The session of a device: a stream of what it is to be told. It ends after [`SessionEvent::Closed`], or when
/// it is dropped.
///
/// What waits for a device that is slow is bounded: beyond that the session is closed, and no event of a
/// conversation is left out. The device resumes, and is told what it missed.
///
/// A device that was told an event may be told it again after it resumes, unless it has
/// [acknowledged](crate::Chat::acknowledge) it: it knows by the event's [position](Frame::position).
///
/// # Cancel safety
///
/// Dropping an unfinished `next()`, as `select!` does, loses nothing.
#[must_use = "dropping it closes the session"]
pub struct Session {
    // What nearly every event is told with, side by side: waiting for memory is what it costs.
    deliveries: Deliveries,
    said: VecDeque<SessionEvent>,
    /// The conversation of the last event, and its place, of which the desk is told before anything else.
    last: Option<(ConversationId, Position)>,
    is_over: bool,
    /// How much was taken from the hub since the stores had their turn.
    burst: u8,
    desk: Box<Desk>,
}

/// How much is taken from the hub, however much there is, before the stores have their turn.
const BURST: u8 = 64;

impl Session {
    pub(super) fn new(deliveries: Deliveries, desk: Desk, said: VecDeque<SessionEvent>) -> Self {
        Self {
            deliveries,
            said,
            last: None,
            is_over: false,
            burst: 0,
            desk: Box::new(desk),
        }
    }

    /// Whose session it is.
    #[must_use]
    pub fn device(&self) -> Device {
        self.desk.device
    }

    /// Says which conversations the device shows: of these groups it hears [signals](SessionEvent::Signal) too, and
    /// of no others.
    pub fn show(&mut self, conversations: &[ConversationId]) {
        let groups = conversations.iter().filter_map(|talk| match talk {
            ConversationId::Group(group) => Some(*group),
            ConversationId::Direct(_) => None,
        });
        let groups: Vec<GroupId> = groups.collect();
        self.desk.groups.show(groups.into_iter().collect());
    }

    /// Takes what the hub delivers, and answers it if that is all that it takes.
    fn deliver(&mut self, delivery: Delivery) -> Option<SessionEvent> {
        match delivery {
            Delivery::Message { payload, .. } => match Word::decode(payload) {
                Some((conversation, Word::Event(frame))) if self.passes(conversation, &frame) => {
                    return Some(SessionEvent::Step(conversation, Step::Next(frame)));
                }
                Some((conversation, word)) => {
                    let (desk, said) = self.desk();
                    desk.hear(conversation, word, said);
                }
                None => self.desk().0.look(),
            },
            Delivery::Closed(reason) => {
                self.said.push_back(SessionEvent::Closed(reason));
                self.is_over = true;
            }
            Delivery::Gap { topic, .. } if is_of_signals(&topic) => {}
            // What was missed is in the inbox.
            _ => self.desk().0.look(),
        }
        None
    }

    /// Whether an event is the next of its conversation, and changes nothing else, as nearly all are and do.
    fn passes(&mut self, conversation: ConversationId, frame: &Frame) -> bool {
        if frame.is_of_members() {
            return false;
        }
        let position = frame.position();
        let follows = |(last, at): (ConversationId, Position)| {
            last == conversation && (at.epoch, at.offset + 1) == (position.epoch, position.offset)
        };
        let passes = self.last.is_some_and(follows) || self.desk().0.is_next(conversation, frame);
        if passes {
            self.last = Some((conversation, position));
        }
        passes
    }

    /// The desk, which knows of the last event.
    fn desk(&mut self) -> (&mut Desk, &mut VecDeque<SessionEvent>) {
        if let Some((conversation, position)) = self.last.take() {
            self.desk.sync.pass(conversation, position);
        }
        (&mut self.desk, &mut self.said)
    }

    fn poll_desk(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (desk, said) = self.desk();
        desk.poll(cx, said)
    }
}

impl Stream for Session {
    type Item = SessionEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<SessionEvent>> {
        let this = self.get_mut();
        loop {
            if let Some(event) = this.said.pop_front() {
                return Poll::Ready(Some(event));
            }
            if this.is_over {
                return Poll::Ready(None);
            }
            this.burst += 1;
            if this.burst > BURST {
                this.burst = 0;
                if this.poll_desk(cx).is_ready() {
                    continue;
                }
            }
            match this.deliveries.poll_next_unpin(cx) {
                Poll::Ready(Some(delivery)) => {
                    if let Some(event) = this.deliver(delivery) {
                        return Poll::Ready(Some(event));
                    }
                }
                Poll::Ready(None) => this.is_over = true,
                Poll::Pending => ready!(this.poll_desk(cx)),
            }
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("device", &self.desk.device)
            .field("sync", &self.desk.sync)
            .finish_non_exhaustive()
    }
}
