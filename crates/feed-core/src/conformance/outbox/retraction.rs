use super::{
    ANN, Appended, BOB, Fresh, Outbox, Retracted, Seek, append, item, latest, live, post, publish,
    retract, state,
};

/// More than a store is asked to keep of one author.
const MANY: u64 = 150;

/// Publishes and retracts the author's posts up to [`MANY`], but for the seventh.
async fn retract_many(outbox: &dyn Outbox) {
    publish(outbox, ANN, 1..=MANY).await;
    for raw in (1..=MANY).filter(|&raw| raw != 7) {
        let removed = retract(outbox, ANN, raw).await;
        assert!(matches!(removed, Retracted::Removed(_)), "{removed:?}");
    }
}

/// However many posts an author has retracted, none of them comes back by a late append, and nothing
/// else is taken for retracted.
pub async fn no_retraction_is_forgotten_for_lack_of_room(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    retract_many(outbox).await;
    for raw in (1..=MANY).filter(|&raw| raw != 7) {
        let late = append(outbox, item(ANN, raw)).await;
        assert_eq!(late, Appended::Retracted, "{raw}");
    }
    assert_eq!(latest(outbox, &[ANN], Seek::Newest, 999).await, [7]);
    assert_eq!(state(outbox, 7).await, live(ANN, 7, 1));
    let again = append(outbox, item(ANN, 7)).await;
    assert_eq!(again, Appended::Duplicate(post(7)));
    assert_eq!(retract(outbox, ANN, 1).await, Retracted::Absent);
    publish(outbox, ANN, [MANY + 1]).await;
    publish(outbox, BOB, [MANY + 2]).await;
}

/// After an author was erased none of their retractions holds, however many there were.
pub async fn erasing_forgets_retractions_however_many(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    retract_many(outbox).await;
    while outbox.erase(ANN, 100).await.unwrap() > 0 {}
    publish(outbox, ANN, 1..=MANY).await;
    let all: Vec<_> = (1..=MANY).rev().collect();
    assert_eq!(latest(outbox, &[ANN], Seek::Newest, 999).await, all);
}
