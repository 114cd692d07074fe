use std::hash::Hash;

use hashbrown::HashMap;

use crate::Entry;

/// Entries that belong together, as in “Ann and 3 others reposted this”.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Group<K> {
    /// What they have in common.
    pub key: K,
    /// The newest of them, newest first, as many as were to be kept.
    pub newest: Vec<Entry>,
    /// How many there are, kept or not.
    pub count: usize,
}

/// Groups entries by what `key` says, with up to `keep` entries of each group.
///
/// The entries are to be newest first, as on a page; groups come in the order of their newest entry.
/// Each entry counts in exactly one group. Nothing is stored: groups are computed from what a read
/// has just found visible, so an entry that was taken back is in none, and counts are exact for the
/// entries given.
///
/// ```
/// use feed_core::{Entry, PostId, UserId, group};
///
/// let (ann, bob) = (UserId::new(1), UserId::new(2));
/// let entry = |post, author| Entry::original(PostId::new(post), author);
/// let groups = group(&[entry(4, ann), entry(3, bob), entry(2, ann), entry(1, ann)], 2, |entry| entry.author);
///
/// assert_eq!((groups[0].key, groups[0].count), (ann, 3));
/// assert_eq!(groups[0].newest, [entry(4, ann), entry(2, ann)]);
/// assert_eq!((groups[1].key, groups[1].count), (bob, 1));
/// ```
#[must_use]
pub fn group<K: Clone + Eq + Hash>(
    entries: &[Entry],
    keep: usize,
    key: impl Fn(&Entry) -> K,
) -> Vec<Group<K>> {
    let mut places = HashMap::new();
    let mut groups: Vec<Group<K>> = Vec::new();
    for entry in entries {
        let key = key(entry);
        let place = *places.entry(key.clone()).or_insert_with(|| {
            groups.push(Group {
                key,
                newest: Vec::new(),
                count: 0,
            });
            groups.len() - 1
        });
        let group = &mut groups[place];
        group.count += 1;
        if group.newest.len() < keep {
            group.newest.push(*entry);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{PostId, UserId};

    proptest! {
        #[test]
        fn groups_partition_what_is_given(
            posts in prop::collection::btree_map(any::<u64>(), 0..4_u64, 0..50),
            keep in 0..5_usize,
            removed in any::<prop::sample::Index>(),
        ) {
            let mut entries: Vec<_> = posts
                .iter()
                .rev()
                .map(|(post, author)| Entry::original(PostId::new(*post), UserId::new(*author)))
                .collect();
            if !entries.is_empty() {
                entries.remove(removed.index(entries.len()));
            }
            let groups = group(&entries, keep, |entry| entry.author);
            prop_assert_eq!(groups.iter().map(|group| group.count).sum::<usize>(), entries.len());
            for group in &groups {
                let mine = entries.iter().filter(|entry| entry.author == group.key);
                prop_assert_eq!(group.count, mine.clone().count());
                prop_assert!(group.newest.iter().eq(mine.take(keep)));
            }
            let newest = groups.iter().filter_map(|group| group.newest.first());
            prop_assert!(newest.is_sorted_by(|a, b| a > b));
        }
    }
}
