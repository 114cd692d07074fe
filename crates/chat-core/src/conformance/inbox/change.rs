use super::{
    ANN, Advanced, BOB, BTreeMap, CAT, ConversationId, Cursor, Device, DeviceId, Epoch, Fresh,
    GroupId, Inbox, InboxEntry, ONE, Position, START, TWO, UserId, advance, at, caught_up, deliver,
    elsewhere, enroll, entry, mark, page, received, said, tops,
};

/// Whoever is enrolled finds the conversation and where it ends.
pub async fn who_is_enrolled_learns_of_a_conversation(fresh: &Fresh<dyn Inbox>) {
    let inbox = &*fresh.store;
    enroll(inbox, ONE, &[ANN, BOB], 3).await;
    for user in [ANN, BOB] {
        let page = page(inbox, user, START).await;
        assert_eq!(page.entries, [InboxEntry::new(ONE, at(3), START, START)]);
        assert!(!page.more);
    }
}

/// One mark tells all members.
pub async fn a_mark_is_for_everybody_who_is_enrolled(fresh: &Fresh<dyn Inbox>) {
    let inbox = &*fresh.store;
    enroll(inbox, ONE, &[ANN, BOB], 1).await;
    enroll(inbox, TWO, &[ANN], 1).await;
    let known = [
        (ANN, caught_up(inbox, ANN).await),
        (BOB, caught_up(inbox, BOB).await),
    ];
    mark(inbox, ONE, 2).await;
    for (user, since) in known {
        assert_eq!(tops(inbox, user, since).await.get(&ONE), Some(&at(2)));
        assert_eq!(entry(inbox, user, ONE).await.unwrap().top, at(2));
    }
    assert_eq!(entry(inbox, ANN, TWO).await.unwrap().top, at(1));
}

/// Who is not enrolled learns nothing of a conversation, whoever else is.
pub async fn nobody_else_learns_of_it(fresh: &Fresh<dyn Inbox>) {
    let inbox = &*fresh.store;
    mark(inbox, ONE, 1).await;
    enroll(inbox, ONE, &[ANN], 1).await;
    enroll(inbox, TWO, &[CAT], 1).await;
    mark(inbox, ONE, 2).await;
    for (user, expected) in [(BOB, vec![]), (CAT, vec![(TWO, at(1))])] {
        let tops = tops(inbox, user, START).await;
        assert_eq!(tops, expected.into_iter().collect());
    }
    assert_eq!(entry(inbox, BOB, ONE).await, None);
}

/// Pages of any size show each conversation once, in the order of their last changes.
pub async fn changes_are_read_in_pages(fresh: &Fresh<dyn Inbox>) {
    let inbox = &*fresh.store;
    let talk = |n| ConversationId::Group(GroupId::new(n));
    for n in 0..8 {
        enroll(inbox, talk(n), &[ANN], 1).await;
    }
    for n in [3, 5] {
        deliver(inbox, talk(n), &[ANN], &[said(2)]).await;
    }
    let expected = [0, 1, 2, 4, 6, 7, 3, 5].map(talk);
    for limit in 1..=9 {
        let (mut read, mut since) = (Vec::new(), START);
        loop {
            let page = inbox.changes(ANN, since, limit).await.unwrap();
            assert!(page.entries.len() <= limit);
            read.extend(page.entries.iter().map(|entry| entry.conversation));
            since = page.through;
            if !page.more {
                break;
            }
        }
        assert_eq!(read, expected, "by {limit}");
    }
}

/// Pages miss none of the changes that lie beside marks of other conversations.
pub async fn pages_miss_nothing_beside_marks(fresh: &Fresh<dyn Inbox>) {
    let inbox = &*fresh.store;
    let talk = |n| ConversationId::Group(GroupId::new(n));
    for n in 0..6 {
        enroll(inbox, talk(n), &[ANN], 1).await;
    }
    for n in [0, 1, 3] {
        mark(inbox, talk(n), 2).await;
    }
    let tops = (0..).map(talk).zip([2, 2, 1, 2, 1, 1].map(at));
    let expected: BTreeMap<_, _> = tops.collect();
    for limit in 1..=7 {
        let (mut read, mut since) = (BTreeMap::new(), START);
        loop {
            let page = inbox.changes(ANN, since, limit).await.unwrap();
            let tops = page
                .entries
                .iter()
                .map(|entry| (entry.conversation, entry.top));
            read.extend(tops);
            since = page.through;
            if !page.more {
                break;
            }
        }
        assert_eq!(read, expected, "by {limit}");
    }
}

/// A reader who knows all that was delivered is told nothing of it again.
pub async fn who_knows_everything_learns_nothing(fresh: &Fresh<dyn Inbox>) {
    let inbox = &*fresh.store;
    deliver(inbox, ONE, &[ANN, BOB], &[said(1)]).await;
    let known = caught_up(inbox, ANN).await;
    deliver(inbox, TWO, &[BOB], &[said(1)]).await;
    assert_eq!(page(inbox, ANN, known).await.entries, []);
    deliver(inbox, TWO, &[ANN], &[said(2)]).await;
    let tops = tops(inbox, ANN, known).await;
    assert_eq!(tops, BTreeMap::from([(TWO, at(2))]));
}

/// A position of another epoch, or one that was never reached, is that of who knows nothing.
pub async fn a_position_of_another_epoch_knows_nothing(fresh: &Fresh<dyn Inbox>) {
    let inbox = &*fresh.store;
    enroll(inbox, ONE, &[ANN], 1).await;
    let known = caught_up(inbox, ANN).await;
    let foreign = Position::new(Epoch::new(known.epoch.get() ^ 1), known.offset);
    let beyond = Position::new(known.epoch, u64::MAX);
    for since in [foreign, beyond, START] {
        let page = page(inbox, ANN, since).await;
        assert_eq!(page.entries.len(), 1, "{since:?}");
        assert_eq!(page.through.epoch, known.epoch);
    }
}

/// A mark or a delivery that comes late moves nothing back.
pub async fn tops_only_move_forward(fresh: &Fresh<dyn Inbox>) {
    let inbox = &*fresh.store;
    enroll(inbox, ONE, &[ANN], 1).await;
    mark(inbox, ONE, 9).await;
    mark(inbox, ONE, 4).await;
    deliver(inbox, ONE, &[ANN], &[said(5)]).await;
    enroll(inbox, ONE, &[ANN], 2).await;
    assert_eq!(entry(inbox, ANN, ONE).await.unwrap().top, at(9));
    let top = page(inbox, ANN, START).await.entries[0].top;
    assert_eq!(top, at(9));
}

/// A top of another epoch counts, though its number is lower; the start counts in none.
pub async fn another_epoch_takes_the_place_of_the_old_one(fresh: &Fresh<dyn Inbox>) {
    let inbox = &*fresh.store;
    enroll(inbox, ONE, &[ANN], 9).await;
    inbox.mark(&[(ONE, elsewhere(2))]).await.unwrap();
    assert_eq!(entry(inbox, ANN, ONE).await.unwrap().top, elsewhere(2));
    inbox.mark(&[(ONE, START)]).await.unwrap();
    assert_eq!(entry(inbox, ANN, ONE).await.unwrap().top, elsewhere(2));
    inbox.deliver(TWO, &[ANN], at(9), &[said(9)]).await.unwrap();
    inbox
        .deliver(TWO, &[ANN], elsewhere(1), &[said(1)])
        .await
        .unwrap();
    assert_eq!(entry(inbox, ANN, TWO).await.unwrap().top, elsewhere(1));
}

/// Enrolling somebody who is enrolled tells them where the conversation ends.
pub async fn who_is_enrolled_again_is_marked(fresh: &Fresh<dyn Inbox>) {
    let inbox = &*fresh.store;
    enroll(inbox, ONE, &[ANN], 1).await;
    let known = caught_up(inbox, ANN).await;
    enroll(inbox, ONE, &[ANN], 2).await;
    assert_eq!(
        tops(inbox, ANN, known).await,
        BTreeMap::from([(ONE, at(2))])
    );
}

/// After a withdrawal the conversation stays as it was then.
pub async fn who_is_withdrawn_is_marked_no_more(fresh: &Fresh<dyn Inbox>) {
    let inbox = &*fresh.store;
    enroll(inbox, ONE, &[ANN, BOB], 1).await;
    let known = caught_up(inbox, ANN).await;
    inbox.withdraw(ONE, &[ANN, CAT], at(2)).await.unwrap();
    mark(inbox, ONE, 3).await;
    assert_eq!(
        tops(inbox, ANN, known).await,
        BTreeMap::from([(ONE, at(2))])
    );
    assert_eq!(entry(inbox, ANN, ONE).await.unwrap().top, at(2));
    assert_eq!(entry(inbox, BOB, ONE).await.unwrap().top, at(3));
    assert_eq!(entry(inbox, CAT, ONE).await.unwrap().top, at(2));
}

/// Who is enrolled anew after a withdrawal learns of marks again.
pub async fn who_comes_back_is_marked_again(fresh: &Fresh<dyn Inbox>) {
    let inbox = &*fresh.store;
    enroll(inbox, ONE, &[ANN], 1).await;
    inbox.withdraw(ONE, &[ANN], at(2)).await.unwrap();
    enroll(inbox, ONE, &[ANN], 3).await;
    let known = caught_up(inbox, ANN).await;
    mark(inbox, ONE, 4).await;
    assert_eq!(tops(inbox, ANN, known).await.get(&ONE), Some(&at(4)));
}

/// What was decided at the furthest position stands, whatever is told of earlier ones.
pub async fn who_comes_and_goes_is_told_late_and_in_any_order(fresh: &Fresh<dyn Inbox>) {
    let inbox = &*fresh.store;
    enroll(inbox, ONE, &[ANN, BOB], 1).await;
    enroll(inbox, ONE, &[ANN], 5).await;
    inbox.withdraw(ONE, &[ANN], at(3)).await.unwrap(); // late
    inbox.withdraw(ONE, &[BOB], at(4)).await.unwrap();
    enroll(inbox, ONE, &[BOB], 1).await; // late
    inbox.withdraw(ONE, &[CAT], at(4)).await.unwrap();
    enroll(inbox, ONE, &[CAT], 2).await; // late, and the first that is told of them
    mark(inbox, ONE, 9).await;
    assert_eq!(entry(inbox, CAT, ONE).await.unwrap().top, at(4));
    assert_eq!(entry(inbox, ANN, ONE).await.unwrap().top, at(9));
    assert_eq!(entry(inbox, BOB, ONE).await.unwrap().top, at(4));
}

/// Entries are told in the order asked, and those that are not there too.
pub async fn entries_answer_in_order(fresh: &Fresh<dyn Inbox>) {
    let inbox = &*fresh.store;
    enroll(inbox, ONE, &[ANN], 1).await;
    enroll(inbox, TWO, &[BOB], 2).await;
    let asks = [(BOB, TWO), (ANN, TWO), (CAT, ONE), (ANN, ONE), (BOB, TWO)];
    let found = inbox.entries(&asks).await.unwrap();
    let tops: Vec<_> = found
        .iter()
        .map(|entry| entry.as_ref().map(|entry| entry.top.offset))
        .collect();
    assert_eq!(tops, [Some(2), None, None, Some(1), Some(2)]);
    assert_eq!(inbox.entries(&[]).await.unwrap(), []);
}

/// Ids, epochs and numbers come back to the last bit.
pub async fn ids_and_positions_are_exact(fresh: &Fresh<dyn Inbox>) {
    let inbox = &*fresh.store;
    let raws = [
        0,
        1,
        (1 << 53) + 1,
        (1 << 53) + 2,
        (1 << 63) - 1,
        1 << 63,
        u64::MAX,
    ];
    for (user, other) in raws.into_iter().zip(raws.into_iter().rev()) {
        let (user, talk) = (
            UserId::new(user),
            ConversationId::direct(UserId::new(user), UserId::new(other)),
        );
        let top = Position::new(Epoch::new(other), user.get().max(1));
        inbox.enroll(talk, &[user], top).await.unwrap();
        let device = Device::new(user, DeviceId::new(other));
        let moved = advance(inbox, device, Cursor::Read, talk, top).await;
        assert_eq!(moved, Advanced::Moved);
        let expected = InboxEntry::new(talk, top, top, top);
        assert_eq!(entry(inbox, user, talk).await, Some(expected));
        assert_eq!(received(inbox, device, talk).await, top);
    }
}
