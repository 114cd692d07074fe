use super::{
    ANN, Appended, Fresh, IdempotencyKey, Outbox, UserId, append, item, key, post, retract,
};

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
