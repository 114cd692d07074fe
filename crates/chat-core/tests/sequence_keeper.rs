//! Keepers of conversations: who has which, what they lease, and who settles what was given up.

use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use backplane::Epoch;
use chat_core::{
    ConversationId, Error, ErrorKind, GroupId, MemorySequenceMarks, Result,
    sequencer::{
        MarkReplaced, SequenceKeeper, SequenceMark, SequenceMarks, Sequencer, SequencerOptions,
        Sequencers, SequencersOptions, Tombstones,
    },
};
use futures::{FutureExt, future::join_all, pending, pin_mut, poll};
use parking_lot::Mutex;

const HERE: ConversationId = ConversationId::Group(GroupId::new(1));
const EPOCH: Epoch = Epoch::new(7);

/// Marks and rows that answer at the second poll, count their calls, and fail while they are told to.
#[derive(Debug, Default)]
struct Stores {
    marks: MemorySequenceMarks,
    replaced: AtomicU64,
    tombstones: Mutex<BTreeSet<u64>>,
    fails: AtomicBool,
}

impl Stores {
    fn tombstones(&self) -> Vec<u64> {
        self.tombstones.lock().iter().copied().collect()
    }

    async fn answer(&self) -> Result<()> {
        pending!();
        if self.fails.load(Ordering::Relaxed) {
            return Err(Error::bare(ErrorKind::Unavailable, "a test"));
        }
        Ok(())
    }
}

#[async_trait]
impl SequenceMarks for Stores {
    async fn load(&self, conversation: ConversationId) -> Result<Option<SequenceMark>> {
        self.answer().await?;
        Ok(self.marks.load(conversation))
    }

    async fn replace(
        &self,
        conversation: ConversationId,
        expected: Option<SequenceMark>,
        mark: SequenceMark,
    ) -> Result<MarkReplaced> {
        let replaced = self.marks.replace(conversation, expected, mark);
        self.replaced.fetch_add(1, Ordering::Relaxed);
        self.answer().await?;
        Ok(replaced)
    }
}

#[async_trait]
impl Tombstones for Stores {
    async fn decide(&self, _: ConversationId, _: Epoch, numbers: Range<u64>) -> Result<()> {
        self.answer().await?;
        self.tombstones.lock().extend(numbers);
        Ok(())
    }
}

fn stores() -> Arc<Stores> {
    Arc::new(Stores::default())
}

fn options() -> SequencerOptions {
    SequencerOptions::default().with_block(10)
}

fn now<T>(future: impl Future<Output = T>) -> T {
    pin_mut!(future);
    let polled = (0..100).find_map(|_| (&mut future).now_or_never());
    polled.expect("it does not wait for anybody else")
}

fn open(stores: &Arc<Stores>) -> SequenceKeeper {
    let (marks, tombstones) = (Arc::clone(stores), Arc::clone(stores));
    let opening = SequenceKeeper::open(marks, tombstones, HERE, EPOCH, options());
    now(opening).expect("the stores work")
}

fn commit(keeper: &SequenceKeeper, count: u32) -> u64 {
    let permit = now(keeper.reserve(count)).expect("it is the keeper");
    let last = permit.numbers().end - 1;
    permit.commit();
    last
}

#[test]
fn a_block_is_one_write_of_the_mark() {
    let stores = stores();
    let keeper = open(&stores);
    for _ in 0..20 {
        commit(&keeper, 1);
    }
    assert_eq!(stores.replaced.load(Ordering::Relaxed), 1 + 2);
    assert_eq!(commit(&keeper, 25), 45, "a batch larger than a block");
    assert_eq!(stores.replaced.load(Ordering::Relaxed), 1 + 2 + 1);
}

#[test]
fn callers_who_need_a_block_at_once_all_get_numbers() {
    let stores = stores();
    let keeper = open(&stores);
    let calls = (0..30).map(|_| keeper.reserve(1));
    let permits = now(join_all(calls));
    let numbers: BTreeSet<_> = permits
        .iter()
        .flatten()
        .map(|permit| permit.numbers().start)
        .collect();
    assert_eq!(numbers, (1..=30).collect());
}

#[test]
fn a_crash_leaves_tombstones_to_the_end_of_the_block_and_a_close_none() {
    let stores = stores();
    let keeper = open(&stores);
    commit(&keeper, 3);
    drop(keeper); // without a word
    let keeper = open(&stores);
    assert_eq!(stores.tombstones(), (1..=10).collect::<Vec<_>>());
    assert_eq!(keeper.sequencer().watermark(), 10);
    commit(&keeper, 3);
    now(keeper.close()).unwrap();
    now(keeper.close()).unwrap();
    assert_eq!(
        now(keeper.reserve(1)).unwrap_err().kind(),
        ErrorKind::Closed
    );
    assert_eq!(now(keeper.extend()).unwrap_err().kind(), ErrorKind::Closed);
    stores.tombstones.lock().clear();
    assert_eq!(commit(&open(&stores), 1), 14);
    assert_eq!(stores.tombstones(), [0; 0]);
}

#[test]
fn what_is_settled_is_not_decided_again() {
    let stores = stores();
    let keeper = open(&stores);
    commit(&keeper, 10);
    commit(&keeper, 2);
    drop(keeper);
    open(&stores);
    assert_eq!(stores.tombstones(), (11..=20).collect::<Vec<_>>());
}

#[test]
fn of_two_keepers_the_first_gets_no_further_block_and_closes() {
    let stores = stores();
    let first = open(&stores);
    commit(&first, 8);
    let second = open(&stores);
    assert_eq!(
        commit(&first, 2),
        10,
        "of its block, which the second is past"
    );
    assert_eq!(now(first.reserve(1)).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(now(first.reserve(1)).unwrap_err().kind(), ErrorKind::Closed);
    now(first.close()).unwrap();
    assert_eq!(commit(&second, 1), 11);
    assert_eq!(
        commit(&second, 10),
        21,
        "the first has not taken the mark back"
    );
}

#[test]
fn the_watermark_waits_at_what_was_given_up_until_somebody_who_waits_has_it_decided() {
    let stores = stores();
    let keeper = open(&stores);
    let (given_up, last) = (now(keeper.reserve(2)).unwrap(), commit(&keeper, 1));
    let waiting = keeper.visible(last);
    pin_mut!(waiting);
    assert!((&mut waiting).now_or_never().is_none());
    assert!(
        (&mut waiting).now_or_never().is_none(),
        "a writer is at work"
    );
    drop(given_up);
    assert_eq!(
        keeper.sequencer().watermark(),
        0,
        "the row may still arrive"
    );
    now(waiting).unwrap();
    assert_eq!(stores.tombstones(), [1, 2]);
    assert_eq!(keeper.sequencer().watermark(), 3);
}

#[tokio::test]
async fn who_settles_and_is_dropped_or_fails_leaves_it_to_the_next() {
    let stores = stores();
    let keeper = open(&stores);
    drop(now(keeper.reserve(1)).unwrap());
    let last = commit(&keeper, 1);
    let (mut settling, waiting) = (Box::pin(keeper.visible(last)), keeper.visible(last));
    pin_mut!(waiting);
    assert!(poll!(&mut settling).is_pending());
    assert!(poll!(&mut waiting).is_pending(), "the first is on it");
    drop(settling);
    stores.fails.store(true, Ordering::Relaxed);
    let failed = now(keeper.visible(last)).unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Unavailable);
    stores.fails.store(false, Ordering::Relaxed);
    waiting.await.unwrap(); // woken, or tokio would wait for ever
    assert_eq!(stores.tombstones(), [1]);
}

#[test]
fn a_block_whose_confirmation_was_lost_is_recognised_as_ones_own() {
    let stores = stores();
    let keeper = open(&stores);
    stores.fails.store(true, Ordering::Relaxed);
    assert!(now(keeper.reserve(1)).is_err());
    stores.fails.store(false, Ordering::Relaxed);
    assert_eq!(commit(&keeper, 10), 10);
    assert_eq!(stores.marks.load(HERE).unwrap().until, 10);
}

#[test]
fn an_epoch_stays_over_restarts_and_changes_when_one_is_begun() {
    let stores = stores();
    commit(&open(&stores), 3);
    let reopened = open(&stores);
    assert_eq!(reopened.sequencer().epoch(), EPOCH);
    let begin = |raw| {
        let (marks, tombstones) = (Arc::clone(&stores), Arc::clone(&stores));
        let epoch = Epoch::new(raw);
        now(SequenceKeeper::begin_epoch(
            marks,
            tombstones,
            HERE,
            epoch,
            options(),
        ))
    };
    assert_eq!(begin(7).unwrap_err().kind(), ErrorKind::Invalid);
    let begun = begin(8).unwrap();
    assert_eq!(begun.sequencer().epoch(), Epoch::new(8));
    assert_eq!(commit(&begun, 1), 1);
    assert_eq!(
        now(reopened.reserve(1)).unwrap_err().kind(),
        ErrorKind::Closed
    );
}

#[test]
fn a_mark_that_cannot_be_one_is_refused_and_the_numbers_end_with_the_last() {
    let end = Sequencer::LAST;
    for (settled, until) in [(2, 1), (0, end + 1), (u64::MAX, u64::MAX)] {
        let (stores, holder) = (stores(), 1);
        let mark = SequenceMark {
            epoch: EPOCH,
            until,
            settled,
            holder,
        };
        stores.marks.replace(HERE, None, mark);
        let (marks, tombstones) = (Arc::clone(&stores), Arc::clone(&stores));
        let opening = SequenceKeeper::open(marks, tombstones, HERE, EPOCH, options());
        assert_eq!(now(opening).unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(stores.marks.load(HERE), Some(mark), "it is left as it was");
    }
    let stores = stores();
    let mark = SequenceMark {
        epoch: EPOCH,
        until: end - 3,
        settled: end - 3,
        holder: 1,
    };
    stores.marks.replace(HERE, None, mark);
    let keeper = open(&stores);
    assert_eq!(commit(&keeper, 3), end);
    assert_eq!(
        now(keeper.reserve(1)).unwrap_err().kind(),
        ErrorKind::Closed
    );
    now(keeper.extend()).unwrap();
    assert_eq!(open(&stores).sequencer().watermark(), end);
}

fn map(stores: &Arc<Stores>, conversations: usize) -> Sequencers {
    let next = AtomicU64::new(1);
    let epochs = move || Epoch::new(next.fetch_add(1, Ordering::Relaxed));
    let options = SequencersOptions::default()
        .with_each(options())
        .with_conversations(conversations);
    let (marks, tombstones) = (Arc::clone(stores), Arc::clone(stores));
    Sequencers::new(marks, tombstones, epochs, options)
}

#[test]
fn who_resolves_at_once_gets_the_same_keeper_though_the_first_is_dropped() {
    let stores = stores();
    let map = map(&stores, 1_000);
    let mut first = Box::pin(map.resolve(HERE));
    assert!((&mut first).now_or_never().is_none());
    let mut others = Box::pin(join_all((0..3).map(|_| map.resolve(HERE))));
    assert!((&mut others).now_or_never().is_none());
    drop(first);
    let others = now(others);
    let keepers: Vec<_> = others.into_iter().map(Result::unwrap).collect();
    let again = now(map.resolve(HERE)).unwrap();
    assert!(keepers.iter().all(|keeper| Arc::ptr_eq(keeper, &again)));
    assert_eq!(stores.marks.load(HERE).unwrap().holder, 1, "opened once");
    let there = now(map.resolve(ConversationId::Group(GroupId::new(2)))).unwrap();
    assert_eq!(there.sequencer().epoch(), Epoch::new(2));
}

#[test]
fn a_failed_opening_is_not_kept_and_a_closed_or_lost_keeper_is_opened_again() {
    let stores = stores();
    let map = map(&stores, 1_000);
    stores.fails.store(true, Ordering::Relaxed);
    let failed = now(map.resolve(HERE)).unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Unavailable);
    stores.fails.store(false, Ordering::Relaxed);
    let first = now(map.resolve(HERE)).unwrap();
    commit(&first, 1);
    now(map.close(HERE)).unwrap();
    now(map.close(HERE)).unwrap();
    assert!(map.find(HERE).is_none());
    let second = now(map.resolve(HERE)).unwrap();
    assert_eq!(commit(&second, 1), 2);
    let elsewhere = open(&stores);
    assert!(now(second.reserve(20)).is_err());
    let third = now(map.resolve(HERE)).unwrap();
    assert!(now(elsewhere.reserve(1)).is_err());
    assert!(commit(&third, 1) > 2);
}

#[test]
fn more_conversations_than_may_be_open_are_refused() {
    let stores = stores();
    let map = map(&stores, 64);
    let all = (0..200).map(|raw| now(map.resolve(ConversationId::Group(GroupId::new(raw)))));
    let (open, refused): (Vec<_>, Vec<_>) = all.partition(Result::is_ok);
    assert!(open.len() <= 64, "{} are open", open.len());
    assert!(
        refused
            .iter()
            .filter_map(|one| one.as_ref().err())
            .all(|error| error.kind() == ErrorKind::Full)
    );
    now(map.close(ConversationId::Group(GroupId::new(0)))).unwrap();
    assert!(now(map.resolve(ConversationId::Group(GroupId::new(0)))).is_ok());
}
