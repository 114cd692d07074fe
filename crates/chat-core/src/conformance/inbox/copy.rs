use super::{
    ANN, BOB, BTreeMap, CAT, Fresh, Inbox, ONE, START, TWO, at, copies, deliver, edits, elsewhere,
    enroll, entry, mark, page, said, tops,
};

/// What is delivered is in the change of each user it is for, in order and as it was.
pub async fn copies_come_with_the_change(fresh: &Fresh<dyn Inbox>) {
    let inbox = &*fresh.store;
    deliver(inbox, ONE, &[ANN, BOB], &[said(1), said(2)]).await;
    for user in [ANN, BOB] {
        let page = page(inbox, user, START).await;
        assert_eq!(page.entries[0].top, at(2));
        assert_eq!(page.entries[0].copies, [said(1), said(2)]);
        deliver(inbox, ONE, &[user], &[said(3)]).await;
        assert_eq!(copies(inbox, user, page.through, ONE).await, [3]);
    }
}

/// Each conversation has its own copies.
pub async fn copies_are_told_by_conversation(fresh: &Fresh<dyn Inbox>) {
    let inbox = &*fresh.store;
    for seq in 1..=2 {
        deliver(inbox, ONE, &[ANN], &[said(seq)]).await;
        deliver(inbox, TWO, &[ANN], &[said(seq + 7)]).await;
    }
    assert_eq!(copies(inbox, ANN, START, ONE).await, [1, 2]);
    assert_eq!(copies(inbox, ANN, START, TWO).await, [8, 9]);
}

/// A delivery that is repeated leaves one copy of each event.
pub async fn a_copy_is_put_once(fresh: &Fresh<dyn Inbox>) {
    let inbox = &*fresh.store;
    deliver(inbox, ONE, &[ANN], &[said(1), said(2)]).await;
    deliver(inbox, ONE, &[ANN, BOB], &[said(1), said(2)]).await;
    deliver(inbox, ONE, &[ANN], &[said(2), said(3)]).await;
    assert_eq!(copies(inbox, ANN, START, ONE).await, [1, 2, 3]);
    assert_eq!(copies(inbox, BOB, START, ONE).await, [1, 2]);
}

/// The oldest copies make room for new ones; that something happened is still told.
pub async fn a_queue_is_bounded_and_its_changes_are_not(fresh: &Fresh<dyn Inbox>) {
    let inbox = &*fresh.store;
    deliver(inbox, TWO, &[ANN], &[said(1)]).await;
    for seq in 1..=15 {
        deliver(inbox, ONE, &[ANN], &[said(seq)]).await;
    }
    assert_eq!(
        copies(inbox, ANN, START, ONE).await,
        (6..=15).collect::<Vec<_>>()
    );
    let expected = BTreeMap::from([(ONE, at(15)), (TWO, at(1))]);
    assert_eq!(tops(inbox, ANN, START).await, expected);
}

/// Copies of what was deleted, and of edits of it, are handed out no more; all others are.
pub async fn what_was_deleted_is_taken_out_of_the_queue(fresh: &Fresh<dyn Inbox>) {
    let inbox = &*fresh.store;
    let events = [said(1), said(2), said(3), edits(4, 1), edits(5, 2)];
    for talk in [ONE, TWO] {
        deliver(inbox, talk, &[ANN, BOB, CAT], &events).await;
    }
    inbox.erase(ONE, &[ANN, BOB], &[1, 3, 99]).await.unwrap();
    for user in [ANN, BOB] {
        assert_eq!(copies(inbox, user, START, ONE).await, [2, 5]);
        assert_eq!(copies(inbox, user, START, TWO).await, [1, 2, 3, 4, 5]);
    }
    assert_eq!(copies(inbox, CAT, START, ONE).await, [1, 2, 3, 4, 5]);
    assert_eq!(entry(inbox, ANN, ONE).await.unwrap().top, at(5));
}

/// What was copied before the log lost its numbers is not handed out beside what came after.
pub async fn copies_of_another_epoch_are_left_out(fresh: &Fresh<dyn Inbox>) {
    let inbox = &*fresh.store;
    deliver(inbox, ONE, &[ANN], &[said(5), said(6)]).await;
    inbox
        .deliver(ONE, &[ANN], elsewhere(2), &[said(2)])
        .await
        .unwrap();
    assert_eq!(copies(inbox, ANN, START, ONE).await, [2]);
    inbox
        .deliver(ONE, &[ANN], elsewhere(6), &[said(6)])
        .await
        .unwrap();
    assert_eq!(copies(inbox, ANN, START, ONE).await, [2, 6]);
}

/// Who gets copies is marked only once they are enrolled.
pub async fn a_delivery_enrolls_nobody_for_marks(fresh: &Fresh<dyn Inbox>) {
    let inbox = &*fresh.store;
    enroll(inbox, ONE, &[BOB], 1).await;
    deliver(inbox, ONE, &[ANN], &[said(1)]).await;
    mark(inbox, ONE, 2).await;
    assert_eq!(entry(inbox, ANN, ONE).await.unwrap().top, at(1));
    enroll(inbox, ONE, &[ANN], 2).await;
    mark(inbox, ONE, 3).await;
    assert_eq!(entry(inbox, ANN, ONE).await.unwrap().top, at(3));
    assert_eq!(copies(inbox, ANN, START, ONE).await, [1]);
}
