use super::{
    ANN, Advance, Advanced, BOB, Cursor, Fresh, Inbox, ONE, START, TWO, advance, at, caught_up,
    deliver, elsewhere, enroll, entry, page, phone, received, said, tablet,
};

/// A cursor that is told to go back, or to where it is, stays.
pub async fn cursors_only_move_forward(fresh: &Fresh<dyn Inbox>) {
    let inbox = &*fresh.store;
    enroll(inbox, ONE, &[ANN], 9).await;
    for cursor in [Cursor::Received, Cursor::Read] {
        let device = if cursor == Cursor::Read {
            phone(ANN)
        } else {
            tablet(ANN)
        };
        for (seq, expected) in [
            (0, Advanced::Behind),
            (3, Advanced::Moved),
            (3, Advanced::Behind),
            (2, Advanced::Behind),
            (0, Advanced::Behind),
            (5, Advanced::Moved),
        ] {
            let answer = advance(inbox, device, cursor, ONE, at(seq)).await;
            assert_eq!(answer, expected, "{cursor:?} {seq}");
        }
        assert_eq!(received(inbox, device, ONE).await, at(5));
    }
    assert_eq!(entry(inbox, ANN, ONE).await.unwrap().read, at(5));
}

/// What one device has received says nothing of another, of another user's, or of another
/// conversation.
pub async fn a_device_moves_its_own_cursor(fresh: &Fresh<dyn Inbox>) {
    let inbox = &*fresh.store;
    enroll(inbox, ONE, &[ANN, BOB], 9).await;
    enroll(inbox, TWO, &[ANN], 9).await;
    let moves = [(phone(ANN), 4), (tablet(ANN), 6)].map(|(device, seq)| Advance {
        device,
        conversation: ONE,
        cursor: Cursor::Received,
        to: at(seq),
    });
    assert_eq!(inbox.advance(&moves).await.unwrap(), [Advanced::Moved; 2]);
    let asks = [
        (phone(ANN), ONE),
        (tablet(ANN), ONE),
        (phone(BOB), ONE),
        (phone(ANN), TWO),
    ];
    let positions = inbox.received(&asks).await.unwrap();
    assert_eq!(positions, [at(4), at(6), START, START]);
    let ann = entry(inbox, ANN, ONE).await.unwrap();
    assert_eq!((ann.received, ann.read), (at(6), START));
    let bob = entry(inbox, BOB, ONE).await.unwrap();
    assert_eq!((bob.received, bob.read), (START, START));
}

/// Reading moves what the device has received too; receiving reads nothing.
pub async fn what_is_read_is_received(fresh: &Fresh<dyn Inbox>) {
    let inbox = &*fresh.store;
    enroll(inbox, ONE, &[ANN], 9).await;
    advance(inbox, phone(ANN), Cursor::Received, ONE, at(5)).await;
    assert_eq!(entry(inbox, ANN, ONE).await.unwrap().read, START);
    advance(inbox, phone(ANN), Cursor::Read, ONE, at(3)).await;
    assert_eq!(received(inbox, phone(ANN), ONE).await, at(5));
    advance(inbox, phone(ANN), Cursor::Read, ONE, at(8)).await;
    assert_eq!(received(inbox, phone(ANN), ONE).await, at(8));
    let ann = entry(inbox, ANN, ONE).await.unwrap();
    assert_eq!((ann.received, ann.read), (at(8), at(8)));
}

/// A user's other devices learn how far was read, and nothing of what was received.
pub async fn reading_is_a_change_and_receiving_is_none(fresh: &Fresh<dyn Inbox>) {
    let inbox = &*fresh.store;
    deliver(inbox, ONE, &[ANN, BOB], &[said(1), said(2)]).await;
    let known = caught_up(inbox, ANN).await;
    let bobs = caught_up(inbox, BOB).await;
    advance(inbox, phone(ANN), Cursor::Received, ONE, at(2)).await;
    assert_eq!(page(inbox, ANN, known).await.entries, []);
    advance(inbox, phone(ANN), Cursor::Read, ONE, at(2)).await;
    let entries = page(inbox, ANN, known).await.entries;
    assert_eq!((entries[0].read, entries[0].copies.len()), (at(2), 0));
    assert_eq!(page(inbox, BOB, bobs).await.entries, []);
}

/// Once the log has lost its numbers, cursors start anew with the new ones.
pub async fn a_cursor_follows_the_epoch(fresh: &Fresh<dyn Inbox>) {
    let inbox = &*fresh.store;
    enroll(inbox, ONE, &[ANN], 9).await;
    advance(inbox, phone(ANN), Cursor::Read, ONE, at(9)).await;
    inbox.mark(&[(ONE, elsewhere(4))]).await.unwrap();
    let moved = advance(inbox, phone(ANN), Cursor::Read, ONE, elsewhere(2)).await;
    assert_eq!(moved, Advanced::Moved);
    let ann = entry(inbox, ANN, ONE).await.unwrap();
    assert_eq!((ann.received, ann.read), (elsewhere(2), elsewhere(2)));
    let behind = advance(inbox, tablet(ANN), Cursor::Read, ONE, elsewhere(1)).await;
    assert_eq!(behind, Advanced::Behind);
}

/// Nobody has a cursor in a conversation that is not in their inbox.
pub async fn cursors_need_a_conversation(fresh: &Fresh<dyn Inbox>) {
    let inbox = &*fresh.store;
    enroll(inbox, ONE, &[BOB], 9).await;
    for cursor in [Cursor::Received, Cursor::Read] {
        let answer = advance(inbox, phone(ANN), cursor, ONE, at(1)).await;
        assert_eq!(answer, Advanced::Unknown);
        let answer = advance(inbox, phone(BOB), cursor, TWO, at(1)).await;
        assert_eq!(answer, Advanced::Unknown);
    }
    assert_eq!(entry(inbox, ANN, ONE).await, None);
}

/// A device that is forgotten has received nothing; what was read stays read.
pub async fn a_device_is_forgotten(fresh: &Fresh<dyn Inbox>) {
    let inbox = &*fresh.store;
    for talk in [ONE, TWO] {
        enroll(inbox, talk, &[ANN, BOB], 9).await;
        advance(inbox, phone(ANN), Cursor::Read, talk, at(4)).await;
        advance(inbox, phone(BOB), Cursor::Received, talk, at(4)).await;
        advance(inbox, tablet(ANN), Cursor::Received, talk, at(3)).await;
    }
    inbox.forget(phone(ANN)).await.unwrap();
    for talk in [ONE, TWO] {
        assert_eq!(received(inbox, phone(ANN), talk).await, START);
        assert_eq!(received(inbox, tablet(ANN), talk).await, at(3));
        assert_eq!(received(inbox, phone(BOB), talk).await, at(4));
        let ann = entry(inbox, ANN, talk).await.unwrap();
        assert_eq!((ann.received, ann.read), (at(3), at(4)));
    }
}
