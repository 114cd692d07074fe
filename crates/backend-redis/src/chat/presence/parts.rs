use backplane::{FencingToken, Result};
use chat_core::{
    UserId,
    presence::{Change, Version},
};
use redis::{FromRedisValue, Value};

use super::{
    draft::{Draft, Lapse},
    view::View,
};
use crate::{
    Redis,
    answer::{bytes, done, number, parts, rows},
    batches::Batch,
    script::{Arguments, Call, script},
};

/// The users, in parts of which each is in one slot of a Cluster.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    redis: Redis,
    count: u16,
    /// How many users each has at most.
    most: u64,
}

script!(WHERE, "part/part.lua", "part/where.lua");
script!(READ, "part/part.lua", "part/read.lua");
script!(WRITE, "part/part.lua", "part/write.lua");
script!(LAPSED, "part/part.lua", "part/lapsed.lua");
script!(CHECKED, "part/part.lua", "part/checked.lua");
script!(CANDIDATES, "part/part.lua", "part/candidates.lua");

/// An answer, and the server that gave it, by its replication id.
pub(super) struct Found<T> {
    pub(super) part: u16,
    pub(super) server: String,
    pub(super) answer: T,
}

/// Records as they were found.
pub(super) struct Records {
    /// The last version of the part.
    pub(super) last: u64,
    pub(super) records: Vec<(UserId, Vec<u8>)>,
}

/// What became of a record that was to be replaced.
pub(super) enum Written {
    Done,
    Full,
    /// Another was there.
    Found(Vec<u8>),
}

/// Whom time has changed in a part.
pub(super) struct Lapses {
    pub(super) last: u64,
    pub(super) told: Vec<(UserId, Lapse, Vec<u8>)>,
    /// Whether the settings of others have ended.
    pub(super) is_due: bool,
    pub(super) turn: String,
    /// Leases of which some may have ended.
    pub(super) unchecked: Vec<FencingToken>,
}

/// Whom time may have changed in a part, under which lease; none of those whose settings have ended.
pub(super) struct Candidates {
    pub(super) last: u64,
    pub(super) users: Vec<(UserId, Option<FencingToken>, Vec<u8>)>,
}

impl Parts {
    pub(super) fn new(redis: Redis, count: u16, users: usize) -> Self {
        let most = (users as u64).div_ceil(count.into());
        Self { redis, count, most }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = u16> + use<> {
        0..self.count
    }

    /// Where a user is: also those whose ids differ by a multiple of anything are spread.
    pub(super) fn part_of(&self, user: UserId) -> u16 {
        let mixed = user.get().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        u16::try_from(mixed % u64::from(self.count)).expect("less than the count")
    }

    /// On which server each part is, of those that answer.
    pub(super) async fn locate(&self, op: &'static str) -> Vec<Result<Found<()>>> {
        let calls: Vec<_> = self
            .all()
            .map(|part| self.about(part, Call::reading(&WHERE)))
            .collect();
        self.ask_parts(op, self.all(), calls, |answer| {
            answer.is_empty().then_some(())
        })
        .await
    }

    pub(super) async fn read(
        &self,
        op: &'static str,
        users: &[UserId],
    ) -> Result<Vec<Found<Records>>> {
        let keys = users.iter().map(|&user| self.part_of(user));
        let call = |&part: &u16, places: &[usize]| {
            let call = self.about(part, Call::reading(&READ));
            places
                .iter()
                .fold(call, |call, &place| call.bytes(name(users[place])))
        };
        let found = self.redis.ask_batches(op, keys, call, from(records)).await;
        let found = found.into_iter().map(|((part, places), found)| {
            let (server, (last, rows)) = found?;
            let users = places.iter().map(|&place| users[place]);
            let records = users.zip(rows).collect();
            let answer = Records { last, records };
            Ok(Found {
                part,
                server,
                answer,
            })
        });
        found.collect()
    }

    /// Replaces records, and answers of each what became of it; of those on a server other than the view says,
    /// nothing.
    pub(super) async fn write(
        &self,
        op: &'static str,
        view: &View,
        manner: Manner,
        drafts: &[&Draft],
    ) -> Vec<(Batch<u16>, Result<Vec<Written>>)> {
        let keys = drafts.iter().map(|draft| self.part_of(draft.user()));
        let call = |&part: &u16, places: &[usize]| {
            let versions = places.iter().map(|&place| drafts[place].last_version());
            let mut rows = Arguments::new();
            for &place in places {
                rows = drafts[place].write_to(rows);
            }
            let call = match manner {
                Manner::Stays => Call::of(&WRITE),
                Manner::Passes => Call::passing(&WRITE),
            };
            self.about(part, call)
                .bytes(view.server(part))
                .number(u8::from(manner == Manner::Passes))
                .number(self.most)
                .number(versions.max().unwrap_or(0))
                .all(&rows)
        };
        let written = self.redis.ask_batches(op, keys, call, from(written)).await;
        let written = written.into_iter().map(|(batch, answer)| {
            let answer = answer.map(|(_, answer)| answer);
            (batch, answer)
        });
        written.collect()
    }

    /// Whom time has changed, at most `limit` in each part, once the `settled` are none of them any more.
    pub(super) async fn lapsed(
        &self,
        op: &'static str,
        view: &View,
        settled: &[Change],
        limit: usize,
    ) -> Vec<Result<Found<Lapses>>> {
        let call = |part| {
            let call = self
                .about(part, Call::reading(&LAPSED))
                .bytes(&view.roster().epoch)
                .number(view.now().as_millis())
                .number(limit as u64);
            let settled = settled.iter().filter(|change| {
                let user = change.published.user;
                self.part_of(user) == part
            });
            settled.fold(call, |call, change| {
                call.bytes(name(change.published.user))
                    .bytes(versions(change))
            })
        };
        let calls = self.all().map(call).collect();
        self.ask_parts(op, self.all(), calls, lapses).await
    }

    /// Notes that all leases under which somebody is in a part were held in a view.
    pub(super) async fn note_checked(&self, view: &View, parts: &[(u16, String)]) {
        let call = |(part, turn): &(u16, String)| {
            self.about(*part, Call::passing(&CHECKED))
                .bytes(&view.roster().epoch)
                .bytes(turn)
        };
        let calls: Vec<_> = parts.iter().map(call).collect();
        // Else they are looked at again.
        let _ = self.redis.ask_all("lapsed", &calls, done).await;
    }

    /// Whom time may have changed in parts where leases have ended, at most `limit` in each.
    pub(super) async fn candidates(
        &self,
        op: &'static str,
        view: &View,
        places: &[(u16, Vec<FencingToken>)],
        limit: usize,
    ) -> Vec<Result<Found<Candidates>>> {
        let call = |(part, ended): &(u16, Vec<FencingToken>)| {
            let call = self
                .about(*part, Call::reading(&CANDIDATES))
                .number(view.now().as_millis())
                .number(limit as u64);
            ended
                .iter()
                .fold(call, |call, lease| call.number(lease.get()))
        };
        let calls = places.iter().map(call).collect();
        let parts = places.iter().map(|&(part, _)| part);
        self.ask_parts(op, parts, calls, candidates).await
    }

    fn about(&self, part: u16, call: Call) -> Call {
        call.family(format!("{}{{presence:{part}}}", self.redis.prefix()))
    }

    async fn ask_parts<T>(
        &self,
        op: &'static str,
        parts: impl Iterator<Item = u16>,
        calls: Vec<Call>,
        read: impl Fn(&[Value]) -> Option<T>,
    ) -> Vec<Result<Found<T>>> {
        let answers = self.redis.ask_all(op, &calls, from(read)).await;
        let from = |(part, answer): (u16, Result<(String, T)>)| {
            let (server, answer) = answer?;
            Ok(Found {
                part,
                server,
                answer,
            })
        };
        parts.zip(answers).map(from).collect()
    }
}

/// How records are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Manner {
    /// Somebody relies on it, and may be told that there is no room.
    Stays,
    /// Another would find the same.
    Passes,
}

fn name(user: UserId) -> [u8; 8] {
    user.get().to_be_bytes()
}

/// As a record has them.
fn versions(change: &Change) -> Vec<u8> {
    let versions = [change.published.version, change.own.version];
    versions.map(Version::get).map(u64::to_be_bytes).concat()
}

/// Reads the server, and then the rest.
fn from<T>(read: impl Fn(&[Value]) -> Option<T>) -> impl Fn(&Value) -> Option<(String, T)> {
    move |answer| {
        let (server, rest) = parts(answer)?.split_first()?;
        Some((String::from_redis_value_ref(server).ok()?, read(rest)?))
    }
}

fn text_number(answer: &Value) -> Option<u64> {
    std::str::from_utf8(bytes(answer)?).ok()?.parse().ok()
}

fn user(row: &[u8]) -> Option<UserId> {
    number(row).map(UserId::new)
}

fn lease(row: &[u8]) -> Option<FencingToken> {
    let token = std::str::from_utf8(row).ok()?.parse().ok()?;
    Some(FencingToken::new(token))
}

fn records(answer: &[Value]) -> Option<(u64, Vec<Vec<u8>>)> {
    let [last, records] = answer else {
        return None;
    };
    let records = rows(records)?.into_iter().map(<[u8]>::to_vec);
    Some((text_number(last)?, records.collect()))
}

fn written(answer: &[Value]) -> Option<Vec<Written>> {
    let [answers] = answer else {
        return None;
    };
    let written = |answer: &Value| match answer {
        Value::Int(1) => Some(Written::Done),
        Value::Int(0) => Some(Written::Full),
        found => Some(Written::Found(bytes(found)?.to_vec())),
    };
    parts(answers)?.iter().map(written).collect()
}

fn lapses(answer: &[Value]) -> Option<Lapses> {
    let [last, told, is_due, turn, unchecked] = answer else {
        return None;
    };
    let told = rows(told)?;
    let (told, rest) = told.as_chunks();
    let one = |&[who, lapse, record]: &[&[u8]; 3]| {
        let lapse = std::str::from_utf8(lapse).ok()?.parse().ok()?;
        Some((user(who)?, Lapse::of_code(lapse), record.to_vec()))
    };
    let told = told.iter().map(one).collect::<Option<_>>()?;
    rest.is_empty().then_some(Lapses {
        last: text_number(last)?,
        told,
        is_due: *is_due == Value::Int(1),
        turn: String::from_redis_value_ref(turn).ok()?,
        unchecked: rows(unchecked)?
            .into_iter()
            .map(lease)
            .collect::<Option<_>>()?,
    })
}

fn candidates(answer: &[Value]) -> Option<Candidates> {
    let [last, users] = answer else {
        return None;
    };
    let users = rows(users)?;
    let (users, rest) = users.as_chunks();
    let one = |&[who, under, record]: &[&[u8]; 3]| {
        let under = match under {
            [] => None,
            under => Some(lease(under)?),
        };
        Some((user(who)?, under, record.to_vec()))
    };
    let users = users.iter().map(one).collect::<Option<_>>()?;
    rest.is_empty().then_some(Candidates {
        last: text_number(last)?,
        users,
    })
}
