//! Where timelines are while they move, and why nobody sees a hole meanwhile.
//!
//! Say that a timeline moves from store A to store B. A store that it is read from must hold it as
//! cold, or must have heard of every write since its build began. Two rules give that, for any number
//! of processes no two of which are more than one step apart:
//!
//! - *B is not read before everybody writes to it.* A process reads from B, and so builds the timeline
//!   there, once it has [switched](MoveStep::Switched). Every other has then at least
//!   [begun](MoveStep::Begun), and writes to both.
//! - *A is written to as long as anybody reads it.* A process stops writing to A when it
//!   [settles](MoveStep::Settled), and then every other has switched and reads B.
//!
//! An operation keeps to the step at which it began, and may land late: a write to A alone when others
//! have long switched. It need not be waited for. What it writes was in the outbox or in the graph
//! before, and the build at B, which began after the step, has read it there.
//!
//! The timeline at B starts cold, so that its first reader builds it out of the outboxes like any
//! other. A build takes several calls. If its process switches in between, the ticket is of A and B
//! refuses it: tickets of different stores differ. Where an author is followed while the timeline is
//! warm at A and being built at B, the follow takes it for being built: what has to be pulled for one
//! copy will do for both.
//!
//! B does start cold, even if it kept the timeline before an earlier move and has a copy that missed
//! every write since. A process that is about to switch has B drop all that B does not keep under the
//! ring that is still read, with any build that is under way. Nobody who is no further makes such a
//! timeline warm at B. What somebody a step ahead has built there is dropped for nothing, and built
//! once more. When a move is finished, A drops what has moved away; that frees memory, and nothing
//! depends on it.
//!
//! A write that fails at one of the two stores has failed, as with one store: a follower pulls the post
//! that one of the copies may miss.

use std::sync::Arc;

use crate::{Error, ErrorKind, Result, TimelineShards, TimelineStore, UserId};

/// Which shards timelines are read from and written to.
///
/// Every process that uses the same stores steps through a move in the same way:
///
/// | step | reads | writes |
/// |---|---|---|
/// | [`Settled`](MoveStep::Settled) | old | old |
/// | [`Begun`](MoveStep::Begun) | old | old and new |
/// | [`Switched`](MoveStep::Switched) | new | old and new |
/// | [`Settled`](MoveStep::Settled) | new | new |
///
/// No process may take a step before all others have completed the last one. One that starts in the
/// middle of a move starts with the last step that all have completed, and then follows.
///
/// ```
/// # use std::sync::Arc;
/// # use backplane::ring::{HashRing, Member, MemberName, RingOptions};
/// # use feed_core::{MemoryTimelines, MoveStep, Placement, TimelineShards, TimelineStore, UserId};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let store = |name: &str| -> Result<_, Box<dyn std::error::Error>> {
/// #     Ok((MemberName::new(name)?, Arc::new(MemoryTimelines::default()) as Arc<dyn TimelineStore>))
/// # };
/// let stores = [store("a")?, store("b")?, store("c")?];
/// let shards = |names: &[&str]| -> Result<_, Box<dyn std::error::Error>> {
///     let members: Result<Vec<_>, _> = names.iter().map(Member::new).collect();
///     let ring = HashRing::build(members?, 0, &RingOptions::default())?;
///     Ok(TimelineShards::new(ring, stores.clone())?)
/// };
/// let begun = Placement::settled(shards(&["a", "b"])?).begin(shards(&["a", "b", "c"])?)?;
/// assert_eq!(begun.step(), MoveStep::Begun);
/// let moving = (0..9_000).filter(|&user| begun.moves(UserId::new(user))).count();
/// assert!((2_000..4_000).contains(&moving)); // about a third, and all of it to the new store
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Placement {
    reads: Arc<TimelineShards>,
    /// While a move is under way.
    other: Option<Other>,
}

/// The shards that are not read, and take writes too.
#[derive(Clone, Debug)]
struct Other {
    shards: Arc<TimelineShards>,
    /// For each of the shards that are read, where the same store stands among these.
    twins: Box<[Option<usize>]>,
    switched: bool,
}

/// How far a move has come.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the steps are the protocol")]
pub enum MoveStep {
    /// Nothing moves.
    Settled,
    /// The new owners take writes.
    Begun,
    /// The new owners are read.
    Switched,
}

/// The stores that hear of a write to one timeline.
pub(super) struct Keepers<'a> {
    /// The one that is read.
    pub(super) lead: &'a Arc<dyn TimelineStore>,
    /// The other one, while the timeline moves.
    pub(super) copy: Option<&'a Arc<dyn TimelineStore>>,
}

impl Placement {
    /// Nothing moves.
    #[must_use]
    pub fn settled(shards: impl Into<Arc<TimelineShards>>) -> Self {
        Self {
            reads: shards.into(),
            other: None,
        }
    }

    /// The first step of a move to `to`: the new owners take writes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if a move is under way, or if a name stands for another store in `to`
    /// than before: not even another `Arc` around the same store.
    pub fn begin(&self, to: impl Into<Arc<TimelineShards>>) -> Result<Self> {
        let to = to.into();
        if self.other.is_some() {
            return Err(out_of_step("begin move", "a move is under way"));
        }
        let other = Other::new(&self.reads, to, false);
        for (index, twin) in other.twins.iter().enumerate() {
            let same = |&twin: &usize| Arc::ptr_eq(self.reads.at(index), other.shards.at(twin));
            if twin.is_some_and(|twin| !same(&twin)) {
                return Err(out_of_step("begin move", "a name stands for another store"));
            }
        }
        Ok(Self {
            reads: Arc::clone(&self.reads),
            other: Some(other),
        })
    }

    /// The second step: the new owners are read.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if no move has begun, or it has come further.
    pub fn switch(&self) -> Result<Self> {
        match &self.other {
            Some(other) if !other.switched => Ok(Self {
                reads: Arc::clone(&other.shards),
                other: Some(Other::new(&other.shards, Arc::clone(&self.reads), true)),
            }),
            _ => Err(out_of_step("switch reads", "no move has begun")),
        }
    }

    /// The last step: the old owners take no writes any more.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if reads have not been switched.
    pub fn finish(&self) -> Result<Self> {
        match &self.other {
            Some(other) if other.switched => Ok(Self::settled(Arc::clone(&self.reads))),
            _ => Err(out_of_step("finish move", "reads are not switched")),
        }
    }

    /// Back to before the first step. Only while no process has taken the second.
    ///
    /// # Errors
    ///
    /// As for [`switch`](Self::switch).
    pub fn cancel(&self) -> Result<Self> {
        match &self.other {
            Some(other) if !other.switched => Ok(Self::settled(Arc::clone(&self.reads))),
            _ => Err(out_of_step("cancel move", "no move has begun")),
        }
    }

    /// How far a move has come.
    #[must_use]
    pub const fn step(&self) -> MoveStep {
        match &self.other {
            None => MoveStep::Settled,
            Some(Other {
                switched: false, ..
            }) => MoveStep::Begun,
            Some(Other { switched: true, .. }) => MoveStep::Switched,
        }
    }

    /// The shards that are read, and written to.
    #[must_use]
    pub const fn reads(&self) -> &Arc<TimelineShards> {
        &self.reads
    }

    /// The shards that are written to as well, while a move is under way.
    #[must_use]
    pub fn other(&self) -> Option<&Arc<TimelineShards>> {
        self.other.as_ref().map(|other| &other.shards)
    }

    /// Whether the timeline of `owner` is moving.
    #[must_use]
    pub fn moves(&self, owner: UserId) -> bool {
        self.copy(owner, self.reads.index(owner)).is_some()
    }

    pub(super) fn keepers(&self, owner: UserId) -> Keepers<'_> {
        let lead = self.reads.index(owner);
        let copy = self.other().zip(self.copy(owner, lead));
        Keepers {
            lead: self.reads.at(lead),
            copy: copy.map(|(shards, copy)| shards.at(copy)),
        }
    }

    /// Where the other store of a timeline stands that is read from the one at `lead`.
    pub(super) fn copy(&self, owner: UserId, lead: usize) -> Option<usize> {
        let other = self.other.as_ref()?;
        let copy = other.shards.index(owner);
        (other.twins[lead] != Some(copy)).then_some(copy)
    }
}

impl Other {
    fn new(reads: &TimelineShards, shards: Arc<TimelineShards>, switched: bool) -> Self {
        let twins = (0..reads.len()).map(|index| shards.index_of(reads.name(index)));
        Self {
            twins: twins.collect(),
            shards,
            switched,
        }
    }
}

pub(super) fn out_of_step(op: &'static str, reason: &'static str) -> Error {
    Error::new(ErrorKind::Invalid, op, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sharded::shards::tests::{shards, stores};

    #[test]
    fn a_timeline_is_written_where_it_is_read_and_where_it_moves_to_or_from() {
        let stores = stores(3);
        let settled = Placement::settled(shards(&stores[..2]));
        let begun = settled.begin(shards(&stores[1..])).unwrap();
        let switched = begun.switch().unwrap();
        let finished = switched.finish().unwrap();
        let (old, new) = (settled.reads(), finished.reads());
        let is = Arc::ptr_eq;
        for owner in (0..1_000).map(UserId::new) {
            let (from, to) = (old.store(owner), new.store(owner));
            let moves = !is(from, to);
            for (placement, lead, copy) in [
                (&settled, from, None),
                (&begun, from, moves.then_some(to)),
                (&switched, to, moves.then_some(from)),
                (&finished, to, None),
            ] {
                let keepers = placement.keepers(owner);
                assert!(is(keepers.lead, lead));
                assert_eq!(keepers.copy.is_some(), copy.is_some());
                assert!(keepers.copy.zip(copy).is_none_or(|(a, b)| is(a, b)));
                assert_eq!(placement.moves(owner), copy.is_some());
            }
        }
    }

    #[test]
    fn steps_are_taken_in_order() {
        let stores = stores(3);
        let to = || shards(&stores);
        let settled = Placement::settled(shards(&stores[..2]));
        let begun = settled.begin(to()).unwrap();
        let switched = begun.switch().unwrap();
        assert_eq!(settled.step(), MoveStep::Settled);
        assert_eq!(begun.step(), MoveStep::Begun);
        assert_eq!(switched.step(), MoveStep::Switched);
        assert_eq!(begun.cancel().unwrap().step(), MoveStep::Settled);
        assert_eq!(switched.finish().unwrap().step(), MoveStep::Settled);
        let refused = [
            settled.switch(),
            settled.finish(),
            settled.cancel(),
            begun.begin(to()),
            begun.finish(),
            switched.begin(to()),
            switched.switch(),
            switched.cancel(),
        ];
        for refused in refused {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
        }
    }

    #[test]
    fn a_name_stands_for_one_store() {
        let (some, others) = (stores(2), stores(2));
        let settled = Placement::settled(shards(&some));
        assert!(settled.begin(shards(&others)).is_err());
        assert!(settled.begin(shards(&some[1..])).is_ok());
    }
}
