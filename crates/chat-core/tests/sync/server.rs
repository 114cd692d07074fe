use std::{cell::RefCell, collections::BTreeMap};

use backplane::{Epoch, Position, Timestamp};
use chat_core::{
    Act, Answer, ConversationId, Device, DeviceId, Event, GroupId, LogRead, MemoryLog, MessageId,
    MessageRef, NewEvent, NewGroup, Role, Seek, Stamp, UserId, Viewer, What,
    sync::{Delta, Head, SyncBatch, SyncRequest},
};

pub(super) const USERS: [UserId; 3] = [UserId::new(1), UserId::new(2), UserId::new(3)];

const GROUP: GroupId = GroupId::new(7);

pub(super) const TALKS: [ConversationId; 2] = [ConversationId::Group(GROUP), PAIR];

const PAIR: ConversationId = ConversationId::Group(GroupId::new(8));

#[derive(Clone, Debug)]
pub(super) struct Deed {
    pub(super) talk: ConversationId,
    pub(super) user: UserId,
    pub(super) doing: Doing,
}

#[derive(Clone, Debug)]
pub(super) enum Doing {
    Say,
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

/// A log, and for each user the conversations in which something happened, in that order.
pub(super) struct Server {
    log: MemoryLog,
    /// All that was stored, to be stored again.
    stored: Vec<NewEvent>,
    trimmed: BTreeMap<ConversationId, u64>,
    inboxes: RefCell<BTreeMap<UserId, Vec<ConversationId>>>,
    inbox_epoch: u64,
    /// From how many missing events on only the newest are sent.
    too_much: u64,
    ids: u64,
}

impl Server {
    pub(super) fn new(too_much: u64) -> Self {
        let server = Self {
            log: MemoryLog::default(),
            stored: Vec::new(),
            trimmed: BTreeMap::new(),
            inboxes: RefCell::default(),
            inbox_epoch: 1,
            too_much,
            ids: 100,
        };
        server.found();
        server
    }

    /// Whether it sends only the newest events of many.
    pub(super) const fn leaves_out(&self) -> bool {
        self.too_much < u64::MAX
    }

    fn found(&self) {
        for (group, id) in [(GROUP, 1), (GroupId::new(8), 2)] {
            let stamp = Stamp {
                id: MessageId::new(id),
                at: Timestamp::EPOCH,
            };
            let new = NewGroup::new(group, Some(USERS[0])).with_members([USERS[1]]);
            self.log.found(&[(new, stamp)]).unwrap();
            self.note(ConversationId::Group(group), 1);
        }
    }

    /// Notes in the inboxes of all whom an event concerns that there is one, and says who they are.
    fn note(&self, talk: ConversationId, seq: u64) -> Vec<UserId> {
        let users: Vec<_> = self
            .log
            .members(talk, seq, None, 99)
            .iter()
            .map(|member| member.user)
            .collect();
        for user in &users {
            self.inboxes
                .borrow_mut()
                .entry(*user)
                .or_default()
                .push(talk);
        }
        users
    }

    /// Does `deed` if it may happen, and says whom to tell what.
    pub(super) fn act(&mut self, deed: &Deed) -> Vec<(Vec<UserId>, Push)> {
        self.ids += 1;
        let device = Device::new(deed.user, DeviceId::new(1));
        let id = MessageId::new(self.ids);
        let event = NewEvent::new(
            deed.talk,
            id,
            Timestamp::EPOCH,
            Some(device),
            self.deed(deed),
        );
        let Some(receipt) = self.log.append(std::slice::from_ref(&event)).unwrap()[0].receipt()
        else {
            return Vec::new();
        };
        self.stored.push(event);
        let users = self.note(deed.talk, receipt.position.offset);
        let push = |user: UserId| {
            let before = Position::new(receipt.position.epoch, receipt.position.offset - 1);
            let seek = Seek::After(before);
            let event = self.read(deed.talk, Viewer::User(user), seek, 1).remove(0);
            let push = Push {
                talk: deed.talk,
                epoch: receipt.position.epoch,
                event,
            };
            (vec![user], push)
        };
        users.into_iter().map(push).collect()
    }

    fn deed(&self, deed: &Deed) -> Act {
        let body = self.ids.to_string();
        let target = |seq| self.target(deed.talk, seq);
        match deed.doing {
            Doing::Say => Act::Message(body.into()),
            Doing::Edit(seq) => Act::Edit {
                target: target(seq),
                body: body.into(),
            },
            Doing::Delete(seq) => Act::Delete {
                target: target(seq),
            },
            Doing::React(seq, text, on) => Act::React {
                target: target(seq),
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
        match self
            .log
            .read(&[LogRead::new(talk, viewer, seek, limit)])
            .remove(0)
        {
            Answer::Page(page) => page.events,
            Answer::Stale { .. } | Answer::Refused(_) => Vec::new(),
        }
    }

    pub(super) fn trim(&mut self, talk: ConversationId, seq: u64) {
        self.trimmed.insert(talk, self.log.trim(talk, seq));
    }

    /// Loses the last `count` events of all that was stored. What is left is in new epochs, and whatever
    /// was trimmed is there again.
    pub(super) fn lose(&mut self, count: usize) {
        let kept = self.stored.len().saturating_sub(count);
        self.stored.truncate(kept);
        self.log = MemoryLog::default();
        self.inboxes.borrow_mut().clear();
        self.inbox_epoch += 1;
        self.found();
        for event in &self.stored {
            let answer = self.log.append(std::slice::from_ref(event)).unwrap()[0];
            if let Some(receipt) = answer.receipt() {
                self.note(event.conversation, receipt.position.offset);
            }
        }
    }

    /// Answers a device of `user`.
    pub(super) fn answer(&self, user: UserId, request: &SyncRequest) -> SyncBatch {
        let deltas = request.have.iter().map(|&(conversation, since)| Delta {
            conversation,
            since,
            answer: self.missed(user, conversation, since, request.limit),
        });
        let deltas = deltas.collect();
        let Some(since) = request.inbox else {
            return SyncBatch::new(Vec::new(), deltas, None, false);
        };
        let epoch = Epoch::new(self.inbox_epoch);
        let since = if since.epoch == epoch {
            since.offset
        } else {
            0
        };
        let inboxes = self.inboxes.borrow();
        let inbox = inboxes.get(&user).map_or(&[][..], Vec::as_slice);
        let news = &inbox[usize::try_from(since).unwrap().min(inbox.len())..];
        let told = news.len().min(4);
        let heads = news[..told]
            .iter()
            .map(|&conversation| self.head(conversation));
        let through = Position::new(epoch, since + told as u64);
        SyncBatch::new(heads.collect(), deltas, Some(through), told < news.len())
    }

    fn head(&self, conversation: ConversationId) -> Head {
        let read = LogRead::new(conversation, Viewer::Application, Seek::Latest, 0);
        let Answer::Page(page) = self.log.read(&[read]).remove(0) else {
            panic!("the application reads everything");
        };
        let top = Position::new(page.epoch, page.top);
        Head { conversation, top }
    }

    fn missed(&self, user: UserId, talk: ConversationId, since: Position, limit: usize) -> Answer {
        let read = |seek| {
            let read = LogRead::new(talk, Viewer::User(user), seek, limit);
            self.log.read(&[read]).remove(0)
        };
        match read(Seek::After(since)) {
            Answer::Page(page) if page.top.saturating_sub(since.offset) > self.too_much => {
                read(Seek::Latest)
            }
            answer => answer,
        }
    }
}
