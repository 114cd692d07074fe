//! The sequencer and its keeper against a naive oracle, over crashes and restarts.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    ops::Range,
    sync::Arc,
};

use async_trait::async_trait;
use backplane::{Epoch, Position};
use chat_core::{
    ConversationId, Error, ErrorKind, GroupId, MemorySequenceMarks, Result,
    sequencer::{
        MarkReplaced, Permit, SequenceKeeper, SequenceMark, SequenceMarks, Sequencer,
        SequencerOptions, Tombstones,
    },
};
use futures::FutureExt;
use parking_lot::Mutex;
use proptest::prelude::*;

const HERE: ConversationId = ConversationId::Group(GroupId::new(1));
const WINDOW: u32 = 12;

/// What became of a number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Outstanding,
    Complete,
}

/// Every number that was ever given, and no cleverness.
#[derive(Debug, Default)]
struct Naive(BTreeMap<u64, Fate>);

impl Naive {
    fn watermark(&self) -> u64 {
        let mut watermark = 0;
        while self.0.get(&(watermark + 1)) == Some(&Fate::Complete) {
            watermark += 1;
        }
        watermark
    }

    fn outstanding(&self) -> u64 {
        self.0.len() as u64 - self.watermark()
    }

    fn reserve(&mut self, numbers: Range<u64>) -> Result<(), TestCaseError> {
        for number in numbers {
            let twice = self.0.insert(number, Fate::Outstanding);
            prop_assert_eq!(twice, None, "{} was given before", number);
        }
        Ok(())
    }

    fn complete(&mut self, numbers: Range<u64>) {
        self.0
            .extend(numbers.map(|number| (number, Fate::Complete)));
    }
}

/// How one permit ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Commit,
    Tombstone,
    Drop,
    /// The first half is committed, the second dropped.
    Halves,
}

#[derive(Clone, Debug)]
enum Step {
    Reserve(u32),
    End(usize, End),
    /// What was given up is decided.
    Settle,
    Extend,
    /// The process ends, in good order or not, and another begins.
    Restart {
        orderly: bool,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let end = prop_oneof![
        4 => Just(End::Commit),
        1 => Just(End::Tombstone),
        1 => Just(End::Drop),
        1 => Just(End::Halves),
    ];
    let step = prop_oneof![
        8 => (0..5_u32).prop_map(Step::Reserve),
        8 => (any::<usize>(), end).prop_map(|(which, end)| Step::End(which, end)),
        2 => Just(Step::Settle),
        1 => Just(Step::Extend),
        1 => any::<bool>().prop_map(|orderly| Step::Restart { orderly }),
    ];
    proptest::collection::vec(step, 0..150)
}

/// Ends a permit. What of it is complete, and what was given up.
fn end(mut permit: Permit<'_>, how: End) -> (Range<u64>, Range<u64>) {
    let numbers = permit.numbers();
    match how {
        End::Commit => permit.commit(),
        End::Tombstone => permit.tombstone(),
        End::Drop => drop(permit),
        End::Halves => {
            let half = u32::try_from((numbers.end - numbers.start) / 2).expect("a few");
            let rest = permit.split_off(half);
            let halves = (permit.numbers(), rest.numbers());
            drop(rest);
            permit.commit();
            return halves;
        }
    }
    let nothing = numbers.end..numbers.end;
    match how {
        End::Drop => (nothing, numbers),
        _ => (numbers, nothing),
    }
}

proptest! {
    #[test]
    fn a_sequencer_is_as_far_as_the_oracle_at_every_step(steps in steps()) {
        let options = SequencerOptions::default().with_window(WINDOW);
        let sequencer = Sequencer::new(Position::new(Epoch::new(1), 0), options);
        let (mut naive, mut permits) = (Naive::default(), Vec::new());
        for step in steps {
            match step {
                Step::Reserve(count) => {
                    let room = naive.outstanding() + u64::from(count) <= WINDOW.into();
                    let reserved = sequencer.reserve(count);
                    prop_assert_eq!(reserved.is_ok(), room, "{:?}", reserved);
                    let Ok(permit) = reserved else { continue };
                    naive.reserve(permit.numbers())?;
                    permits.push(permit);
                }
                Step::End(which, how) if !permits.is_empty() => {
                    let permit = permits.swap_remove(which % permits.len());
                    let (complete, given_up) = end(permit, how);
                    naive.complete(complete);
                    naive.complete(given_up); // at once, without a keeper
                }
                _ => {}
            }
            prop_assert_eq!(sequencer.watermark(), naive.watermark());
            prop_assert_eq!(u64::from(sequencer.outstanding()), naive.outstanding());
        }
    }

    #[test]
    fn no_number_is_given_twice_and_none_is_forgotten_over_restarts(
        steps in steps(),
        faults in faults(),
    ) {
        let world = Arc::new(World::new(faults));
        let mut naive = Naive::default();
        let mut keeper: &SequenceKeeper = open(&world, &mut naive)?;
        let (mut permits, mut given_up) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Reserve(count) => {
                    let Ok(permit) = now(keeper.reserve(count)) else { continue };
                    naive.reserve(permit.numbers())?;
                    permits.push(permit);
                }
                Step::End(which, how) if !permits.is_empty() => {
                    let permit = permits.swap_remove(which % permits.len());
                    let (complete, held) = end(permit, how);
                    naive.complete(complete);
                    given_up.push(held);
                }
                Step::End(..) => {}
                Step::Settle => {
                    if now(keeper.settle()).is_ok() {
                        given_up.drain(..).for_each(|numbers| naive.complete(numbers));
                    } else {
                        given_up.retain(|numbers| {
                            let is_settled = world.has_decided(numbers);
                            if is_settled {
                                naive.complete(numbers.clone());
                            }
                            !is_settled
                        });
                    }
                }
                Step::Extend => drop(now(keeper.extend())),
                Step::Restart { orderly } => {
                    if orderly {
                        now(keeper.close()).ok();
                        prop_assert!(now(keeper.reserve(1)).is_err());
                    }
                    mem::take(&mut permits).into_iter().for_each(mem::forget);
                    given_up.clear();
                    keeper = open(&world, &mut naive)?;
                }
            }
            prop_assert_eq!(keeper.sequencer().watermark(), naive.watermark());
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    None,
    /// The call fails and has done nothing.
    Before,
    /// The call fails, but was carried out.
    After,
}

fn faults() -> impl Strategy<Value = Vec<Fault>> {
    let fault = prop_oneof![
        6 => Just(Fault::None),
        1 => Just(Fault::Before),
        1 => Just(Fault::After),
    ];
    proptest::collection::vec(fault, 0..80)
}

/// Stores that fail as told, call by call, and work once they were told nothing more.
#[derive(Debug)]
struct World {
    marks: MemorySequenceMarks,
    decided: Mutex<Vec<Range<u64>>>,
    faults: Mutex<VecDeque<Fault>>,
}

impl World {
    fn new(faults: Vec<Fault>) -> Self {
        Self {
            marks: MemorySequenceMarks::default(),
            decided: Mutex::default(),
            faults: Mutex::new(faults.into()),
        }
    }

    fn call<R>(&self, work: impl FnOnce() -> R) -> Result<R> {
        let fault = self.faults.lock().pop_front().unwrap_or(Fault::None);
        let outcome = (fault != Fault::Before).then(work);
        let told = outcome.filter(|_| fault == Fault::None);
        told.ok_or_else(|| Error::bare(ErrorKind::Unavailable, "flaky"))
    }

    /// As far as the keeper was told.
    fn has_decided(&self, numbers: &Range<u64>) -> bool {
        self.decided.lock().contains(numbers)
    }
}

#[async_trait]
impl SequenceMarks for World {
    async fn load(&self, conversation: ConversationId) -> Result<Option<SequenceMark>> {
        self.call(|| self.marks.load(conversation))
    }

    async fn replace(
        &self,
        conversation: ConversationId,
        expected: Option<SequenceMark>,
        mark: SequenceMark,
    ) -> Result<MarkReplaced> {
        self.call(|| self.marks.replace(conversation, expected, mark))
    }
}

#[async_trait]
impl Tombstones for World {
    async fn decide(&self, _: ConversationId, _: Epoch, numbers: Range<u64>) -> Result<()> {
        self.call(|| ())?;
        self.decided.lock().push(numbers);
        Ok(())
    }
}

/// The stores answer at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing waits")
}

/// Opens until it works. All that is before the keeper is complete then, and nothing else.
fn open(world: &Arc<World>, naive: &mut Naive) -> Result<&'static SequenceKeeper, TestCaseError> {
    let options = SequencerOptions::default()
        .with_window(WINDOW)
        .with_block(4);
    let keeper = loop {
        let (marks, tombstones) = (Arc::clone(world), Arc::clone(world));
        let opening = SequenceKeeper::open(marks, tombstones, HERE, Epoch::new(7), options);
        if let Ok(keeper) = now(opening) {
            break keeper;
        }
    };
    let start = keeper.sequencer().position();
    prop_assert_eq!(start.epoch, Epoch::new(7));
    let given = naive.0.keys().last().copied().unwrap_or_default();
    prop_assert!(start.offset >= given, "numbers would be given again");
    for number in naive.watermark() + 1..=start.offset {
        let decided = world
            .decided
            .lock()
            .iter()
            .any(|numbers| numbers.contains(&number));
        let complete = naive.0.get(&number) == Some(&Fate::Complete);
        prop_assert!(
            decided || complete,
            "nobody knows what became of {}",
            number
        );
    }
    naive.complete(1..start.offset + 1);
    Ok(Box::leak(Box::new(keeper)))
}
