//! What holds for all [`IdCounter`]s.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics to fail"
)]

use std::sync::Arc;

use crate::{
    ErrorKind,
    conformance::{Fresh, ROUNDS},
    id::IdCounter,
};

/// One test per case, over the counter that `$fresh` makes and nobody has taken from.
#[macro_export]
macro_rules! id_counter_conformance {
    ($fresh:expr) => {
        $crate::conformance_cases!(id_counter_conformance, [$crate::conformance::id_counter], $fresh =>
            numbers_begin_above_zero,
            blocks_follow_each_other_upwards,
            a_block_of_none_is_invalid,
            calls_at_once_share_no_number,
            the_largest_block_is_had,
        );
    };
}

/// The first number of a counter is greater than zero.
pub async fn numbers_begin_above_zero(fresh: &Fresh<dyn IdCounter>) {
    assert!(fresh.store.take(1).await.unwrap() > 0);
}

/// Each block lies above all of the one before.
pub async fn blocks_follow_each_other_upwards(fresh: &Fresh<dyn IdCounter>) {
    let mut last = 0;
    for count in [1, 1, 1_000, 1, 7] {
        let first = fresh.store.take(count).await.unwrap();
        assert!(first > last, "{first} is within the block before");
        last = first + u64::from(count) - 1;
    }
}

/// Taking none is refused and takes none.
pub async fn a_block_of_none_is_invalid(fresh: &Fresh<dyn IdCounter>) {
    let before = fresh.store.take(1).await.unwrap();
    let refused = fresh.store.take(0).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(fresh.store.take(1).await.unwrap() > before);
}

/// Blocks that are taken at the same time do not overlap, and lie above those taken before.
pub async fn calls_at_once_share_no_number(fresh: &Fresh<dyn IdCounter>) {
    const BLOCK: u32 = 3;
    let mut last = 0;
    for _ in 0..ROUNDS {
        let take = |store: Arc<dyn IdCounter>, _| async move { store.take(BLOCK).await.unwrap() };
        let mut blocks = fresh.at_once(4, take).await;
        blocks.sort_unstable();
        for first in blocks {
            assert!(first > last, "{first} was taken twice");
            last = first + u64::from(BLOCK) - 1;
        }
    }
}

/// The largest block there can be is taken as a whole.
pub async fn the_largest_block_is_had(fresh: &Fresh<dyn IdCounter>) {
    let first = fresh.store.take(u32::MAX).await.unwrap();
    let next = fresh.store.take(1).await.unwrap();
    assert!(next >= first + u64::from(u32::MAX));
}
