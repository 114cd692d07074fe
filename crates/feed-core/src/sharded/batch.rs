//! A batch for many timelines, cut along the stores that keep them.

use std::sync::Arc;

use futures::future::join_all;
use hashbrown::HashSet;

use crate::{
    Entry, Error, ErrorKind, Placement, PostId, PushReport, Result, TimelineShards, TimelineStore,
    UserId,
};

/// Which store gets which of the owners of a batch.
pub(super) struct Batch<'a> {
    owners: &'a [UserId],
    parts: Vec<Part<'a>>,
}

struct Part<'a> {
    store: &'a Arc<dyn TimelineStore>,
    owners: Vec<UserId>,
    /// Whether their timelines are read there.
    leads: bool,
}

impl<'a> Batch<'a> {
    /// Cuts `owners`, in their order, into a part for each store that is read, and another for each
    /// that takes copies.
    pub(super) fn new(placement: &'a Placement, owners: &'a [UserId]) -> Self {
        let lists = |shards: &TimelineShards| vec![Vec::new(); shards.len()];
        let mut led = lists(placement.reads());
        let mut copied = placement
            .other()
            .map_or_else(Vec::new, |other| lists(other));
        for &owner in owners {
            let lead = placement.reads().index(owner);
            led[lead].push(owner);
            if let Some(copy) = placement.copy(owner, lead) {
                copied[copy].push(owner);
            }
        }
        let mut parts = parts(placement.reads(), led, true);
        if let Some(other) = placement.other() {
            parts.extend(self::parts(other, copied, false));
        }
        Self { owners, parts }
    }

    /// Pushes to all stores at once. A store that fails fails its owners, and the call only if that is
    /// all of them.
    pub(super) async fn push(&self, entry: Entry) -> Result<PushReport> {
        let calls = self.parts.iter();
        let calls = calls.map(|part| part.store.push_many(&part.owners, entry));
        let mut report = PushReport::default();
        let mut failures = Failures::default();
        for (part, answer) in self.parts.iter().zip(join_all(calls).await) {
            let Some(answer) = failures.sift(part, answer) else {
                continue;
            };
            failures.owners.extend(answer.failed.iter().copied());
            if part.leads {
                report.reached += answer.reached;
                report.cold += answer.cold;
            }
        }
        report.failed = failures.among(self.owners)?;
        Ok(report)
    }

    /// Removes from all stores at once, and answers whose timelines failed, as [`push`](Self::push) does.
    pub(super) async fn remove(&self, post: PostId) -> Result<Vec<UserId>> {
        let calls = self.parts.iter();
        let calls = calls.map(|part| part.store.remove_many(&part.owners, post));
        self.failed(join_all(calls).await)
    }

    /// Purges all stores at once, and fails if one of them does.
    pub(super) async fn purge(&self, author: UserId) -> Result<()> {
        let calls = self.parts.iter();
        let calls = calls.map(|part| part.store.purge_many(&part.owners, author));
        join_all(calls).await.into_iter().collect()
    }

    /// Drops from all stores at once, and answers whose timelines failed, as [`push`](Self::push) does.
    pub(super) async fn drop(&self) -> Result<Vec<UserId>> {
        let calls = self.parts.iter();
        let calls = calls.map(|part| part.store.drop_many(&part.owners));
        self.failed(join_all(calls).await)
    }

    /// Whose timelines failed, where that is what each store answers of its part.
    fn failed(&self, answers: Vec<Result<Vec<UserId>>>) -> Result<Vec<UserId>> {
        let mut failures = Failures::default();
        for (part, answer) in self.parts.iter().zip(answers) {
            let failed = failures.sift(part, answer);
            failures.owners.extend(failed.into_iter().flatten());
        }
        failures.among(self.owners)
    }
}

/// Whose timelines failed in one of the stores at least.
#[derive(Default)]
struct Failures {
    owners: HashSet<UserId>,
    /// The first of a store that failed altogether.
    error: Option<Error>,
}

impl Failures {
    /// What a store answered about its part, all of which has failed if there is no answer.
    fn sift<T>(&mut self, part: &Part<'_>, answer: Result<T>) -> Option<T> {
        match answer {
            Ok(answer) => Some(answer),
            Err(failure) => {
                self.owners.extend(part.owners.iter().copied());
                self.error.get_or_insert(failure);
                None
            }
        }
    }

    /// Those of `owners` who failed, and an error if that is all of them.
    fn among(self, owners: &[UserId]) -> Result<Vec<UserId>> {
        if self.owners.is_empty() {
            return Ok(Vec::new());
        }
        let among = owners.iter().copied();
        let failed: Vec<_> = among.filter(|owner| self.owners.contains(owner)).collect();
        if failed.len() < owners.len() {
            return Ok(failed);
        }
        // While timelines move, one store may have failed some of them and another the rest.
        let unavailable = || Error::bare(ErrorKind::Unavailable, "timelines");
        Err(self.error.unwrap_or_else(unavailable))
    }
}

/// The parts of `shards` that have owners.
fn parts(shards: &TimelineShards, lists: Vec<Vec<UserId>>, leads: bool) -> Vec<Part<'_>> {
    let lists = lists.into_iter().enumerate();
    let parts = lists.map(|(index, owners)| Part {
        store: shards.at(index),
        owners,
        leads,
    });
    parts.filter(|part| !part.owners.is_empty()).collect()
}
