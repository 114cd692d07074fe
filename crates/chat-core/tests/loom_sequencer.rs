//! The sequencer under every interleaving that the memory model allows.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p chat-core --test loom_sequencer --release`
#![cfg(loom)]
#![expect(clippy::unwrap_used, reason = "a model panics to fail")]

use std::{
    pin::pin,
    task::{Context, Wake, Waker},
};

use backplane::{Epoch, Position};
use chat_core::sequencer::{Permit, ReserveError, Sequencer, SequencerOptions};
use loom::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

fn sequencer(window: u32) -> Arc<Sequencer> {
    let start = Position::new(Epoch::new(1), 0);
    let options = SequencerOptions::default().with_window(window);
    Arc::new(Sequencer::new(start, options))
}

#[test]
fn completions_in_any_order_are_all_counted() {
    loom::model(|| {
        let sequencer = sequencer(8);
        let one = sequencer.reserve(1).unwrap();
        let other = Arc::clone(&sequencer);
        let thread = thread::spawn(move || {
            let (two, three) = (other.reserve(1).unwrap(), other.reserve(1).unwrap());
            two.commit();
            three.commit();
        });
        one.commit();
        thread.join().unwrap();
        assert_eq!((sequencer.watermark(), sequencer.outstanding()), (3, 0));
        sequencer.reserve(1).unwrap().commit();
        assert_eq!(sequencer.watermark(), 4, "no flag is left that hides it");
    });
}

#[test]
fn three_threads_complete_their_own() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let sequencer = sequencer(8);
        let threads = [0, 1].map(|which| {
            let sequencer = Arc::clone(&sequencer);
            thread::spawn(move || {
                let permit = sequencer.reserve(1).unwrap();
                let number = permit.numbers().start;
                if which == 0 {
                    permit.commit();
                } // the other one gives it up
                number
            })
        });
        let permit = sequencer.reserve(2).unwrap();
        let mut numbers = vec![permit.numbers().start, permit.numbers().start + 1];
        permit.commit();
        numbers.extend(threads.map(|thread| thread.join().unwrap()));
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3, 4]);
        assert_eq!(sequencer.watermark(), 4);
    });
}

/// Stores the row of each number, and reads them up to the watermark on another thread.
fn write_and_read(commit: impl Fn([Permit<'_>; 2])) {
    let (sequencer, rows) = (sequencer(8), rows());
    let reader = spawn_reader(&sequencer, &rows);
    let permits = [(); 2].map(|()| sequencer.reserve(1).unwrap());
    for (row, number) in rows.iter().zip(1..) {
        row.store(number, Ordering::Relaxed);
    }
    commit(permits);
    reader.join().unwrap();
}

fn rows() -> Arc<[AtomicUsize; 2]> {
    Arc::new([0, 0].map(AtomicUsize::new))
}

fn spawn_reader(
    sequencer: &Arc<Sequencer>,
    rows: &Arc<[AtomicUsize; 2]>,
) -> thread::JoinHandle<()> {
    let (sequencer, rows) = (Arc::clone(sequencer), Arc::clone(rows));
    thread::spawn(move || {
        let watermark = usize::try_from(sequencer.watermark()).unwrap();
        for (row, number) in rows.iter().zip(1..=watermark) {
            assert_eq!(row.load(Ordering::Relaxed), number);
        }
    })
}

#[test]
fn whoever_sees_the_watermark_sees_the_rows_below_it() {
    loom::model(|| write_and_read(|permits| permits.into_iter().for_each(Permit::commit)));
}

#[test]
fn whoever_sees_the_watermark_sees_rows_that_were_completed_out_of_order() {
    loom::model(|| write_and_read(|permits| permits.into_iter().rev().for_each(Permit::commit)));
}

#[test]
fn whoever_sees_the_watermark_sees_the_rows_of_all_who_wrote_below_it() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let (sequencer, rows) = (sequencer(8), rows());
        let writers = [(); 2].map(|()| {
            let (sequencer, rows) = (Arc::clone(&sequencer), Arc::clone(&rows));
            thread::spawn(move || {
                let permit = sequencer.reserve(1).unwrap();
                let number = usize::try_from(permit.numbers().start).unwrap();
                rows[number - 1].store(number, Ordering::Relaxed);
                permit.commit();
            })
        });
        let reader = spawn_reader(&sequencer, &rows);
        for thread in writers.into_iter().chain([reader]) {
            thread.join().unwrap();
        }
        assert_eq!(sequencer.watermark(), 2);
    });
}

/// Waits on this thread. Loom fails a model in which nobody can go on.
fn wait(future: impl Future<Output = ()>) {
    let waker = Waker::from(std::sync::Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    while future
        .as_mut()
        .poll(&mut Context::from_waker(&waker))
        .is_pending()
    {
        thread::park();
    }
}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for both of two numbers, of which rows are read then, while they are committed.
fn wait_and_write(commit: impl Fn([Permit<'_>; 2])) {
    let (sequencer, rows) = (sequencer(8), rows());
    let waiter = {
        let (sequencer, rows) = (Arc::clone(&sequencer), Arc::clone(&rows));
        thread::spawn(move || {
            wait(sequencer.reached(2));
            assert_eq!(
                rows.each_ref().map(|row| row.load(Ordering::Relaxed)),
                [1, 2]
            );
        })
    };
    let permits = [(); 2].map(|()| sequencer.reserve(1).unwrap());
    for (row, number) in rows.iter().zip(1..) {
        row.store(number, Ordering::Relaxed);
    }
    commit(permits);
    waiter.join().unwrap();
}

#[test]
fn a_waiter_is_woken_and_sees_what_it_waited_for() {
    loom::model(|| wait_and_write(|permits| permits.into_iter().for_each(Permit::commit)));
}

#[test]
fn a_waiter_is_woken_by_whoever_closes_the_gap() {
    loom::model(|| wait_and_write(|permits| permits.into_iter().rev().for_each(Permit::commit)));
}

#[test]
fn the_window_holds_and_comes_free() {
    loom::model(|| {
        let sequencer = sequencer(1);
        let other = Arc::clone(&sequencer);
        let taker = thread::spawn(move || match other.reserve(1) {
            Ok(permit) => {
                assert_eq!(other.outstanding(), 1);
                permit.commit();
                1
            }
            Err(ReserveError::WindowFull { .. }) => 0,
            Err(other) => panic!("{other}"),
        });
        let here = sequencer.reserve(1).map(|permit| permit.commit()).is_ok();
        let taken = taker.join().unwrap() + u64::from(here);
        assert!(taken >= 1);
        assert_eq!(sequencer.watermark(), taken);
        sequencer.reserve(1).unwrap().commit();
    });
}
