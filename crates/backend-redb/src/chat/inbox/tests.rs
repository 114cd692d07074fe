use backplane::{ManualClock, Timestamp};
use bytes::Bytes;
use chat_core::{
    Cursor, DeviceId, GroupId, Message, MessageId, START, What,
    conformance::{Fresh, TestTime},
};
use redb::ReadableTable;

use super::*;
use crate::scratch::Scratch;

async fn open(writer: &Writer, options: RedbInboxOptions) -> RedbInbox {
    RedbInbox::open(writer, "test", options).await.unwrap()
}

async fn fresh() -> Fresh<dyn Inbox> {
    let options = RedbInboxOptions::default().with_max_copies(10);
    Fresh {
        store: Arc::new(open(&Scratch::new().writer(), options).await),
        time: TestTime::Manual(ManualClock::default()),
    }
}

chat_core::inbox_conformance!(fresh());

const TALK: ConversationId = ConversationId::Group(GroupId::new(7));

const fn at(seq: u64) -> Position {
    Position::new(Epoch::new(9), seq)
}

fn users(count: u64) -> Vec<UserId> {
    (1..=count).map(UserId::new).collect()
}

fn said(seq: u64) -> Event {
    let what = What::Message(Message::new(Bytes::from("hello")));
    Event::new(seq, MessageId::new(seq), Timestamp::EPOCH, None, None, what)
}

/// All rows of the tables in which more is kept than the numbers of changes.
async fn rows(writer: &Writer) -> Vec<(String, Vec<u8>)> {
    let rows = writer.run(|txn| {
        let tables = InboxTables::new("test");
        let mut rows = Vec::new();
        for row in tables.entries.write(txn)?.iter()? {
            let (key, row) = row?;
            rows.push((format!("entry {:?}", key.value()), row.value().to_vec()));
        }
        for row in tables.changes.write(txn)?.iter()? {
            rows.push((format!("change {:?}", row?.0.value()), Vec::new()));
        }
        for row in tables.marks.write(txn)?.iter()? {
            let (key, row) = row?;
            rows.push((format!("mark {:?}", key.value()), row.value().to_vec()));
        }
        for row in tables.copies.write(txn)?.iter()? {
            rows.push((format!("copy {:?}", row?.0.value()), Vec::new()));
        }
        Ok(rows)
    });
    rows.await.unwrap()
}

#[tokio::test]
async fn a_mark_changes_one_row_however_many_it_is_for() {
    let writer = Scratch::new().writer();
    let inbox = open(&writer, RedbInboxOptions::default()).await;
    let users = users(100);
    inbox.enroll(TALK, &users, at(1)).await.unwrap();
    let before = rows(&writer).await;
    inbox.mark(&[(TALK, at(2))]).await.unwrap();
    let after = rows(&writer).await;
    assert_eq!(after.len(), before.len());
    let changed = after.iter().filter(|row| !before.contains(row));
    assert_eq!(changed.count(), 1);
    for user in users {
        let entry = inbox.entries(&[(user, TALK)]).await.unwrap().remove(0);
        assert_eq!(entry.unwrap().top, at(2));
    }
}

#[tokio::test]
async fn a_full_inbox_refuses_new_conversations_and_goes_on_with_old_ones() {
    let writer = Scratch::new().writer();
    let options = RedbInboxOptions::default().with_max_entries(2);
    let inbox = open(&writer, options).await;
    inbox.enroll(TALK, &users(2), at(1)).await.unwrap();
    let refused = [
        inbox.enroll(TALK, &users(3), at(2)).await,
        inbox.withdraw(TALK, &users(3), at(2)).await,
        inbox.deliver(TALK, &users(3), at(2), &[said(2)]).await,
    ];
    for refused in refused {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Full);
    }
    let ann = UserId::new(1);
    let entry = inbox.entries(&[(ann, TALK)]).await.unwrap().remove(0);
    assert_eq!(entry.unwrap().top, at(1));
    inbox
        .deliver(TALK, &users(2), at(2), &[said(2)])
        .await
        .unwrap();
    let page = inbox.changes(ann, START, 9).await.unwrap();
    assert_eq!(page.entries[0].copies, [said(2)]);
}

#[tokio::test]
async fn a_queue_of_a_lowered_bound_is_cut_at_the_next_delivery() {
    let writer = Scratch::new().writer();
    let ann = UserId::new(1);
    for (bound, seq, kept) in [(9, 6, 6), (2, 7, 2), (9, 9, 4)] {
        let options = RedbInboxOptions::default().with_max_copies(bound);
        let inbox = open(&writer, options).await;
        let events: Vec<_> = (1..=seq).map(said).collect();
        inbox.deliver(TALK, &[ann], at(seq), &events).await.unwrap();
        let page = inbox.changes(ann, START, 9).await.unwrap();
        assert_eq!(page.entries[0].copies.len(), kept, "of {bound}");
    }
}

#[tokio::test]
async fn an_epoch_stands_until_a_loss() {
    let scratch = Scratch::new();
    let reopen = async |after_loss| {
        let options = RedbInboxOptions::default().with_after_loss(after_loss);
        open(&scratch.writer(), options).await
    };
    let (inbox, ann) = (reopen(false).await, UserId::new(1));
    inbox.enroll(TALK, &[ann], at(1)).await.unwrap();
    let known = inbox.changes(ann, START, 9).await.unwrap().through;
    drop(inbox);
    for (after_loss, news) in [(false, 0), (true, 1), (false, 1)] {
        let inbox = reopen(after_loss).await;
        let page = inbox.changes(ann, known, 9).await.unwrap();
        assert_eq!(page.entries.len(), news);
    }
}

#[tokio::test]
async fn rows_lie_on_disk_as_they_always_have() {
    let writer = Scratch::new().writer();
    let inbox = open(&writer, RedbInboxOptions::default()).await;
    let ann = UserId::new(1);
    inbox.enroll(TALK, &[ann], at(2)).await.unwrap();
    inbox.mark(&[(TALK, at(3))]).await.unwrap();
    inbox
        .deliver(TALK, &[ann], at(4), &[said(4)])
        .await
        .unwrap();
    let read = Advance {
        device: Device::new(ann, DeviceId::new(8)),
        conversation: TALK,
        cursor: Cursor::Read,
        to: at(5),
    };
    inbox.advance(&[read]).await.unwrap();
    let lie = writer.run(|txn| {
        let tables = InboxTables::new("test");
        let entries = tables.entries.write(txn)?;
        let entry = entries.get((1, 1, 7, 0))?.map(|row| row.value().to_vec());
        let marks = tables.marks.write(txn)?;
        let mark = marks.get((1, 7, 0))?.map(|row| row.value().to_vec());
        let copies = tables.copies.write(txn)?;
        let copy = copies.get((1, 3))?.map(|row| row.value().to_vec());
        Ok([entry, mark, copy].map(Option::unwrap))
    });
    let [entry, mark, copy] = lie.await.unwrap();
    // top, changed, enrolled, decided, read, queued, received
    assert_eq!(entry, [1, 9, 4, 5, 1, 9, 2, 9, 5, 9, 4, 1, 8, 9, 5]);
    assert_eq!(mark, [1, 9, 3, 2]);
    let event = [4, 4, 0, 0, 0, 0, 5, b'h', b'e', b'l', b'l', b'o', 0, 0, 0];
    assert_eq!(copy, [&[1, 1, 7, 9][..], &event].concat());
}

/// However much there is to be copied, one step writes some of it, and all steps all of it.
#[tokio::test]
async fn a_delivery_of_many_bytes_reaches_everybody() {
    let writer = Scratch::new().writer();
    let inbox = open(&writer, RedbInboxOptions::default()).await;
    let what = What::Message(Message::new(vec![0; 1 << 20].into()));
    let long = Event::new(1, MessageId::new(1), Timestamp::EPOCH, None, None, what);
    let events = [long, said(2)];
    inbox
        .deliver(TALK, &users(7), at(2), &events)
        .await
        .unwrap();
    for user in users(7) {
        let page = inbox.changes(user, START, 9).await.unwrap();
        assert_eq!(page.entries[0].copies, events);
    }
}
