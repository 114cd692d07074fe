use std::{sync::Arc, time::Duration};

use backplane::{Epoch, ManualClock, Position};
use chat_core::{
    Act, Answer, Appended, Chat, ChatEvents, ChatOptions, ChatParts, ConversationId, Cursor,
    Device, DeviceId, Event, GroupId, HistoryStart, LogRead, MessageId, MessageRef, NewEvent,
    NewGroup, Role, START, Seek, Sent, UserId, Viewer, What,
    sync::{SyncBatch, SyncRequest},
};
use futures::FutureExt;

pub(super) const USERS: [UserId; 3] = [UserId::new(1), UserId::new(2), UserId::new(3)];

const OPEN: GroupId = GroupId::new(8);

/// A group whose new members read nothing old, one whose new members read all, and a pair.
pub(super) fn talks() -> [ConversationId; 3] {
    [
        ConversationId::Group(GroupId::new(7)),
        ConversationId::Group(OPEN),
        ConversationId::direct(USERS[0], USERS[1]),
    ]
}

#[derive(Clone, Debug)]
pub(super) struct Deed {
    pub(super) talk: usize,
    pub(super) user: UserId,
    pub(super) doing: Doing,
    /// Whether the server dies once it has stored what is done, before it tells anybody.
    pub(super) dies: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Doing {
    Say,
    /// The message that was said so many messages ago.
    Edit(usize),
    Delete(usize),
    React(usize, &'static str, bool),
    Join(UserId),
    Leave(UserId),
}

/// An event on its way to a device.
#[derive(Clone, Debug)]
pub(super) struct Push {
    pub(super) talk: ConversationId,
    pub(super) epoch: Epoch,
    pub(super) event: Event,
}

/// A chat in memory, and all that was done in it.
pub(super) struct Server {
    pub(super) chat: Chat,
    pub(super) clock: ManualClock,
    queue_limit: u32,
    listeners: Vec<Arc<dyn ChatEvents>>,
    done: Vec<(ConversationId, Device, Act)>,
    keys: u64,
}

/// The answer of a chat whose stores are in memory, which never waits.
pub(super) fn now<T>(call: impl Future<Output = chat_core::Result<T>>) -> T {
    call.now_or_never().unwrap().unwrap()
}

impl Server {
    pub(super) fn new(queue_limit: u32, listeners: Vec<Arc<dyn ChatEvents>>) -> Self {
        let clock = ManualClock::default();
        let mut server = Self {
            chat: Chat::in_memory(),
            clock,
            queue_limit,
            listeners,
            done: Vec::new(),
            keys: 0,
        };
        server.begin();
        server
    }

    /// Begins with empty stores, in epochs of their own.
    fn begin(&mut self) {
        let mut parts = ChatParts::in_memory_at(Arc::new(self.clock.clone()));
        parts.options = ChatOptions::default()
            .with_queue_limit(self.queue_limit)
            .with_changes(2);
        parts.events.clone_from(&self.listeners);
        self.chat = Chat::new(parts);
        for group in talks().into_iter().filter_map(|talk| match talk {
            ConversationId::Group(group) => Some(group),
            ConversationId::Direct(_) => None,
        }) {
            let history = if group == OPEN {
                HistoryStart::Beginning
            } else {
                HistoryStart::Joining
            };
            let new = NewGroup::new(group, Some(USERS[0])).with_members([USERS[1]]);
            now(self.chat.found(new.with_history(history))).unwrap();
        }
    }

    /// Does `deed` if it may happen, and says whom to tell what.
    pub(super) fn act(&mut self, deed: &Deed) -> Vec<(UserId, Push)> {
        let talk = talks()[deed.talk];
        let device = Device::new(deed.user, DeviceId::new(99));
        let act = self.deed(talk, &deed.doing);
        if deed.dies {
            let id = now(async { Ok(self.chat.parts().ids.next_id().unwrap()) });
            let at = backplane::Clock::now(&self.clock);
            let event = NewEvent::new(talk, id.into(), at, Some(device), act.clone());
            if let Appended::Stored { .. } = now(self.chat.parts().log.append(&[event]))[0] {
                self.done.push((talk, device, act));
            }
            return Vec::new();
        }
        self.keys += 1;
        let key = self.keys.to_string().parse().unwrap();
        let Sent::Stored(receipt) = now(self.chat.act(device, talk, key, act.clone())) else {
            return Vec::new();
        };
        self.done.push((talk, device, act));
        let Position { epoch, offset } = receipt.position;
        let members = now(self.chat.parts().log.members(talk, offset, None, 99));
        let push = |user: UserId| {
            let seek = Seek::After(Position::new(epoch, offset - 1));
            let event = self.read(talk, Viewer::User(user), seek, 1).remove(0);
            (user, Push { talk, epoch, event })
        };
        members
            .into_iter()
            .map(|member| push(member.user))
            .collect()
    }

    fn deed(&self, talk: ConversationId, doing: &Doing) -> Act {
        let body = self.done.len().to_string();
        let target = |back| self.target(talk, back);
        match *doing {
            Doing::Say => Act::Message(body.into()),
            Doing::Edit(back) => Act::Edit {
                target: target(back),
                body: body.into(),
            },
            Doing::Delete(back) => Act::Delete {
                target: target(back),
            },
            Doing::React(back, text, on) => Act::React {
                target: target(back),
                reaction: text.parse().unwrap(),
                on,
            },
            Doing::Join(user) => Act::Join {
                user,
                role: Role::Member,
            },
            Doing::Leave(user) => Act::Leave { user },
        }
    }

    /// One of the newest messages.
    fn target(&self, talk: ConversationId, back: usize) -> MessageRef {
        let events = self.read(talk, Viewer::Application, Seek::Latest, usize::MAX);
        let messages = events
            .iter()
            .rev()
            .filter(|event| matches!(event.what, What::Message(_)));
        let refs = messages.map(|event| MessageRef {
            seq: event.seq,
            id: event.id,
        });
        let none = MessageRef {
            seq: 0,
            id: MessageId::new(0),
        };
        refs.take(back + 1).last().unwrap_or(none)
    }

    pub(super) fn read(
        &self,
        talk: ConversationId,
        viewer: Viewer,
        seek: Seek,
        limit: usize,
    ) -> Vec<Event> {
        let read = LogRead::new(talk, viewer, seek, limit);
        match now(self.chat.parts().log.read(&[read])).remove(0) {
            Answer::Page(page) => page.events,
            Answer::Stale { .. } | Answer::Refused(_) => Vec::new(),
        }
    }

    /// Trims what everybody was told.
    pub(super) fn trim(&mut self, talk: usize, seq: u64) {
        self.redeliver();
        now(self.chat.parts().log.trim(talks()[talk], seq));
    }

    /// Sees to it that everybody was told of everything.
    pub(super) fn redeliver(&self) {
        self.clock.advance(Duration::from_secs(60));
        while self.chat.redeliver(1).now_or_never().unwrap().unwrap_or(1) > 0 {}
    }

    /// Loses the last `count` of all that was done. What is left is in new epochs, and whatever was
    /// trimmed is there again.
    pub(super) fn lose(&mut self, count: usize) {
        let kept = self.done.len().saturating_sub(count);
        let done: Vec<_> = self.done.drain(..).take(kept).collect();
        self.begin();
        for (talk, device, act) in done {
            self.redo(talk, device, act);
        }
    }

    /// Does again what was done, to the message that is there now.
    fn redo(&mut self, talk: ConversationId, device: Device, mut act: Act) {
        if let Act::Edit { target, .. } | Act::Delete { target } | Act::React { target, .. } =
            &mut act
        {
            let events = self.read(talk, Viewer::Application, Seek::Latest, usize::MAX);
            let there = events.iter().find(|event| event.seq == target.seq);
            target.id = there.map_or(target.id, |event| event.id);
        }
        self.keys += 1;
        let key = self.keys.to_string().parse().unwrap();
        if let Sent::Stored(_) = now(self.chat.act(device, talk, key, act.clone())) {
            self.done.push((talk, device, act));
        }
    }

    /// Checks that the inboxes have copies of nothing but what their users may read, as the log has it.
    pub(super) fn check_copies(&self) {
        for user in USERS {
            let inbox = &self.chat.parts().inbox;
            let page = now(inbox.changes(user, START, usize::MAX));
            for entry in page.entries {
                let viewer = Viewer::User(user);
                let seek = Seek::After(START);
                let readable = self.read(entry.conversation, viewer, seek, usize::MAX);
                for copy in entry.copies {
                    let event = readable.iter().find(|event| event.seq == copy.seq);
                    let is_trimmed = readable.first().is_none_or(|first| copy.seq < first.seq);
                    assert!(is_trimmed || event.is_some(), "{user} reads {copy:?}");
                    let is_gone = event.is_some_and(|event| {
                        matches!(
                            event.what,
                            What::Deleted { .. } | What::Edit { body: None, .. }
                        )
                    });
                    let says = match &copy.what {
                        What::Message(_) => true,
                        What::Edit { target, body } => {
                            let is_kept = readable
                                .first()
                                .is_some_and(|first| target.seq >= first.seq);
                            body.is_some() && is_kept
                        }
                        _ => false,
                    };
                    assert!(!(is_gone && says), "{user} has {copy:?}, which was deleted");
                }
            }
        }
    }

    pub(super) fn answer(&self, device: Device, request: &SyncRequest) -> SyncBatch {
        now(self.chat.sync(device, request))
    }

    pub(super) fn acknowledge(
        &self,
        device: Device,
        positions: impl Iterator<Item = (ConversationId, Position)>,
    ) {
        for (talk, position) in positions {
            let _ = now(self
                .chat
                .acknowledge(device, talk, Cursor::Received, position));
        }
    }
}
