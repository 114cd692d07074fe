use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use backplane::{
    FencingToken, Timestamp,
    directory::{Incarnation, Tenure},
};
use hashbrown::{HashMap, HashSet};

use crate::{
    Change, Error, ErrorKind, NodeJoined, NodeLease, OwnPresence, Published, Report, Result,
    Setting, UserId, UserRecord, Version,
};

/// What lies under the lock of a [`MemoryPresence`](super::MemoryPresence).
#[derive(Default)]
pub(super) struct State {
    users: HashMap<UserId, UserRecord>,
    nodes: HashMap<Arc<str>, Node>,
    /// Those that hold, and those that ended of whose users not all were told.
    leases: BTreeMap<FencingToken, Lease>,
    /// Leases that ended.
    ended: BTreeSet<FencingToken>,
    /// Settings with an end.
    timed: BTreeSet<(Timestamp, UserId)>,
    /// Whom time has changed, and nobody announced.
    lapsed: BTreeSet<UserId>,
    last_token: u64,
    last_version: u64,
    /// No lease passes before this.
    soonest: Duration,
}

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
        self.ended.insert(lease);
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
        let report = |record: &mut UserRecord| record.report(lease.token, report);
        Ok(self.change(user, now, report))
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
        let change = self.change(user, now, |record| record.set(setting, now));
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

    fn change(
        &mut self,
        user: UserId,
        now: Timestamp,
        act: impl FnOnce(&mut UserRecord),
    ) -> Change {
        let last = &mut self.last_version;
        let record = self
            .users
            .entry(user)
            .or_insert_with(|| UserRecord::new(user));
        act(record);
        record.settle(now, || {
            *last += 1;
            Version::new(*last)
        })
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
        record.end_leases(|token| match leases.get(&token) {
            Some(lease) => ended.contains(&token).then_some(lease.renewed),
            None => Some(Timestamp::EPOCH),
        });
        let change = self.change(user, now, |_| ());
        if change.is_news || change.is_own_news {
            self.lapsed.insert(user);
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
        let users: Vec<_> = self.lapsed.iter().take(limit).copied().collect();
        let look = |user| self.look(user, now);
        users.into_iter().filter_map(look).collect()
    }

    fn next_candidate(&mut self, now: Timestamp) -> Option<UserId> {
        if let Some(&(until, user)) = self.timed.first()
            && until <= now
        {
            self.timed.pop_first();
            return Some(user);
        }
        while let Some(&ended) = self.ended.first() {
            let users = self.leases.get_mut(&ended).map(|lease| &mut lease.users);
            if let Some(user) = users.and_then(|users| users.extract_if(|_| true).next()) {
                return Some(user);
            }
            self.leases.remove(&ended);
            self.ended.remove(&ended);
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
