use crate::UserId;

/// A power of two: so many parts that few writers meet in one, and so few that even a small fanout
/// has several owners in each, which are looked up together.
pub(super) const SHARDS: usize = 16;

/// How many owners are sorted at a time: 8 KB of stack.
const CHUNK: usize = 1_024;

/// The finalizer of `SplitMix64`, which no two viewers share.
pub(super) const fn hash(viewer: UserId) -> u64 {
    let mut hash = viewer.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// The part of a viewer. The bits are none of those that hash tables use: the lowest and the
/// highest seven.
pub(super) const fn shard(viewer: UserId) -> usize {
    (hash(viewer) >> 48) as usize % SHARDS
}

/// Calls `visit` for each shard that `owners` have, once for every 1,024 owners, with those of the
/// shard. Allocates nothing.
pub(super) fn by_shard(owners: &[UserId], mut visit: impl FnMut(usize, &[UserId])) {
    if let [owner] = owners {
        return visit(shard(*owner), owners);
    }
    for owners in owners.chunks(CHUNK) {
        // A counting sort. Until an owner is placed, an end is where its shard starts.
        let mut ends = [0; SHARDS + 1];
        for &owner in owners {
            ends[shard(owner) + 1] += 1;
        }
        for shard in 1..SHARDS {
            ends[shard] += ends[shard - 1];
        }
        let mut sorted = [UserId::new(0); CHUNK];
        for &owner in owners {
            let end = &mut ends[shard(owner)];
            sorted[*end] = owner;
            *end += 1;
        }
        let mut start = 0;
        for (shard, &end) in ends[..SHARDS].iter().enumerate() {
            if start < end {
                visit(shard, &sorted[start..end]);
            }
            start = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_owner_is_visited_once_with_its_shard() {
        for count in [0, 1, 2, 1_024, 1_025, 5_000] {
            let owners: Vec<_> = (0..count).map(|n| UserId::new(n << 40)).collect();
            let mut visited = Vec::new();
            let mut visits = 0;
            by_shard(&owners, |at, owners| {
                assert!(owners.iter().all(|&owner| shard(owner) == at));
                visited.extend_from_slice(owners);
                visits += 1;
            });
            assert!(visits <= owners.len().div_ceil(CHUNK) * SHARDS);
            visited.sort_unstable();
            assert_eq!(visited, owners);
        }
    }

    #[test]
    fn consecutive_viewers_spread_over_all_shards() {
        let mut viewers = [0; SHARDS];
        for viewer in 0..100 * SHARDS as u64 {
            viewers[shard(UserId::new((1_790_000_000_000 << 16) + viewer))] += 1;
        }
        assert!(
            viewers.iter().all(|viewers| (60..=140).contains(viewers)),
            "{viewers:?}"
        );
    }
}
