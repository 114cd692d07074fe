//! Partitions by time, for stores of wide columns.

use std::{fmt, iter::FusedIterator, ops::RangeInclusive, time::Duration};

use backplane::{
    Timestamp,
    id::{Id, Layout, PartsError},
};

use crate::{Error, ErrorKind, MessageId, Result};

/// The partition, among those of its conversation, that a message lies in: a pure function of its id.
///
/// `Cassandra` and `ScyllaDB` keep a partition together on its replicas, and suffer from large ones. A
/// conversation grows without end, so it is cut into buckets of time, as Discord cuts its channels into
/// ten days:
///
/// ```sql
/// CREATE TABLE messages (
///     conversation_id bigint, bucket int,
///     message_id bigint, seq bigint, sender bigint, body blob,
///     PRIMARY KEY ((conversation_id, bucket), message_id)
/// ) WITH CLUSTERING ORDER BY (message_id DESC);
/// ```
///
/// A partition then holds what one conversation can say in the time of a bucket, however old it grows.
/// That is a bound only as good as the rate of its messages is bounded: at 1,000 bytes a message, one a
/// second for ten days makes 864 MB. Choose the width so that the busiest conversation stays below some
/// 100 MB. It cannot be changed later without moving the rows.
///
/// The id must come from a [`Layout`]; a message that is addressed by its id alone is found without
/// any index, since the id tells the bucket.
///
/// ```
/// use std::time::Duration;
/// use backplane::{Timestamp, id::Layout};
/// use chat_core::{MessageId, TimeBuckets};
/// let buckets = TimeBuckets::new(Layout::DISCORD, TimeBuckets::TEN_DAYS)?;
/// let id = MessageId::new(175_928_847_299_117_063); // of 2016-04-30
/// assert_eq!(buckets.of(id)?.get(), 48);
///
/// // The page of messages before it, in a channel of April 2016: one partition after the other, until
/// // there are enough.
/// let (created, now) = (Timestamp::from_millis(1_459_500_000_000), Timestamp::from_millis(1_470_000_000_000));
/// let span = buckets.span(created, now);
/// let visit: Vec<_> = span.before(id)?.map(|bucket| bucket.get()).collect();
/// assert_eq!(visit, [48, 47, 46, 45]);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// # What it does not give: a sequence
///
/// Ids order by the clocks of the nodes that issued them, and they have gaps by nature. A device that
/// holds the newest id it has seen cannot know that it lacks one, and misses a message that was stored
/// late with an earlier id. For that there is `seq`, which is dense, and rows have to be found by it:
///
/// - *Cluster by `seq`*, `PRIMARY KEY ((conversation_id, block), seq)`, where the block is `seq` divided
///   by some 10,000. Partitions are bounded by count, whatever the rate, and a range of numbers is one
///   read. It is the simpler table where a [`Sequencer`](crate::sequencer::Sequencer) gives numbers,
///   since the row that decides a number is the message itself. What is addressed by id needs a table
///   from id to `seq`, and pages by time need none of this module.
/// - *Cluster by id, and keep an index* `((conversation_id, block), seq) → message_id` beside it. The row
///   of the message is written first. The row of the index decides the number (`IF NOT EXISTS`), so it
///   comes after, and the number is committed when both are there. A message whose number the index
///   gives to another, or to a tombstone, is not one. So pages by id leave out rows whose `seq` is past
///   the watermark, and those that were given up must be deleted.
///
/// A `seq` in the row alone, without a table that is ordered by it, is good for showing gaps in what was
/// read, and not for filling them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TimeBuckets {
    layout: Layout,
    /// In milliseconds, a multiple of the layout's unit.
    width: u64,
}

/// The number of a bucket, from zero at the epoch of the ids' layout.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Bucket(u64);

impl Bucket {
    /// Wraps a number that was stored.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number. Buckets of a day and more fit an `int` column under every layout of
    /// milliseconds that lasts for less than five million years.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl TimeBuckets {
    /// The width that Discord takes.
    pub const TEN_DAYS: Duration = Duration::from_secs(10 * 24 * 60 * 60);

    /// Buckets of `width` for ids of `layout`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] unless `width` is a multiple of the layout's unit, and more than zero: an id
    /// knows nothing finer.
    pub fn new(layout: Layout, width: Duration) -> Result<Self> {
        let is_multiple = width.as_nanos().is_multiple_of(layout.unit().as_nanos());
        let millis = u64::try_from(width.as_millis()).unwrap_or_default();
        if millis == 0 || !is_multiple {
            return Err(Error::bare(ErrorKind::Invalid, "cut time into buckets"));
        }
        Ok(Self {
            layout,
            width: millis,
        })
    }

    /// The bucket of a message.
    ///
    /// # Errors
    ///
    /// [`PartsError::Foreign`] if the id is not of the layout.
    pub fn of(&self, id: MessageId) -> Result<Bucket, PartsError> {
        let parts = self.layout.decode(Id::from(id))?;
        Ok(self.at_or_after_epoch(parts.time))
    }

    /// The bucket of messages with ids of `time`.
    ///
    /// # Errors
    ///
    /// If `time` is out of the layout's range.
    pub fn at(&self, time: Timestamp) -> Result<Bucket, PartsError> {
        self.layout.floor(time)?;
        Ok(self.at_or_after_epoch(time))
    }

    /// The least and the greatest id of a bucket, of any node. None, if it begins after the layout's
    /// end.
    #[must_use]
    pub fn ids(&self, bucket: Bucket) -> Option<RangeInclusive<MessageId>> {
        let since = bucket.0.checked_mul(self.width)?;
        let start = self.layout.epoch().as_millis().checked_add(since)?;
        let end = start.saturating_add(self.width - 1);
        let end = Timestamp::from_millis(end).min(self.layout.end());
        let least = self.layout.floor(Timestamp::from_millis(start)).ok()?;
        let greatest = self.layout.ceiling(end).ok()?;
        Some(least.into()..=greatest.into())
    }

    /// The buckets that a conversation can have messages in, which was created at `created`. `newest` is
    /// the latest time that an id of it can carry by now: the wall clock, and
    /// [what](backplane::id::SnowflakeOptions::max_ahead) generators may be ahead of it, and what the
    /// clocks of the nodes differ. A bucket too many costs a read that finds nothing.
    ///
    /// Times beyond the layout are taken for its ends.
    #[must_use]
    pub fn span(&self, created: Timestamp, newest: Timestamp) -> BucketSpan {
        let (epoch, end) = (self.layout.epoch(), self.layout.end());
        let first = self.at_or_after_epoch(created.clamp(epoch, end));
        let last = self.at_or_after_epoch(newest.clamp(epoch, end));
        BucketSpan {
            buckets: *self,
            first,
            last: last.max(first),
        }
    }

    const fn at_or_after_epoch(&self, time: Timestamp) -> Bucket {
        Bucket((time.as_millis() - self.layout.epoch().as_millis()) / self.width)
    }
}

/// The buckets of one conversation, and in which order a page visits them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BucketSpan {
    buckets: TimeBuckets,
    first: Bucket,
    last: Bucket,
}

impl BucketSpan {
    /// All buckets, newest first: for the latest messages.
    #[must_use]
    pub fn newest(&self) -> BucketWalk {
        BucketWalk::down(self.last, self.first)
    }

    /// All buckets, oldest first.
    #[must_use]
    pub fn oldest(&self) -> BucketWalk {
        BucketWalk::up(self.first, self.last)
    }

    /// The buckets of messages before `id`, newest first. The first may hold `id` too, and later ones.
    ///
    /// Messages around an id are those before it and those [after](Self::after) it.
    ///
    /// # Errors
    ///
    /// [`PartsError::Foreign`] if the id is not of the layout.
    pub fn before(&self, id: MessageId) -> Result<BucketWalk, PartsError> {
        self.buckets.of(id)?;
        let Some(nearest) = id.get().checked_sub(1) else {
            return Ok(BucketWalk::nowhere());
        };
        let nearest = self.buckets.of(MessageId::new(nearest))?;
        Ok(BucketWalk::down(nearest.min(self.last), self.first))
    }

    /// The buckets of messages after `id`, oldest first. The first may hold `id` too, and earlier ones.
    ///
    /// # Errors
    ///
    /// [`PartsError::Foreign`] if the id is not of the layout.
    pub fn after(&self, id: MessageId) -> Result<BucketWalk, PartsError> {
        self.buckets.of(id)?;
        let next = id.get().checked_add(1).map(MessageId::new);
        let Some(Ok(nearest)) = next.map(|next| self.buckets.of(next)) else {
            return Ok(BucketWalk::nowhere()); // it is the last of the layout
        };
        Ok(BucketWalk::up(nearest.max(self.first), self.last))
    }
}

/// Buckets to visit, each once, in order.
#[derive(Clone, Debug)]
pub struct BucketWalk {
    rest: RangeInclusive<u64>,
    down: bool,
}

impl BucketWalk {
    const fn up(from: Bucket, to: Bucket) -> Self {
        let (rest, down) = (from.0..=to.0, false);
        Self { rest, down }
    }

    const fn down(from: Bucket, to: Bucket) -> Self {
        let (rest, down) = (to.0..=from.0, true);
        Self { rest, down }
    }

    const fn nowhere() -> Self {
        Self::up(Bucket(1), Bucket(0))
    }
}

impl Iterator for BucketWalk {
    type Item = Bucket;

    fn next(&mut self) -> Option<Bucket> {
        let next = if self.down {
            self.rest.next_back()
        } else {
            self.rest.next()
        };
        next.map(Bucket)
    }
}

impl FusedIterator for BucketWalk {}

#[cfg(test)]
mod tests;
