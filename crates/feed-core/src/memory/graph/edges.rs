use std::{
    collections::BTreeMap,
    mem,
    ops::Bound::{Excluded, Unbounded},
};

use crate::{UserId, memory::graph::edge::Edge};

/// The edges at one end of a user, ascending by the user at the other end.
///
/// They lie in blocks, so that a walk over a million followers reads memory in its order, while a
/// follow moves no more than a block. Most users fit one block, which needs no tree.
#[derive(Default)]
pub(super) struct Edges {
    len: usize,
    first: Vec<(UserId, Edge)>,
    /// Each under a bound: it holds the edges from there to the next bound.
    rest: BTreeMap<UserId, Vec<(UserId, Edge)>>,
}

/// The most edges in a block: 6 KB.
const BLOCK: usize = 256;

impl Edges {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn get(&self, other: UserId) -> Option<Edge> {
        let block = self.block(other);
        let at = place(block, other).ok()?;
        block.get(at).map(|(_, edge)| *edge)
    }

    /// Adds the edge, or replaces it.
    pub(super) fn insert(&mut self, other: UserId, edge: Edge) {
        let block = self.block_mut(other);
        match place(block, other) {
            Ok(at) => block[at].1 = edge,
            Err(at) => {
                let upper = insert(block, at, (other, edge));
                if let Some(&(bound, _)) = upper.first() {
                    self.rest.insert(bound, upper);
                }
                self.len += 1;
            }
        }
    }

    /// Removes the edge and says whether there was one.
    pub(super) fn remove(&mut self, other: UserId) -> bool {
        let block = self.block_mut(other);
        let Ok(at) = place(block, other) else {
            return false;
        };
        block.remove(at);
        if block.len() < BLOCK / 4 {
            self.join(other);
        }
        self.len -= 1;
        true
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (UserId, Edge)> + '_ {
        let blocks = self.rest.values().flatten();
        self.first.iter().chain(blocks).copied()
    }

    /// The edges to users above `other`.
    pub(super) fn above(&self, other: UserId) -> impl Iterator<Item = (UserId, Edge)> + '_ {
        let block = self.block(other);
        let start = block.partition_point(|&(user, _)| user <= other);
        let blocks = self.rest.range((Excluded(other), Unbounded));
        let later = blocks.flat_map(|(_, block)| block);
        block[start..].iter().chain(later).copied()
    }

    /// The block in which the edge to `other` is, if there is one.
    fn block(&self, other: UserId) -> &Vec<(UserId, Edge)> {
        let found = self.rest.range(..=other).next_back();
        found.map_or(&self.first, |(_, block)| block)
    }

    fn block_mut(&mut self, other: UserId) -> &mut Vec<(UserId, Edge)> {
        let found = self.rest.range_mut(..=other).next_back();
        found.map_or(&mut self.first, |(_, block)| block)
    }

    /// Moves the edges of the block for `other` into the one before, if they leave room there.
    fn join(&mut self, other: UserId) {
        let mut up_to = self.rest.range_mut(..=other);
        let Some((&bound, block)) = up_to.next_back() else {
            return;
        };
        let before = up_to
            .next_back()
            .map_or(&mut self.first, |(_, block)| block);
        if block.is_empty() || before.len() + block.len() <= BLOCK / 2 {
            before.append(&mut mem::take(block));
            self.rest.remove(&bound);
        }
    }
}

fn place(block: &[(UserId, Edge)], other: UserId) -> Result<usize, usize> {
    block.binary_search_by_key(&other, |&(user, _)| user)
}

/// Inserts into a block, and answers the part that found no room: its upper half, or the new edge
/// alone where that is the last, so that blocks that grow at the end get full.
fn insert(block: &mut Vec<(UserId, Edge)>, at: usize, new: (UserId, Edge)) -> Vec<(UserId, Edge)> {
    if block.len() < BLOCK {
        block.insert(at, new);
        return Vec::new();
    }
    if at == BLOCK {
        return vec![new];
    }
    let mut upper = block.split_off(BLOCK / 2);
    match at.checked_sub(BLOCK / 2) {
        Some(at) if at > 0 => upper.insert(at, new),
        _ => block.insert(at, new),
    }
    upper
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::{FollowSettings, Route, RouteStamp};

    fn edge(stamp: u64) -> Edge {
        let stamp = RouteStamp::new(stamp);
        Edge::new(FollowSettings::default(), Route::Both, stamp)
    }

    #[test]
    fn edges_that_come_in_order_fill_their_blocks() {
        let mut edges = Edges::default();
        for user in 0..10 * BLOCK as u64 {
            edges.insert(UserId::new(user), edge(user));
        }
        assert_eq!(edges.rest.len(), 9);
    }

    #[test]
    fn blocks_join_as_they_empty() {
        let mut edges = Edges::default();
        let users = (0..8 * BLOCK as u64).map(UserId::new);
        for user in users.clone() {
            edges.insert(user, edge(1));
        }
        for user in users.clone().filter(|user| user.get() % 64 > 0) {
            assert!(edges.remove(user));
        }
        assert_eq!(edges.len(), 32);
        assert!(edges.rest.len() <= 1, "{}", edges.rest.len());
        assert!(
            users
                .filter(|user| user.get() % 64 == 0)
                .eq(edges.iter().map(|(user, _)| user))
        );
    }

    /// Runs of users, so that blocks split and join: from where, how many, how far apart, and
    /// whether they come or go.
    fn runs() -> impl Strategy<Value = Vec<(u64, u64, u64, bool)>> {
        let from = prop_oneof![Just(0), 0_u64..3_000, Just(u64::MAX - 700)];
        vec((from, 1_u64..700, 1_u64..4, any::<bool>()), 1..12)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn agrees_with_a_tree(runs in runs(), probes in vec(0_u64..5_000, 8)) {
            let (mut edges, mut tree) = (Edges::default(), BTreeMap::new());
            for (stamp, (from, count, step, come)) in (0..).zip(runs) {
                for user in (0..count).map(|n| UserId::new(from.saturating_add(n * step))) {
                    if come {
                        edges.insert(user, edge(stamp));
                        tree.insert(user, edge(stamp));
                    } else {
                        prop_assert_eq!(edges.remove(user), tree.remove(&user).is_some());
                    }
                }
                prop_assert_eq!(edges.len(), tree.len());
                prop_assert!(edges.iter().eq(tree.iter().map(|(&user, &edge)| (user, edge))));
                prop_assert!(edges.rest.values().all(|block| (1..=BLOCK).contains(&block.len())));
            }
            for user in probes.into_iter().chain([u64::MAX - 300, u64::MAX]).map(UserId::new) {
                prop_assert_eq!(edges.get(user), tree.get(&user).copied());
                let above = tree.range((Excluded(user), Unbounded));
                prop_assert!(edges.above(user).eq(above.map(|(&user, &edge)| (user, edge))));
            }
        }
    }
}
