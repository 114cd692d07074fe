//! What a user of the crate does with a chat, and what goes wrong there.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::{sync::Arc, time::Duration};

use backplane::{Epoch, ManualClock, Position};
use chat_core::{
    Acknowledged, Act, Answer, Appended, Chat, ChatOptions, ChatParts, ClientId, ConversationId,
    Cursor, Device, DeviceId, ErrorKind, GroupId, MAX_ABOUT, MemoryInbox, MemoryInboxOptions,
    NewEvent, NewGroup, Refusal, Result, START, Sent, UserId, Viewer, What,
    sync::{SyncBatch, SyncRequest},
};

const ANN: Device = Device::new(UserId::new(1), DeviceId::new(1));
const BOB: Device = Device::new(UserId::new(2), DeviceId::new(1));
const CAT: Device = Device::new(UserId::new(3), DeviceId::new(1));

const GROUP: GroupId = GroupId::new(7);
const TALK: ConversationId = ConversationId::Group(GROUP);

fn direct() -> ConversationId {
    ConversationId::direct(ANN.user, BOB.user)
}

fn key(text: &str) -> ClientId {
    text.parse().unwrap()
}

fn chat(options: ChatOptions) -> (Chat, ManualClock) {
    let clock = ManualClock::default();
    let mut parts = ChatParts::in_memory_at(Arc::new(clock.clone()));
    parts.options = options;
    (Chat::new(parts), clock)
}

async fn found(chat: &Chat) {
    let group = NewGroup::new(GROUP, Some(ANN.user)).with_members([BOB.user]);
    chat.found(group).await.unwrap().unwrap();
}

/// Says something that cannot be refused, and answers where it is.
async fn say(chat: &Chat, from: Device, talk: ConversationId, text: &str) -> Position {
    let sent = chat
        .send(from, talk, key(text), text.to_owned())
        .await
        .unwrap();
    sent.receipt().unwrap().position
}

async fn news(chat: &Chat, device: Device) -> SyncBatch {
    let request = SyncRequest::new(Some(START), vec![], 100);
    chat.sync(device, &request).await.unwrap()
}

/// What was said after `since`, as the answers to `device` have it.
async fn missed(chat: &Chat, device: Device, talk: ConversationId, since: Position) -> Vec<String> {
    let request = SyncRequest::new(None, vec![(talk, since)], 100);
    let batch = chat.sync(device, &request).await.unwrap();
    texts(&batch.deltas[0].answer)
}

fn texts(answer: &Answer) -> Vec<String> {
    let Answer::Page(page) = answer else {
        panic!("{answer:?}");
    };
    let whats = page.events.iter().map(|event| &event.what);
    let bodies = whats.filter_map(|what| match what {
        What::Message(message) => Some(message.body.to_vec()),
        _ => None,
    });
    bodies
        .map(|body| String::from_utf8(body).unwrap())
        .collect()
}

#[tokio::test]
async fn a_retry_is_sent_once_and_another_message_under_its_name_is_a_conflict() {
    let (chat, _) = chat(ChatOptions::default());
    let first = chat.send(ANN, direct(), key("a"), "hello").await.unwrap();
    let Sent::Stored(receipt) = first else {
        panic!("{first:?}");
    };
    let again = chat.send(ANN, direct(), key("a"), "hello").await.unwrap();
    assert_eq!(again, Sent::Duplicate(receipt));
    let other = chat.send(ANN, direct(), key("a"), "goodbye").await.unwrap();
    assert_eq!(other, Sent::Conflict(receipt));
    assert_eq!(missed(&chat, BOB, direct(), START).await, ["hello"]);
}

#[tokio::test]
async fn what_cannot_be_said_is_refused_in_words() {
    let (chat, _) = chat(ChatOptions::default().with_max_body(5));
    found(&chat).await;
    let long = chat.send(ANN, TALK, key("a"), "longer").await.unwrap_err();
    assert_eq!(long.kind(), ErrorKind::OversizedBody);
    let about = Act::Describe(vec![0; MAX_ABOUT + 1].into());
    let long = chat.act(ANN, TALK, key("a"), about).await.unwrap_err();
    assert_eq!(long.kind(), ErrorKind::Invalid);
    let unknown = ConversationId::Group(GroupId::new(99));
    for (talk, refusal) in [
        (TALK, Refusal::NotMember),
        (direct(), Refusal::NotMember),
        (unknown, Refusal::UnknownConversation),
    ] {
        let sent = chat.send(CAT, talk, key("a"), "hi").await.unwrap();
        assert_eq!(sent, Sent::Refused(refusal));
        let request = SyncRequest::new(None, vec![(talk, START)], 100);
        let answer = chat
            .sync(CAT, &request)
            .await
            .unwrap()
            .deltas
            .remove(0)
            .answer;
        assert_eq!(answer, Answer::Refused(refusal));
    }
    assert!(
        chat.found(NewGroup::new(GROUP, None))
            .await
            .unwrap()
            .is_none()
    );
}

/// Whether members get copies or marks shows in no answer but in how few of them there are.
#[tokio::test]
async fn small_groups_are_told_by_copies_and_large_ones_by_marks() {
    for (limit, is_copied) in [(2, true), (1, false), (0, false)] {
        let (chat, _) = chat(ChatOptions::default().with_queue_limit(limit));
        found(&chat).await;
        let seen = say(&chat, ANN, TALK, "one").await;
        chat.acknowledge(BOB, TALK, Cursor::Received, seen)
            .await
            .unwrap();
        say(&chat, ANN, TALK, "two").await;
        let batch = news(&chat, BOB).await;
        assert_eq!(batch.heads[0].top.offset, 3);
        let copied: Vec<_> = batch
            .deltas
            .iter()
            .map(|delta| texts(&delta.answer))
            .collect();
        let expected: &[&[&str]] = if is_copied { &[&["two"]] } else { &[] };
        assert_eq!(copied, expected, "up to {limit} members");
        assert_eq!(missed(&chat, BOB, TALK, seen).await, ["two"]);
    }
}

#[tokio::test]
async fn a_server_that_dies_once_it_has_stored_a_message_owes_it_until_another_tells() {
    for limit in [0, 100] {
        let options = ChatOptions::default().with_queue_limit(limit);
        let (chat, clock) = chat(options);
        found(&chat).await;
        let parts = chat.parts();
        for (talk, raw) in [(TALK, 1), (direct(), 2)] {
            let act = Act::Message("owed".into());
            let at = backplane::Clock::now(&clock);
            let event = NewEvent::new(talk, chat_core::MessageId::new(raw), at, Some(ANN), act);
            let answers = parts.log.append(&[event]).await.unwrap();
            assert!(matches!(answers[0], Appended::Stored { .. }));
        }
        let tops = |batch: SyncBatch| -> Vec<_> {
            batch
                .heads
                .iter()
                .map(|head| (head.conversation, head.top.offset))
                .collect()
        };
        assert_eq!(tops(news(&chat, BOB).await), [(TALK, 1)]);
        assert_eq!(
            chat.redeliver(9).await.unwrap(),
            0,
            "it may still be on its way"
        );
        clock.advance(Duration::from_secs(5));
        assert_eq!(chat.redeliver(9).await.unwrap(), 2);
        assert_eq!(chat.redeliver(9).await.unwrap(), 0);
        let mut told = tops(news(&chat, BOB).await);
        told.sort_unstable();
        assert_eq!(told, [(direct(), 1), (TALK, 2)]);
    }
}

#[tokio::test]
async fn a_telling_that_fails_holds_up_no_other() {
    let clock = ManualClock::default();
    let mut parts = ChatParts::in_memory_at(Arc::new(clock.clone()));
    let options = MemoryInboxOptions::default().with_max_entries(2);
    parts.inbox = Arc::new(MemoryInbox::new(options));
    let chat = Chat::new(parts);
    say(&chat, ANN, direct(), "there is room for this conversation").await;
    let full = ConversationId::direct(ANN.user, CAT.user);
    for (raw, talk) in (1..).zip([full, direct()]) {
        let (at, act) = (backplane::Clock::now(&clock), Act::Message("owed".into()));
        let event = NewEvent::new(talk, chat_core::MessageId::new(raw), at, Some(ANN), act);
        chat.parts().log.append(&[event]).await.unwrap();
        clock.advance(Duration::from_secs(5)); // the one that fails has waited longest
    }
    let failed = chat.redeliver(9).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Full);
    assert_eq!(news(&chat, BOB).await.heads[0].top.offset, 2);
    let owed = chat.parts().log.owed(backplane::Clock::now(&clock), 9);
    let owed = owed.await.unwrap();
    assert_eq!(owed[0].conversation, full);
    assert_eq!(owed.len(), 1);
}

#[tokio::test]
async fn who_has_left_is_told_of_it_and_of_nothing_after() {
    for limit in [0, 100] {
        let (chat, _) = chat(ChatOptions::default().with_queue_limit(limit));
        found(&chat).await;
        let leave = Act::Leave { user: BOB.user };
        chat.act(BOB, TALK, key("bye"), leave)
            .await
            .unwrap()
            .receipt()
            .unwrap();
        say(&chat, ANN, TALK, "in private").await;
        let batch = news(&chat, BOB).await;
        assert_eq!(batch.heads[0].top.offset, 2);
        assert_eq!(missed(&chat, BOB, TALK, START).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn nobody_acknowledges_what_is_not_there() -> Result<()> {
    let (chat, _) = chat(ChatOptions::default());
    found(&chat).await;
    let one = say(&chat, ANN, TALK, "one").await;
    let next = one.next();
    let other = Position::new(Epoch::new(one.epoch.get() ^ 1), 1);
    for cursor in [Cursor::Received, Cursor::Read] {
        let device = Device::new(BOB.user, DeviceId::new(cursor as u64));
        for (to, expected) in [
            (next, Acknowledged::Ahead { top: one }),
            (other, Acknowledged::Stale { top: one }),
            (one, Acknowledged::Moved),
            (one, Acknowledged::Behind),
            (START, Acknowledged::Behind),
        ] {
            assert_eq!(chat.acknowledge(device, TALK, cursor, to).await?, expected);
        }
        let refused = chat.acknowledge(CAT, TALK, cursor, one).await?;
        assert_eq!(refused, Acknowledged::Refused(Refusal::NotMember));
    }
    Ok(())
}

#[tokio::test]
async fn what_one_device_reads_is_read_for_all_and_the_others_learn_of_it() -> Result<()> {
    let (chat, _) = chat(ChatOptions::default());
    let tablet = Device::new(BOB.user, DeviceId::new(2));
    let one = say(&chat, ANN, direct(), "one").await;
    say(&chat, ANN, direct(), "two").await;
    say(&chat, BOB, direct(), "mine").await;
    let known = news(&chat, tablet).await.inbox;
    assert_eq!(chat.unread(BOB.user, &[direct()], 99).await?[0].count, 2);
    chat.acknowledge(BOB, direct(), Cursor::Read, one).await?;
    assert_eq!(chat.unread(BOB.user, &[direct()], 99).await?[0].count, 1);
    assert_eq!(chat.unread(ANN.user, &[direct()], 99).await?[0].count, 1);

    let batch = chat
        .sync(tablet, &SyncRequest::new(known, vec![], 9))
        .await?;
    assert_eq!(batch.heads[0].read, one);
    assert!(batch.deltas.is_empty(), "nothing new was said");
    Ok(())
}

#[tokio::test]
async fn of_a_long_absence_only_the_newest_comes_where_that_is_asked() -> Result<()> {
    let (chat, _) = chat(ChatOptions::default());
    for n in 0..9 {
        say(&chat, ANN, direct(), &n.to_string()).await;
    }
    let request = SyncRequest::new(None, vec![(direct(), START)], 2);
    for (most, expected) in [(u64::MAX, ["0", "1"]), (9, ["0", "1"]), (8, ["7", "8"])] {
        let batch = chat.sync(BOB, &request.clone().with_most(most)).await?;
        assert_eq!(texts(&batch.deltas[0].answer), expected, "at most {most}");
    }
    Ok(())
}

#[tokio::test]
async fn the_application_announces_and_reads_everything() -> Result<()> {
    let (chat, _) = chat(ChatOptions::default());
    chat.found(NewGroup::new(GROUP, None)).await?.unwrap();
    let join = Act::Join {
        user: BOB.user,
        role: chat_core::Role::Admin,
    };
    assert!(
        chat.announce(TALK, Some(key("in")), join.clone())
            .await?
            .receipt()
            .is_some()
    );
    assert!(matches!(
        chat.announce(TALK, Some(key("in")), join).await?,
        Sent::Duplicate(_)
    ));
    assert!(
        chat.announce(TALK, None, Act::Message("welcome".into()))
            .await?
            .receipt()
            .is_some()
    );
    assert_eq!(missed(&chat, BOB, TALK, START).await, ["welcome"]);
    let seek = chat_core::Seek::Latest;
    let read = chat_core::LogRead::new(TALK, Viewer::Application, seek, 9);
    let Answer::Page(page) = chat.parts().log.read(&[read]).await?.remove(0) else {
        panic!("the application reads everything");
    };
    assert_eq!(page.events.len(), 3);
    Ok(())
}
