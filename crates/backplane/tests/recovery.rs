//! The recovery machine against a stream that is published to, trimmed, expired and lost while its
//! live messages are dropped, repeated and reordered.

use std::collections::{HashMap, HashSet, VecDeque};

use backplane::{
    Epoch, Position,
    bus::{GapReason, HistoryPage, Message, Recovered, Recovery, RecoveryOptions, Step},
};
use proptest::{collection::vec, prelude::*};

#[derive(Clone, Copy, Debug)]
enum Op {
    Publish,
    /// The history keeps only its newest messages.
    Trim(usize),
    /// The history keeps nothing, and the stream its top.
    Expire,
    /// The stream is lost with all it held.
    NewEpoch,
    /// The wire hands over one of its messages.
    Deliver(prop::sample::Index),
    Filter,
    Duplicate(prop::sample::Index),
    Drop(prop::sample::Index),
    /// The engine executes the read that was asked for.
    Execute,
    /// The reader gets the page.
    Page,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => Just(Op::Publish),
        1 => (0_usize..6).prop_map(Op::Trim),
        1 => Just(Op::Expire),
        1 => Just(Op::NewEpoch),
        5 => any::<prop::sample::Index>().prop_map(Op::Deliver),
        1 => Just(Op::Filter),
        1 => any::<prop::sample::Index>().prop_map(Op::Duplicate),
        1 => any::<prop::sample::Index>().prop_map(Op::Drop),
        2 => Just(Op::Execute),
        2 => Just(Op::Page),
    ]
}

fn options() -> impl Strategy<Value = RecoveryOptions> {
    (
        0_usize..20,
        0_usize..60,
        0_usize..6,
        0_usize..40,
        1_usize..5,
    )
        .prop_map(|(messages, bytes, buffered, buffered_bytes, reads)| {
            RecoveryOptions::default()
                .with_recovered(messages, bytes)
                .with_buffered(buffered, buffered_bytes)
                .with_max_reads(reads)
        })
}

/// A stream and everything that happened to it.
struct World {
    top: Position,
    retained: VecDeque<Message>,
    published: HashMap<(Epoch, u64), Message>,
    wire: Vec<Message>,
    page_size: usize,
    lossless: bool,
}

impl World {
    fn new(published: u64, page_size: usize) -> Self {
        let mut world = Self {
            top: Position::new(Epoch::new(1), 0),
            retained: VecDeque::new(),
            published: HashMap::new(),
            wire: Vec::new(),
            page_size,
            lossless: true,
        };
        (0..published).for_each(|_| world.publish());
        world.wire.clear();
        world
    }

    fn publish(&mut self) {
        self.top = self.top.next();
        let payload = format!("{}/{}", self.top.epoch, self.top.offset);
        let message = Message::new(self.top, payload.into());
        self.published
            .insert((self.top.epoch, self.top.offset), message.clone());
        self.retained.push_back(message.clone());
        self.wire.push(message);
    }

    fn trim(&mut self, keep: usize) {
        self.lossless &= keep >= self.retained.len();
        while self.retained.len() > keep {
            self.retained.pop_front();
        }
    }

    fn new_epoch(&mut self) {
        self.lossless = false;
        self.retained.clear();
        self.top = Position::new(Epoch::new(self.top.epoch.get() + 1), 0);
    }

    fn read(&self, after: Position, limit: usize, bytes: usize) -> HistoryPage {
        let known = after.epoch == self.top.epoch;
        let mut total = 0;
        let messages = self
            .retained
            .iter()
            .filter(|message| known && message.position.offset > after.offset)
            .take(limit.min(self.page_size))
            .enumerate()
            .take_while(|(i, message)| {
                total += message.payload.len();
                total <= bytes || *i == 0
            })
            .map(|(_, message)| message.clone());
        HistoryPage::new(messages.collect(), self.top)
    }
}

/// The reader's side: what it was handed, and the page on its way.
struct Reader {
    recovery: Recovery,
    since: Position,
    /// The page on its way, once the engine has executed the read.
    page: Option<HistoryPage>,
    handed: Vec<Position>,
    filtered: HashSet<(Epoch, u64)>,
    reads: usize,
    max_reads: usize,
}

impl Reader {
    fn new(since: Position, options: RecoveryOptions) -> Self {
        Self {
            max_reads: options.max_reads,
            recovery: Recovery::new(since, options),
            since,
            page: None,
            handed: Vec::new(),
            filtered: HashSet::new(),
            reads: 0,
        }
    }

    fn execute(&mut self, world: &World) {
        let (at, limit) = (self.recovery.at(), self.recovery.limit());
        let bytes = self.recovery.byte_limit();
        self.page
            .get_or_insert_with(|| world.read(at, limit, bytes));
    }

    fn take_page(&mut self) -> Option<(Recovered, Position)> {
        let page = self.page.take()?;
        let top = page.top;
        self.reads += 1;
        match self.recovery.page(page) {
            Step::Read => None,
            Step::Done(recovered) => Some((recovered, top)),
        }
    }

    fn apply(&mut self, world: &mut World, op: Op) -> Option<(Recovered, Position)> {
        match op {
            Op::Publish => world.publish(),
            Op::Trim(keep) => world.trim(keep),
            Op::Expire => world.trim(0),
            Op::NewEpoch => world.new_epoch(),
            Op::Execute => self.execute(world),
            Op::Page => return self.take_page(),
            _ if world.wire.is_empty() => {}
            Op::Deliver(index) => {
                let message = world.wire.remove(index.index(world.wire.len()));
                self.hand(message);
            }
            Op::Duplicate(index) => {
                let message = world.wire[index.index(world.wire.len())].clone();
                self.hand(message);
            }
            Op::Drop(index) => {
                world.wire.remove(index.index(world.wire.len()));
            }
            Op::Filter => {
                let position = world.wire.remove(0).position;
                self.filtered.insert((position.epoch, position.offset));
                self.handed.push(position);
                self.recovery.filtered(position);
            }
        }
        None
    }

    fn hand(&mut self, message: Message) {
        self.handed.push(message.position);
        self.recovery.live(message);
    }

    fn check(&self, world: &World, recovered: &Recovered, top: Position) {
        let end = recovered.position;
        let start = recovered.gap.map_or(self.since, |gap| gap.until);
        assert_eq!(start.epoch, end.epoch, "an epoch is crossed only by a gap");
        let got: HashMap<_, _> = recovered
            .messages
            .iter()
            .map(|message| (message.position.offset, message))
            .collect();
        assert_eq!(got.len(), recovered.messages.len(), "no duplicates");
        assert!(recovered.messages.is_sorted_by_key(|m| m.position.offset));
        for offset in start.offset + 1..=end.offset {
            match got.get(&offset) {
                Some(message) => assert_eq!(**message, world.published[&(end.epoch, offset)]),
                None => assert!(self.filtered.contains(&(end.epoch, offset)), "no hole"),
            }
        }
        assert!(
            got.keys()
                .all(|&offset| (start.offset + 1..=end.offset).contains(&offset))
        );
        assert!(
            end.offset == 0 || world.published.contains_key(&(end.epoch, end.offset)),
            "no position that the stream never had"
        );
        if end.epoch == top.epoch {
            assert!(end.offset >= top.offset, "reaches what the history showed");
        }
        let mixed = self.handed.iter().any(|at| at.epoch != end.epoch);
        if mixed && self.reads == self.max_reads {
            return; // stragglers of an ended epoch displaced what no further read may show
        }
        let newest = self.handed.iter().filter(|at| at.epoch == end.epoch);
        assert!(
            newest
                .max_by_key(|at| at.offset)
                .is_none_or(|at| at.offset <= end.offset),
            "reaches what was live"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_run_is_contiguous_and_complete_or_a_gap_precedes_it(
        published in 0_u64..8,
        since in 0_u64..10,
        page_size in 1_usize..5,
        options in options(),
        ops in vec(op(), 0..60),
    ) {
        let mut world = World::new(published, page_size);
        let since = Position::new(world.top.epoch, since);
        let mut reader = Reader::new(since, options);
        let finish = std::iter::repeat([Op::Execute, Op::Page]).flatten();
        let (recovered, top) = ops
            .into_iter()
            .chain(finish)
            .find_map(|op| reader.apply(&mut world, op))
            .expect("the reads are endless");
        prop_assert!(reader.reads <= reader.max_reads);
        reader.check(&world, &recovered, top);
    }

    #[test]
    fn whatever_the_wire_does_a_complete_history_heals_it(
        published in 0_u64..8,
        since in 0_u64..8,
        page_size in 1_usize..5,
        buffered in 0_usize..6,
        ops in vec(op(), 0..60),
    ) {
        let mut world = World::new(published, page_size);
        let since = Position::new(world.top.epoch, since.min(published));
        let options = RecoveryOptions::default()
            .with_buffered(buffered, 1_000)
            .with_max_reads(1_000);
        let mut reader = Reader::new(since, options);
        let finish = std::iter::repeat([Op::Execute, Op::Page]).flatten();
        let (recovered, top) = ops
            .into_iter()
            .filter(|op| !matches!(op, Op::Trim(_) | Op::Expire | Op::NewEpoch))
            .chain(finish)
            .find_map(|op| reader.apply(&mut world, op))
            .expect("the reads are endless");
        prop_assert!(world.lossless);
        prop_assert_eq!(recovered.gap, None);
        reader.check(&world, &recovered, top);
    }

    #[test]
    fn a_gap_is_told_only_for_a_reason(
        published in 0_u64..8,
        since in 0_u64..10,
        ops in vec(op(), 0..60),
    ) {
        let mut world = World::new(published, 100);
        let since = Position::new(world.top.epoch, since);
        let mut reader = Reader::new(since, RecoveryOptions::default());
        let finish = std::iter::repeat([Op::Execute, Op::Page]).flatten();
        let (recovered, _) = ops
            .into_iter()
            .chain(finish)
            .find_map(|op| reader.apply(&mut world, op))
            .expect("the reads are endless");
        match recovered.gap.map(|gap| gap.reason) {
            None => {}
            Some(GapReason::Ahead) => prop_assert!(since.offset > published),
            Some(GapReason::EpochChanged) => prop_assert_ne!(recovered.position.epoch, since.epoch),
            Some(reason) => prop_assert!(!world.lossless, "{reason:?}"),
        }
    }
}
