use std::cmp::Reverse;

use hashbrown::HashSet;

use super::{Published, Status};
use crate::UserId;

/// A group too large to be told of everybody, as one of its members is shown it: how many are there, and some of
/// them, the viewer's friends first.
///
/// Whoever is invisible is not among them, neither counted nor named.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct GroupSummary {
    /// How many of the group are there.
    pub present: usize,
    /// Some of those: friends before others, then by status, then by last activity.
    pub sample: Vec<Published>,
}

impl GroupSummary {
    /// Adds what some more members are seen as, and keeps at most `most` of all in the sample.
    pub(super) fn add(&mut self, seen: &[Published], friends: &HashSet<UserId>, most: usize) {
        let present = seen
            .iter()
            .filter(|seen| seen.state.status != Status::Offline);
        let before = self.sample.len();
        self.sample.extend(present);
        self.present += self.sample.len() - before;
        self.sample.sort_unstable_by_key(|seen| {
            let is_friend = friends.contains(&seen.user);
            Reverse((
                is_friend,
                seen.state.status,
                seen.state.last_active,
                Reverse(seen.user),
            ))
        });
        self.sample.truncate(most);
    }
}

#[cfg(test)]
mod tests {
    use backplane::Timestamp;
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;
    use crate::presence::{PresenceState, Version};

    proptest! {
        #[test]
        fn the_sample_is_the_best_of_all_however_they_come(
            members in vec((select(vec![Status::Offline, Status::Away, Status::Online]), 0_u64..5), 0..40),
            friends in vec(0_u64..40, 0..5),
            (batch, most) in (1_usize..10, 0_usize..8),
        ) {
            let seen: Vec<_> = (0..).zip(members).map(|(user, (status, at))| {
                let state = PresenceState::new(status, Some(Timestamp::from_millis(at)), false);
                Published::new(UserId::new(user), Version::new(1), state)
            }).collect();
            let friends: HashSet<_> = friends.into_iter().map(UserId::new).collect();
            let mut summary = GroupSummary::default();
            for some in seen.chunks(batch) {
                summary.add(some, &friends, most);
            }
            let mut present: Vec<_> = seen.into_iter().filter(|seen| seen.state.status != Status::Offline).collect();
            prop_assert_eq!(summary.present, present.len());
            present.sort_by_key(|seen| seen.user);
            present.sort_by_key(|seen| Reverse(seen.state.last_active));
            present.sort_by_key(|seen| Reverse(seen.state.status));
            present.sort_by_key(|seen| !friends.contains(&seen.user));
            present.truncate(most);
            prop_assert_eq!(summary.sample, present);
        }
    }
}
