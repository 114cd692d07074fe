//! The generator's compare-and-swap under every interleaving that the memory model allows.
#![cfg(loom)]

use loom::{sync::Arc, thread};
use sequence::Sequence;

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
