//! What holds for all [`IdGenerator`]s.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case panics to fail"
)]

use std::{collections::HashSet, thread, time::Duration};

use crate::{
    conformance::Fresh,
    id::{Id, IdGenerator},
};

/// One test per case, over the generator that `$fresh` makes.
#[macro_export]
macro_rules! id_generator_conformance {
    ($fresh:expr) => {
        $crate::conformance_cases!(id_generator_conformance, [$crate::conformance::id_generator], $fresh =>
            every_identifier_is_greater_than_the_last,
            a_batch_is_in_order_and_between_its_neighbours,
            threads_never_share_an_identifier,
        );
    };
}

/// Every identifier is greater than zero and all before it, while time passes and while it does not.
pub async fn every_identifier_is_greater_than_the_last(fresh: &Fresh<dyn IdGenerator>) {
    let mut last = Id::default();
    for round in 0..100 {
        if round % 10 == 0 {
            fresh.time.pass(Duration::from_millis(1)).await;
        }
        let next = fresh.store.next_id().unwrap();
        assert!(next > last);
        last = next;
    }
}

/// The identifiers of a batch increase, and lie between those issued before and after it.
pub async fn a_batch_is_in_order_and_between_its_neighbours(fresh: &Fresh<dyn IdGenerator>) {
    let before = fresh.store.next_id().unwrap();
    let mut batch = [Id::default(); 1_000];
    fresh.store.fill(&mut []).unwrap();
    fresh.store.fill(&mut batch).unwrap();
    fresh.time.pass(Duration::from_millis(1)).await;
    let after = fresh.store.next_id().unwrap();
    let mut all = vec![before];
    all.extend(batch);
    all.push(after);
    assert!(all.is_sorted_by(|a, b| a < b));
}

/// Identifiers taken by several threads at once, singly and in batches, all differ.
pub async fn threads_never_share_an_identifier(fresh: &Fresh<dyn IdGenerator>) {
    const ROUNDS: usize = 100;
    let take = || {
        let mut taken = Vec::new();
        for _ in 0..ROUNDS {
            let mut batch = [Id::default(); 3];
            fresh.store.fill(&mut batch).unwrap();
            taken.push(fresh.store.next_id().unwrap());
            taken.extend(batch);
        }
        taken
    };
    let mut all: HashSet<_> = take().into_iter().collect();
    fresh.time.pass(Duration::from_millis(1)).await;
    thread::scope(|scope| {
        let threads = [0; 4].map(|_| scope.spawn(take));
        for thread in threads {
            all.extend(thread.join().unwrap());
        }
    });
    assert_eq!(all.len(), 5 * 4 * ROUNDS);
}
