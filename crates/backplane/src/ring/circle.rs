use std::{iter::Chain, slice::Iter};

/// The points of all members in order, with an index on their top bits.
///
/// The top bits of a key's point choose a bucket of the index, which knows the first of the points
/// at or after the bucket's start. There are two to four buckets a point, and points are hashes, so
/// most scans from there end at the first step, where a binary search would take fifteen.
#[derive(Clone, Debug)]
pub(super) struct Circle {
    /// Ascending, closed by a copy of the first entry at the end of the circle.
    entries: Box<[Entry]>,
    /// Per bucket, the first entry at or after its start.
    starts: Box<[u32]>,
    shift: u32,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Entry {
    point: u64,
    member: u32,
}

impl Circle {
    /// The circle of `points`, each with the index of its member. Where two members share a point
    /// the smaller index owns it.
    pub(super) fn new(points: Vec<(u64, u32)>) -> Self {
        let mut entries: Vec<_> = points
            .into_iter()
            .map(|(point, member)| Entry { point, member })
            .collect();
        entries.sort_unstable();
        let bits = entries.len().next_power_of_two().ilog2() + 1;
        let shift = u64::BITS - bits;
        let mut first = 0;
        let starts = (0..1_u64 << bits)
            .map(|bucket| {
                first += count_before(&entries[first..], bucket << shift);
                u32::try_from(first).expect("the options count points in 32 bits")
            })
            .collect();
        if let Some(&Entry { member, .. }) = entries.first() {
            let point = u64::MAX;
            entries.push(Entry { point, member });
        }
        Self {
            entries: entries.into(),
            starts,
            shift,
        }
    }

    /// The member at the first point at or after `point`, around the circle; none if it is empty.
    #[inline]
    pub(super) fn owner(&self, point: u64) -> Option<usize> {
        let first = self.bucket_start(point);
        let after = self.entries.get(first..)?;
        let entry = after.iter().find(|entry| entry.point >= point)?;
        Some(entry.member as usize)
    }

    /// The members of all points in the order of the circle, starting at `point`. Members repeat.
    pub(super) fn walk(&self, point: u64) -> Walk<'_> {
        let entries = self.entries.split_last().map_or(&[][..], |(_, open)| open);
        let first = self.bucket_start(point).min(entries.len());
        let start = first + count_before(&entries[first..], point);
        let (before, after) = entries.split_at(start);
        Walk(after.iter().chain(before))
    }

    /// The points, ascending, with the end of the circle as the last.
    pub(super) fn points(&self) -> impl Iterator<Item = u64> {
        self.entries.iter().map(|entry| entry.point)
    }

    #[inline]
    fn bucket_start(&self, point: u64) -> usize {
        let bucket = usize::try_from(point >> self.shift).unwrap_or(usize::MAX);
        self.starts.get(bucket).map_or(0, |&start| start as usize)
    }
}

/// The members of the points around a circle.
#[derive(Clone, Debug)]
pub(super) struct Walk<'a>(Chain<Iter<'a, Entry>, Iter<'a, Entry>>);

impl Iterator for Walk<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        self.0.next().map(|entry| entry.member as usize)
    }
}

/// How many of the ascending `entries` lie before `point`, counted one by one: there are few.
fn count_before(entries: &[Entry], point: u64) -> usize {
    entries
        .iter()
        .take_while(|entry| entry.point < point)
        .count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Points that collide often and touch both ends of the circle.
    fn any_points() -> impl Strategy<Value = Vec<(u64, u32)>> {
        let point = prop_oneof![
            0..4_u64,
            (0..4_u64).prop_map(|n| u64::MAX - n),
            (0..8_u64).prop_map(|n| n << 61),
            any::<u64>(),
        ];
        prop::collection::vec((point, 0..6_u32), 0..40)
    }

    /// The rule itself, without an index: the members from `point` on, ties by index.
    fn naive_walk(points: &[(u64, u32)], point: u64) -> Vec<usize> {
        let mut sorted = points.to_vec();
        sorted.sort_unstable();
        let (before, after): (Vec<_>, Vec<_>) = sorted.into_iter().partition(|(at, _)| *at < point);
        let around = after.into_iter().chain(before);
        around.map(|(_, member)| member as usize).collect()
    }

    proptest! {
        #[test]
        fn finds_what_a_scan_of_all_points_finds(points in any_points(), at in any_points()) {
            let circle = Circle::new(points.clone());
            for point in at.iter().chain(&points).map(|(point, _)| *point) {
                let expected = naive_walk(&points, point);
                prop_assert_eq!(circle.owner(point), expected.first().copied());
                prop_assert_eq!(circle.walk(point).collect::<Vec<_>>(), expected);
            }
        }
    }

    #[test]
    fn the_smaller_index_owns_a_shared_point() {
        for points in [[(7, 1), (7, 0)], [(7, 0), (7, 1)]] {
            let circle = Circle::new(points.to_vec());
            assert_eq!(circle.owner(7), Some(0));
            assert_eq!(circle.walk(8).collect::<Vec<_>>(), [0, 1]);
        }
    }

    #[test]
    fn no_points_have_no_owner() {
        let circle = Circle::new(Vec::new());
        assert_eq!(circle.owner(0), None);
        assert_eq!(circle.owner(u64::MAX), None);
        assert_eq!(circle.walk(1).next(), None);
    }
}
