use std::sync::Arc;

use backplane::ManualClock;
use chat_core::{
    Act, Device, DeviceId, MessageId, MessageRef, Seek, Viewer,
    conformance::{Fresh, TestTime},
};
use redb::{ReadableTable, ReadableTableMetadata};

use super::{rows::TalkRow, *};
use crate::{
    chat::rows::{put, talk_key},
    scratch::Scratch,
};

async fn open(writer: &Writer) -> RedbMessageLog {
    RedbMessageLog::open(writer, "test", RedbMessageLogOptions::default())
        .await
        .unwrap()
}

async fn fresh() -> Fresh<dyn MessageLog> {
    Fresh {
        store: Arc::new(open(&Scratch::new().writer()).await),
        time: TestTime::Manual(ManualClock::default()),
    }
}

chat_core::message_log_conformance!(fresh());

const ANN: UserId = UserId::new(1);
const BOB: UserId = UserId::new(2);

fn talk() -> ConversationId {
    ConversationId::direct(ANN, BOB)
}

fn does(raw: u64, act: Act) -> NewEvent {
    let phone = Device::new(ANN, DeviceId::new(1));
    let at = Timestamp::from_millis(raw);
    NewEvent::new(talk(), MessageId::new(raw), at, Some(phone), act)
}

fn says(raw: u64) -> NewEvent {
    let event = does(raw, Act::Message("secret".into()));
    event.with_key(raw.to_string().parse().unwrap())
}

const FIRST: MessageRef = MessageRef {
    seq: 1,
    id: MessageId::new(1),
};

/// Everything that can be done to the first message, and its deletion.
fn a_life() -> Vec<NewEvent> {
    let reaction = || "+1".parse().unwrap();
    let react = |on| Act::React {
        target: FIRST,
        reaction: reaction(),
        on,
    };
    let edit = Act::Edit {
        target: FIRST,
        body: "secret".into(),
    };
    let acts = [react(true), react(false), react(true), edit];
    let delete = Act::Delete { target: FIRST };
    let later = (2..).zip(acts.into_iter().chain([delete]));
    [says(1)]
        .into_iter()
        .chain(later.map(|(raw, act)| does(raw, act)))
        .collect()
}

/// How many rows each table of events has: events, words, names, edits, reacts, reactions, debts.
async fn rows(writer: &Writer) -> [u64; 7] {
    let count = writer.run(|txn| {
        let tables = LogTables::new("test");
        Ok([
            tables.events.write(txn)?.len()?,
            tables.words.write(txn)?.len()?,
            tables.names.write(txn)?.len()?,
            tables.edits.write(txn)?.len()?,
            tables.reacts.write(txn)?.len()?,
            tables.reactions.write(txn)?.len()?,
            tables.debts.write(txn)?.len()?,
        ])
    });
    count.await.unwrap()
}

#[tokio::test]
async fn nothing_that_a_deleted_message_said_is_kept() {
    let writer = Scratch::new().writer();
    let log = open(&writer).await;
    let mut life = a_life();
    let delete = life.pop().unwrap();
    log.append(&life).await.unwrap();
    assert_eq!(rows(&writer).await, [5, 2, 1, 1, 3, 1, 1]);
    log.append(&[delete]).await.unwrap();
    assert_eq!(rows(&writer).await, [6, 0, 1, 1, 3, 1, 1]);
}

#[tokio::test]
async fn a_trim_leaves_nothing_behind() {
    let writer = Scratch::new().writer();
    let log = open(&writer).await;
    log.append(&a_life()).await.unwrap();
    log.append(&[says(9)]).await.unwrap();
    assert_eq!(log.trim(talk(), 7).await.unwrap(), 7);
    assert_eq!(rows(&writer).await, [1, 1, 1, 0, 0, 0, 1]);
    assert_eq!(log.trim(talk(), 8).await.unwrap(), 8);
    assert_eq!(rows(&writer).await, [0; 7]);
}

#[tokio::test]
async fn a_trim_goes_on_until_all_is_gone() {
    let writer = Scratch::new().writer();
    let log = open(&writer).await;
    let events: Vec<_> = (1..=2_500).map(says).collect();
    log.append(&events).await.unwrap();
    for (seq, left) in [(1_001, 1_500), (2_500, 1), (2_500, 1), (u64::MAX, 0)] {
        assert_eq!(log.trim(talk(), seq).await.unwrap(), 2_501 - left);
        assert_eq!(rows(&writer).await[..3], [left; 3], "before {seq}");
    }
}

#[tokio::test]
async fn a_full_log_refuses_the_whole_batch() {
    let writer = Scratch::new().writer();
    let options = RedbMessageLogOptions::default().with_max_events(2);
    let log = RedbMessageLog::open(&writer, "test", options).await;
    let log = log.unwrap();
    log.append(&[says(1)]).await.unwrap();
    let refused = log.append(&[says(2), says(3)]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Full);
    let stamp = Stamp {
        id: MessageId::new(9),
        at: Timestamp::EPOCH,
    };
    let groups = [1, 2].map(|group| (NewGroup::new(GroupId::new(group), None), stamp));
    let refused = log.found(&groups).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Full);
    log.append(&[says(2)]).await.unwrap();
    assert_eq!(rows(&writer).await[0], 2);
}

/// The file stands for what it acknowledged as long as nobody says that it may have lost some.
#[tokio::test]
async fn an_epoch_stands_until_a_loss() {
    let scratch = Scratch::new();
    let reopen = async |after_loss| {
        let options = RedbMessageLogOptions::default().with_after_loss(after_loss);
        let log = RedbMessageLog::open(&scratch.writer(), "test", options).await;
        log.unwrap()
    };
    let log = reopen(false).await;
    let known = log.append(&[says(1)]).await.unwrap()[0].receipt().unwrap();
    drop(log);
    let ask = LogRead::new(talk(), Viewer::User(BOB), Seek::After(known.position), 9);
    for (after_loss, is_stale) in [(false, false), (true, true), (false, true)] {
        let log = reopen(after_loss).await;
        let answer = log.read(&[ask]).await.unwrap().remove(0);
        assert_eq!(matches!(answer, Answer::Stale { .. }), is_stale);
        let again = log.append(&[says(1)]).await.unwrap()[0];
        let again = again.receipt().unwrap().position;
        assert_eq!((again.offset, again == known.position), (1, !is_stale));
    }
}

#[tokio::test]
async fn rows_lie_on_disk_as_they_always_have() {
    let writer = Scratch::new().writer();
    let log = open(&writer).await;
    let group = NewGroup::new(GroupId::new(7), Some(ANN)).with_about("x");
    let stamp = Stamp {
        id: MessageId::new(5),
        at: Timestamp::from_millis(6),
    };
    log.found(&[(group.with_limit(9), stamp)]).await.unwrap();
    let lie = writer.run(|txn| {
        let tables = LogTables::new("test");
        let talks = tables.talks.write(txn)?;
        let talk = talks.get((1, 7, 0))?.map(|row| row.value().to_vec());
        let events = tables.events.write(txn)?;
        let event = events.get((1, 7, 0, 1))?.map(|row| row.value().to_vec());
        let groups = tables.groups.write(txn)?;
        let group = groups.get(7)?.map(|row| row.value().to_vec());
        let standings = tables.standings.write(txn)?;
        let standing = standings.get((7, 1))?.map(|row| row.value().to_vec());
        Ok([talk, event, group, standing].map(Option::unwrap))
    });
    let [talk, event, group, standing] = lie.await.unwrap();
    assert_eq!(talk, [1, 1, 1, 0, 1, 6, 1]);
    assert_eq!(event, [1, 1, 5, 6, 0, 0, 8, 1, 1, 1, 1, b'x']);
    assert_eq!(group, [1, 9, 1, 1, b'x']);
    let open = [255, 255, 255, 255, 255, 255, 255, 255, 255, 1];
    assert_eq!(standing, [&[1, 1, 1, 1, 1][..], &open].concat());
}

/// A row that decodes, and tells what cannot be, is made up as one that does not.
#[tokio::test]
async fn a_conversation_that_cannot_be_is_counted_anew() {
    let writer = Scratch::new().writer();
    let log = open(&writer).await;
    log.append(&[says(1), says(2)]).await.unwrap();
    let sound = TalkRow {
        top: 2,
        ..TalkRow::of(2)
    };
    let unsound = [
        TalkRow {
            first: 0,
            ..sound.clone()
        },
        TalkRow {
            first: 4,
            ..sound.clone()
        },
        TalkRow {
            settled: 3,
            ..sound.clone()
        },
        TalkRow {
            top: u64::MAX,
            ..sound
        },
    ];
    for (row, seq) in unsound.into_iter().zip(3..) {
        let damage = writer.run(move |txn| {
            let mut talks = LogTables::new("test").talks.write(txn)?;
            put(&mut talks, talk_key(talk()), &row)
        });
        damage.await.unwrap();
        let middle = Seek::Around(Position::new(log.epoch, 1));
        for seek in [Seek::Latest, middle] {
            let read = LogRead::new(talk(), Viewer::User(BOB), seek, 9);
            let answer = log.read(&[read]).await.unwrap().remove(0);
            assert!(matches!(answer, Answer::Page(page) if page.top == seq - 1));
        }
        let next = log.append(&[says(seq)]).await.unwrap()[0];
        assert_eq!(next.receipt().unwrap().position.offset, seq);
    }
}
