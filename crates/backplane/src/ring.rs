//! Consistent hashing: which member owns a key, as a pure function of who the members are.
//!
//! [`HashRing`] places every member at many points of a circle of 2⁶⁴; a key belongs to the member
//! at the first point at or after the key's own (Karger et al., *Consistent Hashing and Random
//! Trees*, STOC 1997). Points and keys are XXH3-64 of bytes, so that every process, on every
//! platform, in every insertion order, computes the same owners.
//!
//! When a member joins, keys move to it only; when one leaves, its keys alone move. How many is an
//! expectation, its share of the weight, and not a bound: with the default 160 points a member, the
//! largest share of 140 equal members is about 1.25 times the mean. [`BoundedLoad`] makes it a
//! bound.
//!
//! For shards that are only numbered, and only grow or shrink at the end, [`jump`] needs no ring.

mod bounded;
mod circle;
mod diff;
mod jump;
mod member;
mod owners;

use std::fmt;

use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

pub use bounded::{BoundedLoad, LoadFactor};
pub use diff::{MovedRange, RingDiff};
pub use jump::jump;
pub use member::{Member, MemberName, RingError};
pub use owners::Owners;

use circle::{Circle, Walk};

/// How a ring is laid out. Processes that must agree on owners must agree on these.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RingOptions {
    /// Points per unit of a member's weight; 160 unless set. The spread of the members' shares
    /// falls with the square root of it: about 8 % of the mean at 160, 4.5 % at 500.
    pub points_per_weight: u32,
    /// The most points a ring may have; 2²³ unless set. One point takes 24 to 32 bytes.
    pub max_points: u32,
}

impl RingOptions {
    /// Sets how many points a member has per unit of its weight.
    #[must_use]
    pub const fn with_points_per_weight(mut self, points: u32) -> Self {
        self.points_per_weight = points;
        self
    }

    /// Sets the most points a ring may have.
    #[must_use]
    pub const fn with_max_points(mut self, points: u32) -> Self {
        self.max_points = points;
        self
    }
}

impl Default for RingOptions {
    fn default() -> Self {
        Self {
            points_per_weight: 160,
            max_points: 1 << 23,
        }
    }
}

/// An immutable ring: build one per change of membership and swap it in behind an `Arc`.
///
/// Building costs a hash and a share of one sort per point, milliseconds at 140 members; a lookup
/// costs nanoseconds. Build off the hot path.
///
/// ```
/// use backplane::ring::{HashRing, Member, RingOptions};
/// # fn main() -> Result<(), backplane::ring::RingError> {
/// let members = [
///     Member::new("bus-1")?,
///     Member::new("bus-2")?,
///     Member::new("bus-3")?.with_weight(2),
/// ];
/// let ring = HashRing::build(members, 1, &RingOptions::default())?;
/// let owner = ring.owner(b"chat:42").expect("a ring with members owns every key");
/// let replicas: Vec<_> = ring.owners(b"chat:42").take(2).collect();
/// assert_eq!(replicas[0], owner);
/// assert_ne!(replicas[1], owner);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct HashRing {
    members: Box<[Member]>,
    circle: Circle,
    /// How many members own points.
    placed: usize,
    epoch: u64,
    fingerprint: u64,
}

impl HashRing {
    /// The ring of `members`, in any order.
    ///
    /// `epoch` is the revision of the membership that the members were read at. It labels the ring,
    /// so that peers can tell which of two is newer; it does not enter the mapping, or every change
    /// would move every key.
    ///
    /// # Errors
    ///
    /// [`RingError::DuplicateName`] if two members share a name, and [`RingError::TooManyPoints`] if
    /// the weights ask for more than [`RingOptions::max_points`].
    pub fn build(
        members: impl IntoIterator<Item = Member>,
        epoch: u64,
        options: &RingOptions,
    ) -> Result<Self, RingError> {
        let mut members: Box<[Member]> = members.into_iter().collect();
        members.sort_unstable_by(|a, b| a.name().cmp(b.name()));
        if let Some(twins) = members
            .windows(2)
            .find(|pair| pair[0].name() == pair[1].name())
        {
            return Err(RingError::DuplicateName(twins[0].name().clone()));
        }
        let points = members
            .iter()
            .map(|member| u64::from(member.weight()) * u64::from(options.points_per_weight))
            .fold(0, u64::saturating_add);
        if points > u64::from(options.max_points) {
            return Err(RingError::TooManyPoints {
                points,
                max: options.max_points,
            });
        }
        let placed = members
            .iter()
            .filter(|member| member.weight() > 0 && options.points_per_weight > 0);
        Ok(Self {
            circle: Circle::new(member_points(&members, options.points_per_weight)),
            fingerprint: fingerprint(&members, options.points_per_weight),
            placed: placed.count(),
            members,
            epoch,
        })
    }

    /// The point of `key` on the circle, the same on every ring.
    #[inline]
    #[must_use]
    pub fn point(key: &[u8]) -> u64 {
        xxh3_64(key)
    }

    /// The point of the eight little-endian bytes of `key`.
    #[inline]
    #[must_use]
    pub fn point_of_u64(key: u64) -> u64 {
        xxh3_64(&key.to_le_bytes())
    }

    /// The member that owns `key`; none if no member has a weight.
    #[inline]
    #[must_use]
    pub fn owner(&self, key: &[u8]) -> Option<&Member> {
        self.owner_at(Self::point(key))
    }

    /// The owner of the eight little-endian bytes of `key`.
    #[inline]
    #[must_use]
    pub fn owner_of_u64(&self, key: u64) -> Option<&Member> {
        self.owner_at(Self::point_of_u64(key))
    }

    /// The owner of the keys whose [`point`](Self::point) is `point`.
    #[inline]
    #[must_use]
    pub fn owner_at(&self, point: u64) -> Option<&Member> {
        self.members.get(self.index_at(point)?)
    }

    /// Where [`owner_at`](Self::owner_at) stands in [`members`](Self::members), for callers that keep
    /// something beside each member, such as a connection.
    #[inline]
    #[must_use]
    pub fn index_at(&self, point: u64) -> Option<usize> {
        self.circle.owner(point)
    }

    /// Every member with a weight once, in the order in which they would own `key` if those before
    /// them left: `.take(k)` is the key's k replicas. The first is its [`owner`](Self::owner).
    #[must_use]
    pub fn owners(&self, key: &[u8]) -> Owners<'_> {
        self.owners_at(Self::point(key))
    }

    /// The [`owners`](Self::owners) of the keys whose [`point`](Self::point) is `point`.
    #[must_use]
    pub fn owners_at(&self, point: u64) -> Owners<'_> {
        Owners::new(&self.members, self.placed, self.walk(point))
    }

    /// Which keys have another owner on `newer` than on this ring.
    #[must_use]
    pub fn diff(&self, newer: &Self) -> RingDiff {
        RingDiff::between(self, newer)
    }

    /// All members by ascending name, also those without a weight.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The revision of the membership that this ring was built from.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// A digest of names, weights and layout: rings with equal fingerprints have equal owners.
    ///
    /// Peers that exchange it beside the epoch notice a membership that has diverged.
    #[must_use]
    pub const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Every point of the ring, ascending, and the end of the circle.
    fn points(&self) -> impl Iterator<Item = u64> {
        self.circle.points()
    }

    /// Where the members of the points at and after `point` stand in `members`. They repeat.
    fn walk(&self, point: u64) -> Walk<'_> {
        self.circle.walk(point)
    }

    /// Where the member called `name` stands in [`members`](Self::members).
    fn index_of(&self, name: &[u8]) -> Option<usize> {
        self.members
            .binary_search_by(|member| member.name().as_bytes().cmp(name))
            .ok()
    }
}

impl fmt::Debug for HashRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashRing")
            .field("members", &self.members)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

/// Each member's points with its index.
///
/// A point hashes the name followed by the number of the point in four little-endian bytes. The
/// fixed width separates the two: no name and number read as another name and number, as `"n1"` with
/// 23 and `"n12"` with 3 do where numbers are appended as text. Numbers start at zero, so that a
/// larger weight adds points and moves none.
fn member_points(members: &[Member], points_per_weight: u32) -> Vec<(u64, u32)> {
    let mut points = Vec::new();
    let mut label = Vec::new();
    for (index, member) in (0_u32..).zip(members) {
        label.clear();
        label.extend_from_slice(member.name().as_bytes());
        let name_len = label.len();
        for number in 0..member.weight().saturating_mul(points_per_weight) {
            label.truncate(name_len);
            label.extend_from_slice(&number.to_le_bytes());
            points.push((xxh3_64(&label), index));
        }
    }
    points
}

fn fingerprint(members: &[Member], points_per_weight: u32) -> u64 {
    let mut digest = Xxh3Default::new();
    digest.update(&points_per_weight.to_le_bytes());
    for member in members.iter().filter(|member| member.weight() > 0) {
        digest.update(&(member.name().as_bytes().len() as u64).to_le_bytes());
        digest.update(member.name().as_bytes());
        digest.update(&member.weight().to_le_bytes());
    }
    digest.digest()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The members `n0`, `n1`, … with these weights.
    pub(super) fn members(weights: &[u32]) -> Vec<Member> {
        let member = |(n, &weight)| Member::new(format!("n{n}")).unwrap().with_weight(weight);
        weights.iter().enumerate().map(member).collect()
    }

    /// A ring of `members` with few points, so that members own long stretches.
    pub(super) fn coarse(members: impl IntoIterator<Item = Member>) -> HashRing {
        let options = RingOptions::default().with_points_per_weight(5);
        HashRing::build(members, 0, &options).unwrap()
    }

    fn ring(weights: &[u32]) -> HashRing {
        HashRing::build(members(weights), 0, &RingOptions::default()).unwrap()
    }

    fn owner_name(ring: &HashRing, key: u64) -> Option<&MemberName> {
        ring.owner_of_u64(key).map(Member::name)
    }

    /// How many of the keys 0 to `keys` each member owns.
    fn shares(ring: &HashRing, keys: u64) -> Vec<u64> {
        let mut shares = vec![0; ring.members().len()];
        for key in 0..keys {
            shares[ring.index_at(HashRing::point_of_u64(key)).unwrap()] += 1;
        }
        shares
    }

    #[test]
    fn the_mapping_never_changes() {
        let ring = ring(&[1, 1, 2, 0, 3]);
        let owners = [
            "",
            "a",
            "chat:1",
            "chat:user:42",
            "geo:9q8yy",
            "presence:alice",
        ]
        .map(|key| ring.owner(key.as_bytes()).unwrap().name().to_string());
        assert_eq!(owners, ["n2", "n2", "n0", "n2", "n1", "n2"]);
        let mut digest = Xxh3Default::new();
        for key in 0..100_000 {
            digest.update(owner_name(&ring, key).unwrap().as_bytes());
        }
        assert_eq!(digest.digest(), 4_960_514_638_647_938_097);
        assert_eq!(ring.fingerprint(), 4_634_692_778_038_297_531);
    }

    #[test]
    fn an_integer_key_is_its_little_endian_bytes() {
        let ring = ring(&[1; 20]);
        for key in [0, 1, 258, u64::MAX] {
            assert_eq!(ring.owner_of_u64(key), ring.owner(&key.to_le_bytes()));
        }
    }

    #[test]
    fn the_epoch_labels_a_ring_and_moves_nothing() {
        let of_epoch =
            |epoch| HashRing::build(members(&[1; 4]), epoch, &RingOptions::default()).unwrap();
        let (old, new) = (of_epoch(1), of_epoch(2));
        assert_eq!((old.epoch(), new.epoch()), (1, 2));
        assert_eq!(old.fingerprint(), new.fingerprint());
        assert!(old.diff(&new).is_empty());
    }

    #[test]
    fn names_and_point_numbers_never_read_as_each_other() {
        // As text, "n1" with 23 and "n12" with 3 are one label; so are these as bare bytes.
        let tricky = ["n1", "n12", "n123", "n\0", "n\0\0\0\0", "n\0\0\0\0\0"];
        let members: Vec<_> = tricky
            .iter()
            .map(|name| Member::new(name).unwrap())
            .collect();
        let mut points = member_points(&members, 1_000);
        points.sort_unstable();
        points.dedup_by_key(|(point, _)| *point);
        assert_eq!(points.len(), 6_000);
    }

    #[test]
    fn shares_follow_the_weights() {
        const KEYS: u64 = 200_000;
        let even = shares(&ring(&[1; 140]), KEYS);
        let mean = KEYS / 140;
        assert!(*even.iter().max().unwrap() < mean * 135 / 100, "{even:?}");
        assert!(*even.iter().min().unwrap() > mean * 70 / 100, "{even:?}");
        let uneven = shares(&ring(&[10, 20, 0, 70]), KEYS);
        for (share, percent) in uneven.iter().zip([10, 20, 0, 70]) {
            assert!(
                share.abs_diff(KEYS * percent / 100) <= KEYS / 100,
                "{uneven:?}"
            );
        }
    }

    #[test]
    fn a_ring_without_weights_owns_nothing() {
        let no_points = RingOptions::default().with_points_per_weight(0);
        let empty = [
            ring(&[]),
            ring(&[0, 0]),
            HashRing::build(members(&[1]), 0, &no_points).unwrap(),
        ];
        for ring in empty {
            assert_eq!(ring.owner(b"key"), None);
            assert_eq!(ring.owners(b"key").next(), None);
        }
    }

    #[test]
    fn bad_members_are_typed_errors() {
        let options = RingOptions::default().with_max_points(1_000);
        let build = |members| HashRing::build(members, 0, &options).map(|_| ());
        assert_eq!(Member::new("").unwrap_err(), RingError::EmptyName);
        let twins = [Member::new("a"), Member::new("b"), Member::new("a")].map(Result::unwrap);
        let name = MemberName::new("a").unwrap();
        assert_eq!(build(twins.to_vec()), Err(RingError::DuplicateName(name)));
        assert_eq!(build(members(&[3, 3])), Ok(()));
        let too_many = |points| Err(RingError::TooManyPoints { points, max: 1_000 });
        assert_eq!(build(members(&[3, 4])), too_many(1_120));
        let most = u64::from(u32::MAX) * 160;
        assert_eq!(build(members(&[u32::MAX; 3])), too_many(most * 3));
    }

    fn any_weights() -> impl Strategy<Value = Vec<u32>> {
        prop::collection::vec(0..4_u32, 1..12)
    }

    proptest! {
        #[test]
        fn the_owner_is_at_the_first_point_at_or_after_the_key(
            weights in any_weights(),
            keys in prop::collection::vec(any::<u64>(), 50),
        ) {
            let ring = coarse(members(&weights));
            for key in keys {
                let at = xxh3_64(&key.to_le_bytes());
                let points = ring.members().iter().flat_map(|member| {
                    (0..member.weight() * 5).map(move |number| {
                        let name = member.name().as_bytes();
                        let label = [name, &number.to_le_bytes()].concat();
                        (xxh3_64(&label).wrapping_sub(at), member)
                    })
                });
                let nearest = points.min_by_key(|(distance, _)| *distance);
                prop_assert_eq!(ring.owner_of_u64(key), nearest.map(|(_, member)| member));
            }
        }

        #[test]
        fn members_may_come_in_any_order(weights in any_weights(), seed: u64) {
            let ordered = coarse(members(&weights));
            let mut shuffled = members(&weights);
            fastrand::Rng::with_seed(seed).shuffle(&mut shuffled);
            let shuffled = coarse(shuffled);
            prop_assert_eq!(ordered.members(), shuffled.members());
            prop_assert_eq!(ordered.fingerprint(), shuffled.fingerprint());
            prop_assert!(ordered.diff(&shuffled).is_empty());
        }

        #[test]
        fn a_heavier_member_takes_keys_and_no_other_gains(
            weights in any_weights(),
            heavier: prop::sample::Index,
            by in 1..5_u32,
        ) {
            let index = heavier.index(weights.len());
            let mut after = weights.clone();
            after[index] += by;
            let diff = coarse(members(&weights)).diff(&coarse(members(&after)));
            let name = format!("n{index}");
            for range in diff.ranges() {
                prop_assert_eq!(range.to().unwrap(), name.as_str());
            }
        }

        #[test]
        fn a_member_that_leaves_gives_up_its_keys_and_no_other_does(
            weights in any_weights(),
            leaving: prop::sample::Index,
        ) {
            let index = leaving.index(weights.len());
            let all = members(&weights);
            let mut rest = all.clone();
            let gone = rest.remove(index);
            let mut drained = all.clone();
            drained[index] = gone.clone().with_weight(0);
            let (before, after) = (coarse(all), coarse(rest));
            for range in before.diff(&after).ranges() {
                prop_assert_eq!(range.from(), Some(gone.name()));
            }
            let drained = coarse(drained);
            prop_assert!(after.diff(&drained).is_empty());
            prop_assert_eq!(after.fingerprint(), drained.fingerprint());
        }
    }
}
