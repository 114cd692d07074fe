//! One kind of content, through both levels of cache down to its source.

use std::{
    iter::zip,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use backplane::{
    Clock,
    memory::{SHARDS, Shards},
};

use super::{
    answer::{Answer, Lack, Want},
    far::{Far, Sought},
    flight::{Flight, Pending},
    kind::Kind,
    options::{CacheOptions, HydratorOptions},
    shard::{Look, Shard, Until},
    stats::{CacheStats, Tally},
};
use crate::{Error, ErrorKind, Result};

/// Content of kind `K`: this process's cache, over the shared one, over the source.
///
/// What is missing here goes this way. Under the locks of its shards a call looks once more, joins the
/// flights that others have started for the same wants, and starts one flight for all the rest, for
/// which each shard gets a ticket. The flight asks the shared cache, then the source for what that
/// lacks. When it lands, it takes its tickets back and leaves in the shards what it brought, unless the
/// ticket is gone: then the content was forgotten meanwhile, and only those who wait get it.
#[derive(Debug)]
pub(super) struct Cached<K: Kind> {
    kind: K,
    far: Option<Far>,
    clock: Arc<dyn Clock>,
    options: CacheOptions,
    hold: Duration,
    fetch_timeout: Duration,
    shards: Shards<Shard<K>>,
    flights: AtomicU64,
    tally: Tally,
}

impl<K: Kind> Cached<K> {
    pub(super) fn new(
        kind: K,
        far: Option<Far>,
        clock: Arc<dyn Clock>,
        options: &CacheOptions,
        shared: &HydratorOptions,
    ) -> Self {
        let share = options.max_bytes / SHARDS;
        Self {
            kind,
            far,
            clock,
            options: options.clone(),
            hold: shared.hold,
            fetch_timeout: shared.fetch_timeout,
            shards: Shards::from_fn(|| Shard::new(share)),
            flights: AtomicU64::new(0),
            tally: Tally::default(),
        }
    }

    /// What is wanted, in the order of `wants`.
    pub(super) async fn get(self: &Arc<Self>, wants: &[Want]) -> Vec<Result<K::Value, Lack>> {
        let Glance { mut found, missing } = self.look(wants);
        if !missing.is_empty() {
            let mut sorted: Vec<_> = missing.iter().map(|&at| wants[at]).collect();
            Want::sort(&mut sorted);
            let answers = self.join(&sorted).answers().await;
            for at in missing {
                found[at] = answers.to(wants[at]);
            }
        }
        found
    }

    /// Lets nothing that was read before this call be the answer to a call that starts after it.
    ///
    /// The shared cache comes first: what is read from it from now on is not older.
    pub(super) async fn forget(&self, ids: &[u64]) -> Result<()> {
        let shared = match &self.far {
            Some(far) => far.forget::<K>(ids, &self.tally).await,
            None => Ok(()),
        };
        let now = self.clock.monotonic();
        let until = now.saturating_add(self.hold);
        let mut shards = self.shards.write_many(ids.iter().copied());
        for &id in ids {
            shards.of(id).forget(id, now, until);
        }
        shared
    }

    pub(super) fn stats(&self) -> CacheStats {
        let (mut entries, mut bytes) = (0, 0);
        for shard in self.shards.iter() {
            entries += shard.len() as u64;
            bytes += shard.bytes();
        }
        CacheStats {
            entries,
            bytes,
            ..self.tally.read()
        }
    }

    fn look(&self, wants: &[Want]) -> Glance<K::Value> {
        let now = self.clock.monotonic();
        let (mut missing, mut stale, mut absent) = (Vec::new(), 0, 0);
        let shards = self.shards.read_many(wants.iter().map(|want| want.id));
        let look = |(at, want): (usize, &Want)| match shards.of(want.id).look(*want, now) {
            Look::Known(answer) => {
                absent += u64::from(matches!(answer, Answer::Absent));
                answer.at::<K>(want.version)
            }
            unknown => {
                stale += u64::from(matches!(unknown, Look::Stale));
                missing.push(at);
                Err(Lack::Absent)
            }
        };
        let found: Vec<_> = wants.iter().enumerate().map(look).collect();
        let (asked, misses) = (wants.len() as u64, missing.len() as u64);
        self.tally.hits.add(asked - misses - absent);
        self.tally.absences.add(absent);
        self.tally.misses.add(misses);
        self.tally.stale.add(stale);
        Glance { found, missing }
    }

    /// Joins the flights that bring some of the wants, and starts one for the others.
    ///
    /// Looks once more, in the same step: what has landed since is here.
    fn join(self: &Arc<Self>, wants: &[Want]) -> Pending<K> {
        let now = self.clock.monotonic();
        let (mut pending, mut lacking) = (Pending::default(), Vec::new());
        let mut shards = self.shards.write_many(wants.iter().map(|want| want.id));
        for &want in wants {
            let shard = shards.of(want.id);
            if let Look::Known(answer) = shard.look(want, now) {
                pending.know(want.id, answer);
            } else if let Some((flight, place)) = shard.join(want, now) {
                self.tally.joined.add(1);
                pending.join(flight, want.id, place);
            } else {
                lacking.push(want);
            }
        }
        if lacking.is_empty() {
            return pending;
        }
        let flight = self.launch(lacking.clone(), now);
        for (place, &want) in lacking.iter().enumerate() {
            let ticket = flight.ticket(want, place, now.saturating_add(self.fetch_timeout));
            shards.of(want.id).issue(want.id, ticket, now);
        }
        pending.start(flight, &lacking);
        pending
    }

    fn launch(self: &Arc<Self>, wants: Vec<Want>, now: Duration) -> Flight<K> {
        let number = self.flights.fetch_add(1, Ordering::Relaxed);
        let mut issued = Issued {
            cached: Arc::clone(self),
            number,
            wants,
            landed: false,
        };
        Flight::new(number, async move {
            let cached = Arc::clone(&issued.cached);
            let sought = match &cached.far {
                Some(far) => {
                    let tally = &cached.tally;
                    far.seek::<K>(&issued.wants, number, tally).await
                }
                None => issued.wants.iter().map(|_| Sought::Barred).collect(),
            };
            let answers = cached.fetch(&issued.wants, &sought).await;
            let fresh = issued.land(&answers, now);
            cached.fill(&issued, &sought, &answers, &fresh).await;
            answers
        })
    }

    /// Asks the source for what the shared cache does not have, in one call.
    async fn fetch(&self, wants: &[Want], sought: &[Sought<K::Value>]) -> Vec<Answer<K::Value>> {
        let lacking =
            zip(wants, sought).filter(|(_, sought)| !matches!(sought, Sought::Content(_)));
        let lacking: Vec<_> = lacking.map(|(want, _)| *want).collect();
        self.tally
            .shared_hits
            .add((wants.len() - lacking.len()) as u64);
        let fetched = if lacking.is_empty() {
            Ok(Vec::new())
        } else {
            self.ask(&lacking).await.map_err(Arc::new)
        };
        let mut fetched = fetched.map(Vec::into_iter);
        let answer = |sought: &Sought<K::Value>| match (sought, &mut fetched) {
            (Sought::Content(value), _) => Answer::Found(value.clone()),
            (_, Ok(values)) => values
                .next()
                .flatten()
                .map_or(Answer::Absent, Answer::Found),
            (_, Err(error)) => Answer::Failed(Arc::clone(error)),
        };
        sought.iter().map(answer).collect()
    }

    /// Asks the source, and refuses an answer that is not one to the question.
    async fn ask(&self, wants: &[Want]) -> Result<Vec<Option<K::Value>>> {
        self.tally.source_calls.add(1);
        let values = self.kind.fetch(wants).await.and_then(|values| {
            let mut pairs = zip(wants, &values);
            let wrong = |(want, value): (&Want, &Option<K::Value>)| {
                value.as_ref().is_some_and(|value| K::id(value) != want.id)
            };
            if values.len() == wants.len() && !pairs.any(wrong) {
                return Ok(values);
            }
            Err(Error::bare(ErrorKind::Corrupt, "hydrate"))
        });
        self.tally.source_failures.add(u64::from(values.is_err()));
        values
    }

    /// Passes on to the shared cache what the source has answered of what was claimed there, but for
    /// what was forgotten here.
    async fn fill(
        &self,
        issued: &Issued<K>,
        sought: &[Sought<K::Value>],
        answers: &[Answer<K::Value>],
        fresh: &[bool],
    ) {
        let Some(far) = &self.far else { return };
        let places = 0..answers.len();
        let claimed = places.filter(|&at| fresh[at] && matches!(sought[at], Sought::Claimed));
        let brought = claimed.filter_map(|at| match &answers[at] {
            Answer::Found(value) if K::version(value) >= issued.wants[at].version => Some(value),
            _ => None,
        });
        far.fill::<K>(brought, issued.number, &self.tally).await;
    }
}

/// What is here of a batch.
struct Glance<V> {
    found: Vec<Result<V, Lack>>,
    /// The places of what is not here, to be replaced.
    missing: Vec<usize>,
}

/// The tickets that were issued for a flight. They are taken back when it lands, and also when its last
/// passenger leaves it.
struct Issued<K: Kind> {
    cached: Arc<Cached<K>>,
    number: u64,
    wants: Vec<Want>,
    landed: bool,
}

impl<K: Kind> Issued<K> {
    /// Keeps what was brought, but for what was forgotten on the way. Answers which was not.
    fn land(&mut self, answers: &[Answer<K::Value>], begun: Duration) -> Vec<bool> {
        self.landed = true;
        let cached = &self.cached;
        let (now, options) = (cached.clock.monotonic(), &cached.options);
        let until = Until {
            content: begun.saturating_add(options.ttl),
            absent: begun.saturating_add(options.absent_ttl),
        };
        let mut evicted = 0;
        let mut shards = cached
            .shards
            .write_many(self.wants.iter().map(|want| want.id));
        let mut land = |(want, answer): (&Want, _)| {
            let shard = shards.of(want.id);
            let fresh = shard.collect(want.id, self.number);
            if fresh {
                evicted += shard.keep(*want, answer, now, until);
            }
            fresh
        };
        let fresh = zip(&self.wants, answers).map(&mut land).collect();
        cached.tally.evictions.add(evicted);
        fresh
    }
}

impl<K: Kind> Drop for Issued<K> {
    fn drop(&mut self) {
        if self.landed {
            return;
        }
        let ids = self.wants.iter().map(|want| want.id);
        let mut shards = self.cached.shards.write_many(ids);
        for want in &self.wants {
            shards.of(want.id).collect(want.id, self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use async_trait::async_trait;
    use backplane::ManualClock;
    use futures::{FutureExt, poll};

    use super::*;
    use crate::{HydratorOptions, User, UserId, hydrate::kind::Users, hydrate::source::UserSource};

    /// Knows the users below ten, and never answers when asked for others.
    #[derive(Debug)]
    struct Below;

    #[async_trait]
    impl UserSource for Below {
        async fn users(&self, users: &[UserId]) -> Result<Vec<Option<User>>> {
            if users.iter().any(|user| user.get() >= 10) {
                return pending().await;
            }
            Ok(users
                .iter()
                .map(|&user| Some(User::new(user, "")))
                .collect())
        }
    }

    fn cached() -> Arc<Cached<Users>> {
        let options = HydratorOptions::default();
        let clock = Arc::new(ManualClock::default());
        let users = Users(Arc::new(Below));
        Arc::new(Cached::new(users, None, clock, &options.users, &options))
    }

    fn wants(ids: impl IntoIterator<Item = u64>) -> Vec<Want> {
        ids.into_iter().map(|id| Want { id, version: 0 }).collect()
    }

    fn tickets(cached: &Cached<Users>) -> usize {
        cached.shards.iter().map(|shard| shard.tickets()).sum()
    }

    #[tokio::test]
    async fn no_flight_leaves_a_ticket_behind() {
        let cached = cached();
        let (known, unknown) = (wants(0..5), wants(8..12));
        let mut dropped = Box::pin(cached.get(&unknown));
        assert!(poll!(&mut dropped).is_pending());
        assert_eq!(tickets(&cached), 4);
        cached.get(&known).now_or_never().expect("they are known");
        assert_eq!(tickets(&cached), 4, "of the flight that is under way");
        drop(dropped);
        assert_eq!(tickets(&cached), 0);
        assert_eq!(Arc::strong_count(&cached), 1, "nobody else keeps it");
    }

    #[tokio::test]
    async fn what_lands_between_two_looks_is_not_fetched_again() {
        let cached = cached();
        let wanted = wants([1, 2]);
        let missing = cached.look(&wanted).missing;
        cached.get(&wanted[..1]).await;
        let late: Vec<_> = missing.iter().map(|&at| wanted[at]).collect();
        let answers = cached.join(&late).answers().await;
        assert!(wanted.iter().all(|&want| answers.to(want).is_ok()));
        assert_eq!(cached.stats().source_calls, 2);
        let again = cached.join(&late).answers().await;
        assert_eq!(again.to(late[0]).unwrap().id.get(), 1);
        assert_eq!(cached.stats().source_calls, 2);
    }
}
