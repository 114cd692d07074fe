use std::{sync::Arc, time::Duration};

use backplane::{
    Topic,
    hub::{Connection, Overflow, SubscribeOptions},
};
use hashbrown::HashSet;

use super::{
    Sessions,
    word::{group_signals, group_topic},
};
use crate::{Chat, ConversationId, Error, ErrorKind, GroupId, Result, UserId};

/// To which groups a session listens.
#[derive(Debug)]
pub(super) struct Groups {
    connection: Arc<Connection>,
    heard: HashSet<GroupId>,
    /// Those of which pushes are not for the user.
    left: HashSet<GroupId>,
    /// Those that may be listened to, once it is known whether the user is in them.
    new: Vec<GroupId>,
    /// When that is to be found out.
    due: Duration,
    /// Those of which the device hears signals too, as far as the user is in them.
    shown: HashSet<GroupId>,
}

/// What became of listening to a group.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Listening {
    /// What is pushed from now on arrives.
    Heard(GroupId),
    /// The user is not in it.
    NotMember(GroupId),
    /// There is no room for more.
    NoRoom(GroupId),
}

impl Groups {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self {
            connection,
            heard: HashSet::new(),
            left: HashSet::new(),
            new: Vec::new(),
            due: Duration::ZERO,
            shown: HashSet::new(),
        }
    }

    /// The user may be in the conversation.
    pub(super) fn meet(&mut self, conversation: ConversationId) {
        if let ConversationId::Group(group) = conversation
            && !self.heard.contains(&group)
            && !self.new.contains(&group)
        {
            self.new.push(group);
        }
    }

    /// The user came into the conversation.
    pub(super) fn come(&mut self, conversation: ConversationId) {
        if let ConversationId::Group(group) = conversation {
            self.left.remove(&group);
            self.meet(conversation);
        }
    }

    /// The user may read nothing more of the conversation, until they come again.
    pub(super) fn leave(&mut self, conversation: ConversationId) {
        if let ConversationId::Group(group) = conversation {
            self.left.insert(group);
            if self.heard.remove(&group) {
                self.connection.unsubscribe(&group_topic(group));
                self.connection.unsubscribe(&group_signals(group));
            }
        }
    }

    /// Has the device hear signals of these groups, and of no others.
    pub(super) fn show(&mut self, shown: HashSet<GroupId>) {
        for group in self.shown.difference(&shown) {
            self.connection.unsubscribe(&group_signals(*group));
        }
        self.shown = shown;
        for group in &self.shown {
            self.hear_signals(*group);
        }
    }

    fn hear_signals(&self, group: GroupId) {
        if self.shown.contains(&group) && self.heard.contains(&group) {
            // Where there is no room they are not heard, as any signal may not be.
            drop(self.connection.subscribe(&group_signals(group), &signals()));
        }
    }

    /// Whether what is pushed of the conversation is not for the user.
    pub(super) fn is_left(&self, conversation: ConversationId) -> bool {
        match conversation {
            ConversationId::Group(group) => !self.left.is_empty() && self.left.contains(&group),
            ConversationId::Direct(_) => false,
        }
    }

    /// When there is something to find out, if there is.
    pub(super) fn due(&self) -> Option<Duration> {
        (!self.new.is_empty()).then_some(self.due)
    }

    /// The groups to listen to now.
    pub(super) fn take_new(&mut self, now: Duration) -> Vec<GroupId> {
        if self.due <= now {
            std::mem::take(&mut self.new)
        } else {
            Vec::new()
        }
    }

    /// Tries again to listen to `groups` then.
    pub(super) fn retry(&mut self, groups: Vec<GroupId>, at: Duration) {
        self.new.extend(groups);
        self.due = at;
    }

    /// Notes what became of that.
    pub(super) fn note(&mut self, listening: Listening) {
        match listening {
            Listening::Heard(group) => {
                self.heard.insert(group);
                self.left.remove(&group);
                self.hear_signals(group);
            }
            Listening::NotMember(group) => {
                self.left.insert(group);
            }
            Listening::NoRoom(_) => {}
        }
    }
}

/// How signals are listened to: newer ones take the place of older ones.
pub(super) fn signals() -> SubscribeOptions {
    SubscribeOptions::default().with_overflow(Overflow::DropOldest)
}

/// Listens to `groups`, as far as `user` is in them, and there is room.
///
/// Whether the user is in a group is looked up once what is pushed arrives: so whoever leaves later is heard to.
pub(super) async fn listen(
    sessions: &Sessions,
    chat: &Chat,
    connection: &Connection,
    user: UserId,
    groups: &[GroupId],
) -> Result<Vec<Listening>> {
    let (mut listening, mut heard) = (Vec::new(), Vec::new());
    for group in groups {
        let topic = group_topic(*group);
        match connection.subscribe(&topic, &SubscribeOptions::default()) {
            Ok(_) => heard.push((*group, topic)),
            Err(error) if error.kind() == backplane::ErrorKind::Full => {
                listening.push(Listening::NoRoom(*group));
            }
            Err(error) => return Err(error.into()),
        }
    }
    for (_, topic) in &heard {
        sessions.joined(topic).await?;
    }
    let asks: Vec<_> = heard
        .iter()
        .map(|(group, _)| (ConversationId::Group(*group), user))
        .collect();
    let members = chat.parts.log.lookup(&asks).await?;
    for ((group, topic), member) in heard.into_iter().zip(members) {
        if member.is_some_and(|member| member.role.is_some()) {
            listening.push(Listening::Heard(group));
        } else {
            connection.unsubscribe(&topic);
            listening.push(Listening::NotMember(group));
        }
    }
    Ok(listening)
}

impl Sessions {
    /// Waits until what other nodes say on a topic arrives here. A topic that the bus cannot serve now is
    /// heard of as a gap once it can.
    pub(super) async fn joined(&self, topic: &Topic) -> Result<()> {
        let Some(nodes) = &self.nodes else {
            return Ok(());
        };
        match nodes.relay.joined(topic).await.map_err(Error::from) {
            Err(error) if matches!(error.kind(), ErrorKind::Closed | ErrorKind::Invalid) => {
                Err(error)
            }
            _ => Ok(()),
        }
    }
}
