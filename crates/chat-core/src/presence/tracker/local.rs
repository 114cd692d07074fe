use std::collections::VecDeque;

use hashbrown::{HashMap, HashSet};

use crate::{
    UserId,
    presence::{Change, Effect, Mode, Moment, PresenceCore, PresenceOptions, Report, SessionEnd},
};

/// What lies under the lock of a tracker: the node's sessions, and what has followed from them.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) core: PresenceCore,
    pub(super) effects: Vec<Effect>,
    /// What the engine does not know yet: of each user the last.
    pending: HashMap<UserId, Report>,
    /// Of whom something may have been recorded under a lease that was lost, and not announced.
    unsure: HashSet<UserId>,
    ended: VecDeque<SessionEnd>,
    most_ended: usize,
}

impl Local {
    pub(super) fn new(options: &PresenceOptions, now: Moment) -> Self {
        Self {
            core: PresenceCore::new(options.clone(), now),
            effects: Vec::new(),
            pending: HashMap::new(),
            unsure: HashSet::new(),
            ended: VecDeque::new(),
            most_ended: options.max_sessions as usize,
        }
    }

    /// Sorts what has followed from an input.
    pub(super) fn take_in(&mut self) {
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Report(mut report) => {
                    // What it replaces may have been recorded, and the answer lost.
                    let unanswered = self.pending.get(&report.user);
                    let acknowledged = unanswered.map(|report| report.acknowledged);
                    report.acknowledged = acknowledged.unwrap_or(report.acknowledged);
                    self.pending.insert(report.user, report);
                }
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
            self.unsure.remove(&report.user);
            if let Some(pending) = self.pending.get_mut(&report.user) {
                pending.acknowledged = pending.acknowledged.max(report.sequence);
                if pending.sequence == report.sequence {
                    self.pending.remove(&report.user);
                }
            }
        }
    }

    /// Begins anew: the engine has forgotten the node, and what it knew of the node's reports.
    pub(super) fn lose(&mut self) {
        self.unsure.extend(self.pending.keys());
        self.core.resync();
    }

    /// Has announced what may not have been. What others see of who is invisible is no node's doing.
    pub(super) fn suspect(&self, changes: &mut [Change]) {
        for change in changes {
            let is_unsure = self.unsure.contains(&change.own.user);
            change.is_own_news |= is_unsure;
            change.is_news |= is_unsure && change.own.setting.mode != Mode::Invisible;
        }
    }

    pub(super) fn take_ended(&mut self) -> Vec<SessionEnd> {
        self.ended.drain(..).collect()
    }
}
