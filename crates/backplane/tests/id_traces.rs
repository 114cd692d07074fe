//! A generator against a naive one that counts by hand, on any trace of the clock.

use std::{collections::HashSet, sync::Arc, thread, time::Duration};

use backplane::{
    Clock, ManualClock, Timestamp,
    id::{Bits, Id, IdError, IdGenerator, Layout, SnowflakeGenerator, SnowflakeOptions},
};
use proptest::prelude::*;

const EPOCH: u64 = 1_000_000;

#[derive(Clone, Debug)]
enum Step {
    /// Wall and monotonic time go on.
    Advance(u64),
    /// The wall clock is set, this far forward or back.
    Jump(i64),
    Next,
    Fill(usize),
    Reserve(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..20u64).prop_map(Step::Advance),
        1 => prop_oneof![
            -60i64..60,
            Just(-50),
            Just(-30_000),
            Just(30_000),
            Just(-2_000_000),
            Just(i64::MAX / 2),
        ].prop_map(Step::Jump),
        6 => Just(Step::Next),
        2 => (0..40usize).prop_map(Step::Fill),
        2 => (0..40usize).prop_map(Step::Reserve),
    ];
    proptest::collection::vec(step, 0..200)
}

/// Layouts narrow enough that sequences and time run out within a trace.
fn layouts() -> impl Strategy<Value = Layout> {
    (10..=40u8, 0..=4u8, 0..=4u8, 1..=10u64).prop_map(|(time, node, sequence, unit)| {
        let bits = Bits {
            time,
            node,
            sequence,
        };
        Layout::new(
            Timestamp::from_millis(EPOCH),
            Duration::from_millis(unit),
            bits,
        )
    })
}

/// Counts identifiers one by one, with time and sequence apart.
#[derive(Clone, Debug)]
struct Naive {
    layout: Layout,
    ahead: Duration,
    last: (u64, u64),
}

impl Naive {
    fn next(&mut self, now: Timestamp) -> Option<(u64, u64)> {
        let unit = u64::try_from(self.layout.unit().as_millis()).expect("a few ms");
        if now < self.layout.epoch() || now.as_millis() >= self.layout.end().as_millis() + unit {
            return None;
        }
        let time = (now.as_millis() - EPOCH) / unit;
        let (mut at, mut sequence) = (self.last.0, self.last.1 + 1);
        if sequence == 1 << self.layout.bits().sequence {
            (at, sequence) = (at + 1, 0);
        }
        if time > at {
            (at, sequence) = (time, 0);
        }
        let stamp = Timestamp::from_millis(EPOCH + at * unit);
        let cut = Timestamp::from_millis(EPOCH + time * unit);
        if stamp > self.layout.end() || stamp.saturating_since(cut) > self.ahead {
            return None;
        }
        self.last = (at, sequence);
        Some(self.last)
    }

    fn batch(&mut self, count: usize, now: Timestamp) -> Option<Vec<(u64, u64)>> {
        let mut ahead = self.clone();
        let batch: Option<Vec<_>> = (0..count).map(|_| ahead.next(now)).collect();
        if batch.is_some() {
            *self = ahead;
        }
        batch
    }

    fn ids(&self, node: u32, words: Option<Vec<(u64, u64)>>) -> Option<Vec<Id>> {
        let id = |(time, sequence)| {
            let bits = self.layout.bits();
            let high = (time << bits.node) | u64::from(node);
            Id::new((high << bits.sequence) | sequence)
        };
        Some(words?.into_iter().map(id).collect())
    }
}

fn jump(clock: &ManualClock, by: i64) {
    let by_millis = Duration::from_millis(by.unsigned_abs());
    let now = clock.now();
    clock.set_now(if by < 0 {
        now.saturating_sub(by_millis)
    } else {
        now.saturating_add(by_millis)
    });
}

proptest! {
    /// Same identifiers, same refusals: strictly increasing, never more than `max_ahead` past the
    /// clock, a batch the same as so many singles, and nothing taken by a refusal.
    #[test]
    fn any_trace_issues_what_counting_by_hand_does(
        (layout, node) in layouts().prop_flat_map(|layout| {
            (Just(layout), 0..1u32 << layout.bits().node)
        }),
        ahead in prop_oneof![Just(0), 0..50u64, Just(1_000)],
        steps in steps(),
    ) {
        let clock = ManualClock::new(Timestamp::from_millis(EPOCH + 500));
        let options = SnowflakeOptions::default().with_max_ahead(Duration::from_millis(ahead));
        let ids = SnowflakeGenerator::with_clock(layout, node, clock.clone(), &options).unwrap();
        let mut naive = Naive { layout, ahead: options.max_ahead, last: (0, 0) };
        let mut greatest = Id::new(0);
        for step in steps {
            let now = clock.now();
            let (issued, count) = match step {
                Step::Advance(by) => {
                    clock.advance(Duration::from_millis(by));
                    continue;
                }
                Step::Jump(by) => {
                    jump(&clock, by);
                    continue;
                }
                Step::Next => (ids.next_id().map(|id| vec![id]), 1),
                Step::Fill(count) => {
                    let mut batch = vec![Id::new(0); count];
                    let filled = ids.fill(&mut batch);
                    if filled.is_err() {
                        prop_assert!(batch.iter().all(|id| *id == Id::new(0)));
                    }
                    (filled.map(|()| batch), count)
                }
                Step::Reserve(count) => (ids.reserve(count).map(Iterator::collect), count),
            };
            let expected = naive.batch(count, now);
            prop_assert_eq!(issued.clone().ok(), naive.ids(node, expected), "{:?}", issued);
            for id in issued.iter().flatten() {
                prop_assert!(*id > greatest);
                greatest = *id;
                let parts = layout.decode(*id).unwrap();
                prop_assert_eq!(parts.node, node);
                prop_assert!(parts.time <= now.saturating_add(options.max_ahead));
                prop_assert!(now.saturating_since(parts.time) < layout.unit());
            }
            if let Err(error) = issued {
                check_refusal(&naive, now, count, error)?;
            }
        }
    }
}

/// What a refusal says is true to the millisecond.
fn check_refusal(
    naive: &Naive,
    now: Timestamp,
    count: usize,
    error: IdError,
) -> Result<(), TestCaseError> {
    let after = |wait| naive.clone().batch(count, now.saturating_add(wait));
    let unit = naive.layout.unit();
    match error {
        IdError::Exhausted { retry_after } | IdError::ClockBehind { retry_after } => {
            prop_assert!(after(retry_after).is_some(), "{error}");
            let early = retry_after.checked_sub(Duration::from_millis(1));
            prop_assert!(after(early.expect("there is something to wait for")).is_none());
        }
        IdError::BatchTooLarge { max } => {
            let units = naive.ahead.as_millis() / unit.as_millis() + 1;
            prop_assert_eq!(u128::from(max), units << naive.layout.bits().sequence);
            prop_assert!(count as u64 > max);
        }
        IdError::TimeOverflow => {
            let end = naive.layout.end();
            prop_assert!(now > end || naive.clone().batch(count, end).is_none());
        }
        other => prop_assert!(false, "{other} without a keeper"),
    }
    Ok(())
}

#[test]
fn threads_never_share_an_identifier() {
    const EACH: usize = 4_096;
    let ids = Arc::new(SnowflakeGenerator::new(Layout::DISCORD, 5).unwrap());
    let workers: Vec<_> = (0..6)
        .map(|worker| {
            let ids = Arc::clone(&ids);
            thread::spawn(move || match worker % 3 {
                0 => (0..EACH).map(|_| ids.next_id().unwrap()).collect(),
                1 => {
                    let local = ids.local(64);
                    (0..EACH).map(|_| local.next_id().unwrap()).collect()
                }
                _ => (0..EACH / 64)
                    .flat_map(|_| ids.reserve(64).unwrap())
                    .collect::<Vec<_>>(),
            })
        })
        .collect();
    let mut all = HashSet::new();
    for worker in workers {
        let issued = worker.join().unwrap();
        assert!(issued.is_sorted_by(|a, b| a < b));
        all.extend(issued);
    }
    assert_eq!(all.len(), 6 * EACH);
}

#[test]
fn generators_of_different_nodes_never_share_an_identifier() {
    let clock = ManualClock::default();
    let options = SnowflakeOptions::default();
    let mut all = HashSet::new();
    for node in 0..8 {
        let ids = SnowflakeGenerator::with_clock(Layout::TWITTER, node, clock.clone(), &options);
        all.extend(ids.unwrap().reserve(10_000).unwrap());
    }
    assert_eq!(all.len(), 80_000);
}

#[test]
fn a_core_holds_clock_and_generator_behind_pointers() {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    let options = SnowflakeOptions::default();
    let generator = SnowflakeGenerator::with_clock(Layout::TWITTER, 0, clock, &options);
    let ids: Arc<dyn IdGenerator> = Arc::new(generator.unwrap());
    let mut batch = [Id::new(0); 3];
    ids.fill(&mut batch).unwrap();
    assert!(ids.next_id().unwrap() > batch[2]);
}

#[test]
fn a_step_back_of_50_ms_goes_unnoticed_and_one_of_30_s_is_refused() {
    let clock = ManualClock::default();
    let options = SnowflakeOptions::default();
    let ids = SnowflakeGenerator::with_clock(Layout::TWITTER, 0, clock.clone(), &options).unwrap();
    let first = ids.next_id().unwrap();
    jump(&clock, -50);
    let second = ids.next_id().unwrap();
    assert!(second > first);
    jump(&clock, -30_000);
    // 30.05 s behind the last identifier, of which one second may be ahead.
    let retry_after = Duration::from_millis(29_050);
    assert_eq!(ids.next_id(), Err(IdError::ClockBehind { retry_after }));
    clock.advance(retry_after);
    assert!(ids.next_id().unwrap() > second);
}
