use super::{
    ANN, Act, BOB, Epoch, Fresh, MessageLog, Position, START, TALK, Unread, UnreadAsk, UserId,
    does, done, epoch, found, join, place, reaction, says, stored, words,
};

async fn unread(log: &dyn MessageLog, user: UserId, read: Position, cap: u32) -> Unread {
    let ask = UnreadAsk {
        conversation: TALK,
        user,
        read,
        cap,
    };
    log.unread(&[ask]).await.unwrap()[0]
}

async fn count(log: &dyn MessageLog, user: UserId, read: u64) -> u32 {
    let read = place(log, TALK, read).await;
    unread(log, user, read, 99).await.count
}

/// Messages by others after the place read are unread; one's own and other events are not.
pub async fn counts_what_others_said(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    found(log).await;
    let target = stored(log, says(TALK, ANN, 2)).await;
    stored(log, says(TALK, BOB, 3)).await;
    stored(log, done(TALK, 4, Act::Message(words(4)))).await;
    let react = Act::React {
        target,
        reaction: reaction("a"),
        on: true,
    };
    stored(log, does(TALK, BOB, 5, react)).await;
    let body = words(6);
    stored(log, does(TALK, ANN, 6, Act::Edit { target, body })).await;
    for (user, read, expected) in [
        (BOB, 0, 2),
        (BOB, 1, 2),
        (BOB, 2, 1),
        (BOB, 4, 0),
        (BOB, 6, 0),
        (ANN, 0, 2),
        (ANN, 3, 1),
    ] {
        assert_eq!(
            count(log, user, read).await,
            expected,
            "{user} after {read}"
        );
    }
    let read = place(log, TALK, 2).await;
    let top = place(log, TALK, 6).await;
    assert_eq!(unread(log, BOB, read, 99).await, Unread { count: 1, top });
}

/// Nothing is counted beyond the cap.
pub async fn counts_up_to_a_cap(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    found(log).await;
    for raw in 2..=6 {
        stored(log, says(TALK, ANN, raw)).await;
    }
    for cap in [0, 1, 4, 5, 6, u32::MAX] {
        assert_eq!(unread(log, BOB, START, cap).await.count, cap.min(5));
    }
}

/// What was deleted, or happened while the reader was no member, is not counted.
pub async fn counts_nothing_that_was_deleted_or_is_not_for_the_reader(
    fresh: &Fresh<dyn MessageLog>,
) {
    let log = &*fresh.store;
    found(log).await;
    let target = stored(log, says(TALK, ANN, 2)).await;
    stored(log, says(TALK, ANN, 3)).await;
    assert_eq!(count(log, BOB, 1).await, 2);
    stored(log, does(TALK, ANN, 4, Act::Delete { target })).await;
    assert_eq!(count(log, BOB, 1).await, 1);
    stored(log, does(TALK, ANN, 5, Act::Leave { user: BOB })).await;
    stored(log, says(TALK, ANN, 6)).await;
    let left = unread(log, BOB, place(log, TALK, 1).await, 99).await;
    assert_eq!((left.count, left.top.offset), (1, 5));
    stored(log, does(TALK, ANN, 7, join(BOB))).await;
    stored(log, says(TALK, ANN, 8)).await;
    assert_eq!(count(log, BOB, 1).await, 2);
}

/// Who has read up to a place of another epoch has read nothing of this one.
pub async fn counts_everything_where_the_epoch_is_another(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    found(log).await;
    stored(log, says(TALK, ANN, 2)).await;
    let other = Position::new(Epoch::new(epoch(log, TALK).await.get() ^ 1), 2);
    assert_eq!(unread(log, BOB, other, 99).await.count, 1);
}
