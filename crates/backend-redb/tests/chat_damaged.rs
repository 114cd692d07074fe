//! A row of a chat that does not decode is not in the way of what is about others.
#![expect(clippy::unwrap_used, reason = "a test panics to fail")]

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use backend_redb::{
    RedbInbox, RedbInboxOptions, RedbMessageLog, RedbMessageLogOptions, Writer, WriterOptions,
    redb::{Database, Key, ReadableTable, TableDefinition, Value, backends::InMemoryBackend},
};
use backplane::ManualClock;
use chat_core::{
    Act, Answer, Chat, ChatOptions, ChatParts, ConversationId, Cursor, Device, DeviceId, ErrorKind,
    Event, GroupId, LogRead, MessageRef, NewGroup, Receipt, Result, Role, START, Seek, Sent,
    UnreadAsk, UserId, Viewer,
};

const ANN: UserId = UserId::new(1);
const BOB: UserId = UserId::new(2);
const CAT: UserId = UserId::new(3);
const DAN: UserId = UserId::new(4);
const USERS: [UserId; 4] = [ANN, BOB, CAT, DAN];

/// Of four, who are told by marks.
const LARGE: GroupId = GroupId::new(1);
/// Of two, who get copies.
const SMALL: GroupId = GroupId::new(2);

/// Rows that hold more than their key.
type Rows<K> = TableDefinition<'static, K, &'static [u8]>;
const TALKS: Rows<(u8, u64, u64)> = TableDefinition::new("chat.log.main.talks");
const EVENTS: Rows<(u8, u64, u64, u64)> = TableDefinition::new("chat.log.main.events");
const GROUPS: Rows<u64> = TableDefinition::new("chat.log.main.groups");
const STANDINGS: Rows<(u64, u64)> = TableDefinition::new("chat.log.main.standings");
const ENTRIES: Rows<(u64, u8, u64, u64)> = TableDefinition::new("chat.inbox.main.entries");
const MARKS: Rows<(u8, u64, u64)> = TableDefinition::new("chat.inbox.main.marks");
const COPIES: Rows<(u64, u64)> = TableDefinition::new("chat.inbox.main.copies");

/// A chat of four users in a file that can be damaged.
struct Town {
    chat: Chat,
    writer: Writer,
    clock: ManualClock,
    /// How many things were said.
    said: u64,
}

impl Town {
    /// With a row of every kind, and something that is still to be told.
    async fn settled() -> Self {
        let disk = InMemoryBackend::new();
        let database = Database::builder().create_with_backend(disk).unwrap();
        let writer = Writer::start(Arc::new(database), WriterOptions::default()).unwrap();
        let log = RedbMessageLog::open(&writer, "main", RedbMessageLogOptions::default());
        let inbox = RedbInbox::open(&writer, "main", RedbInboxOptions::default());
        let clock = ManualClock::default();
        let parts = ChatParts {
            log: Arc::new(log.await.unwrap()),
            inbox: Arc::new(inbox.await.unwrap()),
            options: ChatOptions::default()
                .with_queue_limit(2)
                .with_owed_after(Duration::ZERO),
            ..ChatParts::in_memory_at(Arc::new(clock.clone()))
        };
        let mut town = Self {
            chat: Chat::new(parts),
            writer,
            clock,
            said: 0,
        };
        town.live().await.unwrap();
        town
    }

    async fn live(&mut self) -> Result<()> {
        for (group, members) in [(LARGE, &USERS[..3]), (SMALL, &USERS[..2])] {
            self.clock.advance(Duration::from_millis(1));
            let group = NewGroup::new(group, Some(ANN)).with_members(members.iter().copied());
            self.chat.found(group).await?;
        }
        let join = Act::Join {
            user: DAN,
            role: Role::Member,
        };
        self.act(ANN, ConversationId::Group(LARGE), join).await?;
        for talk in talks() {
            let first = self.say(ANN, talk).await?;
            let target = self.say(ANN, talk).await?;
            for (user, act) in [
                (ANN, edit(target)),
                (BOB, react(target)),
                (ANN, delete(first)),
            ] {
                self.act(user, talk, act).await?;
            }
            let to = self.say(BOB, talk).await?.position;
            let read = Cursor::Read;
            self.chat.acknowledge(phone(ANN), talk, read, to).await?;
        }
        let leave = Act::Leave { user: DAN };
        self.act(DAN, ConversationId::Group(LARGE), leave).await?;
        Ok(())
    }

    async fn say(&mut self, user: UserId, talk: ConversationId) -> Result<Receipt> {
        self.act(user, talk, Act::Message("hello".into())).await
    }

    async fn act(&mut self, user: UserId, talk: ConversationId, act: Act) -> Result<Receipt> {
        self.clock.advance(Duration::from_millis(1));
        self.said += 1;
        let key = self.said.to_string().parse()?;
        match self.chat.act(phone(user), talk, key, act).await? {
            Sent::Stored(receipt) => Ok(receipt),
            other => panic!("{other:?}"),
        }
    }

    /// Makes the row of `table` at this place one that does not decode, if there are so many. Answers its
    /// key.
    async fn damage<K: Key + Send + 'static>(&self, table: Rows<K>, at: usize) -> Option<Vec<u8>> {
        let damage = self.writer.run(move |txn| {
            let mut table = txn.open_table(table)?;
            let Some(found) = table.iter()?.nth(at).transpose()? else {
                return Ok(None);
            };
            let key = K::as_bytes(&found.0.value()).as_ref().to_vec();
            drop(found);
            table.insert(K::from_bytes(&key), &[9, 9][..])?;
            Ok(Some(key))
        });
        damage.await.unwrap()
    }

    async fn events(&self, talk: ConversationId, viewer: Viewer) -> Result<Vec<Event>> {
        let read = LogRead::new(talk, viewer, Seek::After(START), usize::MAX);
        match self.chat.parts().log.read(&[read]).await?.remove(0) {
            Answer::Page(page) => Ok(page.events),
            Answer::Refused(_) => Ok(Vec::new()),
            Answer::Stale { .. } => panic!("the start is never stale"),
        }
    }

    /// The numbers of all that is there.
    async fn seqs(&self, talk: ConversationId) -> BTreeSet<u64> {
        let events = self.events(talk, Viewer::Application).await.unwrap();
        events.iter().map(|event| event.seq).collect()
    }

    /// Reads in every way.
    async fn look(&self) -> Result<()> {
        let parts = self.chat.parts();
        for user in USERS {
            for talk in talks() {
                self.events(talk, Viewer::User(user)).await?;
                let ask = UnreadAsk {
                    conversation: talk,
                    user,
                    read: START,
                    cap: 99,
                };
                parts.log.unread(&[ask]).await?;
                parts.log.lookup(&[(talk, user)]).await?;
                parts.inbox.entries(&[(user, talk)]).await?;
                parts.inbox.received(&[(phone(user), talk)]).await?;
            }
            parts.inbox.changes(user, START, 99).await?;
        }
        for talk in talks() {
            parts.log.members(talk, 1, None, 99).await?;
        }
        parts.log.groups(&[LARGE, SMALL]).await?;
        Ok(())
    }

    /// Tells everybody of everything, and sees that they know.
    async fn tell(&self) {
        let mut left = 20;
        while self.chat.redeliver(99).await.unwrap() > 0 {
            left -= 1;
            assert!(left > 0, "a telling that never ends");
        }
        for talk in talks() {
            let top = self.seqs(talk).await.last().copied();
            let members = self.chat.parts().log.members(talk, u64::MAX, None, 99);
            for member in members.await.unwrap() {
                let page = self.chat.parts().inbox.changes(member.user, START, 99);
                let entries = page.await.unwrap().entries;
                let mut known = entries.iter().filter(|entry| entry.conversation == talk);
                let known = known.next().map(|entry| entry.top.offset);
                assert_eq!(known, top, "{} {talk}", member.user);
            }
        }
    }
}

fn talks() -> [ConversationId; 3] {
    let groups = [LARGE, SMALL].map(ConversationId::Group);
    [groups[0], groups[1], ConversationId::direct(ANN, BOB)]
}

fn phone(user: UserId) -> Device {
    Device::new(user, DeviceId::new(1))
}

const fn place(receipt: Receipt) -> MessageRef {
    MessageRef {
        seq: receipt.position.offset,
        id: receipt.id,
    }
}

fn edit(receipt: Receipt) -> Act {
    Act::Edit {
        target: place(receipt),
        body: "hello there".into(),
    }
}

fn react(receipt: Receipt) -> Act {
    Act::React {
        target: place(receipt),
        reaction: "+1".parse().unwrap(),
        on: true,
    }
}

const fn delete(receipt: Receipt) -> Act {
    Act::Delete {
        target: place(receipt),
    }
}

/// Damages each row of `table` in a town of its own: everything goes on, but for what users do whose own
/// row it is.
async fn damage_each<K: Key + Send + 'static>(table: Rows<K>, is_of: fn(&[u8], UserId) -> bool) {
    let mut at = 0;
    loop {
        let mut town = Town::settled().await;
        let mut before = Vec::new();
        for talk in talks() {
            before.push(town.seqs(talk).await);
        }
        let Some(key) = town.damage(table, at).await else {
            break;
        };
        let looked = town.look().await;
        looked.unwrap_or_else(|error| panic!("row {at}: {error:?}"));
        for (talk, before) in talks().into_iter().zip(before) {
            let top = *before.last().unwrap();
            assert!(before.difference(&town.seqs(talk).await).count() <= 1);
            for (user, seq) in [ANN, BOB].into_iter().zip(top + 1..) {
                match town.say(user, talk).await {
                    Ok(receipt) if !is_of(&key, user) => {
                        assert_eq!(receipt.position.offset, seq, "row {at}");
                    }
                    Err(error) if is_of(&key, user) => {
                        assert_eq!(error.kind(), ErrorKind::Corrupt, "row {at}");
                        break;
                    }
                    Ok(_) => {}
                    Err(error) => panic!("row {at}: {error:?}"),
                }
            }
        }
        town.tell().await;
        let looked = town.look().await;
        looked.unwrap_or_else(|error| panic!("row {at}: {error:?}"));
        let log = &town.chat.parts().log;
        for talk in talks() {
            assert_eq!(log.trim(talk, 3).await.unwrap(), 3, "row {at}");
            town.chat.parts().inbox.forget(phone(ANN)).await.unwrap();
        }
        at += 1;
    }
    assert!(at > 0, "there are rows to damage");
}

const fn nobodys(_: &[u8], _: UserId) -> bool {
    false
}

#[tokio::test]
async fn a_conversation_is_in_nobodys_way() {
    damage_each(TALKS, nobodys).await;
}

#[tokio::test]
async fn an_event_is_in_nobodys_way() {
    damage_each(EVENTS, nobodys).await;
}

#[tokio::test]
async fn what_a_group_is_is_in_the_way_of_nobody_who_talks() {
    damage_each(GROUPS, nobodys).await;
}

#[tokio::test]
async fn a_member_is_in_nobody_elses_way() {
    damage_each(STANDINGS, |key, user| {
        let (_, member) = <(u64, u64)>::from_bytes(key);
        member == user.get()
    })
    .await;
}

#[tokio::test]
async fn an_entry_of_an_inbox_is_in_nobodys_way() {
    damage_each(ENTRIES, nobodys).await;
}

#[tokio::test]
async fn a_mark_is_in_nobodys_way() {
    damage_each(MARKS, nobodys).await;
}

#[tokio::test]
async fn a_copy_is_in_nobodys_way() {
    damage_each(COPIES, nobodys).await;
}
