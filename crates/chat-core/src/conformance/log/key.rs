use super::{
    ANN, Act, Appended, BOB, CAT, ClientId, ConversationId, Device, DeviceId, Fresh, Message,
    MessageLog, MessageRef, NewEvent, Refusal, TALK, append, at, direct, does, done, found, id,
    join, key, message, phone, reaction, refusal, says, seqs, stored, words,
};

/// The same act under the same key is stored once, and every attempt answers the same receipt.
pub async fn a_retry_answers_the_first_receipt(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    let first = append(log, says(direct(), ANN, 1).with_key(key("a"))).await;
    stored(log, says(direct(), ANN, 2)).await;
    for raw in 3..6 {
        // A retry comes with an id and a time of its own.
        let retry = does(direct(), ANN, raw, Act::Message(words(1))).with_key(key("a"));
        let again = append(log, retry).await;
        assert_eq!(again, Appended::Duplicate(first.receipt().unwrap()));
    }
    assert_eq!(seqs(log, direct(), ANN).await, [1, 2]);
}

/// Two events of one batch under one key are one.
pub async fn a_key_holds_within_a_batch(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    let event = says(direct(), ANN, 1).with_key(key("a"));
    let answers = log.append(&[event.clone(), event]).await.unwrap();
    assert!(matches!(answers[0], Appended::Stored { .. }));
    assert_eq!(
        answers[1],
        Appended::Duplicate(answers[0].receipt().unwrap())
    );
    assert_eq!(seqs(log, direct(), ANN).await, [1]);
}

/// A key that stands for one act stands for no other.
pub async fn another_act_under_the_same_key_is_a_conflict(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    let first = append(log, says(direct(), ANN, 1).with_key(key("a"))).await;
    let receipt = first.receipt().unwrap();
    let target = MessageRef { seq: 1, id: id(1) };
    for act in [
        Act::Message(words(2)),
        Act::Edit {
            target,
            body: words(1),
        },
        Act::Delete { target },
    ] {
        let other = does(direct(), ANN, 2, act).with_key(key("a"));
        assert_eq!(append(log, other).await, Appended::Conflict(receipt));
    }
    assert_eq!(message(log, direct(), BOB, 1).await, Message::new(words(1)));
    assert_eq!(seqs(log, direct(), ANN).await, [1]);
}

/// A key is known for one device of one user in one conversation.
pub async fn a_key_is_its_devices_and_its_conversations(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    let say = |talk, from| {
        NewEvent::new(talk, id(9), at(9), from, Act::Message(words(9))).with_key(key("a"))
    };
    let tablet = Device::new(ANN, DeviceId::new(2));
    let other = ConversationId::direct(ANN, CAT);
    for event in [
        say(direct(), Some(phone(ANN))),
        say(direct(), Some(tablet)),
        say(direct(), Some(phone(BOB))),
        say(direct(), None),
        say(other, Some(phone(ANN))),
    ] {
        stored(log, event).await;
    }
    assert_eq!(seqs(log, direct(), ANN).await, [1, 2, 3, 4]);
}

/// Keys that differ in their last byte, or in zeros at the end, are two keys.
pub async fn keys_are_told_apart_to_the_last_byte(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    let long = "x".repeat(ClientId::MAX_LEN - 1);
    let keys = [
        "a",
        "a\0",
        "a\0\0",
        "A",
        "a:",
        "é",
        &format!("{long}1"),
        &format!("{long}2"),
    ];
    for (seq, text) in (1..).zip(keys) {
        let event = does(direct(), ANN, seq, Act::Message(words(0))).with_key(key(text));
        assert_eq!(stored(log, event).await.seq, seq);
    }
    for (seq, text) in (1..).zip(keys) {
        let retry = does(direct(), ANN, 99, Act::Message(words(0))).with_key(key(text));
        let answer = append(log, retry).await;
        assert_eq!(answer.receipt().unwrap().position.offset, seq);
    }
}

/// What was refused takes no key: once it may happen, the same event happens.
pub async fn a_refused_event_takes_no_key(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    found(log).await;
    let event = says(TALK, CAT, 2).with_key(key("a"));
    assert_eq!(refusal(log, event.clone()).await, Refusal::NotMember);
    stored(log, done(TALK, 3, join(CAT))).await;
    assert_eq!(stored(log, event).await.seq, 3);
}

/// A retry is a retry also when the message was edited, reacted to or deleted since, or its sender has
/// left.
pub async fn a_retry_is_known_whatever_has_happened_since(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    found(log).await;
    let event = says(TALK, BOB, 2).with_key(key("a"));
    let receipt = append(log, event.clone()).await.receipt().unwrap();
    let target = MessageRef { seq: 2, id: id(2) };
    let react = Act::React {
        target,
        reaction: reaction("+1"),
        on: true,
    };
    let body = words(9);
    for (raw, act) in (3..).zip([
        Act::Edit { target, body },
        react,
        Act::Delete { target },
        Act::Leave { user: BOB },
    ]) {
        stored(log, does(TALK, BOB, raw, act)).await;
        assert_eq!(
            append(log, event.clone()).await,
            Appended::Duplicate(receipt)
        );
    }
}
