//! A fetch that several callers wait for.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};

use super::{
    answer::{Answer, Want},
    kind::Kind,
};

/// A fetch of a batch, driven by whichever of its passengers is polled: it needs no task of its own,
/// and when the one who started it is dropped, the others go on with it.
pub(super) struct Flight<K: Kind> {
    number: u64,
    run: Shared<BoxFuture<'static, Landed<K>>>,
}

/// What a flight has brought, in the order of its wants.
pub(super) struct Landed<K: Kind>(Arc<[Answer<K::Value>]>);

/// The right to what one of the places of a flight will bring.
pub(super) struct Ticket<K: Kind> {
    number: u64,
    version: u32,
    place: usize,
    /// When it is no longer worth waiting for.
    until: Duration,
    /// Whether what it brings may be kept.
    keeps: bool,
    run: WeakShared<BoxFuture<'static, Landed<K>>>,
}

impl<K: Kind> Flight<K> {
    pub(super) fn new(
        number: u64,
        run: impl Future<Output = Vec<Answer<K::Value>>> + Send + 'static,
    ) -> Self {
        let run = run.map(|answers| Landed(answers.into()));
        Self {
            number,
            run: run.boxed().shared(),
        }
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
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
    type Output = Landed<K>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Landed<K>> {
        self.run.poll_unpin(cx)
    }
}

impl<K: Kind> Landed<K> {
    pub(super) fn at(&self, place: usize) -> &Answer<K::Value> {
        &self.0[place]
    }
}

impl<K: Kind> Clone for Landed<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
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
