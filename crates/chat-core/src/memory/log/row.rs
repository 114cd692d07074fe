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
    Edit(MessageRef),
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

/// A message as it reads now.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) body: Bytes,
    pub(super) edited: u64,
    pub(super) revised: u64,
    reactions: BTreeMap<Reaction, BTreeSet<UserId>>,
}

impl Said {
    pub(super) const fn new(body: Bytes) -> Self {
        Self {
            body,
            edited: 0,
            revised: 0,
            reactions: BTreeMap::new(),
        }
    }

    pub(super) fn react(&mut self, user: UserId, reaction: &Reaction, on: bool, seq: u64) {
        self.revised = seq;
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

    fn show(&self, viewer: Viewer) -> Message {
        let is_mine = |users: &BTreeSet<UserId>| match viewer {
            Viewer::User(user) => users.contains(&user),
            Viewer::Application => false,
        };
        let reactions = self.reactions.iter().map(|(reaction, users)| {
            Reactions::new(reaction.clone(), users.len() as u64, is_mine(users))
        });
        Message {
            body: self.body.clone(),
            edited: self.edited,
            revised: self.revised,
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

    /// The event at `seq`. What an edit made of `target` is asked of it.
    pub(super) fn show<'a>(
        &'a self,
        seq: u64,
        viewer: Viewer,
        target: impl FnOnce(MessageRef) -> Option<&'a Said>,
    ) -> Event {
        let what = match &self.deed {
            Deed::Found { members, about } => What::Found {
                members: members.clone(),
                about: about.clone(),
            },
            Deed::Message(said) => What::Message(said.show(viewer)),
            Deed::Deleted { by } => What::Deleted { by: *by },
            Deed::Edit(edited) => What::Edit {
                target: *edited,
                body: target(*edited)
                    .filter(|said| said.edited == seq)
                    .map(|said| said.body.clone()),
            },
            Deed::Delete(target) => What::Delete { target: *target },
            Deed::React {
                target,
                reaction,
                on,
            } => What::React {
                target: *target,
                reaction: reaction.clone(),
                on: *on,
            },
            Deed::Join(user, role) => What::Join {
                user: *user,
                role: *role,
            },
            Deed::Leave(user) => What::Leave { user: *user },
            Deed::Appoint(user, role) => What::Appoint {
                user: *user,
                role: *role,
            },
            Deed::Describe(about) => What::Describe(about.clone()),
        };
        Event::new(seq, self.id, self.at, self.from, self.key, what)
    }
}
