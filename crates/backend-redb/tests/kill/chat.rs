//! Users of a chat who talk in a group and by twos, edit what they said, and read.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use backend_redb::{RedbChatOptions, Writer, WriterOptions, chat_parts, redb::Database};
use backplane::{Clock, Epoch, Position, SystemClock, id::KeeperOptions};
use bytes::Bytes;
use chat_core::{
    Act, Answer, Chat, ChatOptions, ClientId, ConversationId, Cursor, Device, DeviceId,
    Error as ChatError, Event, GroupId, LogRead, MessageRef, NewGroup, Page, Receipt, START, Seek,
    Sent, UserId, Viewer, What,
};
use futures::future::join_all;

use crate::{Promises, report};

const USERS: u64 = 6;
const GROUP: GroupId = GroupId::new(1);

pub(crate) async fn work(path: &Path) -> Result<(), Box<dyn Error + Send + Sync>> {
    let chat = open(path).await?;
    found(&chat).await?;
    let round = AtomicU64::new(chat.parts().clock.now().as_millis());
    loop {
        let round = round.fetch_add(1, Ordering::Relaxed);
        let users = (0..USERS).map(|user| talk(&chat, user, round));
        for done in join_all(users).await {
            done?;
        }
    }
}

/// One user says something in the group and to another, edits the one, and reads all up to the other.
async fn talk(chat: &Chat, user: u64, round: u64) -> Result<(), Box<dyn Error + Send + Sync>> {
    let said = say(chat, user, group(), format!("{user}-{round}"), |key| {
        Act::Message(words(key))
    });
    let target = said.await?;
    let other = pair(user, round);
    let said = say(chat, user, other, format!("{user}-{round}"), |key| {
        Act::Message(words(key))
    });
    let read = said.await?;
    say(chat, user, group(), format!("{user}-{round}-edit"), |key| {
        Act::Edit {
            target: MessageRef {
                seq: target.position.offset,
                id: target.id,
            },
            body: words(key),
        }
    })
    .await?;
    let to = read.position;
    chat.acknowledge(phone(user), other, Cursor::Read, to)
        .await?;
    report(&format!("read {user} {other} {}", to.offset)).map_err(Into::into)
}

async fn say(
    chat: &Chat,
    user: u64,
    talk: ConversationId,
    key: String,
    act: impl Fn(ClientId) -> Act,
) -> Result<Receipt, Box<dyn Error + Send + Sync>> {
    report(&format!("saying {user} {talk} {key}"))?;
    let name = key.parse()?;
    let receipt = attempt(chat, user, talk, name, &act(name)).await?;
    let Position { epoch, offset } = receipt.position;
    let epoch = epoch.get();
    report(&format!("said {user} {talk} {key} {epoch} {offset}"))?;
    Ok(receipt)
}

/// Says something once the ids of the killed process are past.
async fn attempt(
    chat: &Chat,
    user: u64,
    talk: ConversationId,
    name: ClientId,
    act: &Act,
) -> Result<Receipt, Box<dyn Error + Send + Sync>> {
    loop {
        match chat.act(phone(user), talk, name, act.clone()).await? {
            Sent::Stored(receipt) | Sent::Duplicate(receipt) => return Ok(receipt),
            Sent::Busy { retry_after } => chat.parts().clock.sleep(retry_after).await,
            other => return Err(format!("{other:?}").into()),
        }
    }
}

/// Founds the group once the ids of the killed process are past, unless it is there.
async fn found(chat: &Chat) -> Result<(), ChatError> {
    let users = (0..USERS).map(UserId::new);
    let group = NewGroup::new(GROUP, None).with_members(users);
    while let Err(error) = chat.found(group.clone()).await {
        if !error.is_retryable() {
            return Err(error);
        }
        chat.parts().clock.sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

const fn group() -> ConversationId {
    ConversationId::Group(GROUP)
}

fn pair(user: u64, round: u64) -> ConversationId {
    let other = (user + 1 + round % (USERS - 1)) % USERS;
    ConversationId::direct(UserId::new(user), UserId::new(other))
}

fn phone(user: u64) -> Device {
    Device::new(UserId::new(user), DeviceId::new(1))
}

fn words(key: ClientId) -> Bytes {
    Bytes::from(format!("under {key}"))
}

/// Who said something where, under which name.
type Attempt = (UserId, ConversationId, ClientId);

/// What the children were told, and what they were about to do.
#[derive(Default)]
pub(crate) struct Report {
    saying: BTreeSet<Attempt>,
    said: BTreeMap<Attempt, Position>,
    read: BTreeMap<(UserId, ConversationId), u64>,
}

impl Promises for Report {
    fn note(&mut self, line: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
        let words: Vec<_> = line.split(' ').collect();
        match *words {
            ["saying", user, talk, key] => {
                self.saying
                    .insert((user.parse()?, talk.parse()?, key.parse()?));
            }
            ["said", user, talk, key, epoch, seq] => {
                let attempt = (user.parse()?, talk.parse()?, key.parse()?);
                let position = Position::new(Epoch::new(epoch.parse()?), seq.parse()?);
                self.said.insert(attempt, position);
            }
            ["read", user, talk, seq] => {
                self.read
                    .insert((user.parse()?, talk.parse()?), seq.parse()?);
            }
            _ => return Err(format!("unknown report: {line}").into()),
        }
        Ok(())
    }

    async fn compare(&self, path: &Path) -> Result<(), Box<dyn Error + Send + Sync>> {
        let chat = open(path).await?;
        let talks: BTreeSet<_> = self.saying.iter().map(|(_, talk, _)| *talk).collect();
        for talk in talks {
            self.compare_talk(&chat, talk).await?;
        }
        self.compare_retries(&chat).await?;
        self.compare_inboxes(&chat).await?;
        assert!(!self.read.is_empty() && self.said.len() > self.read.len());
        Ok(())
    }
}

impl Report {
    /// What was acknowledged is where it was then, in the epoch of then; nothing is there twice, and no
    /// number is left out.
    async fn compare_talk(&self, chat: &Chat, talk: ConversationId) -> Result<(), ChatError> {
        let page = all(chat, talk).await?;
        let numbers: Vec<_> = page.events.iter().map(|event| event.seq).collect();
        assert_eq!(numbers, (1..=page.top).collect::<Vec<_>>(), "{talk}");
        let mut found = BTreeMap::new();
        for event in &page.events {
            let Some((from, key)) = event.from.zip(event.key) else {
                continue;
            };
            let attempt = (from.user, talk, key);
            let earlier = found.insert(attempt, event);
            assert_eq!(earlier, None, "{attempt:?} is there twice");
            assert!(self.saying.contains(&attempt), "{attempt:?} was not said");
        }
        for (attempt, position) in self
            .said
            .iter()
            .filter(|((_, where_, _), _)| *where_ == talk)
        {
            let event = found.get(attempt);
            let place = event.map(|event| Position::new(page.epoch, event.seq));
            assert_eq!(place, Some(*position), "{attempt:?} was acknowledged");
        }
        let edits = page.events.iter().filter_map(|event| match &event.what {
            What::Edit { target, body } => Some((target.seq, event.seq, body.clone())),
            _ => None,
        });
        for (target, by, body) in edits {
            let place = usize::try_from(target - 1).unwrap_or(usize::MAX);
            let Event {
                what: What::Message(message),
                ..
            } = &page.events[place]
            else {
                panic!("{talk} {target} is no message");
            };
            assert_eq!((message.edited, Some(&message.body)), (by, body.as_ref()));
        }
        Ok(())
    }

    /// Whoever tries again under a name that was acknowledged gets the receipt of then.
    async fn compare_retries(&self, chat: &Chat) -> Result<(), Box<dyn Error + Send + Sync>> {
        let messages = self
            .said
            .iter()
            .filter(|((.., key), _)| !key.as_str().ends_with("edit"));
        for (&(user, talk, key), position) in messages.rev().take(50) {
            let again = Act::Message(words(key));
            let receipt = attempt(chat, user.get(), talk, key, &again).await?;
            assert_eq!(receipt.position, *position, "{user} {talk} {key}");
        }
        Ok(())
    }

    /// Once all that is owed was told, everybody knows how far each conversation has come; and nobody has
    /// to read again what they have read.
    async fn compare_inboxes(&self, chat: &Chat) -> Result<(), ChatError> {
        while chat.redeliver(1_000).await? > 0 {}
        let talking: BTreeSet<_> = self
            .saying
            .iter()
            .map(|(user, talk, _)| (*user, *talk))
            .collect();
        for (user, talk) in talking {
            let top = all(chat, talk).await?.top;
            let asks = [(user, talk)];
            let entries = chat.parts().inbox.entries(&asks).await?;
            let known = entries.into_iter().flatten().next();
            let known = known.map_or(0, |entry| entry.top.offset);
            assert_eq!(known, top, "{user} {talk}");
        }
        for (&(user, talk), &seq) in &self.read {
            let entries = chat.parts().inbox.entries(&[(user, talk)]).await?;
            let entry = entries.into_iter().flatten().next();
            let read = entry.map_or(START, |entry| entry.read);
            assert!(read.offset >= seq, "{user} has read {talk} up to {seq}");
        }
        Ok(())
    }
}

async fn all(chat: &Chat, talk: ConversationId) -> Result<Page, ChatError> {
    let read = LogRead::new(talk, Viewer::Application, Seek::After(START), usize::MAX);
    match chat.parts().log.read(&[read]).await?.pop() {
        Some(Answer::Page(page)) => Ok(page),
        other => panic!("{talk}: {other:?}"),
    }
}

async fn open(path: &Path) -> Result<Chat, Box<dyn Error + Send + Sync>> {
    let writer = Writer::start(Arc::new(Database::create(path)?), WriterOptions::default())?;
    // What is reserved is what the next process waits for.
    let options = RedbChatOptions::default()
        .with_ids(KeeperOptions::default().with_reserve(Duration::from_millis(100)))
        .with_chat(ChatOptions::default().with_owed_after(Duration::ZERO));
    let clock = Arc::new(SystemClock::new());
    Ok(Chat::new(chat_parts(&writer, clock, options).await?))
}
