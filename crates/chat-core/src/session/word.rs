//! What sessions are told, as bytes: one that says what it is, 17 of the conversation, 16 of a position in
//! it, and then an event, or a user, or a device and what it says. Numbers are big-endian.

use backplane::{Epoch, Position, Topic};
use bytes::Bytes;

use super::Frame;
use crate::{ConversationId, Cursor, Device, DeviceId, Event, GroupId, UserId, What, codec};

/// Something that sessions are told of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    /// Something happened.
    Event(Frame),
    /// Something happened up to there, and is to be read.
    Reached(Position),
    /// The user has read up to there.
    Read(Position),
    /// Somebody else has received or read up to there.
    Receipt {
        user: UserId,
        cursor: Cursor,
        to: Position,
    },
    /// The user came into it, or it changed in their inbox for another reason.
    Look,
    /// A device says something that is not stored.
    Signal { from: Device, body: Bytes },
}

const HEADER: usize = 34;

const EVENT: u8 = 1;
const EVENT_OF_MEMBERS: u8 = 2;
const REACHED: u8 = 3;
const READ: u8 = 4;
const RECEIVED_BY: u8 = 5;
const READ_BY: u8 = 6;
const LOOK: u8 = 7;
const SIGNAL: u8 = 8;

const DIRECT: u8 = 0;
const GROUP: u8 = 1;

/// The topic of what concerns a user alone.
pub(super) fn user_topic(user: UserId) -> Topic {
    named(&format!("chat:user:{user}"))
}

/// The topic of what happens in a group.
pub(super) fn group_topic(group: GroupId) -> Topic {
    named(&format!("chat:group:{group}"))
}

/// The topic of what is said to a user and not stored.
pub(super) fn user_signals(user: UserId) -> Topic {
    named(&format!("{SIGNALS}user:{user}"))
}

/// The topic of what is said in a group and not stored.
pub(super) fn group_signals(group: GroupId) -> Topic {
    named(&format!("{SIGNALS}group:{group}"))
}

/// Whether what is said on a topic may be lost.
pub(super) fn is_of_signals(topic: &Topic) -> bool {
    topic.as_str().starts_with(SIGNALS)
}

const SIGNALS: &str = "chat:signals:";

fn named(name: &str) -> Topic {
    name.parse()
        .expect("it is short, and of letters and digits")
}

impl Word {
    /// An event as it is told to all who may see it.
    pub(super) fn event(conversation: ConversationId, epoch: Epoch, event: &Event) -> Bytes {
        let position = Position::new(epoch, event.seq);
        let kind = match event.what {
            What::Found { .. } | What::Join { .. } | What::Leave { .. } => EVENT_OF_MEMBERS,
            _ => EVENT,
        };
        let mut bytes = header(kind, conversation, position);
        codec::encode(event, &mut bytes);
        bytes.into()
    }

    pub(super) fn reached(conversation: ConversationId, top: Position) -> Bytes {
        header(REACHED, conversation, top).into()
    }

    pub(super) fn read(conversation: ConversationId, to: Position) -> Bytes {
        header(READ, conversation, to).into()
    }

    pub(super) fn receipt(
        conversation: ConversationId,
        user: UserId,
        cursor: Cursor,
        to: Position,
    ) -> Bytes {
        let kind = match cursor {
            Cursor::Received => RECEIVED_BY,
            Cursor::Read => READ_BY,
        };
        let mut bytes = header(kind, conversation, to);
        bytes.extend(user.get().to_be_bytes());
        bytes.into()
    }

    pub(super) fn look(conversation: ConversationId) -> Bytes {
        header(LOOK, conversation, crate::START).into()
    }

    pub(super) fn signal(conversation: ConversationId, from: Device, body: &Bytes) -> Bytes {
        let mut bytes = header(SIGNAL, conversation, crate::START);
        bytes.extend(from.user.get().to_be_bytes());
        bytes.extend(from.id.get().to_be_bytes());
        bytes.extend(body);
        bytes.into()
    }

    /// What was told; `None` if no node of this release says so.
    pub(super) fn decode(bytes: &Bytes) -> Option<(ConversationId, Self)> {
        let number = |from: usize| -> Option<u64> {
            let number = bytes.get(from..from + 8)?;
            Some(u64::from_be_bytes(number.try_into().ok()?))
        };
        let (one, other) = (number(2)?, number(10)?);
        let conversation = match *bytes.get(1)? {
            DIRECT => ConversationId::direct(UserId::new(one), UserId::new(other)),
            GROUP => ConversationId::Group(GroupId::new(one)),
            _ => return None,
        };
        let position = Position::new(Epoch::new(number(18)?), number(26)?);
        let event = |is_of_members| {
            let event = bytes.slice(HEADER..);
            Self::Event(Frame::pushed(position, event, is_of_members))
        };
        let receipt = |cursor| {
            number(HEADER).map(|user| Self::Receipt {
                user: UserId::new(user),
                cursor,
                to: position,
            })
        };
        let word = match bytes[0] {
            EVENT => event(false),
            EVENT_OF_MEMBERS => event(true),
            REACHED => Self::Reached(position),
            READ => Self::Read(position),
            RECEIVED_BY => receipt(Cursor::Received)?,
            READ_BY => receipt(Cursor::Read)?,
            LOOK => Self::Look,
            SIGNAL => Self::Signal {
                from: Device::new(
                    UserId::new(number(HEADER)?),
                    DeviceId::new(number(HEADER + 8)?),
                ),
                body: bytes.slice(HEADER + 16..),
            },
            _ => return None,
        };
        Some((conversation, word))
    }
}

fn header(kind: u8, conversation: ConversationId, position: Position) -> Vec<u8> {
    let (form, one, other) = match conversation {
        ConversationId::Direct(pair) => (DIRECT, pair.low().get(), pair.high().get()),
        ConversationId::Group(group) => (GROUP, group.get(), 0),
    };
    let mut bytes = vec![kind, form];
    for number in [one, other, position.epoch.get(), position.offset] {
        bytes.extend(number.to_be_bytes());
    }
    bytes
}
