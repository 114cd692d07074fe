use std::num::NonZeroU32;

/// The bucket of `key` among numbered `buckets`, by jump consistent hash (Lamping and Veach, *A
/// Fast, Minimal Memory, Consistent Hash Algorithm*, 2014).
///
/// Going from n to n + 1 buckets moves one key in n + 1, all of them to the new bucket. Buckets have
/// no names and no weights, and only the last one can go: use it for shards, and a
/// [`HashRing`](crate::ring::HashRing) for nodes. It spreads what it is given, so `key` should be a
/// hash; the published results of other implementations hold here too.
///
/// ```
/// use std::num::NonZeroU32;
/// use backplane::ring::jump;
/// let shards = NonZeroU32::new(16).unwrap();
/// assert!(jump(0x9a42_0465_a38e_bc9a, shards) < 16);
/// ```
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "the draw has 31 bits; the jump is positive, below `buckets`, and rounds down"
)]
pub fn jump(mut key: u64, buckets: NonZeroU32) -> u32 {
    let mut bucket = 0_u32;
    loop {
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        let draw = ((key >> 33) + 1) as f64;
        let next = f64::from(bucket + 1) * (f64::from(1_u32 << 31) / draw);
        if next >= f64::from(buckets.get()) {
            return bucket;
        }
        bucket = next as u32;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Key, buckets, bucket.
    const GOLDEN: [(u64, u32, u32); 12] = [
        (0, 666, 0),
        (0, u32::MAX, 2_147_483_648),
        (1, 16, 6),
        (1, 666, 549),
        (256, 2, 1),
        (256, 1_024, 520),
        (0xdead_beef, 5, 3),
        (0xdead_beef, 666, 285),
        (0x9a42_0465_a38e_bc9a, 1_024, 73),
        (0x9a42_0465_a38e_bc9a, u32::MAX, 1_859_802_204),
        (u64::MAX, 16, 10),
        (u64::MAX, 1 << 31, 699_554_662),
    ];

    fn buckets(count: u32) -> NonZeroU32 {
        NonZeroU32::new(count).unwrap()
    }

    #[test]
    fn the_mapping_is_the_published_one() {
        // Computed with an independent transcription of the paper's listing.
        for (key, count, expected) in GOLDEN {
            assert_eq!(jump(key, buckets(count)), expected, "{key} over {count}");
        }
    }

    #[test]
    fn one_key_in_n_moves_to_the_new_bucket() {
        const KEYS: u64 = 100_000;
        let spread = |key: u64| key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let moved = (0..KEYS)
            .filter(|&key| jump(spread(key), buckets(4)) != jump(spread(key), buckets(5)))
            .count();
        // A fifth, within six standard deviations.
        assert!(moved.abs_diff(20_000) < 760, "{moved}");
    }

    proptest! {
        #[test]
        fn one_more_bucket_moves_keys_to_it_only(key: u64, count in 1..u32::MAX) {
            let before = jump(key, buckets(count));
            let after = jump(key, buckets(count + 1));
            prop_assert!(before < count);
            prop_assert!(after == before || after == count);
        }
    }
}
