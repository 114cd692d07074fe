use std::{collections::BTreeMap, time::Duration};

use crate::Topic;

/// Links by the time at which each is to be looked at.
///
/// A link is named by its generation. Whoever removes one removes it here too, whatever the time: what
/// lies far ahead is no place to forget anything.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    by_time: BTreeMap<(Duration, u64), Topic>,
}

impl Agenda {
    pub(super) fn insert(&mut self, at: Duration, generation: u64, topic: Topic) {
        self.by_time.insert((at, generation), topic);
    }

    pub(super) fn remove(&mut self, at: Duration, generation: u64) {
        self.by_time.remove(&(at, generation));
    }

    /// The next that is due by `now`.
    pub(super) fn pop_due(&mut self, now: Duration) -> Option<Topic> {
        if self.next()? > now {
            return None;
        }
        self.by_time.pop_first().map(|(_, topic)| topic)
    }

    pub(super) fn next(&self) -> Option<Duration> {
        self.by_time.first_key_value().map(|(&(at, _), _)| at)
    }
}
