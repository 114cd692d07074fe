//! A keeper and its callers under random schedules of their threads.
//!
//! `RUSTFLAGS="--cfg shuttle" cargo test -p chat-core --test shuttle_sequencer --release`
#![cfg(shuttle)]
#![expect(clippy::unwrap_used, reason = "a schedule panics to fail")]

use std::{collections::BTreeSet, ops::Range, sync::Arc};

use async_trait::async_trait;
use backplane::Epoch;
use chat_core::{
    ConversationId, GroupId, MemorySequenceMarks, Result,
    sequencer::{SequenceKeeper, SequencerOptions, Tombstones},
};
use shuttle::{future::block_on, sync::Mutex, thread};

const SCHEDULES: usize = 5_000;
/// At how many places of a schedule one thread is held up.
const DEPTH: usize = 3;
const WRITERS: u64 = 3;
const EACH: u64 = 3;

#[derive(Default)]
struct Rows(Mutex<BTreeSet<u64>>);

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Rows").finish()
    }
}

#[async_trait]
impl Tombstones for Rows {
    async fn decide(&self, _: ConversationId, _: Epoch, numbers: Range<u64>) -> Result<()> {
        shuttle::future::yield_now().await;
        self.0.lock().unwrap().extend(numbers);
        Ok(())
    }
}

/// Each third message of a writer is given up; whoever waits for another one sees to it.
fn write(keeper: &SequenceKeeper, rows: &Rows, writer: u64) {
    for message in 0..EACH {
        let permit = block_on(keeper.reserve(1)).unwrap();
        let number = permit.position().offset;
        if (writer + message) % EACH == 0 {
            continue;
        }
        rows.0.lock().unwrap().insert(number);
        permit.commit();
        block_on(keeper.visible(number)).unwrap();
        let decided = rows.0.lock().unwrap();
        let watermark = keeper.sequencer().watermark();
        assert!((1..=number).all(|number| decided.contains(&number)));
        assert!(watermark >= number);
    }
}

#[test]
fn whoever_waits_for_a_message_sees_it_whoever_gives_up() {
    // Rarely, a thread has to be held up at one place while the others go on: few random schedules
    // do that.
    shuttle::check_pct(
        || {
            let (marks, rows) = (
                Arc::new(MemorySequenceMarks::default()),
                Arc::new(Rows::default()),
            );
            let tombstones = Arc::clone(&rows);
            let options = SequencerOptions::default().with_block(2);
            let (here, epoch) = (ConversationId::Group(GroupId::new(1)), Epoch::new(1));
            let opening = SequenceKeeper::open(marks, tombstones, here, epoch, options);
            let keeper = Arc::new(block_on(opening).unwrap());
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    let (keeper, rows) = (Arc::clone(&keeper), Arc::clone(&rows));
                    thread::spawn(move || write(&keeper, &rows, writer))
                })
                .collect();
            for writer in writers {
                writer.join().unwrap();
            }
            block_on(keeper.settle()).unwrap();
            assert_eq!(keeper.sequencer().watermark(), WRITERS * EACH);
        },
        SCHEDULES,
        DEPTH,
    );
}
