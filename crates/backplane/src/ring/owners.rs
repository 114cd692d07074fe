use crate::ring::{Member, circle::Walk};

/// The members of a ring in the order in which they would own a key; see
/// [`HashRing::owners`](crate::ring::HashRing::owners).
#[derive(Clone, Debug)]
pub struct Owners<'a> {
    members: &'a [Member],
    walk: Walk<'a>,
    /// One bit per member that has been yielded.
    yielded: Vec<u64>,
    remaining: usize,
}

impl<'a> Owners<'a> {
    /// The members at the points of `walk`; `placed` of `members` have points.
    pub(super) fn new(members: &'a [Member], placed: usize, walk: Walk<'a>) -> Self {
        Self {
            members,
            walk,
            yielded: vec![0; members.len().div_ceil(u64::BITS as usize)],
            remaining: placed,
        }
    }

    /// Whether `index` comes up for the first time.
    fn is_new(&mut self, index: usize) -> bool {
        let bits = u64::BITS as usize;
        let Some(word) = self.yielded.get_mut(index / bits) else {
            return false;
        };
        let bit = 1 << (index % bits);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }
}

impl<'a> Iterator for Owners<'a> {
    type Item = &'a Member;

    fn next(&mut self) -> Option<&'a Member> {
        self.remaining = self.remaining.checked_sub(1)?;
        loop {
            let index = self.walk.next()?;
            if self.is_new(index) {
                return self.members.get(index);
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining, Some(self.remaining))
    }
}

impl ExactSizeIterator for Owners<'_> {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::ring::{
        Member,
        tests::{coarse, members},
    };

    proptest! {
        #[test]
        fn each_owner_is_who_would_own_the_key_if_those_before_it_left(
            weights in prop::collection::vec(0..3_u32, 0..9),
            key: u64,
        ) {
            let key = key.to_le_bytes();
            let ring = coarse(members(&weights));
            let owners = ring.owners(&key);
            let with_weight = weights.iter().filter(|&&weight| weight > 0).count();
            prop_assert_eq!(owners.len(), with_weight);
            let mut left = members(&weights);
            for owner in owners {
                let rest = coarse(left.clone());
                prop_assert_eq!(Some(owner), rest.owner(&key));
                left.retain(|member| member != owner);
            }
            prop_assert!(left.iter().all(|member| member.weight() == 0));
        }
    }

    #[test]
    fn more_members_than_one_word_of_marks_stay_distinct() {
        let ring = coarse(members(&[1; 200]));
        let mut names: Vec<_> = ring.owners(b"key").map(Member::name).collect();
        assert_eq!(names.len(), 200);
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 200);
    }
}
