use super::{
    ANN, BOB, ConversationId, Epoch, Fresh, MessageLog, Owed, Position, TALK, Told, append, at,
    direct, epoch, found, place, says, stored,
};

async fn owed(log: &dyn MessageLog, until: u64) -> Vec<Owed> {
    let mut owed = log.owed(at(until), 99).await.unwrap();
    owed.sort_unstable_by_key(|owed| owed.conversation);
    owed
}

async fn debt(log: &dyn MessageLog, conversation: ConversationId, settled: u64, top: u64) -> Owed {
    Owed {
        conversation,
        settled,
        top: place(log, conversation, top).await,
    }
}

/// Notes that all were told what lies `after` there up to `until`.
async fn settle(log: &dyn MessageLog, conversation: ConversationId, after: u64, until: u64) {
    let until = place(log, conversation, until).await;
    let told = Told {
        conversation,
        after,
        until,
    };
    log.settle(&[told]).await.unwrap();
}

/// Every conversation with events that were not settled is listed, up to the limit.
pub async fn what_nobody_was_told_is_owed(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    assert_eq!(owed(log, 99).await, []);
    found(log).await;
    stored(log, says(direct(), ANN, 2)).await;
    stored(log, says(direct(), ANN, 3)).await;
    let _ = append(log, says(ConversationId::direct(BOB, BOB), ANN, 4)).await;
    let debts = [debt(log, direct(), 0, 2).await, debt(log, TALK, 0, 1).await];
    assert_eq!(owed(log, 99).await, debts);
    assert_eq!(owed(log, 99).await, debts, "asking settles nothing");
    for limit in 0..=2 {
        assert_eq!(log.owed(at(99), limit).await.unwrap().len(), limit);
    }
}

/// What is settled is not listed; what comes after it is.
pub async fn what_was_told_is_owed_no_more(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    found(log).await;
    stored(log, says(direct(), ANN, 2)).await;
    settle(log, TALK, 0, 1).await;
    assert_eq!(owed(log, 99).await, [debt(log, direct(), 0, 1).await]);
    settle(log, direct(), 0, 1).await;
    assert_eq!(owed(log, 99).await, []);
    stored(log, says(direct(), ANN, 3)).await;
    stored(log, says(direct(), ANN, 4)).await;
    assert_eq!(owed(log, 99).await, [debt(log, direct(), 1, 3).await]);
    settle(log, direct(), 1, 2).await;
    assert_eq!(owed(log, 99).await, [debt(log, direct(), 2, 3).await]);
}

/// Only what happened until the time named is listed, so that what is just being told is left alone.
pub async fn a_debt_is_listed_from_when_its_oldest_event_happened(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    stored(log, says(direct(), ANN, 5)).await;
    stored(log, says(direct(), ANN, 9)).await;
    assert_eq!(owed(log, 4).await, []);
    assert_eq!(owed(log, 5).await, [debt(log, direct(), 0, 2).await]);
    settle(log, direct(), 0, 1).await;
    assert_eq!(owed(log, 8).await, []);
    assert_eq!(owed(log, 9).await, [debt(log, direct(), 1, 2).await]);
}

/// Settling less than before, more than there is, or a stretch of another epoch forgets no debt.
pub async fn settling_goes_forward_only(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    for raw in 1..=3 {
        stored(log, says(direct(), ANN, raw)).await;
    }
    settle(log, direct(), 0, 2).await;
    settle(log, direct(), 0, 1).await;
    let other = Position::new(Epoch::new(epoch(log, direct()).await.get() ^ 1), 3);
    let told = [direct(), TALK].map(|conversation| Told {
        conversation,
        after: 0,
        until: other,
    });
    log.settle(&told).await.unwrap();
    assert_eq!(owed(log, 99).await, [debt(log, direct(), 2, 3).await]);
    settle(log, direct(), 1, 99).await;
    assert_eq!(owed(log, 99).await, []);
    stored(log, says(direct(), ANN, 4)).await;
    assert_eq!(owed(log, 99).await, [debt(log, direct(), 3, 4).await]);
}

/// A stretch that was told before what lies before it stays owed with that.
pub async fn a_stretch_does_not_settle_what_lies_before_it(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    for raw in 1..=3 {
        stored(log, says(direct(), ANN, raw)).await;
    }
    settle(log, direct(), 1, 3).await;
    assert_eq!(owed(log, 99).await, [debt(log, direct(), 0, 3).await]);
    settle(log, direct(), 0, 1).await;
    assert_eq!(owed(log, 99).await, [debt(log, direct(), 1, 3).await]);
}
