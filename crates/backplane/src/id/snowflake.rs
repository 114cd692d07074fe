use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    Id, IdBatch, IdError, IdGenerator, Layout, LocalIds, PartsError, layout::Splice,
    sequence::Sequence,
};
use crate::{Clock, CoarseClock, Timestamp, clock::whole_millis};

/// The [`IdGenerator`] after Twitter's Snowflake: time, node and sequence in 64 bits.
///
/// All threads share one word of time and sequence and advance it by one compare-and-swap; the
/// node is spliced in after. The word never goes back, so the identifiers of one generator
/// increase whatever its clock does: a clock that stands still or steps back is waited out by
/// counting on, up to [`max_ahead`](SnowflakeOptions::max_ahead) past what the clock says.
///
/// ```
/// use backplane::id::{IdGenerator, Layout, SnowflakeGenerator};
/// let ids = SnowflakeGenerator::new(Layout::DISCORD, 3)?;
/// let (first, second) = (ids.next_id()?, ids.next_id()?);
/// assert!(first < second);
/// assert_eq!(ids.layout().decode(second)?.node, 3);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// # Uniqueness
///
/// A generator made with [`new`](Self::new) trusts its caller twice: that nobody else uses the
/// node, and that the clock has passed the identifiers of the node's earlier lives. A
/// [`MarkKeeper`](super::MarkKeeper) removes the second trust with a durable mark and a
/// [`LeaseKeeper`](super::LeaseKeeper) removes both: there, a node's points of time are handed out
/// like the node itself, each to one generator only, and no clock can make two overlap.
///
/// # Limits
///
/// [`Layout::cap_per_second`] identifiers a second, after a head start of `max_ahead`.
#[derive(Debug)]
pub struct SnowflakeGenerator<C = CoarseClock> {
    sequence: Sequence,
    bounds: Bounds,
    layout: Layout,
    splice: Splice,
    /// How many units past the clock an identifier's time may lie.
    ahead: u64,
    /// How many words past the first of the clock's time may be issued.
    reach: u64,
    clock: C,
}

/// How a [`SnowflakeGenerator`] behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SnowflakeOptions {
    /// How far past the clock an identifier's time may lie. One second unless set.
    ///
    /// It is the head start of a burst past the layout's cap, and the longest step back of the
    /// clock that goes unnoticed. With less than a tick of the clock (up to 10 ms on a
    /// [`CoarseClock`]) the cap is not reached.
    pub max_ahead: Duration,
}

impl Default for SnowflakeOptions {
    fn default() -> Self {
        Self {
            max_ahead: Duration::from_secs(1),
        }
    }
}

impl SnowflakeOptions {
    /// Sets [`max_ahead`](Self::max_ahead).
    #[must_use]
    pub const fn with_max_ahead(mut self, max_ahead: Duration) -> Self {
        self.max_ahead = max_ahead;
        self
    }
}

/// What a keeper of the node allows. All of it is unbounded where there is none.
#[derive(Debug)]
struct Bounds {
    /// The last word that the durable mark covers and the layout has, or [`CLOSED`].
    ceiling: AtomicU64,
    /// The millisecond of the monotonic clock from which on the lease counts as expired.
    deadline: AtomicU64,
}

const NO_DEADLINE: u64 = u64::MAX;

/// The ceiling of a closed generator.
const CLOSED: u64 = 0;

impl SnowflakeGenerator {
    /// A generator on the machine's coarse clock, which nothing keeps from sharing its node.
    ///
    /// # Errors
    ///
    /// If the layout has no room for `node`.
    pub fn new(layout: Layout, node: u32) -> Result<Self, PartsError> {
        let clock = CoarseClock::new();
        Self::with_clock(layout, node, clock, &SnowflakeOptions::default())
    }
}

impl<C: Clock> SnowflakeGenerator<C> {
    /// As [`new`](SnowflakeGenerator::new), on any clock.
    ///
    /// # Errors
    ///
    /// If the layout has no room for `node`.
    pub fn with_clock(
        layout: Layout,
        node: u32,
        clock: C,
        options: &SnowflakeOptions,
    ) -> Result<Self, PartsError> {
        let splice = layout.splice(node)?;
        let ceiling = layout.last_word(u64::MAX).min(Sequence::ENDED - 1);
        let ahead = whole_millis(options.max_ahead) / whole_millis(layout.unit());
        let words_a_unit = layout.last_sequence() + 1;
        Ok(Self {
            sequence: Sequence::after(0),
            bounds: Bounds {
                ceiling: AtomicU64::new(ceiling),
                deadline: AtomicU64::new(NO_DEADLINE),
            },
            layout,
            splice,
            ahead,
            reach: ahead.saturating_add(1).saturating_mul(words_a_unit) - 1,
            clock,
        })
    }

    /// How the identifiers divide their bits.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The clock that stamps the identifiers.
    #[must_use]
    pub const fn clock(&self) -> &C {
        &self.clock
    }

    /// The next identifier.
    ///
    /// # Errors
    ///
    /// See [`IdError`]. A refused call issues nothing.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "the compare-and-swap waits for every store before it, those of a call included"
    )]
    pub fn next_id(&self) -> Result<Id, IdError> {
        let now = self.clock.now();
        match self.take_at(1, now) {
            Ok(word) => Ok(self.splice.id(word)),
            Err(last) => Err(self.refusal(1, now, last)),
        }
    }

    /// Takes the next `count` identifiers in one step, to be drawn from the batch.
    ///
    /// # Errors
    ///
    /// See [`IdError`]. A refused call issues nothing.
    #[inline]
    pub fn reserve(&self, count: usize) -> Result<IdBatch, IdError> {
        let first = if count == 0 {
            0
        } else {
            self.take(count as u64)?
        };
        Ok(IdBatch::new(first, count, self.splice))
    }

    /// Fills `ids` with the next identifiers in one step.
    ///
    /// # Errors
    ///
    /// See [`IdError`]. A refused call issues nothing and leaves `ids` as it was.
    pub fn fill(&self, mut ids: &mut [Id]) -> Result<(), IdError> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut word = self.take(ids.len() as u64)?;
        while !ids.is_empty() {
            let run = usize::try_from(self.splice.run(word)).unwrap_or(usize::MAX);
            let (now, later) = ids.split_at_mut(run.min(ids.len()));
            let mut raw = self.splice.id(word).get();
            for id in &mut *now {
                *id = Id::new(raw);
                raw = raw.wrapping_add(1);
            }
            word = word.wrapping_add(now.len() as u64);
            ids = later;
        }
        Ok(())
    }

    /// A source of identifiers for one thread, which takes them from here `block` at a time.
    ///
    /// See [`LocalIds`] for what that does to their time.
    #[must_use]
    pub fn local(self: &Arc<Self>, block: u32) -> LocalIds<C> {
        LocalIds::new(Arc::clone(self), block)
    }

    fn take(&self, count: u64) -> Result<u64, IdError> {
        let now = self.clock.now();
        self.take_at(count, now)
            .map_err(|last| self.refusal(count, now, last))
    }

    /// The first of `count` words taken at `now`, or the last word issued.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as `next_id`, whose body it is")]
    fn take_at(&self, count: u64, now: Timestamp) -> Result<u64, u64> {
        if self.lease_expired() {
            return Err(self.sequence.last());
        }
        let Ok(time) = self.layout.time_of(now) else {
            return Err(self.sequence.last());
        };
        let from = self.layout.first_word(time);
        let limit = from.saturating_add(self.reach).min(self.ceiling());
        self.sequence.take(count, from, limit)
    }

    /// Takes up to `count` words: fewer where `count` at once are refused.
    pub(super) fn take_some(&self, count: u32) -> Result<(u64, u32), IdError> {
        match self.take(count.into()) {
            Ok(first) => Ok((first, count)),
            Err(_) => Ok((self.take(1)?, 1)),
        }
    }

    pub(super) const fn splice(&self) -> Splice {
        self.splice
    }

    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        self.ceiling() == CLOSED
    }

    /// The last word that the keeper of the node allows, or [`CLOSED`].
    #[inline]
    fn ceiling(&self) -> u64 {
        self.bounds.ceiling.load(Ordering::Relaxed)
    }

    #[inline]
    fn lease_expired(&self) -> bool {
        let deadline = self.bounds.deadline.load(Ordering::Relaxed);
        deadline != NO_DEADLINE && self.has_passed(deadline)
    }

    // Apart, so that a generator without a lease does not carry it through its hot path.
    #[inline(never)]
    fn has_passed(&self, deadline: u64) -> bool {
        whole_millis(self.clock.monotonic()) >= deadline
    }

    /// Why `count` words could not be had at `now`, when `last` was the last one issued.
    #[cold]
    #[inline(never)]
    fn refusal(&self, count: u64, now: Timestamp, last: u64) -> IdError {
        if last == Sequence::ENDED {
            return IdError::Closed;
        }
        if self.lease_expired() {
            return IdError::LeaseExpired;
        }
        let max = self.max_batch();
        if count > max {
            return IdError::BatchTooLarge { max };
        }
        match self.layout.time_of(now) {
            Ok(time) => self.shortage(count, now, time, last),
            Err(PartsError::BeforeEpoch) => self.before_epoch(count, now, last),
            Err(_) => IdError::TimeOverflow,
        }
    }

    /// As `refusal`, for a clock at `time` units.
    fn shortage(&self, count: u64, now: Timestamp, time: u64, last: u64) -> IdError {
        let first = self.layout.first_word(time).max(last + 1);
        let needed = first.saturating_add(count - 1);
        if needed > self.layout.last_word(u64::MAX) || needed == Sequence::ENDED {
            return IdError::TimeOverflow;
        }
        let sequence_bits = self.layout.bits().sequence;
        let furthest = time.saturating_add(self.ahead);
        let units = (needed >> sequence_bits).saturating_sub(furthest);
        if units == 0 {
            return IdError::AwaitingMark;
        }
        let retry_after = self.layout.timestamp(time + units).saturating_since(now);
        if last >> sequence_bits > furthest {
            IdError::ClockBehind { retry_after }
        } else {
            IdError::Exhausted { retry_after }
        }
    }

    /// As `refusal`, for a clock that has to reach the epoch first.
    fn before_epoch(&self, count: u64, now: Timestamp, last: u64) -> IdError {
        let epoch = self.layout.epoch();
        match self.shortage(count, epoch, 0, last) {
            IdError::TimeOverflow => IdError::TimeOverflow,
            later => IdError::ClockBehind {
                retry_after: epoch.saturating_since(now)
                    + later.retry_after().unwrap_or(Duration::ZERO),
            },
        }
    }

    /// The words between the clock's time and the furthest allowed.
    const fn max_batch(&self) -> u64 {
        self.reach + 1
    }
}

/// What a keeper of the node does with the generator.
impl<C: Clock> SnowflakeGenerator<C> {
    /// A generator that counts all identifiers up to `mark` as issued, and issues none before it
    /// is [allowed](Self::allow_until) to.
    pub(super) fn kept(
        layout: Layout,
        node: u32,
        clock: C,
        options: &SnowflakeOptions,
        mark: Option<Timestamp>,
    ) -> Result<Self, PartsError> {
        let mut generator = Self::with_clock(layout, node, clock, options)?;
        let last = mark.map_or(0, |mark| generator.last_word_at(mark));
        let last = last.clamp(CLOSED + 1, Sequence::ENDED - 1);
        generator.sequence = Sequence::after(last);
        generator.bounds.ceiling = AtomicU64::new(last);
        Ok(generator)
    }

    /// Allows identifiers up to `mark`, which is durable.
    pub(super) fn allow_until(&self, mark: Timestamp) {
        let allowed = self.last_word_at(mark).min(Sequence::ENDED - 1);
        let raised = |ceiling: u64| (ceiling != CLOSED).then(|| ceiling.max(allowed));
        // A closed generator stays closed.
        let (relaxed, ceiling) = (Ordering::Relaxed, &self.bounds.ceiling);
        ceiling.fetch_update(relaxed, relaxed, raised).ok();
    }

    /// Allows identifiers before `deadline` of the monotonic clock.
    pub(super) fn allow_before(&self, deadline: Duration) {
        let millis = whole_millis(deadline).min(NO_DEADLINE - 1);
        self.bounds.deadline.store(millis, Ordering::Relaxed);
    }

    /// Refuses identifiers from now on. Returns the time of the last one issued, unless the
    /// generator was closed before.
    pub(super) fn close(&self) -> Option<Timestamp> {
        let last = self.sequence.end();
        self.bounds.ceiling.store(CLOSED, Ordering::Relaxed);
        let time = last >> self.layout.bits().sequence;
        (last != Sequence::ENDED).then(|| self.layout.timestamp(time))
    }

    /// The furthest time that an identifier may carry now.
    pub(super) fn furthest(&self) -> Timestamp {
        let ahead = self.ahead.saturating_mul(whole_millis(self.layout.unit()));
        let now = self.clock.now();
        now.saturating_add(Duration::from_millis(ahead))
    }

    /// The last word whose time is at or before `mark`; zero if there is none.
    fn last_word_at(&self, mark: Timestamp) -> u64 {
        match self.layout.time_of(mark) {
            Ok(time) => self.layout.last_word(time),
            Err(PartsError::BeforeEpoch) => 0,
            Err(_) => self.layout.last_word(u64::MAX),
        }
    }
}

impl<C: Clock> IdGenerator for SnowflakeGenerator<C> {
    fn next_id(&self) -> Result<Id, IdError> {
        self.next_id()
    }

    fn fill(&self, ids: &mut [Id]) -> Result<(), IdError> {
        self.fill(ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ManualClock,
        conformance::{Fresh, TestTime},
        id::Bits,
    };

    fn on(clock: &ManualClock, layout: Layout) -> SnowflakeGenerator<ManualClock> {
        let options = SnowflakeOptions::default();
        SnowflakeGenerator::with_clock(layout, 0, clock.clone(), &options).unwrap()
    }

    crate::id_generator_conformance!(async {
        let clock = ManualClock::default();
        Fresh::<dyn IdGenerator> {
            store: Arc::new(on(&clock, Layout::TWITTER)),
            time: TestTime::Manual(clock),
        }
    });

    #[test]
    fn the_first_identifier_of_a_layout_is_not_zero() {
        let bits = Bits {
            time: 41,
            node: 10,
            sequence: 12,
        };
        let layout = Layout::new(Timestamp::EPOCH, Duration::from_millis(1), bits);
        let clock = ManualClock::new(Timestamp::EPOCH);
        assert_eq!(on(&clock, layout).next_id(), Ok(Id::new(1)));
    }

    #[test]
    fn a_node_that_does_not_fit_is_refused_at_construction() {
        assert!(SnowflakeGenerator::new(Layout::TWITTER, 1_023).is_ok());
        let refused = SnowflakeGenerator::new(Layout::TWITTER, 1_024);
        assert_eq!(refused.unwrap_err(), PartsError::Node);
    }

    #[test]
    fn the_cap_is_what_the_layout_says_after_the_head_start() {
        let clock = ManualClock::default();
        let ids = on(&clock, Layout::TWITTER);
        let head_start = 1_001 * 4_096;
        assert!(ids.reserve(head_start).is_ok());
        let retry_after = Duration::from_millis(1);
        assert_eq!(ids.next_id(), Err(IdError::Exhausted { retry_after }));
        clock.advance(Duration::from_secs(1));
        assert!(ids.reserve(4_096_000).is_ok());
        assert!(ids.next_id().is_err());
        assert!((Layout::TWITTER.cap_per_second() - 4_096_000.0).abs() < 1.0);
    }

    #[test]
    fn the_end_of_time_is_an_error_and_no_wrap() {
        let clock = ManualClock::new(Layout::TWITTER.end());
        let ids = on(&clock, Layout::TWITTER);
        assert!(ids.reserve(4_096).is_ok());
        assert_eq!(ids.next_id(), Err(IdError::TimeOverflow));
        clock.advance(Duration::from_millis(1));
        assert_eq!(ids.next_id(), Err(IdError::TimeOverflow));
        clock.set_now(Timestamp::from_millis(u64::MAX));
        assert_eq!(ids.next_id(), Err(IdError::TimeOverflow));
    }

    #[test]
    fn the_longest_head_start_ends_with_the_widest_layout() {
        let clock = ManualClock::new(Layout::MASTODON.end());
        let options = SnowflakeOptions::default().with_max_ahead(Duration::MAX);
        let ids = SnowflakeGenerator::with_clock(Layout::MASTODON, 0, clock, &options).unwrap();
        // Of the 65,536 words the greatest is never issued.
        assert!(ids.reserve(65_536).is_err());
        assert!(ids.reserve(65_534).is_ok());
        assert_eq!(ids.next_id(), Ok(Id::new(u64::MAX - 1)));
        assert_eq!(ids.next_id(), Err(IdError::TimeOverflow));
    }

    #[test]
    fn a_clock_before_the_epoch_is_behind() {
        let clock = ManualClock::new(Timestamp::EPOCH);
        let ids = on(&clock, Layout::TWITTER);
        let retry_after = Duration::from_millis(1_288_834_974_657);
        assert_eq!(ids.next_id(), Err(IdError::ClockBehind { retry_after }));
    }
}
