//! What one call waits for.

use std::iter::zip;

use futures::future::join_all;

use super::{
    answer::{Answer, Lack, Want},
    flight::Flight,
    kind::Kind,
};

/// A call on its way: what it knows already, and the flights that bring the rest.
pub(super) struct Journey<K: Kind> {
    known: Vec<(u64, Answer<K::Value>)>,
    legs: Vec<Leg<K>>,
}

/// A flight, and which of its places bring what.
struct Leg<K: Kind> {
    flight: Flight<K>,
    seats: Vec<(u64, usize)>,
}

/// Everything that was missing, by id.
pub(super) struct Arrived<K: Kind>(Vec<(u64, Answer<K::Value>)>);

impl<K: Kind> Journey<K> {
    pub(super) fn knows(&mut self, id: u64, answer: Answer<K::Value>) {
        self.known.push((id, answer));
    }

    pub(super) fn sits(&mut self, flight: Flight<K>, id: u64, place: usize) {
        let number = flight.number();
        let leg = self
            .legs
            .iter_mut()
            .find(|leg| leg.flight.number() == number);
        match leg {
            Some(leg) => leg.seats.push((id, place)),
            None => self.legs.push(Leg {
                flight,
                seats: vec![(id, place)],
            }),
        }
    }

    pub(super) fn leads(&mut self, flight: Flight<K>, wants: &[Want]) {
        let places = wants.iter().enumerate();
        let seats = places.map(|(place, want)| (want.id, place)).collect();
        self.legs.push(Leg { flight, seats });
    }

    pub(super) async fn arrive(self) -> Arrived<K> {
        let mut answers = self.known;
        let (flights, seats): (Vec<_>, Vec<_>) = self
            .legs
            .into_iter()
            .map(|leg| (leg.flight, leg.seats))
            .unzip();
        for (landed, seats) in zip(join_all(flights).await, seats) {
            let brought = seats.into_iter();
            answers.extend(brought.map(|(id, place)| (id, landed.at(place).clone())));
        }
        answers.sort_unstable_by_key(|(id, _)| *id);
        Arrived(answers)
    }
}

impl<K: Kind> Default for Journey<K> {
    fn default() -> Self {
        Self {
            known: Vec::new(),
            legs: Vec::new(),
        }
    }
}

impl<K: Kind> Arrived<K> {
    /// What has arrived for one of the wants of the journey.
    pub(super) fn answer(&self, want: Want) -> Result<K::Value, Lack> {
        let at = self.0.binary_search_by_key(&want.id, |(id, _)| *id);
        let at = at.expect("a journey ends with an answer to each want");
        self.0[at].1.clone().at::<K>(want.version)
    }
}
