use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use futures::{
    FutureExt,
    future::{BoxFuture, Fuse, FusedFuture},
};

use super::{
    RelayOptions,
    links::{Control, Reads},
};
use crate::{
    Error, ErrorKind, Position, Result,
    bus::{Bus, HistoryPage},
};

/// The calls under way, at most one of each kind, so that events never wait for them.
pub(super) struct Calls {
    bus: Arc<dyn Bus>,
    pub(super) control: Fuse<BoxFuture<'static, (Control, Result<Vec<Position>>)>>,
    pub(super) reads: Fuse<BoxFuture<'static, (Reads, Result<Vec<HistoryPage>>)>>,
    /// Whether the bus takes no more calls.
    closed: bool,
    /// Before when no call is made, since one failed.
    not_before: Duration,
    /// How many calls have failed since the last that did not.
    failures: u32,
    options: RelayOptions,
    jitter: Rng,
}

impl Calls {
    pub(super) fn new(bus: Arc<dyn Bus>, options: &RelayOptions) -> Self {
        Self {
            bus,
            control: Fuse::terminated(),
            reads: Fuse::terminated(),
            closed: false,
            not_before: Duration::ZERO,
            failures: 0,
            options: options.clone(),
            jitter: Rng::with_seed(options.seed),
        }
    }

    /// When calls may be made again, if not `now`.
    pub(super) fn paused(&self, now: Duration) -> Option<Duration> {
        (now < self.not_before).then_some(self.not_before)
    }

    /// Makes the call that `next` names, unless the bus is closed or one of its kind is under way.
    pub(super) fn change(&mut self, next: impl FnOnce() -> Option<Control>) {
        if !self.closed
            && self.control.is_terminated()
            && let Some(control) = next()
        {
            self.control = change(Arc::clone(&self.bus), control).boxed().fuse();
        }
    }

    /// Makes the call that `next` names, unless the bus is closed or one of its kind is under way.
    pub(super) fn read(&mut self, next: impl FnOnce() -> Option<Reads>) {
        if !self.closed
            && self.reads.is_terminated()
            && let Some(reads) = next()
        {
            self.reads = read(Arc::clone(&self.bus), reads).boxed().fuse();
        }
    }

    pub(super) fn ended(&mut self, succeeded: bool) {
        if succeeded {
            self.failures = 0;
        }
    }

    /// Makes no call any more.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// Makes no call for a while.
    pub(super) fn pause(&mut self, now: Duration) {
        let delay = self.options.delay(self.failures, &mut self.jitter);
        self.failures = self.failures.saturating_add(1);
        self.not_before = now.saturating_add(delay);
    }
}

async fn change(bus: Arc<dyn Bus>, control: Control) -> (Control, Result<Vec<Position>>) {
    let result = match &control {
        Control::Subscribe(topics) | Control::SubscribeAgain(topics) => {
            let positions = bus.subscribe(topics).await;
            positions.and_then(|positions| complete("subscribe", positions, topics.len()))
        }
        Control::Unsubscribe(topics) => bus.unsubscribe(topics).await.map(|()| Vec::new()),
    };
    (control, result)
}

async fn read(bus: Arc<dyn Bus>, reads: Reads) -> (Reads, Result<Vec<HistoryPage>>) {
    let pages = bus.history(&reads.reads).await;
    let pages = pages.and_then(|pages| complete("history", pages, reads.reads.len()));
    (reads, pages)
}

/// Nobody can tell which one is missing.
fn complete<T>(op: &'static str, answers: Vec<T>, asked: usize) -> Result<Vec<T>> {
    if answers.len() == asked {
        return Ok(answers);
    }
    let (kind, found) = (ErrorKind::Corrupt, answers.len());
    Err(Error::new(
        kind,
        op,
        format!("{found} answers to {asked} questions"),
    ))
}
