//! A log on a store of rows that writes one row at a time, made whole by the two-phase sequencer:
//! what its readers see while writes fail, arrive late and are given up, and while one process after
//! the other is taken for dead.

use std::{
    collections::BTreeMap,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use async_trait::async_trait;
use backplane::Epoch;
use chat_core::{
    ConversationId, Error, ErrorKind, GroupId, MemorySequenceMarks, Result,
    sequencer::{SequenceKeeper, SequencerOptions, Tombstones},
};
use fastrand::Rng;
use futures::{FutureExt, pending};
use parking_lot::Mutex;
use proptest::prelude::*;

const HERE: ConversationId = ConversationId::Group(GroupId::new(1));

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Row {
    Message(u64),
    Tombstone,
}

/// Rows by number. The first to insert a row has its number, as with `IF NOT EXISTS`.
#[derive(Debug)]
struct Rows {
    state: Mutex<RowsState>,
}

#[derive(Debug)]
struct RowsState {
    rows: BTreeMap<u64, Row>,
    /// On their way, though their callers were told that they had failed.
    late: Vec<(u64, Row)>,
    chance: Rng,
    /// Of ten writes, so many go wrong.
    faults: u32,
}

impl RowsState {
    fn insert(&mut self, number: u64, row: Row) -> bool {
        *self.rows.entry(number).or_insert(row) == row
    }

    /// One of the writes on their way arrives.
    fn arrive(&mut self) {
        if !self.late.is_empty() {
            let which = self.chance.usize(..self.late.len());
            let (number, row) = self.late.swap_remove(which);
            self.insert(number, row);
        }
    }
}

impl Rows {
    fn new(seed: u64) -> Arc<Self> {
        let state = RowsState {
            rows: BTreeMap::new(),
            late: Vec::new(),
            chance: Rng::with_seed(seed),
            faults: 3,
        };
        let state = Mutex::new(state);
        Arc::new(Self { state })
    }

    /// Whether the row is there now, as far as the caller is told.
    async fn insert(&self, number: u64, row: Row) -> Result<bool> {
        pending!(); // on its way there
        let outcome = {
            let mut state = self.state.lock();
            let goes_wrong = state.chance.u32(..10) < state.faults;
            let how = state.chance.u8(..3);
            match (goes_wrong, how) {
                (false, _) => Some(state.insert(number, row)),
                (true, 0) => None,
                (true, 1) => {
                    state.insert(number, row);
                    None
                }
                (true, _) => {
                    state.late.push((number, row));
                    None
                }
            }
        };
        pending!(); // and back
        outcome.ok_or_else(|| Error::bare(ErrorKind::Unavailable, "insert a row"))
    }
}

#[async_trait]
impl Tombstones for Rows {
    async fn decide(&self, _: ConversationId, _: Epoch, numbers: Range<u64>) -> Result<()> {
        for number in numbers {
            self.insert(number, Row::Tombstone).await?;
        }
        Ok(())
    }
}

/// A message is appended: its number, once it can be read.
async fn append(keeper: Arc<SequenceKeeper>, rows: Arc<Rows>, body: u64) -> Result<u64> {
    let permit = keeper.reserve(1).await?;
    let number = permit.position().offset;
    if !rows.insert(number, Row::Message(body)).await? {
        permit.tombstone();
        return Err(Error::bare(ErrorKind::Closed, "append"));
    }
    permit.commit();
    keeper.visible(number).await?;
    Ok(number)
}

/// A member's device, which reads on from where it is.
#[derive(Default)]
struct Reader {
    seen: Vec<Row>,
}

impl Reader {
    fn read(&mut self, keeper: &SequenceKeeper, rows: &Rows) -> Result<(), TestCaseError> {
        let watermark = keeper.sequencer().watermark();
        let state = rows.state.lock();
        for number in self.seen.len() as u64 + 1..=watermark {
            let row = state.rows.get(&number);
            prop_assert!(row.is_some(), "a hole at {} that nobody explains", number);
            self.seen.extend(row);
        }
        Ok(())
    }
}

/// An append that is under way.
struct Call {
    body: u64,
    /// The greatest number that was acknowledged when it began.
    after: u64,
    future: Pin<Box<dyn Future<Output = Result<u64>>>>,
}

struct World {
    rows: Arc<Rows>,
    marks: Arc<MemorySequenceMarks>,
    keeper: Arc<SequenceKeeper>,
    calls: Vec<Call>,
    acknowledged: BTreeMap<u64, u64>,
    readers: [Reader; 2],
    chance: Rng,
    bodies: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let (rows, marks) = (Rows::new(seed), Arc::new(MemorySequenceMarks::default()));
        let keeper = open(&rows, &marks).expect("nothing is decided at first");
        Self {
            rows,
            marks,
            keeper,
            calls: Vec::new(),
            acknowledged: BTreeMap::new(),
            readers: Default::default(),
            chance: Rng::with_seed(seed.wrapping_add(1)),
            bodies: 0,
        }
    }

    fn step(&mut self) -> Result<(), TestCaseError> {
        match self.chance.u8(..40) {
            0..8 => self.begin(),
            8..28 => self.poll()?,
            28..30 => self.give_up(),
            30..34 => self.rows.state.lock().arrive(),
            34..39 => self.read()?,
            _ => self.restart(),
        }
        Ok(())
    }

    /// The processes before are not told: their calls go on.
    fn restart(&mut self) {
        if let Ok(keeper) = open(&self.rows, &self.marks) {
            self.keeper = keeper;
        }
    }

    fn begin(&mut self) {
        self.bodies += 1;
        let (keeper, rows) = (Arc::clone(&self.keeper), Arc::clone(&self.rows));
        let after = self.acknowledged.keys().last();
        self.calls.push(Call {
            body: self.bodies,
            after: after.copied().unwrap_or_default(),
            future: Box::pin(append(keeper, rows, self.bodies)),
        });
    }

    fn poll(&mut self) -> Result<(), TestCaseError> {
        if self.calls.is_empty() {
            return Ok(());
        }
        let which = self.chance.usize(..self.calls.len());
        let call = &mut self.calls[which];
        let context = &mut Context::from_waker(Waker::noop());
        if let Poll::Ready(appended) = call.future.as_mut().poll(context) {
            let call = self.calls.swap_remove(which);
            if let Ok(number) = appended {
                prop_assert!(number > call.after, "numbered before what came first");
                let twice = self.acknowledged.insert(number, call.body);
                prop_assert_eq!(twice, None);
                // Acknowledged means that whoever reads now finds it.
                self.read()?;
                let found = self.readers[0]
                    .seen
                    .get(usize::try_from(number - 1).expect("a few"));
                prop_assert_eq!(found, Some(&Row::Message(call.body)));
            }
        }
        Ok(())
    }

    fn give_up(&mut self) {
        if !self.calls.is_empty() {
            let which = self.chance.usize(..self.calls.len());
            drop(self.calls.swap_remove(which));
        }
    }

    fn read(&mut self) -> Result<(), TestCaseError> {
        // The first device reads at every occasion, the second rarely.
        let readers = if self.chance.bool() { 2 } else { 1 };
        for reader in &mut self.readers[..readers] {
            reader.read(&self.keeper, &self.rows)?;
        }
        Ok(())
    }

    /// The faults end, all that is under way ends, and nobody has seen what is not so.
    fn end(mut self) -> Result<(), TestCaseError> {
        self.rows.state.lock().faults = 0;
        let mut polls = 0;
        while !self.calls.is_empty() {
            self.poll()?;
            self.rows.state.lock().arrive();
            polls += 1;
            prop_assert!(polls < 1_000_000, "somebody waits for ever");
        }
        let settled = now(self.keeper.settle());
        prop_assert!(settled.is_ok());
        prop_assert_eq!(self.keeper.sequencer().outstanding(), 0);
        let late = self.rows.state.lock().late.len();
        (0..late).for_each(|_| self.rows.state.lock().arrive());
        self.read()?;
        self.readers[1].read(&self.keeper, &self.rows)?;
        let rows = &self.rows.state.lock().rows;
        let watermark = self.keeper.sequencer().watermark();
        let stored: Vec<_> = rows.range(..=watermark).map(|(_, row)| *row).collect();
        for reader in &self.readers {
            prop_assert_eq!(&reader.seen, &stored, "what was read has changed");
        }
        for (number, body) in &self.acknowledged {
            prop_assert_eq!(rows.get(number), Some(&Row::Message(*body)));
        }
        Ok(())
    }
}

/// Polls until there is an answer: everything goes on by itself here.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = Box::pin(future);
    loop {
        if let Some(answer) = (&mut future).now_or_never() {
            return answer;
        }
    }
}

fn open(rows: &Arc<Rows>, marks: &Arc<MemorySequenceMarks>) -> Result<Arc<SequenceKeeper>> {
    let (marks, tombstones) = (Arc::clone(marks), Arc::clone(rows));
    let options = SequencerOptions::default().with_block(5).with_window(8);
    let opening = SequenceKeeper::open(marks, tombstones, HERE, Epoch::new(7), options);
    now(opening).map(Arc::new)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every number is a message or a tombstone when it is read, and stays what it was; none appears
    /// behind a reader; numbers follow the order of appends; what was acknowledged is there.
    #[test]
    fn readers_of_a_log_on_single_rows_see_one_order_without_holes(seed: u64, steps in 0..1_500_usize) {
        let mut world = World::new(seed);
        for _ in 0..steps {
            world.step()?;
        }
        world.end()?;
    }
}
