use std::collections::VecDeque;

use hashbrown::HashMap;

use crate::{
    UserId,
    presence::{Effect, Moment, PresenceCore, PresenceOptions, Report, SessionEnd},
};

/// What lies under the lock of a tracker: the node's sessions, and what has followed from them.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) core: PresenceCore,
    pub(super) effects: Vec<Effect>,
    /// What the engine does not know yet: of each user the last.
    pending: HashMap<UserId, Report>,
    ended: VecDeque<SessionEnd>,
    most_ended: usize,
}

impl Local {
    pub(super) fn new(options: &PresenceOptions, now: Moment) -> Self {
        Self {
            core: PresenceCore::new(options.clone(), now),
            effects: Vec::new(),
            pending: HashMap::new(),
            ended: VecDeque::new(),
            most_ended: options.max_sessions as usize,
        }
    }

    /// Sorts what has followed from an input.
    pub(super) fn take_in(&mut self) {
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Report(report) => drop(self.pending.insert(report.user, report)),
                Effect::Ended(end) => {
                    if self.ended.len() >= self.most_ended {
                        self.ended.pop_front();
                    }
                    self.ended.push_back(end);
                }
            }
        }
    }

    pub(super) fn pending(&self, most: usize) -> Vec<Report> {
        self.pending.values().take(most).copied().collect()
    }

    /// Forgets reports that the engine has, unless there are later ones.
    pub(super) fn confirm(&mut self, reports: &[Report]) {
        for report in reports {
            if self.pending.get(&report.user) == Some(report) {
                self.pending.remove(&report.user);
            }
        }
    }

    pub(super) fn take_ended(&mut self) -> Vec<SessionEnd> {
        self.ended.drain(..).collect()
    }
}
