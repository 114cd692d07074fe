use std::sync::Arc;

use futures::{
    FutureExt,
    future::BoxFuture,
    stream::{FuturesUnordered, SelectNextSome, StreamExt},
};

use super::links::{Answer, Errand, Line};
use crate::{ErrorKind, Result, bus::Bus};

/// The calls under way, at most one of each [`Line`], so that neither events nor healthy topics wait for
/// those that are stuck.
pub(super) struct Calls {
    bus: Arc<dyn Bus>,
    under_way: UnderWay,
    busy: [bool; Line::ALL.len()],
    /// Whether the bus takes no more calls.
    closed: bool,
}

type UnderWay = FuturesUnordered<BoxFuture<'static, (Line, Answer)>>;

impl Calls {
    pub(super) fn new(bus: Arc<dyn Bus>) -> Self {
        Self {
            bus,
            under_way: UnderWay::new(),
            busy: Default::default(),
            closed: false,
        }
    }

    /// Makes the call that `next` names, unless the bus is closed or one of that line is under way.
    pub(super) fn make(&mut self, line: Line, next: impl FnOnce() -> Option<Errand>) {
        if !self.closed
            && !self.busy[line as usize]
            && let Some(errand) = next()
        {
            self.busy[line as usize] = true;
            let bus = Arc::clone(&self.bus);
            let run = async move { (line, run(bus, errand).await) };
            self.under_way.push(run.boxed());
        }
    }

    /// The next call that ends; never, if none is under way. It is to be told to [`ended`](Self::ended).
    pub(super) fn next(&mut self) -> SelectNextSome<'_, UnderWay> {
        self.under_way.select_next_some()
    }

    /// Lets the next call of `line` be made; no call any more, if the node was drained.
    pub(super) fn ended(&mut self, line: Line, answer: &Answer) {
        self.busy[line as usize] = false;
        self.closed |= answer.is_closed();
    }

    pub(super) const fn are_closed(&self) -> bool {
        self.closed
    }
}

async fn run(bus: Arc<dyn Bus>, errand: Errand) -> Answer {
    match errand {
        Errand::Subscribe(topics) => {
            let positions = each(bus.subscribe(&topics).await, topics.len());
            Answer::Subscribed(topics, positions)
        }
        Errand::Unsubscribe(topics) => {
            let outcome = bus.unsubscribe(&topics).await;
            Answer::Unsubscribed(topics, outcome.map_err(|error| error.kind()))
        }
        Errand::Read(reads) => {
            let pages = each(bus.history(&reads.reads).await, reads.reads.len());
            Answer::Read(reads, pages)
        }
    }
}

/// What a call says of each of its parts. Where there are too few answers, nobody can tell which one is
/// missing.
fn each<T>(answer: Result<Vec<Result<T>>>, asked: usize) -> Vec<Result<T, ErrorKind>> {
    let failed = |kind| (0..asked).map(|_| Err(kind)).collect();
    match answer {
        Err(error) => failed(error.kind()),
        Ok(parts) if parts.len() != asked => failed(ErrorKind::Corrupt),
        Ok(parts) => {
            let kind = |part: Result<T>| part.map_err(|error| error.kind());
            parts.into_iter().map(kind).collect()
        }
    }
}
