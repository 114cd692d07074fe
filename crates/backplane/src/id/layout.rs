use std::time::Duration;

use super::Id;
use crate::Timestamp;

/// How an [`Id`] divides its 64 bits: time first, then the node, then the sequence.
///
/// A layout that does not add up is a compile error when it is a constant:
///
/// ```compile_fail,E0080
/// use std::time::Duration;
/// use backplane::{Timestamp, id::{Bits, Layout}};
/// const WIDE: Layout = Layout::new(
///     Timestamp::EPOCH,
///     Duration::from_millis(1),
///     Bits { time: 42, node: 12, sequence: 12 },
/// );
/// # let _ = WIDE;
/// ```
///
/// An identifier takes apart again, and a point of time has a least and a greatest identifier,
/// which turns "older than" into a comparison of identifiers:
///
/// ```
/// use backplane::{Timestamp, id::{Id, Layout}};
/// let id = Id::new(175_928_847_299_117_063);
/// let parts = Layout::DISCORD.decode(id)?;
/// assert_eq!(parts.time, Timestamp::from_millis(1_462_015_105_796));
/// assert!(Layout::DISCORD.floor(parts.time)? <= id);
/// assert!(id <= Layout::DISCORD.ceiling(parts.time)?);
/// # Ok::<_, backplane::id::PartsError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Layout {
    epoch: u64,
    unit: u64,
    bits: Bits,
    last_time: u64,
    last_sequence: u64,
}

/// How many bits of a [`Layout`] each part takes. What they leave of 64 stays zero, at the top.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Bits {
    /// Units of time since the epoch: 1 to 64.
    pub time: u8,
    /// The node: 0 to 32.
    pub node: u8,
    /// Identifiers of one node in one unit of time, as a power of two: 0 to 63.
    pub sequence: u8,
}

/// What an [`Id`] says, taken apart.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Parts {
    /// When it was issued, to the layout's unit.
    pub time: Timestamp,
    /// Which node issued it.
    pub node: u32,
    /// Its number among those of that node and time.
    pub sequence: u64,
}

/// The numbers do not make a layout.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The parts take more than 64 bits, the time none, or the node more than 32.
    #[error("the parts do not fit into 64 bits")]
    Bits,
    /// The unit is not a whole number of milliseconds, at least one.
    #[error("the unit is not a whole number of milliseconds")]
    Unit,
    /// The last point of time is further than a [`Timestamp`] reaches.
    #[error("the last point of time is out of range")]
    Range,
}

/// The parts do not fit the layout, or the identifier was not made by it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PartsError {
    /// The time lies before the layout's epoch.
    #[error("time before the layout's epoch")]
    BeforeEpoch,
    /// The time lies after [`Layout::end`].
    #[error("time after the layout's end")]
    AfterEnd,
    /// The node needs more bits than the layout has.
    #[error("node out of range")]
    Node,
    /// The sequence needs more bits than the layout has.
    #[error("sequence out of range")]
    Sequence,
    /// A bit is set that belongs to no part.
    #[error("identifier of another layout")]
    Foreign,
}

const MILLISECOND: Duration = Duration::from_millis(1);

impl Layout {
    /// Twitter's, and that of most descendants: 41, 10 and 12 bits since 2010-11-04, until 2080.
    /// Fits a signed 64-bit column. Cap: 4.096 million identifiers a second and node.
    pub const TWITTER: Self = Self::new(
        Timestamp::from_millis(1_288_834_974_657),
        MILLISECOND,
        bits(41, 10, 12),
    );

    /// Discord's: 42, 10 and 12 bits since 2015, until 2154. The node is worker (5 bits) and
    /// process (5 bits). Cap: 4.096 million identifiers a second and node.
    pub const DISCORD: Self = Self::new(
        Timestamp::from_millis(1_420_070_400_000),
        MILLISECOND,
        bits(42, 10, 12),
    );

    /// Mastodon's: 48 and 16 bits since 1970, without a node. Cap: 65.5 million a second.
    pub const MASTODON: Self = Self::new(Timestamp::EPOCH, MILLISECOND, bits(48, 0, 16));

    /// Instagram's: 41, 13 (the shard) and 10 bits since 2011-08-24, until 2081. Cap: 1.024
    /// million a second and shard.
    pub const INSTAGRAM: Self = Self::new(
        Timestamp::from_millis(1_314_220_021_721),
        MILLISECOND,
        bits(41, 13, 10),
    );

    /// A layout whose time counts `unit`s since `epoch`.
    ///
    /// # Panics
    ///
    /// Where [`try_new`](Self::try_new) fails: at compile time, in a constant.
    #[must_use]
    pub const fn new(epoch: Timestamp, unit: Duration, bits: Bits) -> Self {
        match Self::try_new(epoch, unit, bits) {
            Ok(layout) => layout,
            Err(LayoutError::Bits) => panic!("the parts do not fit into 64 bits"),
            Err(LayoutError::Unit) => panic!("the unit is not a whole number of milliseconds"),
            Err(LayoutError::Range) => panic!("the last point of time is out of range"),
        }
    }

    /// As [`new`](Self::new), for numbers that are not known when compiling.
    ///
    /// # Errors
    ///
    /// If the parts take more than 64 bits, the unit is not a whole number of milliseconds, or the
    /// last point of time does not fit a [`Timestamp`].
    pub const fn try_new(
        epoch: Timestamp,
        unit: Duration,
        bits: Bits,
    ) -> Result<Self, LayoutError> {
        let width = bits.time as u32 + bits.node as u32 + bits.sequence as u32;
        if bits.time == 0 || bits.node > 32 || width > u64::BITS {
            return Err(LayoutError::Bits);
        }
        let millis = unit
            .as_secs()
            .saturating_mul(1_000)
            .saturating_add(unit.subsec_millis() as u64);
        if millis == 0 || millis > u32::MAX as u64 || !unit.subsec_nanos().is_multiple_of(1_000_000)
        {
            return Err(LayoutError::Unit);
        }
        let layout = Self {
            epoch: epoch.as_millis(),
            unit: millis,
            bits,
            last_time: low_bits(bits.time),
            last_sequence: low_bits(bits.sequence),
        };
        match layout.last_time.checked_mul(millis) {
            Some(span) if span.checked_add(layout.epoch).is_some() => Ok(layout),
            _ => Err(LayoutError::Range),
        }
    }

    /// Where the time of this layout starts.
    #[must_use]
    pub const fn epoch(&self) -> Timestamp {
        Timestamp::from_millis(self.epoch)
    }

    /// The last point of time that this layout can stamp.
    #[must_use]
    pub const fn end(&self) -> Timestamp {
        self.timestamp(self.last_time)
    }

    /// The granularity of the time.
    #[must_use]
    pub const fn unit(&self) -> Duration {
        Duration::from_millis(self.unit)
    }

    /// The width of each part.
    #[must_use]
    pub const fn bits(&self) -> Bits {
        self.bits
    }

    /// How many nodes there may be, numbered from zero; at most what a `u32` counts.
    #[must_use]
    pub const fn nodes(&self) -> u32 {
        match 1_u32.checked_shl(self.bits.node as u32) {
            Some(nodes) => nodes,
            None => u32::MAX,
        }
    }

    /// Identifiers that one node can issue in one second of time.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a rate is quoted, not counted with"
    )]
    pub fn cap_per_second(&self) -> f64 {
        (self.last_sequence as f64 + 1.0) * 1_000.0 / self.unit as f64
    }

    /// Puts an identifier together. The time is cut down to the layout's unit.
    ///
    /// # Errors
    ///
    /// If a part is out of the layout's range: nothing wraps or bleeds into its neighbour.
    pub const fn encode(&self, parts: Parts) -> Result<Id, PartsError> {
        let time = match self.time_of(parts.time) {
            Ok(time) => time,
            Err(error) => return Err(error),
        };
        let splice = match self.splice(parts.node) {
            Ok(splice) => splice,
            Err(error) => return Err(error),
        };
        if parts.sequence > self.last_sequence {
            return Err(PartsError::Sequence);
        }
        Ok(splice.id(time << self.bits.sequence | parts.sequence))
    }

    /// Takes an identifier apart.
    ///
    /// # Errors
    ///
    /// If a bit is set above the layout's time: another layout made it.
    pub const fn decode(&self, id: Id) -> Result<Parts, PartsError> {
        let raw = id.get();
        let time = raw >> self.time_shift();
        if time > self.last_time {
            return Err(PartsError::Foreign);
        }
        let node = raw >> self.bits.sequence & low_bits(self.bits.node);
        Ok(Parts {
            time: self.timestamp(time),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "at most 32 bits, as checked"
            )]
            node: node as u32,
            sequence: raw & self.last_sequence,
        })
    }

    /// The least identifier of the unit of time that `time` falls into.
    ///
    /// # Errors
    ///
    /// If `time` is out of the layout's range.
    pub const fn floor(&self, time: Timestamp) -> Result<Id, PartsError> {
        match self.time_of(time) {
            Ok(time) => Ok(Id::new(time << self.time_shift())),
            Err(error) => Err(error),
        }
    }

    /// The greatest identifier of the unit of time that `time` falls into.
    ///
    /// # Errors
    ///
    /// If `time` is out of the layout's range.
    pub const fn ceiling(&self, time: Timestamp) -> Result<Id, PartsError> {
        match self.floor(time) {
            #[expect(clippy::cast_possible_truncation, reason = "at most 63")]
            Ok(floor) => Ok(Id::new(floor.get() | low_bits(self.time_shift() as u8))),
            Err(error) => Err(error),
        }
    }

    /// `time` in units since the epoch.
    #[inline]
    pub(super) const fn time_of(&self, time: Timestamp) -> Result<u64, PartsError> {
        let Some(since) = time.as_millis().checked_sub(self.epoch) else {
            return Err(PartsError::BeforeEpoch);
        };
        // A division costs as much as the rest of the call, and nearly every unit is 1 ms.
        let time = if self.unit == 1 {
            since
        } else {
            since / self.unit
        };
        if time > self.last_time {
            return Err(PartsError::AfterEnd);
        }
        Ok(time)
    }

    /// The point `time` units after the epoch, which is within the layout.
    pub(super) const fn timestamp(&self, time: u64) -> Timestamp {
        Timestamp::from_millis(self.epoch + time * self.unit)
    }

    #[inline]
    pub(super) const fn first_word(&self, time: u64) -> u64 {
        time << self.bits.sequence
    }

    /// The last word of the unit `time`, or of the last unit of all.
    pub(super) const fn last_word(&self, time: u64) -> u64 {
        let time = if time < self.last_time {
            time
        } else {
            self.last_time
        };
        self.first_word(time) | self.last_sequence
    }

    pub(super) const fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    /// The splice that puts `node` between time and sequence.
    pub(super) const fn splice(&self, node: u32) -> Result<Splice, PartsError> {
        if node as u64 > low_bits(self.bits.node) {
            return Err(PartsError::Node);
        }
        Ok(Splice {
            node: (node as u64) << self.bits.sequence,
            last_sequence: self.last_sequence,
            factor: low_bits(self.bits.node),
        })
    }

    const fn time_shift(&self) -> u32 {
        self.bits.node as u32 + self.bits.sequence as u32
    }
}

/// Turns a word, whose time and sequence touch so that the one carries into the other, into an
/// identifier by making room for the node between them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Splice {
    node: u64,
    last_sequence: u64,
    /// What takes the time past the node: a shift by n bits adds it times 2^n - 1.
    factor: u64,
}

impl Splice {
    #[inline]
    pub(super) const fn id(&self, word: u64) -> Id {
        let time = word & !self.last_sequence;
        Id::new(word + time * self.factor + self.node)
    }

    /// How many words from `word` on share its time, so that their identifiers are consecutive.
    pub(super) const fn run(&self, word: u64) -> u64 {
        (self.last_sequence - (word & self.last_sequence)).saturating_add(1)
    }
}

const fn bits(time: u8, node: u8, sequence: u8) -> Bits {
    Bits {
        time,
        node,
        sequence,
    }
}

/// A number whose `count` low bits are set.
const fn low_bits(count: u8) -> u64 {
    match u64::MAX.checked_shr(u64::BITS - count as u32) {
        Some(bits) => bits,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(millis: u64, node: u32, sequence: u64) -> Parts {
        Parts {
            time: Timestamp::from_millis(millis),
            node,
            sequence,
        }
    }

    #[test]
    fn there_are_as_many_nodes_as_their_bits_count() {
        assert_eq!(Layout::TWITTER.nodes(), 1_024);
        assert_eq!(Layout::MASTODON.nodes(), 1);
        let wide = Layout::new(Timestamp::EPOCH, MILLISECOND, bits(32, 32, 0));
        assert_eq!(wide.nodes(), u32::MAX);
    }

    #[test]
    fn published_identifiers_decode_and_encode() {
        let vectors = [
            (
                Layout::DISCORD,
                175_928_847_299_117_063,
                parts(1_462_015_105_796, 1 << 5, 7),
            ),
            (
                Layout::DISCORD,
                308_994_132_968_210_433,
                parts(1_493_740_342_133, 0, 1),
            ),
            (
                Layout::TWITTER,
                1_541_815_603_606_036_480,
                parts(1_656_432_460_105, 378, 0),
            ),
            (
                Layout::TWITTER,
                29_700_859_247,
                parts(1_288_834_981_738, 242, 1_391),
            ),
            (
                Layout::TWITTER,
                1_212_092_628_029_698_048,
                parts(1_577_820_376_771, 327, 0),
            ),
            (
                Layout::INSTAGRAM,
                11_637_205_501_278_089,
                parts(
                    1_314_220_021_721 + 1_387_263_000,
                    31_341 % 2_000,
                    5_001 % 1_024,
                ),
            ),
        ];
        for (layout, raw, parts) in vectors {
            assert_eq!(layout.decode(Id::new(raw)), Ok(parts));
            assert_eq!(layout.encode(parts), Ok(Id::new(raw)));
        }
    }

    #[test]
    fn layouts_end_when_their_authors_say() {
        assert_eq!(Layout::TWITTER.end().as_millis(), 3_487_858_230_208);
        assert_eq!(Layout::DISCORD.end().as_millis(), 5_818_116_911_103);
        assert_eq!(Layout::MASTODON.end().as_millis(), (1 << 48) - 1);
        // 2080-07-10T17:30:30.208Z, 2154-05-15T07:35:11.103Z; 41 bits of milliseconds since 1970 end
        // at 2039-09-07T15:47:35.551Z, 39 bits of 10 ms since 2014-09-01 (Sonyflake) on 2188-11-16.
        let since_1970 = Layout::new(Timestamp::EPOCH, MILLISECOND, bits(41, 10, 12));
        assert_eq!(since_1970.end().as_millis(), 2_199_023_255_551);
        let epoch = Timestamp::from_millis(1_409_529_600_000);
        let sonyflake = Layout::new(epoch, 10 * MILLISECOND, bits(39, 16, 8));
        assert_eq!(sonyflake.end().as_millis(), 6_907_087_738_870);
    }

    #[test]
    fn a_node_is_worker_and_process_or_data_centre_and_worker_where_its_author_says() {
        let node = |layout: Layout, raw| layout.decode(Id::new(raw)).unwrap().node;
        let discord = node(Layout::DISCORD, 175_928_847_299_117_063);
        assert_eq!((discord >> 5, discord & 31), (1, 0));
        let twitter = node(Layout::TWITTER, 1_541_815_603_606_036_480);
        assert_eq!((twitter >> 5, twitter & 31), (11, 26));
    }

    #[test]
    fn the_published_identifier_that_a_browser_rounds_survives_as_text() {
        let id = Id::new(175_928_847_299_117_063);
        assert_eq!(
            serde_json::to_string(&id).unwrap(),
            r#""175928847299117063""#
        );
        // What a browser makes of the number.
        let rounded = Id::new(175_928_847_299_117_056);
        assert_eq!(Layout::DISCORD.decode(rounded).unwrap().sequence, 0);
    }

    #[test]
    fn bounds_of_a_time_match_the_published_formula() {
        let time = Timestamp::from_millis(1_462_015_105_796);
        let floor = (1_462_015_105_796 - 1_420_070_400_000) << 22;
        assert_eq!(Layout::DISCORD.floor(time), Ok(Id::new(floor)));
        assert_eq!(
            Layout::DISCORD.ceiling(time),
            Ok(Id::new(floor | 0x3F_FFFF))
        );
    }

    #[test]
    fn what_does_not_fit_is_an_error_and_never_wraps() {
        let layout = Layout::INSTAGRAM;
        let (start, end) = (layout.epoch().as_millis(), layout.end().as_millis());
        assert!(layout.encode(parts(end, 8_191, 1_023)).is_ok());
        assert_eq!(
            layout.encode(parts(end + 1, 0, 0)),
            Err(PartsError::AfterEnd)
        );
        assert_eq!(
            layout.encode(parts(start - 1, 0, 0)),
            Err(PartsError::BeforeEpoch)
        );
        assert_eq!(layout.encode(parts(start, 8_192, 0)), Err(PartsError::Node));
        assert_eq!(
            layout.encode(parts(start, 0, 1_024)),
            Err(PartsError::Sequence)
        );
        assert_eq!(layout.floor(Timestamp::EPOCH), Err(PartsError::BeforeEpoch));
        assert_eq!(
            Layout::TWITTER.decode(Id::new(1 << 63)),
            Err(PartsError::Foreign)
        );
    }

    #[test]
    fn impossible_layouts_are_refused() {
        let build = |unit, bits| Layout::try_new(Timestamp::EPOCH, unit, bits);
        let ms = Duration::from_millis(1);
        assert_eq!(build(ms, bits(42, 11, 12)), Err(LayoutError::Bits));
        assert_eq!(build(ms, bits(0, 11, 12)), Err(LayoutError::Bits));
        assert_eq!(build(ms, bits(20, 33, 1)), Err(LayoutError::Bits));
        assert_eq!(build(ms, bits(255, 255, 255)), Err(LayoutError::Bits));
        assert_eq!(
            build(Duration::ZERO, bits(41, 10, 12)),
            Err(LayoutError::Unit)
        );
        assert_eq!(
            build(Duration::from_micros(1_500), bits(41, 10, 12)),
            Err(LayoutError::Unit)
        );
        assert_eq!(
            build(Duration::MAX, bits(41, 10, 12)),
            Err(LayoutError::Unit)
        );
        assert_eq!(build(10 * ms, bits(62, 1, 1)), Err(LayoutError::Range));
    }

    fn layouts() -> impl Strategy<Value = Layout> {
        (1..=64u8, 0..=32u8, 0..=63u8, 0..5_000u64, 1..=20u64).prop_filter_map(
            "a layout",
            |(time, node, sequence, epoch, unit)| {
                let epoch = Timestamp::from_millis(epoch);
                Layout::try_new(
                    epoch,
                    Duration::from_millis(unit),
                    bits(time, node, sequence),
                )
                .ok()
            },
        )
    }

    /// The least, the greatest and any value in between.
    fn up_to(last: u64) -> impl Strategy<Value = u64> {
        prop_oneof![Just(0), Just(last), 0..=last]
    }

    proptest! {
        #[test]
        fn parts_survive_the_round_trip_at_every_width(
            (layout, time, node, sequence) in layouts().prop_flat_map(|layout| (
                Just(layout),
                up_to(layout.last_time),
                up_to(low_bits(layout.bits.node)),
                up_to(layout.last_sequence()),
            ))
        ) {
            let millis = layout.epoch + time * layout.unit;
            let parts = parts(millis, u32::try_from(node).unwrap(), sequence);
            let id = layout.encode(parts).unwrap();
            prop_assert_eq!(layout.decode(id), Ok(parts));
            prop_assert!(layout.floor(parts.time).unwrap() <= id);
            prop_assert!(id <= layout.ceiling(parts.time).unwrap());
        }
    }
}
