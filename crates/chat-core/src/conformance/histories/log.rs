//! Histories of a [`MessageLog`].

use std::sync::Arc;

use backplane::{Epoch, Position, Timestamp};
use bytes::Bytes;
use proptest::{
    collection::vec,
    prelude::*,
    sample::{select, subsequence},
};

use super::History;
use crate::{
    Act, Answer, Appended, ClientId, ConversationId, Device, DeviceId, ErrorKind, Event, Founded,
    Group, GroupId, HistoryStart, LogRead, Member, MemoryLog, MessageId, MessageLog, MessageRef,
    NewEvent, NewGroup, Owed, Receipt, Refusal, Result, Role, START, Seek, Stamp, UnreadAsk,
    UserId, Viewer,
};

const USERS: [UserId; 3] = [
    UserId::new(0),
    UserId::new((1 << 53) + 1),
    UserId::new(u64::MAX),
];

const GROUPS: [GroupId; 2] = [GroupId::new(1), GroupId::new(u64::MAX)];

const KEYS: [&str; 2] = ["a", "a\0"];

/// A call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Op {
    /// [`MessageLog::found`].
    Found(NewGroup),
    /// [`MessageLog::append`].
    Append(Vec<Deed>),
    /// [`MessageLog::read`].
    Read(ConversationId, Viewer, Place, usize, usize),
    /// [`MessageLog::unread`], in all conversations.
    Unread(UserId, u64, u32),
    /// [`MessageLog::members`].
    Members(ConversationId, u64, Option<UserId>, usize),
    /// [`MessageLog::trim`].
    Trim(ConversationId, u64),
    /// [`MessageLog::settle`].
    Settle(ConversationId, u64, u64, bool),
    /// [`MessageLog::owed`], until so many calls ago.
    Owed(u64),
}

/// An event to be appended. What it is about is known only when its turn comes.
#[derive(Clone, Debug)]
pub struct Deed {
    talk: ConversationId,
    from: Option<Device>,
    key: Option<&'static str>,
    act: Doing,
}

#[derive(Clone, Debug)]
enum Doing {
    Say(Bytes),
    Edit(u64, Bytes),
    Delete(u64),
    React(u64, &'static str, bool),
    Join(UserId, Role),
    Leave(UserId),
    Appoint(UserId, Role),
    Describe(Bytes),
}

/// Where to read, in whatever epoch the log is in, or in another.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    side: Side,
    offset: u64,
    is_foreign: bool,
}

#[derive(Clone, Copy, Debug)]
enum Side {
    Latest,
    After,
    Before,
    Around,
}

/// Any history.
pub fn histories() -> impl Strategy<Value = History<Op>> {
    let op = prop_oneof![
        2 => group().prop_map(Op::Found),
        12 => vec(deed(), 0..4).prop_map(Op::Append),
        4 => (talk(), viewer(), place(), 0..6_usize, select(vec![1_usize, 3, usize::MAX]))
            .prop_map(|(talk, viewer, place, limit, bytes)| Op::Read(talk, viewer, place, limit, bytes)),
        2 => (user(), 0..9_u64, 0..4_u32).prop_map(|(user, read, cap)| Op::Unread(user, read, cap)),
        2 => (talk(), since(), prop::option::of(user()), 0..4_usize)
            .prop_map(|(talk, since, after, limit)| Op::Members(talk, since, after, limit)),
        1 => (talk(), 0..12_u64).prop_map(|(talk, seq)| Op::Trim(talk, seq)),
        2 => (talk(), 0..6_u64, 0..4_u64, prop::bool::weighted(0.1)).prop_map(
            |(talk, after, count, is_foreign)| Op::Settle(talk, after, count, is_foreign)
        ),
        1 => (0..9_u64).prop_map(Op::Owed),
    ];
    let calls = vec(prop::option::weighted(0.95, op), 1..60);
    // Most events need a group to happen in.
    let founding = prop::option::weighted(0.9, group().prop_map(Op::Found));
    (founding, calls).prop_map(|(founding, calls)| {
        let founding = founding.into_iter().map(Some);
        founding.chain(calls).collect()
    })
}

fn user() -> impl Strategy<Value = UserId> {
    select(&USERS[..])
}

fn talk() -> impl Strategy<Value = ConversationId> {
    let direct = |(one, other)| ConversationId::direct(one, other);
    prop_oneof![
        6 => Just(ConversationId::Group(GROUPS[0])),
        1 => Just(ConversationId::Group(GROUPS[1])),
        3 => Just(direct((USERS[0], USERS[1]))),
        1 => (user(), user()).prop_map(direct),
    ]
}

fn group() -> impl Strategy<Value = NewGroup> {
    let members = subsequence(&USERS[..], 0..=USERS.len());
    let history = select(vec![HistoryStart::Beginning, HistoryStart::Joining]);
    let group = (
        select(&GROUPS[..]),
        prop::option::weighted(0.8, user()),
        members,
        history,
    );
    (group, 2..4_u32, body()).prop_map(|((group, founder, members, history), limit, about)| {
        let group = NewGroup::new(group, founder).with_members(members);
        group
            .with_limit(limit)
            .with_history(history)
            .with_about(about)
    })
}

fn deed() -> impl Strategy<Value = Deed> {
    let device = (user(), 0..2_u64).prop_map(|(user, id)| Device::new(user, DeviceId::new(id)));
    let from = prop::option::weighted(0.9, device);
    let key = prop::option::weighted(0.4, select(&KEYS[..]));
    (talk(), from, key, doing()).prop_map(|(talk, from, key, act)| Deed {
        talk,
        from,
        key,
        act,
    })
}

fn doing() -> impl Strategy<Value = Doing> {
    let role = || select(vec![Role::Member, Role::Admin]);
    let target = || prop_oneof![4 => 1..5_u64, 1 => 0..12_u64];
    prop_oneof![
        6 => body().prop_map(Doing::Say),
        3 => (target(), body()).prop_map(|(target, body)| Doing::Edit(target, body)),
        2 => target().prop_map(Doing::Delete),
        4 => (target(), select(vec!["a", "é"]), any::<bool>())
            .prop_map(|(target, reaction, on)| Doing::React(target, reaction, on)),
        4 => (user(), role()).prop_map(|(user, role)| Doing::Join(user, role)),
        2 => user().prop_map(Doing::Leave),
        1 => (user(), role()).prop_map(|(user, role)| Doing::Appoint(user, role)),
        1 => body().prop_map(Doing::Describe),
    ]
}

fn body() -> impl Strategy<Value = Bytes> {
    vec(select(vec![0, b'x', 255]), 0..3).prop_map(Bytes::from)
}

fn viewer() -> impl Strategy<Value = Viewer> {
    prop_oneof![4 => user().prop_map(Viewer::User), 1 => Just(Viewer::Application)]
}

fn place() -> impl Strategy<Value = Place> {
    let side = select(vec![Side::Latest, Side::After, Side::Before, Side::Around]);
    (side, 0..12_u64, prop::bool::weighted(0.1)).prop_map(|(side, offset, is_foreign)| Place {
        side,
        offset,
        is_foreign,
    })
}

fn since() -> impl Strategy<Value = u64> {
    prop_oneof![0..9_u64, Just(u64::MAX)]
}

/// Plays `history` on a log in memory, and on the one that `open` opens.
///
/// # Panics
///
/// Where the two differ.
pub async fn play<L: MessageLog>(history: &[Option<Op>], open: impl AsyncFnMut() -> Arc<L>) {
    play_beside(&MemoryLog::default(), history, open).await;
}

/// Plays `history` on `reference`, which is empty, and on the log that `open` opens.
///
/// # Panics
///
/// Where the two differ.
pub async fn play_beside<L: MessageLog>(
    reference: &dyn MessageLog,
    history: &[Option<Op>],
    mut open: impl AsyncFnMut() -> Arc<L>,
) {
    let mut subject = open().await;
    for (now, op) in (1..).zip(history) {
        if let Some(op) = op {
            let expected = apply(reference, op, now).await;
            let answered = apply(&*subject, op, now).await;
            assert_eq!(answered, expected, "call {now}: {op:?}");
        } else {
            drop(subject);
            subject = open().await;
        }
    }
    let expected = whole(reference).await;
    assert_eq!(whole(&*subject).await, expected);
}

/// What a log answered, without its epochs.
#[derive(Debug, Eq, PartialEq)]
enum Told {
    Founded(Vec<Option<Slip>>),
    Appended(Vec<Outcome>),
    Read(Reading),
    Unread(Vec<(u32, u64)>),
    Members(Vec<Member>),
    Groups(Vec<Option<Group>>),
    Trimmed(u64),
    Settled,
    Owed(Vec<(ConversationId, u64, u64)>),
    Failed(ErrorKind),
}

/// The id, place and time of a receipt.
type Slip = (MessageId, u64, Timestamp);

#[derive(Debug, Eq, PartialEq)]
enum Outcome {
    /// With how many members there are.
    Stored(Slip, u32),
    Duplicate(Slip),
    Conflict(Slip),
    Refused(Refusal),
}

#[derive(Debug, Eq, PartialEq)]
enum Reading {
    /// First, top, from, until, and the events.
    Page([u64; 4], Vec<Event>),
    Stale(u64),
    Refused(Refusal),
}

async fn apply(log: &dyn MessageLog, op: &Op, now: u64) -> Told {
    let told = try_apply(log, op, now).await;
    told.unwrap_or_else(|error| Told::Failed(error.kind()))
}

async fn try_apply(log: &dyn MessageLog, op: &Op, now: u64) -> Result<Told> {
    Ok(match op {
        Op::Found(group) => {
            let founded = log.found(&[(group.clone(), stamp(now, 0))]).await?;
            Told::Founded(founded.into_iter().map(founding).collect())
        }
        Op::Append(deeds) => {
            let mut events = Vec::new();
            for (n, deed) in (0..).zip(deeds) {
                events.push(event(log, deed, stamp(now, n)).await);
            }
            let answers = log.append(&events).await?;
            Told::Appended(answers.into_iter().map(outcome).collect())
        }
        Op::Read(talk, viewer, place, limit, bytes) => {
            let seek = seek(log, *talk, *place).await;
            let read = LogRead::new(*talk, *viewer, seek, *limit).with_bytes(*bytes);
            Told::Read(reading(log.read(&[read]).await?.remove(0)))
        }
        Op::Unread(user, read, cap) => Told::Unread(unread(log, *user, *read, *cap).await?),
        Op::Members(talk, since, after, limit) => {
            Told::Members(log.members(*talk, *since, *after, *limit).await?)
        }
        Op::Trim(talk, seq) => Told::Trimmed(log.trim(*talk, *seq).await?),
        Op::Settle(talk, after, count, is_foreign) => {
            let told = crate::Told {
                conversation: *talk,
                after: *after,
                until: position(log, *talk, after + count, *is_foreign).await,
            };
            log.settle(&[told]).await?;
            Told::Settled
        }
        Op::Owed(ago) => Told::Owed(owed(log, stamp(now.saturating_sub(*ago), 0).at).await?),
    })
}

fn stamp(now: u64, n: u64) -> Stamp {
    Stamp {
        id: MessageId::new(now << 8 | n),
        at: Timestamp::from_millis(now),
    }
}

const fn slip(receipt: Receipt) -> Slip {
    (receipt.id, receipt.position.offset, receipt.at)
}

fn founding(founded: Founded) -> Option<Slip> {
    match founded {
        Founded::New(receipt) => Some(slip(receipt)),
        Founded::Existing => None,
    }
}

fn outcome(appended: Appended) -> Outcome {
    match appended {
        Appended::Stored { receipt, members } => Outcome::Stored(slip(receipt), members),
        Appended::Duplicate(receipt) => Outcome::Duplicate(slip(receipt)),
        Appended::Conflict(receipt) => Outcome::Conflict(slip(receipt)),
        Appended::Refused(refusal) => Outcome::Refused(refusal),
    }
}

fn reading(answer: Answer) -> Reading {
    match answer {
        Answer::Page(page) => {
            Reading::Page([page.first, page.top, page.from, page.until], page.events)
        }
        Answer::Stale { top } => Reading::Stale(top.offset),
        Answer::Refused(refusal) => Reading::Refused(refusal),
    }
}

/// The deed about the message that is where it says.
async fn event(log: &dyn MessageLog, deed: &Deed, stamp: Stamp) -> NewEvent {
    let act = match deed.act.clone() {
        Doing::Say(body) => Act::Message(body),
        Doing::Edit(seq, body) => Act::Edit {
            target: target(log, deed.talk, seq).await,
            body,
        },
        Doing::Delete(seq) => Act::Delete {
            target: target(log, deed.talk, seq).await,
        },
        Doing::React(seq, reaction, on) => Act::React {
            target: target(log, deed.talk, seq).await,
            reaction: reaction.parse().unwrap(),
            on,
        },
        Doing::Join(user, role) => Act::Join { user, role },
        Doing::Leave(user) => Act::Leave { user },
        Doing::Appoint(user, role) => Act::Appoint { user, role },
        Doing::Describe(about) => Act::Describe(about),
    };
    let mut event = NewEvent::new(deed.talk, stamp.id, stamp.at, deed.from, act);
    event.key = deed.key.map(|key| key.parse::<ClientId>().unwrap());
    event
}

async fn target(log: &dyn MessageLog, talk: ConversationId, seq: u64) -> MessageRef {
    let seek = Seek::After(position(log, talk, seq.saturating_sub(1), false).await);
    let read = LogRead::new(talk, Viewer::Application, seek, 1);
    let id = match log.read(&[read]).await.unwrap().remove(0) {
        Answer::Page(page) => page.events.first().map(|event| event.id),
        _ => None,
    };
    let id = id.unwrap_or(MessageId::new(0));
    MessageRef { seq, id }
}

async fn seek(log: &dyn MessageLog, talk: ConversationId, place: Place) -> Seek {
    let position = position(log, talk, place.offset, place.is_foreign).await;
    match place.side {
        Side::Latest => Seek::Latest,
        Side::After => Seek::After(position),
        Side::Before => Seek::Before(position),
        Side::Around => Seek::Around(position),
    }
}

/// A place in the epoch of `talk`, or in one that it is not in.
async fn position(
    log: &dyn MessageLog,
    talk: ConversationId,
    offset: u64,
    is_foreign: bool,
) -> Position {
    let read = LogRead::new(talk, Viewer::Application, Seek::Latest, 0);
    let epoch = match log.read(&[read]).await.unwrap().remove(0) {
        Answer::Page(page) => page.epoch,
        _ => START.epoch,
    };
    Position::new(Epoch::new(epoch.get() ^ u64::from(is_foreign)), offset)
}

async fn unread(
    log: &dyn MessageLog,
    user: UserId,
    read: u64,
    cap: u32,
) -> Result<Vec<(u32, u64)>> {
    let mut asks = Vec::new();
    for conversation in talks() {
        asks.push(UnreadAsk {
            conversation,
            user,
            read: position(log, conversation, read, false).await,
            cap,
        });
    }
    let unread = log.unread(&asks).await?.into_iter();
    Ok(unread
        .map(|unread| (unread.count, unread.top.offset))
        .collect())
}

async fn owed(log: &dyn MessageLog, until: Timestamp) -> Result<Vec<(ConversationId, u64, u64)>> {
    let line = |owed: Owed| (owed.conversation, owed.settled, owed.top.offset);
    let mut owed: Vec<_> = log.owed(until, 99).await?.into_iter().map(line).collect();
    owed.sort_unstable();
    Ok(owed)
}

fn talks() -> Vec<ConversationId> {
    let pairs = USERS
        .iter()
        .flat_map(|&one| USERS.map(|other| ConversationId::direct(one, other)));
    let mut talks: Vec<_> = pairs.chain(GROUPS.map(ConversationId::Group)).collect();
    talks.sort_unstable();
    talks.dedup();
    talks
}

/// All that there is to be read of a log.
async fn whole(log: &dyn MessageLog) -> Vec<Told> {
    let mut told = Vec::new();
    let viewers = USERS
        .map(Viewer::User)
        .into_iter()
        .chain([Viewer::Application]);
    for viewer in viewers {
        let read = |talk| LogRead::new(talk, viewer, Seek::After(START), usize::MAX);
        let reads: Vec<_> = talks().into_iter().map(read).collect();
        told.extend(
            log.read(&reads)
                .await
                .unwrap()
                .into_iter()
                .map(|one| Told::Read(reading(one))),
        );
    }
    for talk in talks() {
        let asks = USERS.map(|user| (talk, user));
        let members = log.lookup(&asks).await.unwrap().into_iter().flatten();
        told.push(Told::Members(members.collect()));
    }
    told.push(Told::Groups(log.groups(&GROUPS).await.unwrap()));
    told.push(Told::Owed(
        owed(log, Timestamp::from_millis(u64::MAX)).await.unwrap(),
    ));
    told
}
