//! What holds for all [`HighWater`] marks.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics to fail"
)]

use std::sync::Arc;

use crate::{
    Timestamp,
    conformance::{Fresh, ROUNDS},
    id::{HighWater, Mark, Replaced},
};

/// One test per case, over the store without a mark that `$fresh` makes.
#[macro_export]
macro_rules! high_water_conformance {
    ($fresh:expr) => {
        $crate::conformance_cases!(high_water_conformance, [$crate::conformance::high_water], $fresh =>
            starts_without_a_mark,
            a_replaced_mark_is_read_back,
            a_mark_that_moved_is_left_alone,
            a_mark_may_go_back,
            the_holder_is_part_of_the_mark,
            one_of_many_concurrent_replacements_wins,
            extreme_marks_survive,
        );
    };
}

const fn mark(until: u64, holder: u64) -> Mark {
    Mark {
        until: Timestamp::from_millis(until),
        holder,
    }
}

/// A store that was never written has no mark.
pub async fn starts_without_a_mark(fresh: &Fresh<dyn HighWater>) {
    assert_eq!(fresh.store.load().await.unwrap(), None);
}

/// A mark that was replaced is the mark that is read.
pub async fn a_replaced_mark_is_read_back(fresh: &Fresh<dyn HighWater>) {
    let store = &fresh.store;
    let (first, second) = (mark(5_000, 1), mark(7_000, 1));
    assert_eq!(store.replace(None, first).await.unwrap(), Replaced::Done);
    assert_eq!(store.load().await.unwrap(), Some(first));
    let replaced = store.replace(Some(first), second).await.unwrap();
    assert_eq!(replaced, Replaced::Done);
    assert_eq!(store.load().await.unwrap(), Some(second));
}

/// A replacement that expects another mark changes nothing and returns the one that stands.
pub async fn a_mark_that_moved_is_left_alone(fresh: &Fresh<dyn HighWater>) {
    let store = &fresh.store;
    let moved = |mark| Replaced::Moved { mark };
    let absent = store.replace(Some(mark(1, 1)), mark(2, 1)).await.unwrap();
    assert_eq!(absent, moved(None));
    let standing = mark(5_000, 1);
    store.replace(None, standing).await.unwrap();
    for stale in [None, Some(mark(4_999, 1)), Some(mark(5_001, 1))] {
        let replaced = store.replace(stale, mark(9_000, 1)).await.unwrap();
        assert_eq!(replaced, moved(Some(standing)));
    }
    assert_eq!(store.load().await.unwrap(), Some(standing));
}

/// The holder of the expected mark may set it back.
pub async fn a_mark_may_go_back(fresh: &Fresh<dyn HighWater>) {
    let store = &fresh.store;
    store.replace(None, mark(5_000, 1)).await.unwrap();
    let back = store.replace(Some(mark(5_000, 1)), mark(4_000, 1)).await;
    assert_eq!(back.unwrap(), Replaced::Done);
    assert_eq!(store.load().await.unwrap(), Some(mark(4_000, 1)));
}

/// Two marks of one time but different holders are different marks.
pub async fn the_holder_is_part_of_the_mark(fresh: &Fresh<dyn HighWater>) {
    let store = &fresh.store;
    store.replace(None, mark(5_000, 2)).await.unwrap();
    let succeeded = store.replace(Some(mark(5_000, 1)), mark(6_000, 1)).await;
    let standing = Some(mark(5_000, 2));
    assert_eq!(succeeded.unwrap(), Replaced::Moved { mark: standing });
}

/// Of concurrent replacements that expect the same mark, exactly one is done, and the others learn
/// of it.
pub async fn one_of_many_concurrent_replacements_wins(fresh: &Fresh<dyn HighWater>) {
    let mut standing = None;
    for until in 1..=ROUNDS {
        let candidate = move |n| mark(until, n as u64);
        let replace = |store: Arc<dyn HighWater>, n| async move {
            store.replace(standing, candidate(n)).await.unwrap()
        };
        let outcomes = fresh.at_once(4, replace).await;
        let won = outcomes.iter().position(|one| *one == Replaced::Done);
        let winner = Some(candidate(won.unwrap()));
        let lost = Replaced::Moved { mark: winner };
        assert_eq!(outcomes.iter().filter(|one| **one == lost).count(), 3);
        assert_eq!(fresh.store.load().await.unwrap(), winner);
        standing = winner;
    }
}

/// The least and the greatest time and holder are kept exactly.
pub async fn extreme_marks_survive(fresh: &Fresh<dyn HighWater>) {
    let store = &fresh.store;
    let (least, greatest) = (mark(0, 0), mark(u64::MAX, u64::MAX));
    store.replace(None, least).await.unwrap();
    assert_eq!(store.load().await.unwrap(), Some(least));
    store.replace(Some(least), greatest).await.unwrap();
    assert_eq!(store.load().await.unwrap(), Some(greatest));
}
