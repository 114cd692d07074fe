use std::sync::Arc;

use crate::ring::{HashRing, Member, RingError};

/// How far a member's load may exceed the mean, as an exact ratio.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct LoadFactor {
    percent: u32,
}

impl LoadFactor {
    /// A load of at most `percent` hundredths of the mean, rounded up.
    ///
    /// # Errors
    ///
    /// [`RingError::LoadFactorBelowMean`] below 100: the members could not hold all keys.
    pub const fn from_percent(percent: u32) -> Result<Self, RingError> {
        if percent < 100 {
            return Err(RingError::LoadFactorBelowMean { percent });
        }
        Ok(Self { percent })
    }
}

impl Default for LoadFactor {
    /// 125 % of the mean.
    fn default() -> Self {
        Self { percent: 125 }
    }
}

/// Consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam, SODA 2018).
///
/// A key goes to the first of its [owners](HashRing::owners) that has room, where room is the
/// member's share of all keys by weight, times the [`LoadFactor`], rounded up. So no placement ever
/// lifts a member above that, at the price that where a key went depends on what was placed before:
/// the caller must remember it.
///
/// ```
/// use std::sync::Arc;
/// use backplane::ring::{BoundedLoad, HashRing, LoadFactor, Member, RingOptions};
/// # fn main() -> Result<(), backplane::ring::RingError> {
/// let members = [Member::new("a")?, Member::new("b")?, Member::new("c")?];
/// let ring = Arc::new(HashRing::build(members, 1, &RingOptions::default())?);
/// let mut rooms = BoundedLoad::new(ring, LoadFactor::default());
/// for room in 0..30_u8 {
///     rooms.place(&[room]).expect("the ring has members");
/// }
/// // The mean is 10, and 125 % of it, rounded up, is 13.
/// assert!(["a", "b", "c"].iter().all(|name| rooms.load(name) <= 13));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct BoundedLoad {
    ring: Arc<HashRing>,
    factor: LoadFactor,
    /// Per member of the ring, the keys it holds.
    loads: Vec<u64>,
    total: u64,
    total_weight: u64,
}

impl BoundedLoad {
    /// No key placed yet.
    #[must_use]
    pub fn new(ring: Arc<HashRing>, factor: LoadFactor) -> Self {
        let weight = |member: &Member| u64::from(member.weight());
        Self {
            loads: vec![0; ring.members().len()],
            total: 0,
            total_weight: ring.members().iter().map(weight).sum(),
            ring,
            factor,
        }
    }

    /// Places one more key and returns the member that holds it now; none if no member has a weight.
    pub fn place(&mut self, key: &[u8]) -> Option<&Member> {
        let keys = self.total + 1;
        let index = self
            .ring
            .walk(HashRing::point(key))
            .find(|&index| self.loads[index] < self.capacity(index, keys))?;
        self.loads[index] += 1;
        self.total = keys;
        self.ring.members().get(index)
    }

    /// Takes one key off the member called `name`; false if it holds none.
    ///
    /// The mean falls with it, so that other members may stand above their bound until they release
    /// keys too; none of them is given another one before.
    pub fn release(&mut self, name: impl AsRef<[u8]>) -> bool {
        let index = self.ring.index_of(name.as_ref());
        let Some(load) = index.and_then(|index| self.loads.get_mut(index)) else {
            return false;
        };
        let held = *load > 0;
        if held {
            *load -= 1;
            self.total -= 1;
        }
        held
    }

    /// How many keys the member called `name` holds; zero if there is none.
    #[must_use]
    pub fn load(&self, name: impl AsRef<[u8]>) -> u64 {
        let index = self.ring.index_of(name.as_ref());
        index.map_or(0, |index| self.loads[index])
    }

    /// How many keys all members hold.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Goes on with another ring. Members of both keep their loads; the keys of members that left
    /// are forgotten, for the caller to place again.
    pub fn switch_to(&mut self, ring: Arc<HashRing>) {
        let mut next = Self::new(ring, self.factor);
        for (load, member) in next.loads.iter_mut().zip(next.ring.members()) {
            *load = self.load(member.name().as_bytes());
            next.total += *load;
        }
        *self = next;
    }

    /// How many of `keys` the member at `index` may hold. Over all members this adds up to at least
    /// `keys`, so that there is always room for one more.
    fn capacity(&self, index: usize, keys: u64) -> u64 {
        let weight = self.ring.members()[index].weight();
        let share = u128::from(keys) * u128::from(weight) * u128::from(self.factor.percent);
        let capacity = share.div_ceil(u128::from(self.total_weight) * 100);
        u64::try_from(capacity).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ring::{
        MemberName,
        tests::{coarse, members},
    };

    fn bounded(weights: &[u32], percent: u32) -> BoundedLoad {
        let factor = LoadFactor::from_percent(percent).unwrap();
        BoundedLoad::new(Arc::new(coarse(members(weights))), factor)
    }

    /// `ceil(c * mean * weight)` in whole numbers, by counting up.
    fn bound(keys: u64, weight: u32, total_weight: u32, percent: u32) -> u64 {
        let wanted = keys * u64::from(weight) * u64::from(percent);
        (0..=wanted)
            .find(|load| load * u64::from(total_weight) * 100 >= wanted)
            .unwrap()
    }

    proptest! {
        #[test]
        fn a_key_goes_to_its_first_owner_below_the_bound(
            weights in prop::collection::vec(0..4_u32, 1..8),
            percent in 100..250_u32,
            steps in prop::collection::vec((any::<u64>(), 0..4_u8), 1..80),
        ) {
            let total_weight: u32 = weights.iter().sum();
            prop_assume!(total_weight > 0);
            let mut placement = bounded(&weights, percent);
            let ring = Arc::clone(&placement.ring);
            let mut held: Vec<MemberName> = Vec::new();
            for (key, step) in steps {
                if step == 0 && !held.is_empty() {
                    let name = held.swap_remove(usize::try_from(key).unwrap() % held.len());
                    prop_assert!(placement.release(&name));
                    continue;
                }
                let load = |name: &MemberName| held.iter().filter(|held| *held == name).count();
                let keys = held.len() as u64 + 1;
                let has_room = |member: &&Member| {
                    let bound = bound(keys, member.weight(), total_weight, percent);
                    (load(member.name()) as u64) < bound
                };
                let key = key.to_le_bytes();
                let expected = ring.owners(&key).find(has_room);
                prop_assert!(expected.is_some());
                prop_assert_eq!(placement.place(&key), expected);
                held.extend(expected.map(Member::name).cloned());
                prop_assert_eq!(placement.total(), keys);
            }
            for member in ring.members() {
                let load = held.iter().filter(|name| *name == member.name()).count();
                prop_assert_eq!(placement.load(member.name()), load as u64);
            }
        }
    }

    #[test]
    fn no_member_ever_holds_more_than_the_bound() {
        let mut placement = bounded(&[1; 10], 125);
        for key in 1..=1_000_u64 {
            placement.place(&key.to_le_bytes()).unwrap();
            let most = (0..10).map(|n| placement.load(format!("n{n}"))).max();
            assert!(most.unwrap() <= bound(key, 1, 10, 125));
        }
    }

    #[test]
    fn a_factor_of_one_balances_exactly() {
        let mut placement = bounded(&[1, 2, 0, 1], 100);
        for key in 0..400_u64 {
            placement.place(&key.to_le_bytes()).unwrap();
        }
        let loads = ["n0", "n1", "n2", "n3"].map(|name| placement.load(name));
        assert_eq!(loads, [100, 200, 0, 100]);
    }

    #[test]
    fn only_held_keys_can_be_released() {
        let mut placement = bounded(&[1, 1], 125);
        assert!(!placement.release("n0"));
        assert!(!placement.release("stranger"));
        let name = placement.place(b"key").unwrap().name().clone();
        assert!(placement.release(&name));
        assert!(!placement.release(&name));
        assert_eq!(placement.total(), 0);
    }

    #[test]
    fn survivors_keep_their_loads_on_another_ring() {
        let mut placement = bounded(&[1, 1, 1], 125);
        for key in 0..30_u64 {
            placement.place(&key.to_le_bytes()).unwrap();
        }
        let (kept, lost) = (
            placement.load("n0") + placement.load("n2"),
            placement.load("n1"),
        );
        assert!(lost > 0);
        let mut rest = members(&[1, 0, 1]);
        rest.remove(1);
        placement.switch_to(Arc::new(coarse(rest)));
        assert_eq!((placement.total(), placement.load("n1")), (kept, 0));
        assert!(placement.place(b"lost").is_some());
    }

    #[test]
    fn no_members_take_no_key() {
        assert_eq!(bounded(&[0], 125).place(b"key"), None);
    }

    #[test]
    fn a_factor_below_the_mean_is_refused() {
        let error = RingError::LoadFactorBelowMean { percent: 99 };
        assert_eq!(LoadFactor::from_percent(99), Err(error));
        assert!(LoadFactor::from_percent(100).unwrap() < LoadFactor::default());
    }
}
