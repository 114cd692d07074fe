//! What happens in a conversation: asked for as an [`Act`], and read as an [`Event`].

mod amend;

use std::{fmt, str::FromStr};

use backplane::Timestamp;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::{ClientId, ConversationId, Device, Error, ErrorKind, MessageId, Role, UserId};

/// The most bytes of a message that a log takes, attachments and all.
pub const MAX_BODY: usize = 1 << 20;

/// The most bytes that describe a group.
pub const MAX_ABOUT: usize = 4 << 10;

/// The most different reactions to one message.
pub const MAX_REACTIONS: usize = 64;

/// A message as others refer to it: where it is, and which it is, so that a number of another epoch
/// never hits another message.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "where and which")]
pub struct MessageRef {
    /// Its place in the conversation.
    pub seq: u64,
    /// Its id.
    pub id: MessageId,
}

/// What somebody feels about a message: an emoji, or the application's name of one. 1 to 32 bytes of
/// text.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Reaction(Box<str>);

impl Reaction {
    /// The longest, in bytes.
    pub const MAX_LEN: usize = 32;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Reaction {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.is_empty() || text.len() > Self::MAX_LEN {
            return Err(Error::bare(ErrorKind::Invalid, "parse a reaction"));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Reaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Reaction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Reaction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Something to happen in a conversation.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct NewEvent {
    /// Where.
    pub conversation: ConversationId,
    /// Under which id, which nothing else has.
    pub id: MessageId,
    /// When, by the clock of the server that took it.
    pub at: Timestamp,
    /// Who does it: a member's device; nobody, if the application does, which may do everything.
    pub from: Option<Device>,
    /// By what a retry is known. Without it a retry happens again.
    pub key: Option<ClientId>,
    /// What.
    pub act: Act,
}

/// What somebody does in a conversation.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Act {
    /// Says this, opaque to the log: at most [`MAX_BODY`] bytes.
    Message(Bytes),
    /// Replaces what they have said before.
    Edit {
        /// Their message.
        target: MessageRef,
        /// What it says now: at most [`MAX_BODY`] bytes.
        body: Bytes,
    },
    /// Deletes what they have said, or what others have, as an admin. What it said is gone.
    Delete {
        /// The message.
        target: MessageRef,
    },
    /// Reacts to a message, or takes a reaction back.
    React {
        /// The message.
        target: MessageRef,
        /// How.
        reaction: Reaction,
        /// Whether they do, or do no more.
        on: bool,
    },
    /// Brings a user into the group.
    Join {
        /// Whom.
        user: UserId,
        /// As what.
        role: Role,
    },
    /// Takes a user out of the group: themselves, or others as an admin.
    Leave {
        /// Whom.
        user: UserId,
    },
    /// Gives a member another role.
    Appoint {
        /// Whom.
        user: UserId,
        /// As what.
        role: Role,
    },
    /// Says anew what the application wants to say of the group: at most [`MAX_ABOUT`] bytes.
    Describe(Bytes),
}

/// What has happened at one place of a conversation.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// Its place: 1 for the first, one more for each.
    pub seq: u64,
    /// Its id.
    pub id: MessageId,
    /// When, by the clock of the server that took it.
    pub at: Timestamp,
    /// Who did it; nobody, if the application did.
    pub from: Option<Device>,
    /// The sender's own name for it, for the sender's other devices and for retries.
    pub key: Option<ClientId>,
    /// What.
    pub what: What,
}

/// What has happened, as it reads now: a message is shown with all that was done to it since, as far as
/// the reader may read of that. A deletion reaches further: what was deleted is gone for everybody.
///
/// So whoever reads a conversation from anywhere to its end knows how it is: what was done to a message
/// is either in what was read of it, or in the events that follow, which [amend](Event::amend) it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum What {
    /// A group began.
    Found {
        /// With these members.
        members: Vec<(UserId, Role)>,
        /// What the application said of it.
        about: Bytes,
    },
    /// Somebody said something.
    Message(Message),
    /// Somebody said something that was deleted since.
    Deleted {
        /// The event that deleted it.
        by: u64,
    },
    /// A message was edited.
    Edit {
        /// The message.
        target: MessageRef,
        /// What it said since; `None` if it was deleted or trimmed meanwhile.
        body: Option<Bytes>,
    },
    /// A message was deleted.
    Delete {
        /// The message.
        target: MessageRef,
    },
    /// Somebody reacted, or took that back.
    React {
        /// The message.
        target: MessageRef,
        /// How.
        reaction: Reaction,
        /// Whether they do since.
        on: bool,
    },
    /// A user came.
    Join {
        /// Who.
        user: UserId,
        /// As what.
        role: Role,
    },
    /// A user went, or was sent away.
    Leave {
        /// Who.
        user: UserId,
    },
    /// A member got another role.
    Appoint {
        /// Who.
        user: UserId,
        /// As what.
        role: Role,
    },
    /// The group was described anew.
    Describe(Bytes),
}

/// A message as it reads now.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Message {
    /// What it says.
    pub body: Bytes,
    /// The event that edited it last; 0 if none did.
    pub edited: u64,
    /// The event that changed it last, by an edit or a reaction; 0 if none did.
    pub revised: u64,
    /// Who reacts to it how, in the order of the texts.
    pub reactions: Vec<Reactions>,
}

/// How many react to a message in one way.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Reactions {
    /// How.
    pub reaction: Reaction,
    /// How many.
    pub count: u64,
    /// Whether the reader is among them.
    pub mine: bool,
}

impl NewEvent {
    /// What `from` does.
    #[must_use]
    pub const fn new(
        conversation: ConversationId,
        id: MessageId,
        at: Timestamp,
        from: Option<Device>,
        act: Act,
    ) -> Self {
        Self {
            conversation,
            id,
            at,
            from,
            key: None,
            act,
        }
    }

    /// The same under a name by which a retry is known.
    #[must_use]
    pub const fn with_key(mut self, key: ClientId) -> Self {
        self.key = Some(key);
        self
    }

    /// For stores: the event at `seq` that it is once it has happened, and nothing has since.
    #[must_use]
    pub fn into_event(self, seq: u64) -> Event {
        let what = match self.act {
            Act::Message(body) => What::Message(Message::new(body)),
            Act::Edit { target, body } => What::Edit {
                target,
                body: Some(body),
            },
            Act::Delete { target } => What::Delete { target },
            Act::React {
                target,
                reaction,
                on,
            } => What::React {
                target,
                reaction,
                on,
            },
            Act::Join { user, role } => What::Join { user, role },
            Act::Leave { user } => What::Leave { user },
            Act::Appoint { user, role } => What::Appoint { user, role },
            Act::Describe(about) => What::Describe(about),
        };
        Event::new(seq, self.id, self.at, self.from, self.key, what)
    }

    /// For stores: fails on behalf of `op` if the event is longer than allowed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`].
    pub fn check(&self, op: &'static str) -> Result<(), Error> {
        let fits = match &self.act {
            Act::Message(body) | Act::Edit { body, .. } => body.len() <= MAX_BODY,
            Act::Describe(about) => about.len() <= MAX_ABOUT,
            _ => true,
        };
        fits.then_some(())
            .ok_or_else(|| Error::bare(ErrorKind::Invalid, op))
    }
}

impl Act {
    /// The message that it changes.
    #[must_use]
    pub const fn target(&self) -> Option<MessageRef> {
        match self {
            Self::Edit { target, .. } | Self::Delete { target } | Self::React { target, .. } => {
                Some(*target)
            }
            _ => None,
        }
    }

    /// The user who comes, goes or is appointed by it.
    #[must_use]
    pub const fn subject(&self) -> Option<UserId> {
        match self {
            Self::Join { user, .. } | Self::Leave { user } | Self::Appoint { user, .. } => {
                Some(*user)
            }
            _ => None,
        }
    }

    /// Whether it changes who is in the conversation, or what it is.
    #[must_use]
    pub const fn is_about_members(&self) -> bool {
        self.subject().is_some() || matches!(self, Self::Describe(_))
    }

    /// A hash of what is to happen, by which a store tells a retry from another act under the same key.
    /// The same on every machine and in every release.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        match self {
            Self::Message(body) => hash([1, 0, 0, 0], body),
            Self::Edit { target, body } => hash([2, target.seq, target.id.get(), 0], body),
            Self::Delete { target } => hash([3, target.seq, target.id.get(), 0], &[]),
            Self::React {
                target,
                reaction,
                on,
            } => {
                let numbers = [4, target.seq, target.id.get(), u64::from(*on)];
                hash(numbers, reaction.as_str().as_bytes())
            }
            Self::Join { user, role } => hash([5, user.get(), *role as u64, 0], &[]),
            Self::Leave { user } => hash([6, user.get(), 0, 0], &[]),
            Self::Appoint { user, role } => hash([7, user.get(), *role as u64, 0], &[]),
            Self::Describe(about) => hash([8, 0, 0, 0], about),
        }
    }
}

/// XXH3-64 of a text, seeded with that of the numbers.
fn hash(numbers: [u64; 4], text: &[u8]) -> u64 {
    let mut head = [0; 32];
    for (place, number) in head.chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_be_bytes());
    }
    xxh3_64_with_seed(text, xxh3_64(&head))
}

impl Event {
    /// An event that has happened. For stores.
    #[must_use]
    pub const fn new(
        seq: u64,
        id: MessageId,
        at: Timestamp,
        from: Option<Device>,
        key: Option<ClientId>,
        what: What,
    ) -> Self {
        Self {
            seq,
            id,
            at,
            from,
            key,
            what,
        }
    }

    /// Whether a copy of the event reads the same for everybody, as a message does that nobody has
    /// changed.
    pub(crate) const fn is_fresh(&self) -> bool {
        match &self.what {
            What::Message(message) => message.revised == 0,
            What::Deleted { .. } => false,
            _ => true,
        }
    }

    /// The message that the event is about, if it changes one.
    #[must_use]
    pub const fn target(&self) -> Option<MessageRef> {
        match self.what {
            What::Edit { target, .. } | What::Delete { target } | What::React { target, .. } => {
                Some(target)
            }
            _ => None,
        }
    }
}

impl Message {
    /// A message as it was said.
    #[must_use]
    pub const fn new(body: Bytes) -> Self {
        Self {
            body,
            edited: 0,
            revised: 0,
            reactions: Vec::new(),
        }
    }
}

impl Reactions {
    /// How many react so. For stores.
    #[must_use]
    pub const fn new(reaction: Reaction, count: u64, mine: bool) -> Self {
        Self {
            reaction,
            count,
            mine,
        }
    }
}
