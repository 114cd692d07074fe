//! The subscribers of one topic inside one shard.

use std::{cmp::Ordering, num::NonZeroU32, slice};

use super::options::Overflow;

/// One subscriber: its connection's slot, its overflow policy, and whether its messages take the
/// detour of a subscriber that is catching up. Sorts by connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Member(NonZeroU32);

impl Member {
    /// Slots take 29 bits, in which they count from one so that no member is zero.
    pub(super) const MAX_CONNECTION: u32 = (1 << 29) - 2;
    const DETOUR: u32 = 1;

    pub(super) const fn new(connection: u32, overflow: Overflow) -> Self {
        let policy = match overflow {
            Overflow::Disconnect => 0,
            Overflow::DropOldest => 1,
            Overflow::DropNewest => 2,
            Overflow::Conflate => 3,
        };
        Self::from_bits((connection + 1) << 3 | policy << 1)
    }

    pub(super) const fn with_detour(self) -> Self {
        Self::from_bits(self.0.get() | Self::DETOUR)
    }

    pub(super) const fn without_detour(self) -> Self {
        Self::from_bits(self.0.get() & !Self::DETOUR)
    }

    pub(super) const fn takes_detour(self) -> bool {
        self.0.get() & Self::DETOUR != 0
    }

    pub(super) const fn connection(self) -> u32 {
        (self.0.get() >> 3) - 1
    }

    const fn from_bits(bits: u32) -> Self {
        Self(NonZeroU32::new(bits).expect("a connection counts from one"))
    }

    pub(super) const fn overflow(self) -> Overflow {
        match self.0.get() >> 1 & 3 {
            0 => Overflow::Disconnect,
            1 => Overflow::DropOldest,
            2 => Overflow::DropNewest,
            _ => Overflow::Conflate,
        }
    }
}

/// A set of members, sorted by connection, of 4 bytes each.
///
/// The order lets a broadcast walk the connections as they lie in memory. A crowd is cut into
/// chunks, so that a subscriber's coming or going moves at most [`CHUNK`] members.
#[derive(Debug, Default)]
pub(super) enum Subscribers {
    #[default]
    None,
    One(Member),
    Few(Vec<Member>),
    /// At least two chunks, none empty.
    Crowd(Vec<Vec<Member>>),
}

const CHUNK: usize = 1_024;

impl Subscribers {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    pub(super) fn is_sole(&self, member: Member) -> bool {
        matches!(self, Self::One(present) if *present == member)
    }

    /// The members in order, as contiguous runs.
    pub(super) fn chunks(&self) -> impl Iterator<Item = &[Member]> {
        let (flat, chunks): (&[Member], &[Vec<Member>]) = match self {
            Self::None => (&[], &[]),
            Self::One(member) => (slice::from_ref(member), &[]),
            Self::Few(members) => (members, &[]),
            Self::Crowd(chunks) => (&[], chunks),
        };
        [flat].into_iter().chain(chunks.iter().map(Vec::as_slice))
    }

    /// Adds `member`, or replaces the one of the same connection.
    pub(super) fn insert(&mut self, member: Member) {
        match self {
            Self::None => *self = Self::One(member),
            Self::One(present) => match order(*present, member.connection()) {
                Ordering::Equal => *present = member,
                Ordering::Less => *self = Self::Few(vec![*present, member]),
                Ordering::Greater => *self = Self::Few(vec![member, *present]),
            },
            Self::Few(members) => {
                insert_sorted(members, member);
                if members.len() > CHUNK {
                    let upper = split(members, member);
                    *self = Self::Crowd(vec![std::mem::take(members), upper]);
                }
            }
            Self::Crowd(chunks) => insert_chunked(chunks, member),
        }
    }

    /// Removes the member of `connection`, if there is one.
    pub(super) fn remove(&mut self, connection: u32) -> bool {
        let removed = match self {
            Self::None => false,
            Self::One(member) => {
                let found = member.connection() == connection;
                if found {
                    *self = Self::None;
                }
                found
            }
            Self::Few(members) => remove_sorted(members, connection),
            Self::Crowd(chunks) => remove_chunked(chunks, connection),
        };
        if removed {
            self.simplify();
        }
        removed
    }

    /// The member of `connection`.
    pub(super) fn find(&mut self, connection: u32) -> Option<&mut Member> {
        let members = match self {
            Self::None => return None,
            Self::One(member) => slice::from_mut(member),
            Self::Few(members) => members,
            Self::Crowd(chunks) => {
                let chunk = chunk_of(chunks, connection);
                &mut chunks[chunk]
            }
        };
        let place = search(members, connection).ok()?;
        Some(&mut members[place])
    }

    fn simplify(&mut self) {
        match self {
            Self::Crowd(chunks) if chunks.len() == 1 => {
                *self = Self::Few(chunks.pop().unwrap_or_default());
            }
            Self::Few(members) => match members[..] {
                [] => *self = Self::None,
                [member] => *self = Self::One(member),
                _ => {}
            },
            _ => {}
        }
    }
}

fn order(member: Member, connection: u32) -> Ordering {
    member.connection().cmp(&connection)
}

fn search(members: &[Member], connection: u32) -> Result<usize, usize> {
    members.binary_search_by(|&member| order(member, connection))
}

/// The chunk that holds `connection`, or would.
fn chunk_of(chunks: &[Vec<Member>], connection: u32) -> usize {
    chunks
        .partition_point(|chunk| order(chunk[0], connection).is_le())
        .saturating_sub(1)
}

fn insert_sorted(members: &mut Vec<Member>, member: Member) {
    match search(members, member.connection()) {
        Ok(place) => members[place] = member,
        Err(place) => {
            if members.len() == members.capacity() {
                // A quarter instead of double: the slack counts against every subscription.
                members.reserve_exact((members.len() / 4).max(2));
            }
            members.insert(place, member);
        }
    }
}

fn insert_chunked(chunks: &mut Vec<Vec<Member>>, member: Member) {
    let at = chunk_of(chunks, member.connection());
    insert_sorted(&mut chunks[at], member);
    if chunks[at].len() > CHUNK {
        let upper = split(&mut chunks[at], member);
        chunks.insert(at + 1, upper);
    }
}

/// Cuts the upper part off an overfull chunk: half of it, or only the `added` last one, since
/// connections mostly arrive in the order of their slots and would leave every chunk half empty.
fn split(members: &mut Vec<Member>, added: Member) -> Vec<Member> {
    let keep = if members.last() == Some(&added) {
        CHUNK
    } else {
        members.len() / 2
    };
    let upper = members.split_off(keep);
    members.shrink_to_fit();
    upper
}

fn remove_sorted(members: &mut Vec<Member>, connection: u32) -> bool {
    let Ok(place) = search(members, connection) else {
        return false;
    };
    members.remove(place);
    if members.len() < members.capacity() / 2 {
        members.shrink_to(members.len() + members.len() / 4);
    }
    true
}

fn remove_chunked(chunks: &mut Vec<Vec<Member>>, connection: u32) -> bool {
    let at = chunk_of(chunks, connection);
    if !remove_sorted(&mut chunks[at], connection) {
        return false;
    }
    if chunks[at].is_empty() {
        chunks.remove(at);
        return true;
    }
    let neighbour = if at + 1 < chunks.len() { at } else { at - 1 };
    if chunks[neighbour].len() + chunks[neighbour + 1].len() <= CHUNK / 2 {
        let upper = chunks.remove(neighbour + 1);
        chunks[neighbour].extend(upper);
    }
    true
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn connections(subscribers: &Subscribers) -> Vec<u32> {
        let members = subscribers.chunks().flatten();
        members.map(|member| member.connection()).collect()
    }

    #[test]
    fn a_member_keeps_its_connection_policy_and_detour() {
        for overflow in [
            Overflow::Disconnect,
            Overflow::DropOldest,
            Overflow::DropNewest,
            Overflow::Conflate,
        ] {
            let member = Member::new(Member::MAX_CONNECTION, overflow).with_detour();
            assert_eq!(member.connection(), Member::MAX_CONNECTION);
            assert_eq!(member.overflow(), overflow);
            assert!(member.takes_detour());
            assert!(!member.without_detour().takes_detour());
        }
    }

    #[test]
    fn memory_follows_a_crowd_down() {
        let mut subscribers = Subscribers::default();
        let member = |slot| Member::new(slot, Overflow::Disconnect);
        (0..100_000).for_each(|slot| subscribers.insert(member(slot)));
        let capacity = |subscribers: &Subscribers| match subscribers {
            Subscribers::Crowd(chunks) => chunks.iter().map(Vec::capacity).sum(),
            Subscribers::Few(members) => members.capacity(),
            _ => 1,
        };
        assert!(
            capacity(&subscribers) <= 125_000,
            "{}",
            capacity(&subscribers)
        );
        for slot in (0..100_000).filter(|slot| slot % 100 != 0) {
            assert!(subscribers.remove(slot));
        }
        assert_eq!(connections(&subscribers).len(), 1_000);
        assert!(
            capacity(&subscribers) <= 4_000,
            "{}",
            capacity(&subscribers)
        );
    }

    #[test]
    fn a_crowd_may_leave_in_the_order_it_came_or_backwards() {
        let mut subscribers = Subscribers::default();
        let ascending: Vec<_> = (0..5_000).collect();
        let descending: Vec<_> = (0..5_000).rev().collect();
        for order in [ascending, descending] {
            for slot in 0..5_000 {
                subscribers.insert(Member::new(slot, Overflow::Disconnect));
            }
            for &slot in &order {
                assert!(subscribers.remove(slot));
            }
            assert!(subscribers.is_empty());
        }
    }

    proptest! {
        #[test]
        fn behaves_as_a_sorted_map(
            ops in proptest::collection::vec((0_u32..3_000, 0_u8..8), 0..6_000),
        ) {
            let mut subscribers = Subscribers::default();
            let mut model = BTreeMap::new();
            for (slot, op) in ops {
                if op < 5 {
                    let member = Member::new(slot, Overflow::Conflate);
                    subscribers.insert(member);
                    model.insert(slot, member);
                } else {
                    prop_assert_eq!(subscribers.remove(slot), model.remove(&slot).is_some());
                }
                prop_assert_eq!(subscribers.find(slot).copied(), model.get(&slot).copied());
            }
            prop_assert_eq!(connections(&subscribers), model.into_keys().collect::<Vec<_>>());
        }
    }
}
