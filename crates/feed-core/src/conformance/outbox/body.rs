use super::{ANN, Appended, Bytes, Entry, Fresh, Outbox, Publication, Revised, append, body, post};

/// A post whose body is empty, from the start or by a revision, has an empty body and not none.
pub async fn a_body_may_be_empty(fresh: &Fresh<dyn Outbox>) {
    let outbox = &*fresh.store;
    let empty = Publication::new(Entry::original(post(7), ANN), Bytes::new());
    assert_eq!(append(outbox, empty).await, Appended::Stored);
    assert_eq!(body(outbox, 7).await, Some(Bytes::new()));
    for (version, text) in [(2, "text"), (3, "")] {
        let revised = outbox.revise(ANN, post(7), text.into()).await.unwrap();
        assert_eq!(revised, Revised::Stored(version));
        assert_eq!(body(outbox, 7).await, Some(text.into()));
    }
}
