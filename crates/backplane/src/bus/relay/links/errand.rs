use super::Reads;
use crate::{ErrorKind, Position, Topic, bus::HistoryPage};

/// What is called apart from the rest. What failed before may take long and be in vain again, so nothing
/// new waits for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::bus::relay) enum Line {
    Subscribe,
    SubscribeAgain,
    Unsubscribe,
    Read,
    ReadAgain,
}

impl Line {
    pub(in crate::bus::relay) const ALL: [Self; 5] = [
        Self::Subscribe,
        Self::SubscribeAgain,
        Self::Unsubscribe,
        Self::Read,
        Self::ReadAgain,
    ];
}

/// A call to make.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::bus::relay) enum Errand {
    Subscribe(Vec<Topic>),
    Unsubscribe(Vec<Topic>),
    Read(Reads),
}

/// What the bus answers to an [`Errand`], part by part.
#[derive(Debug)]
pub(in crate::bus::relay) enum Answer {
    Subscribed(Vec<Topic>, Vec<Result<Position, ErrorKind>>),
    Unsubscribed(Vec<Topic>, Result<(), ErrorKind>),
    Read(Reads, Vec<Result<HistoryPage, ErrorKind>>),
}

impl Answer {
    /// Whether the node was drained.
    pub(in crate::bus::relay) fn is_closed(&self) -> bool {
        let mut failures: Box<dyn Iterator<Item = ErrorKind>> = match self {
            Self::Subscribed(_, outcomes) => Box::new(failures(outcomes)),
            Self::Unsubscribed(_, outcome) => Box::new(outcome.err().into_iter()),
            Self::Read(_, outcomes) => Box::new(failures(outcomes)),
        };
        failures.any(|kind| kind == ErrorKind::Closed)
    }
}

fn failures<T>(outcomes: &[Result<T, ErrorKind>]) -> impl Iterator<Item = ErrorKind> {
    outcomes
        .iter()
        .filter_map(|outcome| outcome.as_ref().err().copied())
}
