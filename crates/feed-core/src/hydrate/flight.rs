//! A fetch that several callers wait for, and what one of them waits for.

use std::{
    fmt,
    iter::zip,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared, join_all},
};

use super::{
    answer::{Answer, Lack, Want},
    kind::Kind,
};

/// A fetch of a batch, driven by whichever of its passengers is polled: it needs no task of its own,
/// and when the one who started it is dropped, the others go on with it.
pub(super) struct Flight<K: Kind> {
    number: u64,
    run: Shared<Run<K>>,
}

/// Brings an answer to each want of a flight, in their order.
type Run<K> = BoxFuture<'static, Arc<[Answer<<K as Kind>::Value>]>>;

/// The right to what one of the places of a flight will bring.
pub(super) struct Ticket<K: Kind> {
    number: u64,
    version: u32,
    place: usize,
    /// When it is no longer worth waiting for.
    until: Duration,
    /// Whether what it brings may be kept.
    keeps: bool,
    run: WeakShared<Run<K>>,
}

impl<K: Kind> Flight<K> {
    pub(super) fn new(
        number: u64,
        run: impl Future<Output = Vec<Answer<K::Value>>> + Send + 'static,
    ) -> Self {
        let run = run.map(Arc::from);
        Self {
            number,
            run: run.boxed().shared(),
        }
    }

    /// A ticket for the want at `place` of a flight that has not landed.
    pub(super) fn ticket(&self, want: Want, place: usize, until: Duration) -> Ticket<K> {
        Ticket {
            number: self.number,
            version: want.version,
            place,
            until,
            keeps: true,
            run: self.run.downgrade().expect(NOT_LANDED),
        }
    }
}

const NOT_LANDED: &str = "nobody has polled this flight to its end";

impl<K: Kind> Future for Flight<K> {
    type Output = Arc<[Answer<K::Value>]>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.run.poll_unpin(cx)
    }
}

impl<K: Kind> Ticket<K> {
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// The same, for what is read while nothing may be kept.
    pub(super) fn of_a_hold(self) -> Self {
        Self {
            keeps: false,
            ..self
        }
    }

    pub(super) const fn keeps(&self) -> bool {
        self.keeps
    }

    pub(super) fn is_valid(&self, now: Duration) -> bool {
        now < self.until
    }

    /// The flight and the place there, if it brings the wanted version, has not taken too long, and
    /// somebody is still on it.
    pub(super) fn admit(&self, want: Want, now: Duration) -> Option<(Flight<K>, usize)> {
        if self.version < want.version || !self.is_valid(now) {
            return None;
        }
        let flight = Flight {
            number: self.number,
            run: self.run.upgrade()?,
        };
        Some((flight, self.place))
    }
}

impl<K: Kind> fmt::Debug for Ticket<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("number", &self.number)
            .field("version", &self.version)
            .field("place", &self.place)
            .field("until", &self.until)
            .field("keeps", &self.keeps)
            .finish_non_exhaustive()
    }
}

/// What one call waits for: what it knows already, and the flights that it has joined for the rest.
pub(super) struct Pending<K: Kind> {
    known: Vec<(u64, Answer<K::Value>)>,
    joined: Vec<Joined<K>>,
}

/// A flight, and which of its places bring what.
struct Joined<K: Kind> {
    flight: Flight<K>,
    places: Vec<(u64, usize)>,
}

impl<K: Kind> Pending<K> {
    pub(super) fn know(&mut self, id: u64, answer: Answer<K::Value>) {
        self.known.push((id, answer));
    }

    /// Waits for one place of a flight that somebody else has started.
    pub(super) fn join(&mut self, flight: Flight<K>, id: u64, place: usize) {
        let is_same = |joined: &&mut Joined<K>| joined.flight.number == flight.number;
        match self.joined.iter_mut().find(is_same) {
            Some(joined) => joined.places.push((id, place)),
            None => self.joined.push(Joined {
                flight,
                places: vec![(id, place)],
            }),
        }
    }

    /// Waits for all of a flight that brings these wants.
    pub(super) fn start(&mut self, flight: Flight<K>, wants: &[Want]) {
        let places = wants.iter().enumerate();
        let places = places.map(|(place, want)| (want.id, place)).collect();
        self.joined.push(Joined { flight, places });
    }

    pub(super) async fn answers(self) -> Answers<K> {
        let mut answers = self.known;
        let joined = self.joined.into_iter();
        let (flights, places): (Vec<_>, Vec<_>) =
            joined.map(|joined| (joined.flight, joined.places)).unzip();
        for (brought, places) in zip(join_all(flights).await, places) {
            let places = places.into_iter();
            answers.extend(places.map(|(id, place)| (id, brought[place].clone())));
        }
        answers.sort_unstable_by_key(|(id, _)| *id);
        Answers(answers)
    }
}

impl<K: Kind> Default for Pending<K> {
    fn default() -> Self {
        Self {
            known: Vec::new(),
            joined: Vec::new(),
        }
    }
}

/// The answers to all that a call was waiting for, by id.
pub(super) struct Answers<K: Kind>(Vec<(u64, Answer<K::Value>)>);

impl<K: Kind> Answers<K> {
    pub(super) fn to(&self, want: Want) -> Result<K::Value, Lack> {
        let at = self.0.binary_search_by_key(&want.id, |(id, _)| *id);
        let at = at.expect("each want was known, or joined a flight");
        self.0[at].1.clone().at::<K>(want.version)
    }
}
