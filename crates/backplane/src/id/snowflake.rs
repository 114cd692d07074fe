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
    ahead: u64,
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
    /// The last word that the durable mark covers; zero once the generator is closed.
    ceiling: AtomicU64,
    /// The millisecond of the monotonic clock from which on the lease counts as expired.
    deadline: AtomicU64,
}

const NO_DEADLINE: u64 = u64::MAX;

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
        Ok(Self {
            sequence: Sequence::after(0),
            bounds: Bounds {
                ceiling: AtomicU64::new(Sequence::ENDED - 1),
                deadline: AtomicU64::new(NO_DEADLINE),
            },
            layout,
            splice,
            ahead: whole_millis(options.max_ahead) / whole_millis(layout.unit()),
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
    #[inline]
    pub fn next_id(&self) -> Result<Id, IdError> {
        self.take(1).map(|word| self.splice.id(word))
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

    #[inline]
    fn take(&self, count: u64) -> Result<u64, IdError> {
        let now = self.clock.now();
        self.take_at(count, now)
            .map_err(|last| self.refusal(count, now, last))
    }

    /// The first of `count` words taken at `now`, or the last word issued.
    #[inline]
    fn take_at(&self, count: u64, now: Timestamp) -> Result<u64, u64> {
        let Ok(time) = self.layout.time_of(now) else {
            return Err(self.sequence.last());
        };
        if self.lease_expired() {
            return Err(self.sequence.last());
        }
        let allowed = self.last_word(time.saturating_add(self.ahead));
        let limit = allowed.min(self.ceiling());
        self.sequence.take(count, self.first_word(time), limit)
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
        self.ceiling() == 0
    }

    /// The last word that the keeper of the node allows: zero once the generator is closed.
    #[inline]
    fn ceiling(&self) -> u64 {
        self.bounds.ceiling.load(Ordering::Relaxed)
    }

    #[inline]
    fn lease_expired(&self) -> bool {
        let deadline = self.bounds.deadline.load(Ordering::Relaxed);
        deadline != NO_DEADLINE && whole_millis(self.clock.monotonic()) >= deadline
    }

    const fn first_word(&self, time: u64) -> u64 {
        time << self.layout.bits().sequence
    }

    /// The last word of the unit `time`, or of the layout's last.
    #[inline]
    fn last_word(&self, time: u64) -> u64 {
        self.first_word(time.min(self.layout.last_time())) | self.layout.last_sequence()
    }

    /// Why `count` words could not be had at `now`, when `last` was the last one issued.
    #[cold]
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
            Err(PartsError::BeforeEpoch) => IdError::ClockBehind {
                retry_after: self.layout.epoch().saturating_since(now),
            },
            Err(_) => IdError::TimeOverflow,
        }
    }

    /// As `refusal`, for a clock at `time` units.
    fn shortage(&self, count: u64, now: Timestamp, time: u64, last: u64) -> IdError {
        let first = self.first_word(time).max(last + 1);
        let needed = first.saturating_add(count - 1);
        if needed > self.last_word(u64::MAX) || needed == Sequence::ENDED {
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

    /// The words between the clock's time and the furthest allowed.
    const fn max_batch(&self) -> u64 {
        let units = self.ahead.saturating_add(1);
        units.saturating_mul(self.layout.last_sequence().saturating_add(1))
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
        generator.sequence = Sequence::after(last);
        generator.bounds.ceiling = AtomicU64::new(0);
        Ok(generator)
    }

    /// Allows identifiers up to `mark`, which is durable.
    pub(super) fn allow_until(&self, mark: Timestamp) {
        let ceiling = self.last_word_at(mark).min(Sequence::ENDED - 1);
        self.bounds.ceiling.store(ceiling, Ordering::Relaxed);
    }

    /// Allows identifiers before `deadline` of the monotonic clock.
    pub(super) fn allow_before(&self, deadline: Duration) {
        let millis = whole_millis(deadline);
        self.bounds.deadline.store(millis, Ordering::Relaxed);
    }

    /// Refuses identifiers from now on. Returns the time of the last one issued, unless the
    /// generator was closed before.
    pub(super) fn close(&self) -> Option<Timestamp> {
        let last = self.sequence.end();
        self.bounds.ceiling.store(0, Ordering::Relaxed);
        let time = last >> self.layout.bits().sequence;
        (last != Sequence::ENDED).then(|| self.layout.timestamp(time))
    }

    /// The furthest time that an identifier may carry now.
    pub(super) fn furthest(&self) -> Timestamp {
        self.clock.now().saturating_add(
            self.layout
                .unit()
                .saturating_mul(u32::try_from(self.ahead).unwrap_or(u32::MAX)),
        )
    }

    /// The last word whose time is at or before `mark`; zero if there is none.
    fn last_word_at(&self, mark: Timestamp) -> u64 {
        match self.layout.time_of(mark) {
            Ok(time) => self.last_word(time),
            Err(PartsError::BeforeEpoch) => 0,
            Err(_) => self.last_word(u64::MAX),
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
