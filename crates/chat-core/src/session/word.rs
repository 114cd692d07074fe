//! What sessions are told, as bytes: one that says what it is, 17 of the conversation, 16 of a position in
//! it, and then an event, or a user, or a device and what it says. Numbers are big-endian.

use backplane::{Epoch, Position, Topic};
use bytes::{Buf, Bytes};

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
    pub(super) fn decode(mut bytes: Bytes) -> Option<(ConversationId, Self)> {
        let head: &[u8; HEADER] = bytes.first_chunk()?;
        let [kind, form, numbers @ ..] = *head;
        let number = |place: usize| {
            let bytes = numbers[8 * place..].first_chunk();
            u64::from_be_bytes(bytes.copied().unwrap_or_default())
        };
        let conversation = match form {
            DIRECT => ConversationId::direct(UserId::new(number(0)), UserId::new(number(1))),
            GROUP => ConversationId::Group(GroupId::new(number(0))),
            _ => return None,
        };
        let position = Position::new(Epoch::new(number(2)), number(3));
        bytes.advance(HEADER);
        let word = match kind {
            EVENT => Self::Event(Frame::pushed(position, bytes, false)),
            EVENT_OF_MEMBERS => Self::Event(Frame::pushed(position, bytes, true)),
            REACHED => Self::Reached(position),
            READ => Self::Read(position),
            RECEIVED_BY | READ_BY => Self::Receipt {
                user: UserId::new(bytes.try_get_u64().ok()?),
                cursor: if kind == READ_BY {
                    Cursor::Read
                } else {
                    Cursor::Received
                },
                to: position,
            },
            LOOK => Self::Look,
            SIGNAL => {
                let user = UserId::new(bytes.try_get_u64().ok()?);
                let from = Device::new(user, DeviceId::new(bytes.try_get_u64().ok()?));
                Self::Signal { from, body: bytes }
            }
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
