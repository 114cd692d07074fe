use super::{
    ANN, Act, Appended, Arc, BOB, ConversationId, Founded, Fresh, GroupId, LogRead, MessageLog,
    MessageRef, NewGroup, ROUNDS, Reactions, Refusal, Role, Seek, UserId, Viewer, What, append,
    direct, does, done, join, key, numbers, page, place, reaction, says, seqs, stamp, stored,
    words,
};

/// Of attempts under one key at the same time one is stored, and all answer its receipt.
pub async fn concurrent_retries_store_one_event(fresh: &Fresh<dyn MessageLog>) {
    for round in 1..=ROUNDS {
        let key = key(&round.to_string());
        let attempt = move |log: Arc<dyn MessageLog>, n: usize| async move {
            let event = does(
                direct(),
                ANN,
                round * 10 + n as u64,
                Act::Message(words(round)),
            );
            append(&*log, event.with_key(key)).await
        };
        let answers = fresh.at_once(4, attempt).await;
        let stored = answers
            .iter()
            .filter(|one| matches!(one, Appended::Stored { .. }));
        assert_eq!(stored.count(), 1);
        let receipts: Vec<_> = answers.iter().map(|one| one.receipt().unwrap()).collect();
        assert!(receipts.iter().all(|one| *one == receipts[0]));
        assert_eq!(receipts[0].position.offset, round);
    }
}

/// Events at the same time have each a number of their own, and no number is left out.
pub async fn concurrent_events_have_numbers_of_their_own(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    for round in 0..ROUNDS {
        let attempt = move |log: Arc<dyn MessageLog>, n: usize| async move {
            let user = if n < 2 { ANN } else { BOB };
            stored(&*log, says(direct(), user, round * 10 + n as u64)).await
        };
        let mut told = fresh.at_once(4, attempt).await;
        told.sort_unstable();
        let seqs: Vec<_> = told.iter().map(|told| told.seq).collect();
        assert_eq!(seqs, (round * 4 + 1..=round * 4 + 4).collect::<Vec<_>>());
        let seek = Seek::After(place(log, direct(), round * 4).await);
        let read = page(log, LogRead::new(direct(), Viewer::User(BOB), seek, 9)).await;
        let read: Vec<_> = read
            .events
            .iter()
            .map(|e| MessageRef {
                seq: e.seq,
                id: e.id,
            })
            .collect();
        assert_eq!(read, told);
    }
}

/// A reader beside writers finds all events before the newest that it finds.
pub async fn a_reader_never_finds_a_hole(fresh: &Fresh<dyn MessageLog>) {
    for round in 0..ROUNDS {
        let call = move |log: Arc<dyn MessageLog>, n: usize| async move {
            if n > 0 {
                stored(&*log, says(direct(), ANN, round * 10 + n as u64)).await;
            } else {
                for _ in 0..4 {
                    let seek = Seek::Latest;
                    let read = LogRead::new(direct(), Viewer::User(BOB), seek, usize::MAX);
                    let page = page(&*log, read).await;
                    assert_eq!(numbers(&page.events), (1..=page.top).collect::<Vec<_>>());
                }
            }
        };
        fresh.at_once(3, call).await;
    }
}

/// Of users who join a nearly full group at the same time, as many come in as there is room for.
pub async fn concurrent_joins_keep_to_the_limit(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    for round in 1..=ROUNDS {
        let group = GroupId::new(round);
        let new = NewGroup::new(group, Some(ANN)).with_limit(3);
        log.found(&[(new, stamp(1))]).await.unwrap();
        let attempt = move |log: Arc<dyn MessageLog>, n: usize| async move {
            let talk = ConversationId::Group(group);
            append(&*log, done(talk, n as u64, join(UserId::new(n as u64)))).await
        };
        let answers = fresh.at_once(4, attempt).await;
        let full = Appended::Refused(Refusal::GroupFull);
        assert_eq!(answers.iter().filter(|one| **one == full).count(), 2);
        let groups = log.groups(&[group]).await.unwrap();
        assert_eq!(groups[0].as_ref().unwrap().members, 3);
    }
}

/// A group that is founded several times at once is founded by one of the calls.
pub async fn concurrent_foundings_found_one_group(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    for round in 1..=ROUNDS {
        let group = GroupId::new(round);
        let attempt = move |log: Arc<dyn MessageLog>, n: usize| async move {
            let new = NewGroup::new(group, Some(UserId::new(n as u64)));
            log.found(&[(new, stamp(n as u64))]).await.unwrap()[0]
        };
        let answers = fresh.at_once(4, attempt).await;
        let mut winners = (0..)
            .zip(&answers)
            .filter(|(_, one)| **one != Founded::Existing);
        let (winner, _) = winners.next().unwrap();
        assert!(winners.next().is_none());
        let asks = [(ConversationId::Group(group), UserId::new(winner))];
        let member = log.lookup(&asks).await.unwrap().remove(0);
        assert_eq!(member.unwrap().role, Some(Role::Admin));
    }
}

/// A user who reacts twice at once is counted once, whatever others do beside it.
pub async fn concurrent_reactions_count_once_each(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    for round in 0..ROUNDS {
        let target = stored(log, says(direct(), ANN, round * 10)).await;
        let attempt = move |log: Arc<dyn MessageLog>, n: usize| async move {
            let user = if n.is_multiple_of(2) { ANN } else { BOB };
            let react = Act::React {
                target,
                reaction: reaction("a"),
                on: true,
            };
            append(&*log, does(direct(), user, round * 10 + n as u64, react)).await
        };
        let answers = fresh.at_once(4, attempt).await;
        let already = Appended::Refused(Refusal::Already);
        assert_eq!(answers.iter().filter(|one| **one == already).count(), 2);
        let seek = Seek::Around(place(log, direct(), target.seq).await);
        let read = LogRead::new(direct(), Viewer::User(BOB), seek, 1);
        let What::Message(message) = page(log, read).await.events.remove(0).what else {
            panic!("a message was reacted to");
        };
        assert_eq!(message.reactions, [Reactions::new(reaction("a"), 2, true)]);
    }
}

/// Whatever a member says while they are sent away happens before it, or not at all.
pub async fn a_member_who_is_sent_away_says_nothing_after_it(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    for round in 1..=ROUNDS {
        let group = GroupId::new(round);
        let talk = ConversationId::Group(group);
        let new = NewGroup::new(group, Some(ANN)).with_members([BOB]);
        log.found(&[(new, stamp(1))]).await.unwrap();
        let call = move |log: Arc<dyn MessageLog>, n: usize| async move {
            match n {
                0 => append(&*log, does(talk, ANN, 9, Act::Leave { user: BOB })).await,
                _ => append(&*log, says(talk, BOB, n as u64)).await,
            }
        };
        let answers = fresh.at_once(3, call).await;
        let left = answers[0].receipt().unwrap().position.offset;
        for said in answers[1..].iter().filter_map(|answer| answer.receipt()) {
            assert!(said.position.offset < left);
        }
        let read = seqs(log, talk, BOB).await;
        assert_eq!(read.last(), Some(&left));
    }
}
