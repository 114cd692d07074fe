use std::{collections::VecDeque, ops::Range};

/// A set of numbers, as ranges that do not touch, in order.
///
/// Numbers come and go at both ends nearly always, which costs a queue next to nothing, and no
/// allocation once it has grown.
#[derive(Debug, Default)]
pub(super) struct Ranges(VecDeque<Range<u64>>);

impl Ranges {
    /// Adds numbers of which none is there.
    pub(super) fn insert(&mut self, mut range: Range<u64>) {
        let at = self.0.partition_point(|other| other.end < range.start);
        if let Some(before) = self.0.get(at).filter(|other| other.end == range.start) {
            range.start = before.start;
            self.0.remove(at);
        }
        if let Some(after) = self.0.get(at).filter(|other| other.start == range.end) {
            range.end = after.end;
            self.0.remove(at);
        }
        self.0.insert(at, range);
    }

    /// Takes the range that starts with `first` out, if it is the least.
    pub(super) fn take_from(&mut self, first: u64) -> Option<Range<u64>> {
        let is_next = self.0.front().is_some_and(|least| least.start == first);
        is_next.then(|| self.0.pop_front()).flatten()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_out_as_the_runs_they_make(
            numbers in Just((1..40_u64).collect::<Vec<_>>()).prop_shuffle(),
            count in 0..40_usize,
        ) {
            let (mut ranges, mut naive) = (Ranges::default(), BTreeSet::new());
            for number in numbers.into_iter().take(count) {
                ranges.insert(number..number + 1);
                naive.insert(number);
            }
            while let Some(first) = naive.first().copied() {
                prop_assert_eq!(ranges.take_from(first + 1), None);
                let run: Vec<_> = (first..40).take_while(|number| naive.remove(number)).collect();
                let taken = ranges.take_from(first).expect("the least is there");
                prop_assert_eq!(taken.collect::<Vec<_>>(), run);
            }
            prop_assert!(ranges.is_empty());
        }
    }
}
