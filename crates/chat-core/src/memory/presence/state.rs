use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use backplane::{
    FencingToken, Timestamp,
    directory::{Incarnation, Tenure},
};
use hashbrown::{HashMap, HashSet, hash_set};

use crate::{
    Error, ErrorKind, Result, UserId,
    presence::{
        Change, NodeJoined, NodeLease, OwnPresence, Published, Report, Setting, UserRecord, Version,
    },
};

/// What lies under the lock of a [`MemoryPresence`](super::MemoryPresence).
#[derive(Default)]
pub(super) struct State {
    users: HashMap<UserId, UserRecord>,
    nodes: HashMap<Arc<str>, Node>,
    leases: HashMap<FencingToken, Lease>,
    /// Leases that ended, as long as some of their users may count as there.
    ended: BTreeMap<FencingToken, Ended>,
    /// Settings with an end.
    timed: BTreeSet<(Timestamp, UserId)>,
    /// Whom time has changed, and nobody has announced.
    lapsed: BTreeMap<UserId, Lapse>,
    last_token: u64,
    last_version: u64,
    /// No lease passes before this.
    soonest: Duration,
}

/// Whether what time changed is news to others, and to the user.
type Lapse = (bool, bool);

struct Node {
    incarnation: Incarnation,
    lease: FencingToken,
}

pub(super) struct Lease {
    pub(super) until: Duration,
    pub(super) renewed: Timestamp,
    /// Of whom the node has reported something.
    users: HashSet<UserId>,
}

struct Ended {
    renewed: Timestamp,
    /// Those who were not looked at since.
    users: hash_set::IntoIter<UserId>,
}

impl State {
    pub(super) fn join(
        &mut self,
        node: &str,
        incarnation: Incarnation,
        (until, now): (Duration, Timestamp),
        most: usize,
    ) -> Result<NodeJoined> {
        let earlier = self.nodes.get(node);
        match earlier {
            Some(earlier) if earlier.incarnation > incarnation => {
                let by = earlier.incarnation;
                return Ok(NodeJoined::Superseded { by });
            }
            None if self.nodes.len() >= most => {
                return Err(Error::bare(ErrorKind::Full, "join"));
            }
            _ => {}
        }
        if let Some(earlier) = earlier.map(|earlier| earlier.lease) {
            self.end(earlier);
        }
        self.last_token += 1;
        let token = FencingToken::new(self.last_token);
        let lease = Lease {
            until,
            renewed: now,
            users: HashSet::new(),
        };
        self.leases.insert(token, lease);
        self.soonest = self.soonest.min(until);
        let name: Arc<str> = node.into();
        let node = Node {
            incarnation,
            lease: token,
        };
        self.nodes.insert(Arc::clone(&name), node);
        Ok(NodeJoined::Held(NodeLease { node: name, token }))
    }

    pub(super) fn held(&mut self, lease: &NodeLease) -> Option<&mut Lease> {
        let node = self.nodes.get(&lease.node)?;
        if node.lease != lease.token {
            return None;
        }
        self.leases.get_mut(&lease.token)
    }

    /// Ends the leases that passed. Looks at the nodes only if one may have.
    pub(super) fn expire(&mut self, now: Duration) {
        if now < self.soonest {
            return;
        }
        let leases = &self.leases;
        let until = |node: &Node| leases[&node.lease].until;
        let passed = self.nodes.extract_if(|_, node| until(node) <= now);
        let passed: Vec<_> = passed.map(|(_, node)| node.lease).collect();
        let soonest = self.nodes.values().map(until).min();
        self.soonest = soonest.unwrap_or(Duration::MAX);
        for lease in passed {
            self.end(lease);
        }
    }

    /// Ends a lease, and the sessions at its node.
    pub(super) fn leave(&mut self, lease: &NodeLease) -> Tenure {
        if self.held(lease).is_none() {
            return Tenure::Lost;
        }
        self.nodes.remove(&lease.node);
        self.end(lease.token);
        Tenure::Held
    }

    fn end(&mut self, lease: FencingToken) {
        if let Some(Lease { renewed, users, .. }) = self.leases.remove(&lease) {
            let users = users.into_iter();
            self.ended.insert(lease, Ended { renewed, users });
        }
    }

    pub(super) fn report(
        &mut self,
        lease: &NodeLease,
        report: &Report,
        now: Timestamp,
        most: usize,
    ) -> Result<Change> {
        let user = report.user;
        self.enter(user, now, most, "report")?;
        if let Some(held) = self.leases.get_mut(&lease.token) {
            held.users.insert(user);
        }
        Ok(self.change(user, |record, versions| {
            record.report(lease.token, report, now, versions)
        }))
    }

    pub(super) fn set(
        &mut self,
        user: UserId,
        setting: Setting,
        now: Timestamp,
        most: usize,
    ) -> Result<Change> {
        self.enter(user, now, most, "set")?;
        let before = self
            .users
            .get(&user)
            .and_then(|record| record.setting().until);
        if let Some(until) = before {
            self.timed.remove(&(until, user));
        }
        let change = self.change(user, |record, versions| {
            record.set(setting, now);
            record.settle(now, versions)
        });
        if let Some(until) = change.own.setting.until {
            self.timed.insert((until, user));
        }
        Ok(change)
    }

    /// Makes sure that there is a record of `user`, who is as of `now`.
    fn enter(&mut self, user: UserId, now: Timestamp, most: usize, op: &'static str) -> Result<()> {
        if self.look(user, now).is_none() {
            if self.users.len() >= most {
                return Err(Error::bare(ErrorKind::Full, op));
            }
            self.users.insert(user, UserRecord::new(user));
        }
        Ok(())
    }

    /// Does something to the record of a user, with more versions at hand.
    fn change<R>(
        &mut self,
        user: UserId,
        act: impl FnOnce(&mut UserRecord, &mut dyn FnMut() -> Version) -> R,
    ) -> R {
        let last = &mut self.last_version;
        let mut next = || {
            *last += 1;
            Version::new(*last)
        };
        let new = || UserRecord::new(user);
        act(self.users.entry(user).or_insert_with(new), &mut next)
    }

    /// What a user amounts to now, if there is a record. What time has changed is kept until it is announced.
    pub(super) fn look(&mut self, user: UserId, now: Timestamp) -> Option<Change> {
        let Self {
            users,
            leases,
            ended,
            ..
        } = self;
        let record = users.get_mut(&user)?;
        record.end_leases(|token| {
            let renewed = || {
                ended
                    .get(&token)
                    .map_or(Timestamp::EPOCH, |ended| ended.renewed)
            };
            (!leases.contains_key(&token)).then(renewed)
        });
        let change = self.change(user, |record, versions| record.settle(now, versions));
        if change.is_news || change.is_own_news {
            let lapse = self.lapsed.entry(user).or_default();
            lapse.0 |= change.is_news;
            lapse.1 |= change.is_own_news;
        }
        Some(change)
    }

    /// Notes that a lapse was announced, if that is still what the user amounts to.
    pub(super) fn settle(&mut self, announced: &Change) {
        let user = announced.published.user;
        let present = self
            .users
            .get(&user)
            .map(|record| (record.published(), record.own()));
        if present.is_none_or(|present| present == (announced.published, announced.own)) {
            self.lapsed.remove(&user);
        }
    }

    /// Looks at whom time may have changed, until `limit` are known whom it has.
    pub(super) fn lapses(&mut self, now: Timestamp, limit: usize) -> Vec<Change> {
        while self.lapsed.len() < limit
            && let Some(user) = self.next_candidate(now)
        {
            self.look(user, now);
        }
        let users: Vec<_> = self.lapsed.keys().take(limit).copied().collect();
        let lapse = |user| {
            let mut change = self.look(user, now)?;
            (change.is_news, change.is_own_news) = *self.lapsed.get(&user)?;
            Some(change)
        };
        users.into_iter().filter_map(lapse).collect()
    }

    fn next_candidate(&mut self, now: Timestamp) -> Option<UserId> {
        if let Some(&(until, user)) = self.timed.first()
            && until <= now
        {
            self.timed.pop_first();
            return Some(user);
        }
        while let Some(mut ended) = self.ended.first_entry() {
            if let Some(user) = ended.get_mut().users.next() {
                return Some(user);
            }
            ended.remove();
        }
        None
    }

    pub(super) fn erase(&mut self, user: UserId) -> Change {
        let record = self.users.remove(&user);
        let until = record.as_ref().and_then(|record| record.setting().until);
        if let Some(until) = until {
            self.timed.remove(&(until, user));
        }
        self.lapsed.remove(&user);
        let mut next = || {
            self.last_version += 1;
            Version::new(self.last_version)
        };
        let (mut published, mut own) = (Published::unknown(user), OwnPresence::unknown(user));
        if record.is_some() {
            (published.version, own.version) = (next(), next());
        }
        Change::since((Version::ZERO, Version::ZERO), published, own)
    }
}
