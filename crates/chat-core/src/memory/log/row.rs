//! One event as it is kept.

use std::collections::{BTreeMap, BTreeSet};

use backplane::Timestamp;
use bytes::Bytes;

use crate::{
    ClientId, Device, Event, Message, MessageId, MessageRef, Reaction, Reactions, Role, UserId,
    Viewer, What, rules::TargetFacts,
};

#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: MessageId,
    pub(super) at: Timestamp,
    pub(super) from: Option<Device>,
    pub(super) key: Option<ClientId>,
    pub(super) deed: Deed,
}

/// What was done, without what is kept at the message that it was done to.
#[derive(Debug)]
pub(super) enum Deed {
    Found {
        members: Vec<(UserId, Role)>,
        about: Bytes,
    },
    Message(Said),
    Deleted {
        by: u64,
    },
    /// With what it says, until the message is deleted.
    Edit(MessageRef, Bytes),
    Delete(MessageRef),
    React {
        target: MessageRef,
        reaction: Reaction,
        on: bool,
    },
    Join(UserId, Role),
    Leave(UserId),
    Appoint(UserId, Role),
    Describe(Bytes),
}

/// A message, and what it reads as now.
#[derive(Debug)]
pub(super) struct Said {
    /// As it was said.
    pub(super) body: Bytes,
    /// The event that edited it last, or 0.
    pub(super) edited: u64,
    /// All events that changed it.
    pub(super) revisions: Vec<u64>,
    reactions: BTreeMap<Reaction, BTreeSet<UserId>>,
}

impl Said {
    pub(super) const fn new(body: Bytes) -> Self {
        Self {
            body,
            edited: 0,
            revisions: Vec::new(),
            reactions: BTreeMap::new(),
        }
    }

    /// The event that changed it last, or 0.
    pub(super) fn last_revision(&self) -> u64 {
        self.revisions.last().copied().unwrap_or(0)
    }

    pub(super) fn react(&mut self, user: UserId, reaction: &Reaction, on: bool) {
        let users = self.reactions.entry(reaction.clone()).or_default();
        if on {
            users.insert(user);
        } else {
            users.remove(&user);
        }
        if users.is_empty() {
            self.reactions.remove(reaction);
        }
    }

    /// How it reads for `viewer`, if it says `body`.
    pub(super) fn show(&self, body: Bytes, viewer: Viewer) -> Message {
        let is_mine = |users: &BTreeSet<UserId>| match viewer {
            Viewer::User(user) => users.contains(&user),
            Viewer::Application => false,
        };
        let reactions = self.reactions.iter().map(|(reaction, users)| {
            Reactions::new(reaction.clone(), users.len() as u64, is_mine(users))
        });
        Message {
            body,
            edited: self.edited,
            revised: self.last_revision(),
            reactions: reactions.collect(),
        }
    }
}

impl Row {
    /// What a decision about the message takes; `None` if it is none.
    pub(super) fn as_target(
        &self,
        user: Option<UserId>,
        reaction: Option<&Reaction>,
    ) -> Option<TargetFacts> {
        let Deed::Message(said) = &self.deed else {
            return None;
        };
        let users = reaction.and_then(|reaction| said.reactions.get(reaction));
        Some(TargetFacts {
            author: self.from.map(|device| device.user),
            reactions: said.reactions.len(),
            has_reaction: users.is_some(),
            has_mine: users
                .zip(user)
                .is_some_and(|(users, user)| users.contains(&user)),
        })
    }

    /// The event at `seq`, which has these words where it says any.
    pub(super) fn show(&self, seq: u64, words: Words) -> Event {
        let what = match (&self.deed, words) {
            (_, Words::Message(message)) => What::Message(message),
            (Deed::Edit(target, _), Words::Edit(body)) => What::Edit {
                target: *target,
                body,
            },
            (deed, _) => deed.show(),
        };
        Event::new(seq, self.id, self.at, self.from, self.key, what)
    }
}

/// What is to be read of an event that depends on others.
pub(super) enum Words {
    Message(Message),
    Edit(Option<Bytes>),
    None,
}

impl Deed {
    /// As it happened.
    fn show(&self) -> What {
        match self {
            Self::Found { members, about } => What::Found {
                members: members.clone(),
                about: about.clone(),
            },
            Self::Message(said) => What::Message(Message::new(said.body.clone())),
            Self::Deleted { by } => What::Deleted { by: *by },
            Self::Edit(target, body) => What::Edit {
                target: *target,
                body: Some(body.clone()),
            },
            Self::Delete(target) => What::Delete { target: *target },
            Self::React {
                target,
                reaction,
                on,
            } => What::React {
                target: *target,
                reaction: reaction.clone(),
                on: *on,
            },
            Self::Join(user, role) => What::Join {
                user: *user,
                role: *role,
            },
            Self::Leave(user) => What::Leave { user: *user },
            Self::Appoint(user, role) => What::Appoint {
                user: *user,
                role: *role,
            },
            Self::Describe(about) => What::Describe(about.clone()),
        }
    }
}
