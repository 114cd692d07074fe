mod draft;
mod lapses;
mod leases;
mod options;
mod parts;
mod view;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use async_trait::async_trait;
use backplane::{
    Error, ErrorKind,
    directory::{Incarnation, Tenure},
};
use chat_core::{
    Result, UserId,
    presence::{
        Change, NodeJoined, NodeLease, OwnPresence, Presence, Published, Report, Reported, Setting,
        StateRead,
    },
};
use futures::future::join;

pub use self::options::RedisPresenceOptions;

use self::{
    draft::Draft,
    leases::Leases,
    parts::{Manner, Parts, Written},
    view::View,
};
use crate::Redis;

/// [`Presence`] on Redis, which all nodes share.
///
/// Nothing is written for a heartbeat. The leases of nodes are in one slot of a Cluster. Users are in
/// [parts](RedisPresenceOptions::parts), each in a slot of its own with all that is kept of them. What the reports and
/// settings of a user amount to is computed here ([`UserRecord`](chat_core::presence::UserRecord)) and replaces the
/// record if it is still the one that was read, or else is computed anew.
///
/// | call | round trips | scripts |
/// |---|---|---|
/// | [`join`](Presence::join), [`renew`](Presence::renew), [`leave`](Presence::leave) | 1 | 1 |
/// | [`states`](Presence::states), [`own`](Presence::own) | 1; 1 more where time has changed somebody | 1, and 1 for each part with some of the users |
/// | [`report`](Presence::report), [`set`](Presence::set), [`erase`](Presence::erase) | 2, and 1 more for each time that another changed one of the users meanwhile | 1, and 2 for each part |
/// | [`lapsed`](Presence::lapsed) | 2 if there are none; 1 more where a lease began or ended; 4 more for each time that users are looked for | 1, and 1 for each part; each time 2 more for each part that has some of them, and those anew |
///
/// The first call of a new store makes three more, and so does the first after a server was replaced. A call about more
/// than a thousand users of a part makes its round trips for each thousand.
///
/// # Atomicity
///
/// The record of a user and what is noted beside it, by which [`lapsed`](Presence::lapsed) finds the user, change in one step.
/// That a lease is held is looked up at another server before. A report that is on its way when its lease ends may
/// therefore be recorded, and answered as held: whoever reads then sees that the lease is not, and the user is told as one
/// whom time has changed.
///
/// # Time
///
/// Leases and settings go by the clock of the server that has the leases. When that is set back, or a replica takes
/// over whose clock is behind, a node that is gone counts for as much longer; when it is set forward, leases
/// end early. Tokens and versions are microseconds of that clock, or one more than the last if that is later. So those
/// that follow upon a loss are later than what was lost, unless the clock is behind by more than that took.
///
/// # What Redis may lose
///
/// A server that dies may lose what it acknowledged last. If that was a lease, the node joins again when it
/// reports or renews, and reports everybody. If it was a report, nobody would ever make it again; so it is known on
/// which server each part is, by its replication id, and whoever finds it on another, which was started since, was a
/// replica of the former or was handed the slot, ends all leases: every node joins again, and until it has
/// reported its users they count as gone. Whoever is reported from then on has a new version, since others may have been
/// told one that is lost. What users have set in the last moment stays lost.
///
/// Where memory is full, reports and settings are refused as `Full`; leases are kept, and what time changes is seen.
#[derive(Clone, Debug)]
pub struct RedisPresence {
    leases: Leases,
    parts: Parts,
}

/// How often what was read is found to have been changed meanwhile, or to be elsewhere, before a call fails.
const ROUNDS: usize = 64;

/// Records that are to be looked at or changed.
struct Open {
    view: View,
    drafts: Vec<Draft>,
}

/// Why records are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Purpose {
    /// To be read as they are now: what time has changed is kept if it is news.
    Look,
    /// They are changed.
    Change,
}

impl RedisPresence {
    /// Presence whose keys begin with the prefix of `redis` and `{presence`. All nodes give the same `options`.
    #[must_use]
    pub fn new(redis: Redis, options: RedisPresenceOptions) -> Self {
        let parts = options.parts;
        let options = options.with_parts(parts);
        Self {
            leases: Leases::new(redis.clone(), options.max_nodes),
            parts: Parts::new(redis, options.parts, options.max_users),
        }
    }

    /// The records of users, each of whom is named once, and which leases are held.
    async fn open(&self, op: &'static str, users: &[UserId]) -> backplane::Result<Open> {
        for _ in 0..ROUNDS {
            let (view, found) = join(self.leases.view(op), self.parts.read(op, users)).await;
            let (view, found) = (view?, found?);
            if found
                .iter()
                .any(|from| view.server(from.part) != from.server)
            {
                self.locate(op, &view).await?;
                continue;
            }
            let drafts = found.into_iter().flat_map(|from| {
                let last = from.answer.last;
                let records = from.answer.records.into_iter();
                records.map(move |(user, found)| Draft::of(user, found, last))
            });
            let drafts = drafts.collect();
            return Ok(Open { view, drafts });
        }
        Err(restless(op))
    }

    /// Notes on which servers the parts are, as far as they answer, where a view says otherwise.
    async fn locate(&self, op: &'static str, view: &View) -> backplane::Result<()> {
        let (mut found, mut failure) = (Vec::new(), None);
        for from in self.parts.locate(op).await {
            match from {
                Ok(from) => found.push((from.part, from.server)),
                Err(error) => failure = Some(error),
            }
        }
        found.retain(|(part, server)| view.server(*part) != server);
        if found.is_empty() {
            // Somebody else was first, unless those that matter do not answer.
            return failure.map_or(Ok(()), Err);
        }
        let found: Vec<_> = found
            .iter()
            .map(|(part, server)| (*part, view.server(*part), &**server))
            .collect();
        self.leases.note(op, &found).await
    }

    /// Does something to each record that is open, again where it was another meanwhile, and answers of each what it
    /// came to; nothing, if the `lease` is not held.
    async fn edit<T: Send>(
        &self,
        op: &'static str,
        purpose: Purpose,
        lease: Option<&NodeLease>,
        mut open: Open,
        act: impl Fn(&mut Draft) -> T + Send + Sync,
    ) -> backplane::Result<Option<BTreeMap<UserId, T>>> {
        let mut done = BTreeMap::new();
        for _ in 0..ROUNDS {
            // What a later view does not have has ended.
            if open.drafts.iter().any(|draft| draft.is_after(&open.view)) {
                open.view = self.leases.view(op).await?;
            }
            let Open { view, drafts } = open;
            if lease.is_some_and(|lease| !view.holds(lease)) {
                return Ok(None);
            }
            let mut changed = Vec::new();
            for mut draft in drafts {
                if purpose == Purpose::Change {
                    let part = self.parts.part_of(draft.user());
                    draft.doubt_before(view.since(part));
                }
                draft.bring_up(&view);
                let came_to = act(&mut draft);
                let is_written = match purpose {
                    Purpose::Look => draft.lapse().any(),
                    Purpose::Change => draft.is_changed(),
                };
                if is_written {
                    changed.push((draft, came_to));
                } else {
                    done.insert(draft.user(), came_to);
                }
            }
            if changed.is_empty() {
                return Ok(Some(done));
            }
            open = self.write(op, purpose, view, changed, &mut done).await?;
            if open.drafts.is_empty() {
                return Ok(Some(done));
            }
        }
        Err(restless(op))
    }

    /// Writes records, and answers those that were others.
    async fn write<T: Send>(
        &self,
        op: &'static str,
        purpose: Purpose,
        view: View,
        changed: Vec<(Draft, T)>,
        done: &mut BTreeMap<UserId, T>,
    ) -> backplane::Result<Open> {
        let manner = match purpose {
            Purpose::Look => Manner::Passes,
            Purpose::Change => Manner::Stays,
        };
        let (drafts, came_to): (Vec<_>, Vec<_>) = changed.into_iter().unzip();
        let mut came_to: Vec<_> = came_to.into_iter().map(Some).collect();
        let (mut others, mut elsewhere, mut failure) = (Vec::new(), Vec::new(), None);
        let every: Vec<_> = drafts.iter().collect();
        for ((_, places), written) in self.parts.write(op, &view, manner, &every).await {
            match written {
                Ok(written) if written.len() == places.len() => {
                    for (place, written) in places.into_iter().zip(written) {
                        let draft = &drafts[place];
                        match written {
                            Written::Done => {
                                done.extend(came_to[place].take().map(|it| (draft.user(), it)));
                            }
                            Written::Full => failure = Some(Error::bare(ErrorKind::Full, op)),
                            Written::Found(found) => {
                                let last = draft.last_version();
                                others.push(Draft::of(draft.user(), found, last));
                            }
                        }
                    }
                }
                Ok(written) if written.is_empty() => {
                    elsewhere.extend(places.into_iter().map(|place| drafts[place].user()));
                }
                Ok(_) => failure = Some(Error::bare(ErrorKind::Corrupt, op)),
                Err(error) => failure = Some(error),
            }
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        if elsewhere.is_empty() {
            let drafts = others;
            return Ok(Open { view, drafts });
        }
        self.locate(op, &view).await?;
        elsewhere.extend(others.iter().map(Draft::user));
        self.open(op, &elsewhere).await
    }

    /// What each user amounts to now, if there is a record.
    async fn look(
        &self,
        op: &'static str,
        users: impl Iterator<Item = UserId> + Send,
    ) -> Result<BTreeMap<UserId, Change>> {
        let open = self.open(op, &distinct(users)).await?;
        let looked = self.edit(op, Purpose::Look, None, open, |draft| draft.change());
        let looked = looked.await?.unwrap_or_default().into_iter();
        Ok(looked
            .filter_map(|(user, change)| Some((user, change?)))
            .collect())
    }
}

#[async_trait]
impl Presence for RedisPresence {
    async fn join(
        &self,
        node: &str,
        incarnation: Incarnation,
        ttl: Duration,
    ) -> Result<NodeJoined> {
        Ok(self.leases.join(node, incarnation, ttl).await?)
    }

    async fn renew(&self, lease: &NodeLease, ttl: Duration) -> Result<Tenure> {
        Ok(self.leases.renew(lease, ttl).await?)
    }

    async fn leave(&self, lease: &NodeLease) -> Result<Tenure> {
        Ok(self.leases.leave(lease).await?)
    }

    async fn report(&self, lease: &NodeLease, reports: &[Report]) -> Result<Reported> {
        let mut said = BTreeMap::<_, Vec<_>>::new();
        for report in reports {
            said.entry(report.user).or_default().push(report);
        }
        let users: Vec<_> = said.keys().copied().collect();
        let open = self.open("report", &users).await?;
        let act = |draft: &mut Draft| {
            let said = said[&draft.user()].iter();
            said.map(|report| draft.report(lease.token, report))
                .collect::<VecDeque<_>>()
        };
        let edited = self.edit("report", Purpose::Change, Some(lease), open, act);
        let Some(mut changes) = edited.await? else {
            return Ok(Reported::Lost);
        };
        let reports = reports.iter();
        let changes = reports.filter_map(|report| changes.get_mut(&report.user)?.pop_front());
        Ok(Reported::Held(changes.collect()))
    }

    async fn set(&self, settings: &[(UserId, Setting)]) -> Result<Vec<Change>> {
        let mut wanted = BTreeMap::<_, Vec<_>>::new();
        for &(user, setting) in settings {
            wanted.entry(user).or_default().push(setting);
        }
        let users: Vec<_> = wanted.keys().copied().collect();
        let open = self.open("set", &users).await?;
        let act = |draft: &mut Draft| {
            let wanted = wanted[&draft.user()].iter();
            wanted
                .map(|&setting| draft.set(setting))
                .collect::<VecDeque<_>>()
        };
        let edited = self.edit("set", Purpose::Change, None, open, act).await?;
        let mut changes = edited.unwrap_or_default();
        let settings = settings.iter();
        let changes = settings.filter_map(|(user, _)| changes.get_mut(user)?.pop_front());
        Ok(changes.collect())
    }

    async fn states(&self, reads: &[StateRead]) -> Result<Vec<Option<Published>>> {
        let known = self
            .look("states", reads.iter().map(|read| read.user))
            .await?;
        let state = |read: &StateRead| {
            let known = known.get(&read.user);
            let published =
                known.map_or_else(|| Published::unknown(read.user), |known| known.published);
            (published.version != read.since).then_some(published)
        };
        Ok(reads.iter().map(state).collect())
    }

    async fn own(&self, users: &[UserId]) -> Result<Vec<OwnPresence>> {
        let known = self.look("own", users.iter().copied()).await?;
        let own = |&user: &UserId| {
            let known = known.get(&user);
            known.map_or_else(|| OwnPresence::unknown(user), |known| known.own)
        };
        Ok(users.iter().map(own).collect())
    }

    async fn lapsed(&self, settled: &[Change], limit: usize) -> Result<Vec<Change>> {
        self.find_lapsed(settled, limit).await
    }

    async fn erase(&self, user: UserId) -> Result<Change> {
        let open = self.open("erase", &[user]).await?;
        let edited = self.edit("erase", Purpose::Change, None, open, Draft::erase);
        let erased = edited.await?.and_then(|mut erased| erased.remove(&user));
        Ok(erased.ok_or_else(|| restless("erase"))?)
    }
}

fn distinct(users: impl Iterator<Item = UserId>) -> Vec<UserId> {
    let users: BTreeSet<_> = users.collect();
    users.into_iter().collect()
}

/// Others were first, again and again.
fn restless(op: &'static str) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        op,
        "what was read was changed meanwhile, again and again",
    )
}
