use super::{
    ANN, Appended, BOB, CAT, Fresh, IdempotencyKey, Outbox, PostState, Seek, UserId, append, item,
    key, latest, post, publish, retract, state,
};

/// A retry under a key that its author has used names the post of the first attempt.
pub async fn a_retry_under_the_same_key_stores_nothing(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    let first = item(ANN, 7).with_key(key("k"));
    assert_eq!(append(outbox, first.clone()).await, Appended::Stored);
    assert_eq!(append(outbox, first).await, Appended::Duplicate(post(7)));
    let retry = item(ANN, 8).with_key(key("k"));
    assert_eq!(append(outbox, retry).await, Appended::Duplicate(post(7)));
    assert_eq!(state(outbox, 8).await, PostState::Absent);
    assert_eq!(latest(outbox, &[ANN], Seek::Newest, 9).await, [7]);
    let published = outbox.published(ANN, &key("k")).await.unwrap();
    assert_eq!(published, Some(post(7)));
    assert_eq!(outbox.published(ANN, &key("K")).await.unwrap(), None);
}

/// Of two items of a batch under one key, the first is stored.
pub async fn a_key_holds_within_a_batch(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    let items = [8, 7].map(|raw| item(ANN, raw).with_key(key("k")));
    let answers = outbox.append(&items).await.unwrap();
    assert_eq!(answers, [Appended::Stored, Appended::Duplicate(post(8))]);
    assert_eq!(latest(outbox, &[ANN], Seek::Newest, 9).await, [8]);
}

/// Two authors may use the same key.
pub async fn another_authors_key_is_another_key(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    for (author, raw) in [(ANN, 7), (BOB, 8)] {
        let keyed = item(author, raw).with_key(key("k"));
        assert_eq!(append(outbox, keyed).await, Appended::Stored);
        let published = outbox.published(author, &key("k")).await.unwrap();
        assert_eq!(published, Some(post(raw)));
    }
    assert_eq!(outbox.published(CAT, &key("k")).await.unwrap(), None);
}

/// An item that was refused because of its post leaves its key unused.
pub async fn a_refused_item_takes_no_key(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    publish(outbox, ANN, [7]).await;
    retract(outbox, ANN, 6).await;
    let live = item(ANN, 7).with_key(key("live"));
    assert_eq!(append(outbox, live).await, Appended::Duplicate(post(7)));
    let dead = item(ANN, 6).with_key(key("dead"));
    assert_eq!(append(outbox, dead).await, Appended::Retracted);
    for unused in ["live", "dead"] {
        assert_eq!(outbox.published(ANN, &key(unused)).await.unwrap(), None);
    }
}

/// A retry that arrives after the post was retracted neither revives it nor publishes another.
pub async fn a_key_outlives_its_post(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    append(outbox, item(ANN, 7).with_key(key("k"))).await;
    retract(outbox, ANN, 7).await;
    let retry = item(ANN, 8).with_key(key("k"));
    assert_eq!(append(outbox, retry).await, Appended::Duplicate(post(7)));
    let published = outbox.published(ANN, &key("k")).await.unwrap();
    assert_eq!(published, Some(post(7)));
    assert_eq!(latest(outbox, &[ANN], Seek::Newest, 9).await, []);
}

/// Keys are compared byte by byte up to the longest, and by author, however the two join.
pub async fn keys_are_told_apart_to_the_last_byte(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    let longest = "k".repeat(IdempotencyKey::MAX_LEN - 1);
    let uses = [
        (ANN, format!("{longest}1")),
        (ANN, format!("{longest}2")),
        (ANN, longest),
        (ANN, "2k".to_owned()),
        (UserId::new(12), "k".to_owned()),
        (ANN, "k".to_owned()),
        (ANN, "k\0".to_owned()),
        (ANN, "k ".to_owned()),
        (ANN, "é".to_owned()),
    ];
    for (raw, (author, text)) in (1..).zip(&uses) {
        let keyed = item(*author, raw).with_key(key(text));
        assert_eq!(append(outbox, keyed).await, Appended::Stored, "{text:?}");
    }
    retract(outbox, ANN, 4).await;
    for (raw, (author, text)) in (1..).zip(&uses) {
        let published = outbox.published(*author, &key(text)).await.unwrap();
        assert_eq!(published, Some(post(raw)), "{text:?}");
    }
}
