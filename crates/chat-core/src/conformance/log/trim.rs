use super::{
    ANN, Act, Appended, BOB, Fresh, LogRead, MessageLog, Refusal, START, Seek, Viewer, What,
    append, direct, does, epoch, key, numbers, page, place, refusal, says, seqs, stored, what,
    words,
};

async fn say(log: &dyn MessageLog, count: u64) {
    for raw in 1..=count {
        stored(log, says(direct(), ANN, raw)).await;
    }
}

async fn trim(log: &dyn MessageLog, seq: u64) -> u64 {
    log.trim(direct(), seq).await.unwrap()
}

/// What is before the place named is gone, and stays gone.
pub async fn trims_from_the_oldest_on(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    say(log, 6).await;
    for (seq, first) in [(0, 1), (1, 1), (4, 4), (4, 4), (2, 4), (6, 6)] {
        assert_eq!(trim(log, seq).await, first, "before {seq}");
        assert_eq!(
            seqs(log, direct(), BOB).await,
            (first..=6).collect::<Vec<_>>()
        );
    }
}

/// A place that is not reached yet stands for the end: what comes later is retained.
pub async fn trims_nothing_that_has_not_happened(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    say(log, 2).await;
    assert_eq!(trim(log, u64::MAX).await, 3);
    let end = page(
        log,
        LogRead::new(direct(), Viewer::User(BOB), Seek::Latest, 9),
    )
    .await;
    assert_eq!((end.first, end.top, end.events.len()), (3, 2, 0));
    stored(log, says(direct(), ANN, 3)).await;
    assert_eq!(seqs(log, direct(), BOB).await, [3]);
}

/// Whoever reads on from before the oldest event is told that something is gone.
pub async fn a_cursor_before_the_oldest_event_is_truncated(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    say(log, 6).await;
    trim(log, 4).await;
    for (offset, is_truncated) in [(1, true), (2, true), (3, false), (5, false)] {
        let since = place(log, direct(), offset).await;
        let read = LogRead::new(direct(), Viewer::User(BOB), Seek::After(since), 9);
        let page = page(log, read).await;
        assert_eq!(page.is_truncated(since), is_truncated, "after {offset}");
        assert_eq!(page.first, 4);
    }
    let start = page(
        log,
        LogRead::new(direct(), Viewer::User(BOB), Seek::After(START), 9),
    )
    .await;
    assert!(start.is_truncated(START));
    let gone = Seek::Around(place(log, direct(), 2).await);
    let around = page(log, LogRead::new(direct(), Viewer::User(BOB), gone, 2)).await;
    assert_eq!((around.from, numbers(&around.events)), (4, vec![4, 5]));
    let before = Seek::Before(place(log, direct(), 3).await);
    let before = page(log, LogRead::new(direct(), Viewer::User(BOB), before, 2)).await;
    assert_eq!((before.events.len(), before.has_before()), (0, false));
}

/// Numbers and epoch go on, also when nothing is left.
pub async fn numbers_go_on_after_a_trim(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    say(log, 3).await;
    let before = epoch(log, direct()).await;
    trim(log, 9).await;
    assert_eq!(stored(log, says(direct(), BOB, 4)).await.seq, 4);
    assert_eq!(epoch(log, direct()).await, before);
}

/// A key is known as long as its event is retained, and not longer.
pub async fn a_trimmed_event_takes_its_key_along(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    let keyed = |raw: u64| says(direct(), ANN, raw).with_key(key(&raw.to_string()));
    for raw in 1..=3 {
        stored(log, keyed(raw)).await;
    }
    trim(log, 3).await;
    assert!(matches!(
        append(log, keyed(3)).await,
        Appended::Duplicate(_)
    ));
    assert_eq!(stored(log, keyed(2)).await.seq, 4);
}

/// A trimmed message is not changed any more, and what its edits said is gone with it.
pub async fn what_was_trimmed_is_changed_no_more(fresh: &Fresh<dyn MessageLog>) {
    let log = &*fresh.store;
    let target = stored(log, says(direct(), ANN, 1)).await;
    let edit = |raw| Act::Edit {
        target,
        body: words(raw),
    };
    stored(log, does(direct(), ANN, 2, edit(2))).await;
    trim(log, 2).await;
    let refused = refusal(log, does(direct(), ANN, 3, edit(3))).await;
    assert_eq!(refused, Refusal::UnknownMessage);
    let body = None;
    assert_eq!(
        what(log, direct(), BOB, 2).await,
        What::Edit { target, body }
    );
}
