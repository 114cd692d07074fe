//! The generators' compare-and-swap under every interleaving that the memory model allows.
#![cfg(loom)]

use blocks::Blocks;
use loom::{sync::Arc, thread};
use sequence::Sequence;

#[path = "../src/id/blocks.rs"]
mod blocks;
#[path = "../src/id/sequence.rs"]
mod sequence;

#[test]
fn concurrent_takes_are_disjoint_and_increasing() {
    loom::model(|| {
        let sequence = Arc::new(Sequence::after(0));
        let other = Arc::clone(&sequence);
        // The second thread's clock is ahead, and it takes a batch.
        let handle = thread::spawn(move || {
            let batch = other.take(3, 12, 40).expect("within the limit");
            let single = other.take(1, 11, 40).expect("within the limit");
            assert!(single > batch + 2);
            [batch, batch + 1, batch + 2, single]
        });
        let first = sequence.take(1, 10, 40).expect("within the limit");
        let second = sequence.take(1, 10, 40).expect("within the limit");
        assert!(second > first);
        let mut words = handle.join().expect("no panic").to_vec();
        words.extend([first, second]);
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), 6);
    });
}

#[test]
fn a_limit_is_never_passed() {
    loom::model(|| {
        let sequence = Arc::new(Sequence::after(9));
        let other = Arc::clone(&sequence);
        let handle = thread::spawn(move || [other.take(1, 0, 11), other.take(1, 0, 11)]);
        let here = [sequence.take(1, 0, 11), sequence.take(1, 0, 11)];
        let there = handle.join().expect("no panic");
        let mut issued: Vec<_> = here.into_iter().chain(there).flatten().collect();
        issued.sort_unstable();
        assert_eq!(issued, [10, 11]);
    });
}

#[test]
fn the_end_covers_every_word_that_was_issued() {
    loom::model(|| {
        let sequence = Arc::new(Sequence::after(0));
        let other = Arc::clone(&sequence);
        let handle = thread::spawn(move || (other.take(1, 5, 40), other.take(2, 5, 40)));
        let end = sequence.end();
        let (single, batch) = handle.join().expect("no panic");
        assert!(single.is_err() || single.is_ok_and(|word| word <= end));
        assert!(batch.is_err() || batch.is_ok_and(|word| word < end));
        assert_eq!(sequence.take(1, 5, 40), Err(Sequence::ENDED));
        assert_eq!(sequence.last(), Sequence::ENDED);
    });
}

#[test]
fn numbers_come_from_blocks_and_from_nowhere_between_them() {
    loom::model(|| {
        let blocks = Arc::new(Blocks::none());
        blocks.install(&(1..=1));
        let other = Arc::clone(&blocks);
        let taker = thread::spawn(move || [other.take(1), other.take(1)]);
        blocks.install(&(5..=5));
        let here = blocks.take(1);
        blocks.install(&(9..=9));
        let there = taker.join().expect("no panic");
        let mut taken: Vec<_> = there
            .into_iter()
            .chain([here, blocks.take(1)])
            .flatten()
            .collect();
        assert!(there[0].is_none() || there[1].is_none() || there[0] < there[1]);
        taken.sort_unstable();
        assert!(taken.windows(2).all(|pair| pair[0] < pair[1]), "{taken:?}");
        assert!(
            taken.iter().all(|number| [1, 5, 9].contains(number)),
            "{taken:?}"
        );
        assert_eq!(taken.last(), Some(&9));
    });
}
