use std::{
    collections::{HashSet, VecDeque},
    pin::pin,
};

use async_trait::async_trait;
use futures::{FutureExt, future::BoxFuture, poll};

use super::*;
use crate::{
    ManualClock,
    conformance::{Fresh, TestTime},
    memory::MemoryIdCounter,
};

crate::id_generator_conformance!(async {
    // All that a case issues has to be in hand, since nobody runs the keeper.
    let keeper = AutoIncrementKeeper::open(Arc::new(MemoryIdCounter::default()), 10_000);
    Fresh::<dyn IdGenerator> {
        store: Arc::clone(keeper.await.unwrap().generator()) as Arc<dyn IdGenerator>,
        time: TestTime::Manual(ManualClock::default()),
    }
});

fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("the counter does not wait")
}

fn open(counter: &Arc<MemoryIdCounter>, block: u32) -> AutoIncrementKeeper {
    let counter = Arc::clone(counter) as Arc<dyn IdCounter>;
    now(AutoIncrementKeeper::open(counter, block)).unwrap()
}

fn raw(ids: &AutoIncrement) -> Result<u64, IdError> {
    ids.next_id().map(Id::get)
}

#[test]
fn identifiers_are_refused_when_the_blocks_are_used_up_and_go_on_with_the_next() {
    let keeper = open(&Arc::default(), 2);
    let ids = keeper.generator();
    assert_eq!((raw(ids), raw(ids)), (Ok(1), Ok(2)));
    assert_eq!(raw(ids), Err(IdError::AwaitingMark));
    now(keeper.extend()).unwrap();
    now(keeper.extend()).unwrap();
    assert_eq!((raw(ids), raw(ids)), (Ok(3), Ok(4)));
    assert_eq!(raw(ids), Err(IdError::AwaitingMark), "one block in reserve");
}

#[test]
fn neither_a_restart_nor_another_node_repeats_an_identifier() {
    let counter = Arc::new(MemoryIdCounter::default());
    let mut all = HashSet::new();
    for _life in 0..3 {
        let nodes = [open(&counter, 5), open(&counter, 5)];
        for _ in 0..4 {
            for keeper in &nodes {
                let mut last = 0;
                for _ in 0..3 {
                    let id = raw(keeper.generator()).unwrap();
                    assert!(id > last && all.insert(id));
                    last = id;
                }
                now(keeper.extend()).unwrap();
            }
        }
    }
    assert_eq!(all.len(), 72);
}

#[test]
fn a_batch_never_takes_what_lies_between_two_blocks() {
    let counter = Arc::new(MemoryIdCounter::default());
    let (here, there) = (open(&counter, 4), open(&counter, 4));
    let mut batch = [Id::default(); 3];
    here.generator().fill(&mut batch).unwrap();
    now(here.extend()).unwrap(); // 9 to 12, after 1 to 4
    assert_eq!(batch, [1, 2, 3].map(Id::new));
    here.generator().fill(&mut batch).unwrap();
    assert_eq!(batch, [9, 10, 11].map(Id::new), "4 is lost");
    assert_eq!(raw(there.generator()), Ok(5));
    let max = 4;
    let too_large = here.generator().fill(&mut [Id::default(); 5]);
    assert_eq!(too_large, Err(IdError::BatchTooLarge { max }));
}

#[test]
fn a_block_that_was_overtaken_on_its_way_is_not_gone_back_to() {
    let ids = AutoIncrement::new(2);
    ids.offer(5..=6);
    ids.offer(3..=4);
    assert_eq!(raw(&ids), Ok(3), "none was begun yet");
    ids.offer(1..=2);
    assert_eq!(*ids.waiting.lock(), [5..=6]);
    assert_eq!((raw(&ids), raw(&ids)), (Ok(4), Ok(5)));
    assert_eq!((raw(&ids), raw(&ids)), (Ok(6), Err(IdError::AwaitingMark)));
}

/// A counter that answers as it is told, and then for ever the last way.
#[derive(Debug)]
struct Told(Mutex<VecDeque<Result<u64, ErrorKind>>>);

#[async_trait]
impl IdCounter for Told {
    async fn take(&self, _: u32) -> Result<u64> {
        let mut told = self.0.lock();
        let next = if told.len() > 1 {
            told.pop_front()
        } else {
            told.front().copied()
        };
        let next = next.expect("it was told something");
        next.map_err(|kind| Error::bare(kind, "take"))
    }
}

fn told(answers: impl IntoIterator<Item = Result<u64, ErrorKind>>) -> Arc<dyn IdCounter> {
    Arc::new(Told(Mutex::new(answers.into_iter().collect())))
}

#[test]
fn numbers_that_cannot_be_are_refused() {
    for first in [0, u64::MAX - 1, u64::MAX] {
        let opened = now(AutoIncrementKeeper::open(told([Ok(first)]), 2));
        assert_eq!(opened.unwrap_err().kind(), ErrorKind::Corrupt, "{first}");
    }
    let opened = now(AutoIncrementKeeper::open(told([Ok(u64::MAX - 2)]), 2));
    let keeper = opened.unwrap();
    assert_eq!(raw(keeper.generator()), Ok(u64::MAX - 2));
    assert_eq!(raw(keeper.generator()), Ok(u64::MAX - 1));
}

#[tokio::test]
async fn a_keeper_that_runs_takes_the_next_block_when_one_is_begun_and_tries_again_after_a_failure()
{
    let away = Err(ErrorKind::Unavailable);
    let counter = told([Ok(1), Ok(11), away, Ok(21), Ok(31)]);
    let keeper = AutoIncrementKeeper::open(counter, 2).await.unwrap();
    let (clock, ids) = (ManualClock::default(), Arc::clone(keeper.generator()));
    let failures = Mutex::new(0);
    let run = keeper.run(&clock, |_| *failures.lock() += 1);
    let mut run: BoxFuture<'_, ()> = Box::pin(run);
    let mut run = pin!(&mut run);
    assert!(poll!(&mut run).is_pending());
    assert_eq!((raw(&ids), raw(&ids)), (Ok(1), Ok(2)));
    assert!(poll!(&mut run).is_pending());
    assert_eq!((raw(&ids), raw(&ids)), (Ok(11), Ok(12)));
    assert!(poll!(&mut run).is_pending());
    assert_eq!(*failures.lock(), 1);
    assert!(poll!(&mut run).is_pending() && ids.needs_block());
    clock.advance(PAUSE);
    assert!(poll!(&mut run).is_pending());
    assert_eq!((raw(&ids), raw(&ids)), (Ok(21), Ok(22)));
}

#[test]
fn threads_and_a_keeper_at_once_repeat_nothing_and_go_up() {
    let counter = Arc::new(MemoryIdCounter::default());
    let keepers = [open(&counter, 7), open(&counter, 7)];
    let take = |keeper: &AutoIncrementKeeper| {
        let mut taken = Vec::new();
        for _ in 0..1_000_000 {
            match keeper.generator().next_id() {
                Ok(id) => taken.push(id),
                Err(_) => now(keeper.extend()).unwrap(),
            }
            if taken.len() == 2_000 {
                break;
            }
        }
        assert!(taken.is_sorted_by(|a, b| a < b));
        taken
    };
    let all: HashSet<_> = std::thread::scope(|scope| {
        let nodes = [0, 0, 1, 1].map(|node| &keepers[node]);
        let threads = nodes.map(|keeper| scope.spawn(move || take(keeper)));
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(all.len(), 8_000);
}
