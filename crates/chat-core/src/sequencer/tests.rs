use std::{
    iter::zip,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Wake, Waker},
};

use futures::FutureExt;

use super::*;

fn after(offset: u64) -> Sequencer {
    let start = Position::new(Epoch::new(1), offset);
    Sequencer::new(start, SequencerOptions::default())
}

/// Counts how often a task would be polled again.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn whoever_waits_for_a_number_is_woken_when_the_watermark_passes_it_out_of_order() {
    let sequencer = after(1);
    let [two, three, four] = [(); 3].map(|()| sequencer.reserve(1).unwrap());
    let woken = [(); 2].map(|()| Arc::new(Woken::default()));
    let mut waiting = [3, 4].map(|number| sequencer.reached(number));
    let mut poll = || {
        let both = zip(&mut waiting, &woken).map(|(reached, woken)| {
            let waker = Waker::from(Arc::clone(woken));
            reached
                .poll_unpin(&mut Context::from_waker(&waker))
                .is_ready()
        });
        both.collect::<Vec<_>>()
    };
    let wakes = || {
        woken
            .each_ref()
            .map(|woken| woken.0.load(Ordering::Relaxed))
    };
    assert_eq!(poll(), [false, false]);
    three.commit();
    assert_eq!((sequencer.watermark(), wakes()), (1, [0, 0]));
    two.commit();
    assert_eq!((sequencer.watermark(), wakes()), (3, [1, 0]));
    assert_eq!(poll(), [true, false], "4 is not complete");
    four.commit();
    assert_eq!((sequencer.watermark(), wakes()), (4, [1, 1]));
    assert_eq!(poll(), [true, true]);
}

#[test]
fn a_permit_that_is_dropped_is_a_tombstone_and_holds_nobody_up() {
    let sequencer = after(0);
    let (first, second) = (sequencer.reserve(2).unwrap(), sequencer.reserve(1).unwrap());
    second.commit();
    drop(first);
    assert_eq!((sequencer.watermark(), sequencer.outstanding()), (3, 0));
    let cancelled = async {
        let _permit = sequencer.reserve(1).unwrap();
        std::future::pending::<()>().await;
    };
    assert!(cancelled.now_or_never().is_none());
    assert_eq!(sequencer.watermark(), 4);
    let panicking = || {
        let _permit = sequencer.reserve(1).unwrap();
        panic!("a writer");
    };
    assert!(catch_unwind(AssertUnwindSafe(panicking)).is_err());
    assert_eq!(sequencer.watermark(), 5);
    sequencer.reserve(1).unwrap().tombstone();
    assert_eq!(sequencer.watermark(), 6);
}

#[test]
fn more_than_the_window_is_refused_and_says_so() {
    let options = SequencerOptions::default().with_window(4);
    let sequencer = Sequencer::new(Position::new(Epoch::new(1), 0), options);
    let refused = |count| sequencer.reserve(count).unwrap_err();
    assert_eq!(refused(5), ReserveError::TooMany { window: 4 });
    assert_eq!(refused(u32::MAX), ReserveError::TooMany { window: 4 });
    let (first, second) = (sequencer.reserve(1).unwrap(), sequencer.reserve(2).unwrap());
    let full = ReserveError::WindowFull {
        outstanding: 3,
        window: 4,
    };
    assert_eq!(refused(2), full);
    second.commit();
    assert_eq!(refused(2), full, "what is complete out of order counts");
    first.commit();
    assert_eq!(sequencer.reserve(4).unwrap().numbers(), 4..8);
}

#[test]
fn a_window_larger_than_any_is_the_largest() {
    let options = SequencerOptions::default().with_window(u32::MAX);
    let sequencer = Sequencer::new(Position::new(Epoch::new(1), 0), options);
    let (first, all) = (
        sequencer.reserve(1).unwrap(),
        sequencer.reserve(8_190).unwrap(),
    );
    assert!(sequencer.reserve(1).is_err());
    all.commit();
    first.commit();
    assert_eq!(sequencer.watermark(), 8_191);
}

#[test]
fn the_numbers_end_and_do_not_wrap() {
    let sequencer = after(Sequencer::LAST - 2);
    assert_eq!(sequencer.reserve(3).unwrap_err(), ReserveError::End);
    sequencer.reserve(2).unwrap().commit();
    assert_eq!(sequencer.watermark(), Sequencer::LAST);
    assert_eq!(sequencer.reserve(1).unwrap_err(), ReserveError::End);
    assert_eq!(after(u64::MAX).watermark(), Sequencer::LAST);
}

#[test]
fn a_permit_of_many_may_end_in_parts() {
    let sequencer = after(0);
    let mut stored = sequencer.reserve(5).unwrap();
    let failed = stored.split_off(3);
    assert_eq!((stored.numbers(), failed.numbers()), (1..4, 4..6));
    assert_eq!(failed.position(), Position::new(Epoch::new(1), 4));
    stored.commit();
    assert_eq!(sequencer.watermark(), 3);
    failed.tombstone();
    assert_eq!(sequencer.watermark(), 5);
}

#[test]
fn a_permit_for_nothing_changes_nothing() {
    let sequencer = after(0);
    let empty = sequencer.reserve(0).unwrap();
    assert!(empty.numbers().is_empty());
    let one = sequencer.reserve(1).unwrap();
    empty.commit();
    drop(sequencer.reserve(0).unwrap());
    assert_eq!((sequencer.watermark(), sequencer.outstanding()), (0, 1));
    one.commit();
}

#[test]
fn a_waiter_that_is_dropped_leaves_nothing_behind_and_one_that_moves_is_woken_where_it_is() {
    let sequencer = after(0);
    let one = sequencer.reserve(1).unwrap();
    assert!(sequencer.reached(1).now_or_never().is_none());
    let mut moving = sequencer.reached(1);
    assert!((&mut moving).now_or_never().is_none());
    assert!((&mut moving).now_or_never().is_none());
    let ledger = format!("{:?}", sequencer.ledger.lock());
    assert_eq!(ledger.matches("Waker").count(), 1, "{ledger}");
    one.commit();
    assert!(moving.now_or_never().is_some());
    assert!(!sequencer.progress.load().has(Word::WAITING | Word::LATE));
}

#[test]
fn a_closed_sequencer_reserves_nothing_and_completes_what_it_reserved() {
    let sequencer = after(0);
    let one = sequencer.reserve(1).unwrap();
    assert_eq!(sequencer.close(), (0, 1));
    assert_eq!(sequencer.reserve(1).unwrap_err(), ReserveError::Closed);
    one.commit();
    assert_eq!(sequencer.watermark(), 1);
}
