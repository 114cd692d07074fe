//! Who is in a conversation, since when, and what they may read of it.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use backplane::id_newtype;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use smallvec::SmallVec;

use crate::{Error, ErrorKind, UserId};

id_newtype! {
    /// A group. The application numbers them.
    pub struct GroupId;
}

/// Which conversation.
///
/// Two users have one direct conversation, which their ids name: it needs no founding, and nobody
/// joins or leaves it. A group has members who come and go.
///
/// Its text is `direct:1:2`, the lower user first, or `group:7`.
///
/// ```
/// use chat_core::{ConversationId, GroupId, UserId};
/// let (ann, bob) = (UserId::new(1), UserId::new(2));
/// assert_eq!(ConversationId::direct(bob, ann), ConversationId::direct(ann, bob));
/// assert_eq!(ConversationId::direct(bob, ann).to_string(), "direct:1:2");
/// assert_eq!("group:7".parse(), Ok(ConversationId::Group(GroupId::new(7))));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "two users, or a group")]
pub enum ConversationId {
    /// The conversation of two users, or of one with themselves.
    Direct(Pair),
    /// A group's.
    Group(GroupId),
}

/// Two users in order, who may be the same.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Pair {
    low: UserId,
    high: UserId,
}

impl ConversationId {
    /// The direct conversation of two users.
    #[must_use]
    pub fn direct(one: UserId, other: UserId) -> Self {
        Self::Direct(Pair::new(one, other))
    }

    /// The members of a direct conversation.
    #[must_use]
    pub const fn pair(self) -> Option<Pair> {
        match self {
            Self::Direct(pair) => Some(pair),
            Self::Group(_) => None,
        }
    }

    /// A number that differs from conversation to conversation about as often as they do, to tell shards
    /// by.
    pub(crate) fn mixed(self) -> u64 {
        match self {
            Self::Group(group) => group.get(),
            Self::Direct(pair) => pair.users().fold(1, |mixed: u64, user| {
                mixed.rotate_left(32).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ user.get()
            }),
        }
    }
}

impl Pair {
    /// The two in order.
    #[must_use]
    pub fn new(one: UserId, other: UserId) -> Self {
        Self {
            low: one.min(other),
            high: one.max(other),
        }
    }

    /// The lower user.
    #[must_use]
    pub const fn low(self) -> UserId {
        self.low
    }

    /// The higher user, or the same.
    #[must_use]
    pub const fn high(self) -> UserId {
        self.high
    }

    /// Whether `user` is one of the two.
    #[must_use]
    pub fn contains(self, user: UserId) -> bool {
        self.low == user || self.high == user
    }

    /// How many they are: two, or one who is alone.
    #[must_use]
    pub fn size(self) -> u32 {
        1 + u32::from(self.low != self.high)
    }

    /// The users in order: two, or one who is alone.
    pub fn users(self) -> impl Iterator<Item = UserId> {
        let other = (self.high != self.low).then_some(self.high);
        [self.low].into_iter().chain(other)
    }
}

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct(Pair { low, high }) => write!(f, "direct:{low}:{high}"),
            Self::Group(group) => write!(f, "group:{group}"),
        }
    }
}

impl FromStr for ConversationId {
    type Err = ParseConversationError;

    fn from_str(text: &str) -> Result<Self, ParseConversationError> {
        let malformed = |_| ParseConversationError;
        match text.split_once(':') {
            Some(("group", group)) => group.parse().map(Self::Group).map_err(malformed),
            Some(("direct", pair)) => {
                let (low, high) = pair.split_once(':').ok_or(ParseConversationError)?;
                let low = low.parse().map_err(malformed)?;
                let high = high.parse().map_err(malformed)?;
                let in_order = low <= high;
                let id = in_order.then_some(Self::Direct(Pair { low, high }));
                id.ok_or(ParseConversationError)
            }
            _ => Err(ParseConversationError),
        }
    }
}

/// The text names no conversation.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a conversation: direct:USER:USER with the lower user first, or group:ID")]
#[non_exhaustive]
pub struct ParseConversationError;

impl Serialize for ConversationId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ConversationId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// What a member of a group may do beside talking.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Role {
    /// Nothing.
    Member,
    /// Adds, appoints and removes members, deletes messages of others, and describes the group.
    Admin,
}

/// How much of the past a new member may read.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "the whole past, or none of it")]
pub enum HistoryStart {
    /// All that is retained.
    Beginning,
    /// Nothing before they joined.
    #[default]
    Joining,
}

/// A group to be founded.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct NewGroup {
    /// Its id, which no other group has had.
    pub group: GroupId,
    /// Who founds it, and becomes an admin; nobody, if the application does.
    pub founder: Option<UserId>,
    /// The other members to begin with, at most [`MAX_FOUNDERS`](Self::MAX_FOUNDERS).
    pub members: Vec<UserId>,
    /// How many members it may have. 100,000 by default.
    pub limit: u32,
    /// What members who join later may read.
    pub history: HistoryStart,
    /// What the application wants to say of the group, its name for instance: opaque, at most
    /// [`MAX_ABOUT`](crate::MAX_ABOUT) bytes.
    pub about: bytes::Bytes,
}

impl NewGroup {
    /// The most members that a group begins with.
    pub const MAX_FOUNDERS: usize = 1_000;

    /// A group of its founder alone.
    #[must_use]
    pub fn new(group: GroupId, founder: Option<UserId>) -> Self {
        Self {
            group,
            founder,
            members: Vec::new(),
            limit: 100_000,
            history: HistoryStart::default(),
            about: bytes::Bytes::new(),
        }
    }

    /// The same with these members beside the founder.
    #[must_use]
    pub fn with_members(mut self, members: impl IntoIterator<Item = UserId>) -> Self {
        self.members = members.into_iter().collect();
        self
    }

    /// The same for at most so many members.
    #[must_use]
    pub const fn with_limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }

    /// The same with so much of the past for who joins later.
    #[must_use]
    pub const fn with_history(mut self, history: HistoryStart) -> Self {
        self.history = history;
        self
    }

    /// The same, described.
    #[must_use]
    pub fn with_about(mut self, about: impl Into<bytes::Bytes>) -> Self {
        self.about = about.into();
        self
    }

    /// The founder and the other members, once each.
    #[must_use]
    pub fn roster(&self) -> Vec<(UserId, Role)> {
        let mut roster: Vec<_> = self
            .members
            .iter()
            .map(|&user| (user, Role::Member))
            .collect();
        roster.retain(|(user, _)| Some(*user) != self.founder);
        roster.extend(self.founder.map(|founder| (founder, Role::Admin)));
        roster.sort_unstable();
        roster.dedup();
        roster
    }

    /// For stores: fails on behalf of `op` if the group breaks the limits, its own included.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`].
    pub fn check(&self, op: &'static str) -> Result<(), Error> {
        let fits = self.members.len() <= Self::MAX_FOUNDERS
            && self.roster().len() <= self.limit as usize
            && self.about.len() <= crate::MAX_ABOUT;
        fits.then_some(())
            .ok_or_else(|| Error::bare(ErrorKind::Invalid, op))
    }
}

/// The stretches of a conversation that a user may read, from the oldest on, without overlap.
///
/// Whoever is a member has one that is open. Who leaves keeps what they could read, and who comes
/// back keeps that too.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Windows(SmallVec<[Window; 1]>);

/// A stretch of a conversation, both ends included.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Window {
    from: u64,
    until: u64,
}

impl Windows {
    /// The most stretches that are kept for a user. Of one who leaves and comes back more often, the
    /// oldest go.
    pub const MAX: usize = 32;

    const OPEN: u64 = u64::MAX;

    /// All that there is and will be.
    #[must_use]
    pub fn all() -> Self {
        let mut windows = Self::default();
        windows.open(1);
        windows
    }

    /// The same stretches out of their ends, as [`bounds`](Self::bounds) has them. For stores.
    pub fn from_bounds(bounds: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let windows = bounds.into_iter();
        Self(
            windows
                .map(|(from, until)| Window { from, until })
                .collect(),
        )
    }

    /// The first and the last that may be read of each stretch; the last is `u64::MAX` where it is open.
    pub fn bounds(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().map(|window| (window.from, window.until))
    }

    /// Whether the user is a member, who may read what comes.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.last().is_some_and(|last| last.until == Self::OPEN)
    }

    /// Lets the user read from `from` on.
    pub fn open(&mut self, from: u64) {
        self.0.retain(|window| window.from < from);
        match self.0.last_mut() {
            Some(last) if last.until.saturating_add(1) >= from => last.until = Self::OPEN,
            _ => self.0.push(Window {
                from,
                until: Self::OPEN,
            }),
        }
        if self.0.len() > Self::MAX {
            self.0.remove(0);
        }
    }

    /// Lets the user read up to `until` and no further.
    pub fn close(&mut self, until: u64) {
        if let Some(last) = self.0.last_mut() {
            last.until = last.until.min(until);
        }
    }

    /// Whether the user may read the event at `seq`.
    #[must_use]
    pub fn contains(&self, seq: u64) -> bool {
        self.0
            .iter()
            .any(|window| (window.from..=window.until).contains(&seq))
    }

    /// Whether the user may read all of `stretch`.
    #[must_use]
    pub fn is_whole(&self, stretch: RangeInclusive<u64>) -> bool {
        let (from, until) = stretch.into_inner();
        let mut windows = self.0.iter();
        from > until || windows.any(|window| window.from <= from && until <= window.until)
    }

    /// The last that the user may read of a conversation that ends at `top`; 0 if nothing.
    #[must_use]
    pub fn end(&self, top: u64) -> u64 {
        let ends = self.0.iter().rev().filter(|window| window.from <= top);
        ends.map(|window| window.until.min(top)).next().unwrap_or(0)
    }

    /// What of `stretch` the user may read, from the oldest on.
    #[must_use = "it changes nothing"]
    pub fn within(
        &self,
        stretch: RangeInclusive<u64>,
    ) -> impl DoubleEndedIterator<Item = RangeInclusive<u64>> + '_ {
        let (from, until) = stretch.into_inner();
        let clipped = self
            .0
            .iter()
            .map(move |window| window.from.max(from)..=window.until.min(until));
        clipped.filter(|clipped| !clipped.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_conversation_reads_back_what_it_prints_and_nothing_else() {
        let (low, high) = (UserId::new(0), UserId::new(u64::MAX));
        for id in [
            ConversationId::direct(high, low),
            ConversationId::direct(low, low),
            ConversationId::Group(GroupId::new(u64::MAX)),
        ] {
            assert_eq!(id.to_string().parse(), Ok(id));
            let json = serde_json::to_string(&id).unwrap();
            assert_eq!(serde_json::from_str::<ConversationId>(&json).unwrap(), id);
        }
        for text in [
            "",
            "7",
            "group:",
            "group:07",
            "direct:1",
            "direct:2:1",
            "direct:1:2:3",
        ] {
            assert_eq!(
                text.parse::<ConversationId>(),
                Err(ParseConversationError),
                "{text}"
            );
        }
    }

    #[test]
    fn a_roster_has_everybody_once_and_the_founder_as_admin() {
        let [ann, bob] = [1, 2].map(UserId::new);
        let group = NewGroup::new(GroupId::new(1), Some(ann)).with_members([bob, ann, bob]);
        assert_eq!(group.roster(), [(ann, Role::Admin), (bob, Role::Member)]);
    }

    #[test]
    fn who_has_left_and_come_back_reads_both_stretches() {
        let mut windows = Windows::default();
        windows.open(3);
        windows.close(5);
        windows.open(8);
        let read: Vec<_> = windows.within(1..=9).flatten().collect();
        assert_eq!(read, [3, 4, 5, 8, 9]);
        assert_eq!(windows.end(7), 5);
        assert_eq!(windows.end(2), 0);
        windows.open(1);
        assert_eq!(windows, Windows::all());
    }

    proptest! {
        /// Windows are the set of what was open when it came.
        #[test]
        fn windows_are_a_set(steps in prop::collection::vec((any::<bool>(), 0_u64..3), 0..40), from: u8, until: u8) {
            let (mut windows, mut set) = (Windows::default(), std::collections::BTreeSet::new());
            let (mut seq, mut member) = (0, false);
            for (joins, quiet) in steps {
                for _ in 0..quiet {
                    seq += 1;
                    if member { set.insert(seq); }
                }
                if joins != member {
                    seq += 1;
                    set.insert(seq); // both coming and going are seen by who comes and goes
                    if joins { windows.open(seq) } else { windows.close(seq) }
                    member = joins;
                }
            }
            let read: Vec<_> = windows.within(u64::from(from)..=u64::from(until)).flatten().filter(|&s| s <= seq).collect();
            let expected: Vec<_> = set.iter().copied().filter(|s| (u64::from(from)..=u64::from(until)).contains(s)).collect();
            prop_assert_eq!(read, expected);
            prop_assert_eq!(windows.end(seq), set.iter().copied().max().unwrap_or(0));
            prop_assert_eq!(windows.is_open(), member);
            prop_assert!((0..=seq).all(|s| windows.contains(s) == set.contains(&s)));
        }
    }
}
