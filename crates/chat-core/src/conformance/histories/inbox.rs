//! Histories of an [`Inbox`].

use std::{collections::BTreeMap, sync::Arc};

use backplane::{Epoch, Position, Timestamp};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{select, subsequence},
};

use super::History;
use crate::{
    Advance, Advanced, ConversationId, Cursor, Device, DeviceId, ErrorKind, Event, GroupId, Inbox,
    InboxEntry, MemoryInbox, MemoryInboxOptions, Message, MessageId, MessageRef, Result, START,
    UserId, What,
};

/// How many copies a queue holds. The inboxes that are played on must have the same bound.
pub const MAX_COPIES: usize = 3;

/// Of how many devices of a user a conversation knows. They must have the same bound here, too.
pub const MAX_DEVICES: usize = 2;

const USERS: [UserId; 3] = [
    UserId::new(0),
    UserId::new((1 << 53) + 1),
    UserId::new(u64::MAX),
];

const DEVICES: [u64; 3] = [0, 1, u64::MAX];

/// A call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Op {
    /// [`Inbox::enroll`].
    Enroll(ConversationId, Vec<UserId>, Position),
    /// [`Inbox::withdraw`].
    Withdraw(ConversationId, Vec<UserId>, Position),
    /// [`Inbox::mark`].
    Mark(Vec<(ConversationId, Position)>),
    /// [`Inbox::deliver`].
    Deliver(ConversationId, Vec<UserId>, Position, Vec<Event>),
    /// [`Inbox::erase`].
    Erase(ConversationId, Vec<UserId>, Vec<u64>),
    /// [`Inbox::changes`], since one of the positions that the user was told.
    Changes(UserId, prop::sample::Index, usize),
    /// [`Inbox::advance`].
    Advance(Vec<Advance>),
    /// [`Inbox::forget`].
    Forget(Device),
}

/// Any history.
pub fn histories() -> impl Strategy<Value = History<Op>> {
    let op = prop_oneof![
        3 => (talk(), users(), place()).prop_map(|(talk, users, at)| Op::Enroll(talk, users, at)),
        2 => (talk(), users(), place()).prop_map(|(talk, users, at)| Op::Withdraw(talk, users, at)),
        4 => vec((talk(), place()), 0..3).prop_map(Op::Mark),
        6 => (talk(), users(), place(), vec(event(), 0..3))
            .prop_map(|(talk, users, top, events)| Op::Deliver(talk, users, top, events)),
        1 => (talk(), users(), vec(1..7_u64, 0..3))
            .prop_map(|(talk, users, seqs)| Op::Erase(talk, users, seqs)),
        6 => (user(), any::<prop::sample::Index>(), prop_oneof![0..3_usize, Just(usize::MAX)])
            .prop_map(|(user, since, limit)| Op::Changes(user, since, limit)),
        4 => vec(advance(), 0..3).prop_map(Op::Advance),
        1 => device().prop_map(Op::Forget),
    ];
    vec(prop::option::weighted(0.95, op), 1..60)
}

fn user() -> impl Strategy<Value = UserId> {
    select(&USERS[..])
}

fn users() -> impl Strategy<Value = Vec<UserId>> {
    subsequence(&USERS[..], 0..=USERS.len())
}

fn device() -> impl Strategy<Value = Device> {
    (user(), select(&DEVICES[..])).prop_map(|(user, id)| Device::new(user, DeviceId::new(id)))
}

fn talk() -> impl Strategy<Value = ConversationId> {
    select(talks())
}

fn talks() -> Vec<ConversationId> {
    let groups = [1, u64::MAX].map(|group| ConversationId::Group(GroupId::new(group)));
    let direct = ConversationId::direct(USERS[0], USERS[2]);
    groups.into_iter().chain([direct]).collect()
}

/// A place of a conversation, whose epoch changes now and then.
fn place() -> impl Strategy<Value = Position> {
    let epoch = prop_oneof![9 => Just(7_u64), 1 => Just(u64::MAX)];
    (epoch, 0..7_u64).prop_map(|(epoch, seq)| Position::new(Epoch::new(epoch), seq))
}

fn event() -> impl Strategy<Value = Event> {
    let target = prop::option::weighted(0.2, 1..7_u64);
    (1..7_u64, target).prop_map(|(seq, target)| {
        let what = match target {
            None => What::Message(Message::new(seq.to_string().into())),
            Some(target) => What::Edit {
                target: MessageRef {
                    seq: target,
                    id: MessageId::new(target),
                },
                body: Some("edited".into()),
            },
        };
        Event::new(seq, MessageId::new(seq), Timestamp::EPOCH, None, None, what)
    })
}

fn advance() -> impl Strategy<Value = Advance> {
    let cursor = select(vec![Cursor::Received, Cursor::Read]);
    (device(), talk(), cursor, place()).prop_map(|(device, conversation, cursor, to)| Advance {
        device,
        conversation,
        cursor,
        to,
    })
}

/// Plays `history` on inboxes in memory, and on those that `open` opens, within the same bounds.
///
/// # Panics
///
/// Where the two differ.
pub async fn play<I: Inbox>(history: &[Option<Op>], mut open: impl AsyncFnMut() -> Arc<I>) {
    let options = MemoryInboxOptions::default();
    let options = options
        .with_max_copies(MAX_COPIES)
        .with_max_devices(MAX_DEVICES);
    let reference = MemoryInbox::new(options);
    let mut subject = open().await;
    let (mut known, mut knows) = (Known::default(), Known::default());
    for (now, op) in (1..).zip(history) {
        if let Some(op) = op {
            let expected = apply(&reference, &mut known, op).await;
            let answered = apply(&*subject, &mut knows, op).await;
            assert_eq!(answered, expected, "call {now}: {op:?}");
        } else {
            drop(subject);
            subject = open().await;
        }
    }
    let expected = whole(&reference).await;
    assert_eq!(whole(&*subject).await, expected);
}

/// The positions that each user was told of their inbox.
#[derive(Default)]
struct Known(BTreeMap<UserId, Vec<Position>>);

impl Known {
    /// Those of a user, who knows nothing to begin with.
    fn of(&mut self, user: UserId) -> &mut Vec<Position> {
        self.0.entry(user).or_insert_with(|| vec![START])
    }
}

/// What inboxes answered, without their own positions.
#[derive(Debug, Eq, PartialEq)]
enum Told {
    Done,
    /// The changes, and whether there are more.
    Changes(Vec<InboxEntry>, bool),
    Entries(Vec<Option<InboxEntry>>),
    Advanced(Vec<Advanced>),
    Received(Vec<Position>),
    Failed(ErrorKind),
}

async fn apply(inbox: &dyn Inbox, known: &mut Known, op: &Op) -> Told {
    let told = try_apply(inbox, known, op).await;
    told.unwrap_or_else(|error| Told::Failed(error.kind()))
}

async fn try_apply(inbox: &dyn Inbox, known: &mut Known, op: &Op) -> Result<Told> {
    match op {
        Op::Enroll(talk, users, at) => inbox.enroll(*talk, users, *at).await?,
        Op::Withdraw(talk, users, at) => inbox.withdraw(*talk, users, *at).await?,
        Op::Mark(marks) => inbox.mark(marks).await?,
        Op::Deliver(talk, users, top, events) => {
            inbox.deliver(*talk, users, *top, events).await?;
        }
        Op::Erase(talk, users, seqs) => inbox.erase(*talk, users, seqs).await?,
        Op::Changes(user, since, limit) => {
            let known = known.of(*user);
            let page = inbox.changes(*user, *since.get(known), *limit).await?;
            known.push(page.through);
            return Ok(Told::Changes(page.entries, page.more));
        }
        Op::Advance(moves) => return Ok(Told::Advanced(inbox.advance(moves).await?)),
        Op::Forget(device) => inbox.forget(*device).await?,
    }
    Ok(Told::Done)
}

async fn whole(inbox: &dyn Inbox) -> Vec<Told> {
    let mut told = Vec::new();
    for user in USERS {
        let page = inbox.changes(user, START, usize::MAX).await.unwrap();
        told.push(Told::Changes(page.entries, page.more));
        let asks: Vec<_> = talks().into_iter().map(|talk| (user, talk)).collect();
        told.push(Told::Entries(inbox.entries(&asks).await.unwrap()));
        for device in DEVICES {
            let device = Device::new(user, DeviceId::new(device));
            let asks: Vec<_> = talks().into_iter().map(|talk| (device, talk)).collect();
            told.push(Told::Received(inbox.received(&asks).await.unwrap()));
        }
    }
    told
}
