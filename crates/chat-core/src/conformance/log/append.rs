use super::{
    ANN, Act, Appended, BOB, Bytes, CAT, ConversationId, Device, DeviceId, ErrorKind, Event,
    Founded, Fresh, GROUP, GroupId, MAX_ABOUT, MAX_BODY, Message, MessageLog, NewEvent, NewGroup,
    Receipt, Refusal, Role, TALK, Timestamp, UserId, Viewer, What, all, append, at, direct, does,
    done, found, found_as, id, join, key, message, place, reaction, refusal, says, seqs, stamp,
    stored, words,
};

/// The events of a conversation are 1, 2, 3, …, and what was refused leaves no hole.
pub async fn events_are_numbered_without_holes(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    for raw in 1..=20 {
        let _ = append(log, says(direct(), CAT, 100 + raw)).await; // who is not one of the two
        assert_eq!(stored(log, says(direct(), ANN, raw)).await.seq, raw);
    }
    assert_eq!(seqs(log, direct(), BOB).await, (1..=20).collect::<Vec<_>>());
}

/// What happens in one conversation moves the numbers of no other.
pub async fn each_conversation_has_numbers_of_its_own(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    found(log).await;
    let others = [ConversationId::direct(ANN, CAT), direct()];
    for raw in 1..=3 {
        for talk in others {
            assert_eq!(stored(log, says(talk, ANN, raw)).await.seq, raw);
        }
        assert_eq!(stored(log, says(TALK, ANN, raw)).await.seq, raw + 1);
    }
}

/// A batch is answered in its order, and events of one conversation happen in it.
pub async fn a_batch_is_answered_and_stored_in_order(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    found(log).await;
    let batch = [
        says(direct(), ANN, 10),
        says(TALK, CAT, 11),
        done(TALK, 12, join(CAT)),
        says(TALK, CAT, 13),
        says(direct(), BOB, 14),
    ];
    let answers = log.append(&batch).await.unwrap();
    let receipts: Vec<_> = answers.iter().map(|answer| answer.receipt()).collect();
    let stored: Vec<_> = receipts
        .iter()
        .map(|one| one.map(|one| (one.id, one.position.offset)))
        .collect();
    assert_eq!(
        stored,
        [
            Some((id(10), 1)),
            None,
            Some((id(12), 2)),
            Some((id(13), 3)),
            Some((id(14), 2))
        ]
    );
    assert_eq!(answers[1], Appended::Refused(Refusal::NotMember));
    assert_eq!(log.append(&[]).await.unwrap(), []);
}

/// A founded group has an event that names its members and what was said of it.
pub async fn a_group_begins_with_its_founding(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    let group = NewGroup::new(GROUP, Some(ANN)).with_members([BOB, ANN, BOB]);
    let receipt = found_as(log, group.with_about("a name")).await;
    assert_eq!(
        (receipt.id, receipt.at, receipt.position.offset),
        (id(1), at(1), 1)
    );
    let events = all(log, TALK, Viewer::User(BOB)).await;
    let members = vec![(BOB, Role::Member), (ANN, Role::Admin)];
    let about = Bytes::from("a name");
    let founding = Event::new(1, id(1), at(1), None, None, What::Found { members, about });
    assert_eq!(events, [founding]);
}

/// Founding a group again changes nothing, whatever it says.
pub async fn a_group_is_founded_once(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    found(log).await;
    let again = NewGroup::new(GROUP, Some(CAT)).with_about("another");
    let other = NewGroup::new(GroupId::new(9), None);
    let answers = log
        .found(&[(again, stamp(2)), (other, stamp(3))])
        .await
        .unwrap();
    assert_eq!(answers[0], Founded::Existing);
    assert!(matches!(answers[1], Founded::New(receipt) if receipt.id == id(3)));
    assert_eq!(seqs(log, TALK, ANN).await, [1]);
    assert_eq!(refusal(log, says(TALK, CAT, 4)).await, Refusal::NotMember);
}

/// Where one group breaks the limits, none is founded.
pub async fn a_group_beyond_its_limits_is_not_founded(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    let many = (0..=NewGroup::MAX_FOUNDERS as u64).map(UserId::new);
    let good = NewGroup::new(GroupId::new(9), None);
    for bad in [
        NewGroup::new(GROUP, None).with_members(many),
        NewGroup::new(GROUP, Some(ANN))
            .with_members([BOB])
            .with_limit(1),
        NewGroup::new(GROUP, None).with_about(vec![0; MAX_ABOUT + 1]),
    ] {
        let groups = [(good.clone(), stamp(1)), (bad, stamp(2))];
        let error = log.found(&groups).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    assert_eq!(
        log.groups(&[GROUP, GroupId::new(9)]).await.unwrap(),
        [None, None]
    );
}

/// An event is read with its id, time, sender and key as they were given, to the last bit.
pub async fn an_event_reads_as_it_was_appended(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    let (one, other) = (UserId::new(u64::MAX), UserId::new(u64::MAX - 1));
    let talk = ConversationId::direct(one, other);
    for (seq, raw) in (1..).zip([0, 1, (1 << 53) + 1, (1 << 63) - 1, 1 << 63, u64::MAX]) {
        let at = Timestamp::from_millis(raw >> 12);
        let device = Device::new(one, DeviceId::new(raw));
        let act = Act::Message(Bytes::from_static(b"\0\xff"));
        let event = NewEvent::new(talk, id(raw), at, Some(device), act);
        let key = key(&format!("{raw:036}"));
        let answer = append(log, event.with_key(key)).await;
        let position = place(log, talk, seq).await;
        let receipt = Receipt {
            id: id(raw),
            position,
            at,
        };
        let members = 2;
        assert_eq!(answer, Appended::Stored { receipt, members });
        let said = What::Message(Message::new(Bytes::from_static(b"\0\xff")));
        let expected = Event::new(seq, id(raw), at, Some(device), Some(key), said);
        assert_eq!(
            all(log, talk, Viewer::User(other)).await.pop().unwrap(),
            expected
        );
    }
}

/// A body may be empty, hold any bytes, and be as long as allowed.
pub async fn bodies_are_bytes(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    let bodies = [
        Bytes::new(),
        Bytes::from_static(b"\0"),
        Bytes::from((0..=255).collect::<Vec<u8>>()),
        Bytes::from(vec![7; MAX_BODY]),
    ];
    for (seq, body) in (1..).zip(bodies) {
        stored(log, does(direct(), ANN, seq, Act::Message(body.clone()))).await;
        assert_eq!(message(log, direct(), BOB, seq).await.body, body);
    }
}

/// Where one event is longer than allowed, none of the batch is stored.
pub async fn an_event_that_is_too_long_is_refused(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    found(log).await;
    let target = stored(log, says(TALK, ANN, 2)).await;
    let body = Bytes::from(vec![0; MAX_BODY + 1]);
    for act in [
        Act::Message(body.clone()),
        Act::Edit { target, body },
        Act::Describe(vec![0; MAX_ABOUT + 1].into()),
    ] {
        let batch = [says(TALK, ANN, 3), does(TALK, ANN, 4, act)];
        let error = log.append(&batch).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    assert_eq!(seqs(log, TALK, ANN).await, [1, 2]);
}

/// The application says what it likes, anywhere, and edits and deletes what others said.
pub async fn the_application_speaks_without_being_a_member(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    found(log).await;
    let notice = stored(log, done(TALK, 2, Act::Message(words(2)))).await;
    let hers = stored(log, says(TALK, ANN, 3)).await;
    assert_eq!(message(log, TALK, BOB, 2).await.body, words(2));
    let body = words(4);
    stored(log, done(TALK, 4, Act::Edit { target: hers, body })).await;
    assert_eq!(message(log, TALK, BOB, 3).await.body, words(4));
    stored(log, done(TALK, 5, Act::Delete { target: hers })).await;
    let react = Act::React {
        target: notice,
        reaction: reaction("+1"),
        on: true,
    };
    assert_eq!(refusal(log, done(TALK, 6, react)).await, Refusal::NotMember);
    let edit = Act::Edit {
        target: notice,
        body: words(7),
    };
    assert_eq!(
        refusal(log, does(TALK, ANN, 7, edit)).await,
        Refusal::NotAuthor
    );
}
