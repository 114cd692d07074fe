use std::ops::RangeInclusive;

use crate::ring::{HashRing, Member, MemberName};

/// Keys whose points lie in one range of the circle, and who owns them instead of whom.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MovedRange {
    points: RangeInclusive<u64>,
    from: Option<MemberName>,
    to: Option<MemberName>,
}

impl MovedRange {
    /// The [points](HashRing::point) of the keys that moved.
    #[must_use]
    pub const fn points(&self) -> &RangeInclusive<u64> {
        &self.points
    }

    /// The owner on the older ring; none if that was empty.
    #[must_use]
    pub const fn from(&self) -> Option<&MemberName> {
        self.from.as_ref()
    }

    /// The owner on the newer ring; none if that is empty.
    #[must_use]
    pub const fn to(&self) -> Option<&MemberName> {
        self.to.as_ref()
    }

    /// Whether a range that starts at `first` between the same owners only prolongs this one.
    fn is_continued(&self, first: u64, from: Option<&MemberName>, to: Option<&MemberName>) -> bool {
        self.points.end().checked_add(1) == Some(first) && self.from() == from && self.to() == to
    }
}

/// The difference of two rings: the ranges of the circle that have another owner.
///
/// A node that hands over walks the ranges it appears in, or asks for each of its keys:
///
/// ```
/// use backplane::ring::{HashRing, Member, RingOptions};
/// # fn main() -> Result<(), backplane::ring::RingError> {
/// let ring = |names: &[&str], epoch| {
///     let members: Result<Vec<_>, _> = names.iter().map(Member::new).collect();
///     HashRing::build(members?, epoch, &RingOptions::default())
/// };
/// let (old, new) = (ring(&["a", "b"], 1)?, ring(&["a", "b", "c"], 2)?);
/// let diff = old.diff(&new);
/// for range in diff.ranges() {
///     assert_eq!(range.to().unwrap(), "c"); // nothing moves between survivors
/// }
/// let moved = diff.of(b"chat:42").map(|range| range.to());
/// assert_eq!(moved.is_some(), old.owner(b"chat:42") != new.owner(b"chat:42"));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RingDiff {
    ranges: Vec<MovedRange>,
}

impl RingDiff {
    /// Between two neighbouring points of the two rings together, the owner on each is constant, so
    /// comparing it at those points compares it everywhere.
    pub(super) fn between(older: &HashRing, newer: &HashRing) -> Self {
        let mut bounds: Vec<u64> = older.points().chain(newer.points()).collect();
        bounds.sort_unstable();
        bounds.dedup();
        let mut ranges: Vec<MovedRange> = Vec::new();
        let mut first = 0;
        for last in bounds {
            let from = older.owner_at(last).map(Member::name);
            let to = newer.owner_at(last).map(Member::name);
            match ranges.last_mut() {
                _ if from == to => {}
                Some(range) if range.is_continued(first, from, to) => {
                    range.points = *range.points.start()..=last;
                }
                _ => ranges.push(MovedRange {
                    points: first..=last,
                    from: from.cloned(),
                    to: to.cloned(),
                }),
            }
            first = last.saturating_add(1);
        }
        Self { ranges }
    }

    /// The ranges that moved, ascending, none next to another with the same two owners.
    #[must_use]
    pub fn ranges(&self) -> &[MovedRange] {
        &self.ranges
    }

    /// The range that `key` moved in, if it moved.
    #[must_use]
    pub fn of(&self, key: &[u8]) -> Option<&MovedRange> {
        self.at(HashRing::point(key))
    }

    /// The range that `point` moved in, if it moved.
    #[must_use]
    pub fn at(&self, point: u64) -> Option<&MovedRange> {
        let index = self
            .ranges
            .partition_point(|range| *range.points.end() < point);
        self.ranges
            .get(index)
            .filter(|range| range.points.contains(&point))
    }

    /// Whether no key moved.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many of the 2⁶⁴ points moved: over 2⁶⁴, the expected share of the keys.
    #[must_use]
    pub fn moved_points(&self) -> u128 {
        let width = |range: &MovedRange| u128::from(range.points.end() - range.points.start()) + 1;
        self.ranges.iter().map(width).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ring::tests::{coarse, members};

    fn names(ring: &HashRing, point: u64) -> Option<MemberName> {
        ring.owner_at(point).map(Member::name).cloned()
    }

    proptest! {
        #[test]
        fn a_key_is_in_a_range_if_and_only_if_lookups_differ(
            old in prop::collection::vec(0..3_u32, 0..6),
            new in prop::collection::vec(0..3_u32, 0..6),
            points in prop::collection::vec(any::<u64>(), 50),
        ) {
            let (old, new) = (coarse(members(&old)), coarse(members(&new)));
            let diff = old.diff(&new);
            let ends = diff.ranges().iter().flat_map(|range| {
                let (first, last) = (*range.points().start(), *range.points().end());
                [first.wrapping_sub(1), first, last, last.wrapping_add(1)]
            });
            for point in ends.chain(points) {
                let (from, to) = (names(&old, point), names(&new, point));
                let range = diff.at(point);
                prop_assert_eq!(range.is_some(), from != to);
                if let Some(range) = range {
                    prop_assert_eq!(range.from(), from.as_ref());
                    prop_assert_eq!(range.to(), to.as_ref());
                }
            }
        }

        #[test]
        fn ranges_ascend_and_none_could_be_joined(
            old in prop::collection::vec(0..3_u32, 0..6),
            new in prop::collection::vec(0..3_u32, 0..6),
        ) {
            let diff = coarse(members(&old)).diff(&coarse(members(&new)));
            for pair in diff.ranges().windows(2) {
                let (end, start) = (*pair[0].points().end(), *pair[1].points().start());
                prop_assert!(end < start);
                let same = pair[0].from() == pair[1].from() && pair[0].to() == pair[1].to();
                prop_assert!(!(same && end + 1 == start));
            }
        }
    }

    #[test]
    fn the_first_members_take_the_whole_circle() {
        let (none, one) = (coarse([]), coarse(members(&[1])));
        let diff = none.diff(&one);
        assert_eq!(diff.ranges().len(), 1);
        assert_eq!(diff.moved_points(), 1 << 64);
        assert_eq!(diff.of(b"key").unwrap().from(), None);
        assert_eq!(one.diff(&none).of(b"key").unwrap().to(), None);
    }

    #[test]
    fn a_new_member_takes_about_its_share() {
        let ring = |count| {
            let options = crate::ring::RingOptions::default();
            HashRing::build(members(&vec![1; count]), 0, &options).unwrap()
        };
        let moved = ring(140).diff(&ring(141)).moved_points();
        // A share of one in 141, within five times the 8 % that shares spread by.
        let share = (1_u128 << 64) / 141;
        assert!(moved.abs_diff(share) < share * 2 / 5);
    }
}
