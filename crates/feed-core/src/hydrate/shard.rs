//! A part of the first level: what is kept, and what is being fetched.

use std::time::Duration;

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::{
    answer::{Answer, Want},
    flight::{Flight, Ticket},
    holds::Holds,
    kind::Kind,
};
use crate::shelf::Shelf;

#[derive(Debug)]
pub(super) struct Shard<K: Kind> {
    shelf: Shelf<u64, Kept<K::Value>>,
    tickets: HashMap<u64, SmallVec<[Ticket<K>; 1]>>,
    holds: Holds,
}

enum Kept<V> {
    Content(V),
    /// It was not there when this version was asked for.
    Absent(u32),
}

/// What a shard says about a want.
pub(super) enum Look<V> {
    Known(Answer<V>),
    /// Here, in too old a version.
    Stale,
    Unknown,
}

impl<K: Kind> Shard<K> {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            shelf: Shelf::new(max_bytes),
            tickets: HashMap::new(),
            holds: Holds::default(),
        }
    }

    pub(super) fn look(&self, want: Want, now: Duration) -> Look<K::Value> {
        match self.shelf.get(&want.id, now) {
            Some(Kept::Content(value)) if K::version(value) >= want.version => {
                Look::Known(Answer::Found(value.clone()))
            }
            Some(Kept::Absent(version)) if *version >= want.version => Look::Known(Answer::Absent),
            Some(Kept::Content(_) | Kept::Absent(_)) => Look::Stale,
            None => Look::Unknown,
        }
    }

    /// A flight that is under way and will bring what is wanted, and the place of it there.
    pub(super) fn join(&self, want: Want, now: Duration) -> Option<(Flight<K>, usize)> {
        let mut tickets = self.tickets.get(&want.id)?.iter();
        tickets.find_map(|ticket| ticket.admit(want, now))
    }

    /// Notes a flight that will bring an id; those that have taken too long lose their right to.
    pub(super) fn issue(&mut self, id: u64, ticket: Ticket<K>, now: Duration) {
        let tickets = self.tickets.entry(id).or_default();
        tickets.retain(|ticket| ticket.is_valid(now));
        let is_held = self.holds.is_held(id, now);
        tickets.push(if is_held { ticket.of_a_hold() } else { ticket });
    }

    /// Takes the ticket of a flight back and says whether what it brings may be kept.
    pub(super) fn collect(&mut self, id: u64, flight: u64) -> bool {
        let Some(tickets) = self.tickets.get_mut(&id) else {
            return false;
        };
        let place = tickets.iter().position(|ticket| ticket.number() == flight);
        let ticket = place.map(|place| tickets.remove(place));
        if tickets.is_empty() {
            self.tickets.remove(&id);
        }
        ticket.is_some_and(|ticket| ticket.keeps())
    }

    /// Keeps the answer to a want, unless a better one is here. Answers how many others had to go.
    pub(super) fn keep(
        &mut self,
        want: Want,
        answer: &Answer<K::Value>,
        now: Duration,
        until: Until,
    ) -> u64 {
        let kept = self.shelf.get(&want.id, now);
        match (answer, kept) {
            (Answer::Failed(_), _) => 0,
            (Answer::Found(value), _) if K::version(value) < want.version => 0,
            (Answer::Found(value), Some(Kept::Content(other)))
                if K::version(other) > K::version(value) =>
            {
                0
            }
            (Answer::Absent, Some(Kept::Content(other))) if K::version(other) > want.version => 0,
            (Answer::Found(value), _) => {
                let content = Kept::Content(value.clone());
                let bytes = K::bytes(value);
                self.shelf.put(want.id, content, bytes, until.content)
            }
            (Answer::Absent, _) => {
                let absent = Kept::Absent(want.version);
                self.shelf.put(want.id, absent, 0, until.absent)
            }
        }
    }

    /// Drops what is kept, lets no flight bring it any more, and keeps nothing until `until`.
    pub(super) fn forget(&mut self, id: u64, now: Duration, until: Duration) {
        self.tickets.remove(&id);
        self.shelf.remove(&id);
        self.holds.hold(id, now, until);
    }

    pub(super) fn len(&self) -> usize {
        self.shelf.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.shelf.bytes()
    }

    /// How many ids are being fetched.
    #[cfg(test)]
    pub(super) fn tickets(&self) -> usize {
        self.tickets.len()
    }
}

/// The deadlines of what a flight brings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until {
    pub(super) content: Duration,
    pub(super) absent: Duration,
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;
    use crate::{Entry, Post, PostId, User, UserId, hydrate::kind::Posts};

    const NOW: Duration = Duration::ZERO;
    const LATER: Duration = Duration::from_secs(1);
    const UNTIL: Until = Until {
        content: LATER,
        absent: LATER,
    };

    const fn want(version: u32) -> Want {
        Want { id: 1, version }
    }

    fn found(version: u32) -> Answer<Post> {
        let entry = Entry::original(PostId::new(1), UserId::new(1));
        Answer::Found(Post::new(entry, version, "body".into()))
    }

    fn keep(shard: &mut Shard<Posts>, wanted: u32, answer: &Answer<Post>) {
        assert_eq!(shard.keep(want(wanted), answer, NOW, UNTIL), 0);
    }

    /// The version that is kept, or that none is there, or that nothing is known.
    fn kept(shard: &Shard<Posts>, wanted: u32) -> Result<u32, &'static str> {
        match shard.look(want(wanted), NOW) {
            Look::Known(Answer::Found(post)) => Ok(post.version),
            Look::Known(_) => Err("absent"),
            Look::Stale | Look::Unknown => Err("unknown"),
        }
    }

    #[test]
    fn content_takes_what_the_options_say() {
        let (post, user) = (
            Shelf::<u64, Kept<Post>>::OVERHEAD,
            Shelf::<u64, Kept<User>>::OVERHEAD,
        );
        assert!((190..=210).contains(&post), "{post}");
        assert!((130..=150).contains(&user), "{user}");
    }

    #[test]
    fn an_older_answer_does_not_replace_a_newer() {
        let mut shard = Shard::new(10_000);
        keep(&mut shard, 3, &found(3));
        keep(&mut shard, 2, &found(2));
        assert_eq!(kept(&shard, 3), Ok(3));
        keep(&mut shard, 2, &Answer::Absent);
        assert_eq!(kept(&shard, 3), Ok(3));
        keep(&mut shard, 3, &Answer::Absent);
        assert_eq!(kept(&shard, 3), Err("absent"));
        keep(&mut shard, 3, &found(4));
        assert_eq!(kept(&shard, 4), Ok(4));
    }

    #[test]
    fn an_answer_that_is_behind_is_not_kept() {
        let mut shard = Shard::new(10_000);
        keep(&mut shard, 3, &found(2));
        assert_eq!(kept(&shard, 0), Err("unknown"));
    }

    #[test]
    fn what_is_kept_answers_older_wants_and_is_stale_to_newer() {
        let mut shard = Shard::new(10_000);
        for answer in [found(3), Answer::Absent] {
            keep(&mut shard, 3, &answer);
            assert_ne!(kept(&shard, 2), Err("unknown"));
            assert!(matches!(shard.look(want(4), NOW), Look::Stale));
            assert!(matches!(shard.look(want(3), LATER), Look::Unknown));
        }
    }

    #[test]
    fn nothing_is_kept_while_it_is_held() {
        let mut shard = Shard::new(10_000);
        keep(&mut shard, 1, &found(1));
        shard.forget(1, NOW, LATER);
        assert_eq!(kept(&shard, 1), Err("unknown"));
        let flight = || Flight::new(7, pending());
        for (now, keeps) in [(NOW, false), (LATER, true)] {
            let flight = flight();
            shard.issue(1, flight.ticket(want(1), 0, Duration::MAX), now);
            assert_eq!(shard.collect(1, 7), keeps);
            assert!(!shard.collect(1, 7), "a ticket is good once");
        }
    }
}
