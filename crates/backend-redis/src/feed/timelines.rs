mod answer;
mod block;
mod change;
mod header;
mod line;
mod options;
mod varint;

use async_trait::async_trait;
use backplane::{ErrorKind, Timestamp};
use feed_core::{
    BuildStart, BuildTicket, Entry, PostId, PushReport, Result, Seek, TimelineState, TimelineStore,
    UserId, Window,
};
use futures::future::join_all;
use redis::{Cmd, RedisError, Value};

pub use self::options::RedisTimelinesOptions;
use self::{
    answer::{Found, List},
    change::{Change, ascending},
    header::Header,
};
use crate::{
    Redis,
    answer::flag,
    failure,
    scan::Scan,
    script::{Call, script},
};

/// A [`TimelineStore`] on Redis, which all nodes share.
///
/// # What it takes
///
/// A timeline is a list of its own: a header, the entries up to some time packed into one element, and what
/// happened since, one short element each. A push is one `RPUSHX` a follower, which leaves alone what is
/// not there, so nothing is read or decided to push; nor to remove a post or purge an author, which are
/// notes in the list too. What comes out of the list is decided by who reads it. Every
/// [`UNPACKED`](Self::UNPACKED) notes, the caller whose note was the last packs the list: it reads it,
/// and replaces what it has read by a script, unless another has.
///
/// | call | round trips | commands |
/// |---|---|---|
/// | `push_many`, `remove_many`, `purge_many` | 1 to each server, and 2 more if a list is to be packed | `RPUSHX` an owner; of a list to be packed, `LRANGE` and a script of 4 |
/// | `drop_many` | 1 to each server | `UNLINK` an owner |
/// | `window`, `begin_build`, `commit_build` | 1 | a script of 2 to 7 |
/// | `merge` | 1, and 2 more if the list is to be packed | a script of 4 |
/// | `retain` | 1 for every 1,000 keys of every server, whosever they are, and 1 for those to be dropped | `INFO` and `SCAN`, and `UNLINK` an owner |
///
/// In a Cluster, `retain` looks at all keys again until no slot has moved meanwhile, or the same ones were
/// under way for two rounds. After five rounds it fails as `Unavailable`.
///
/// A window reads the whole list.
///
/// # What Redis may lose
///
/// The header says on which server a build began, by its replication id. A server that was restarted, took
/// over from another or was handed the slot has another id, and may lack the newest entries: there the
/// timeline is cold, and is built again when it is next read. A server has another id too once its first
/// replica is attached, or none was for as long as `repl-backlog-ttl` says: all timelines of it are cold
/// then, at once, so attach replicas before there is load. Timelines may be evicted where there is no memory
/// for them, which also leaves them cold; so are those that were written by another version.
///
/// A push counts as reached what only a reader will find to be cold.
#[derive(Clone, Debug)]
pub struct RedisTimelines {
    redis: Redis,
    options: RedisTimelinesOptions,
}

script!(WINDOW, "timelines/timeline.lua", "timelines/window.lua");
script!(BEGIN, "timelines/timeline.lua", "timelines/begin.lua");
script!(COMMIT, "timelines/timeline.lua", "timelines/commit.lua");
script!(MERGE, "timelines/timeline.lua", "timelines/merge.lua");
script!(PACK, "timelines/pack.lua");

/// How many notes are sent in one pipeline.
const NOTED_AT_ONCE: usize = 250;

impl RedisTimelines {
    /// How many notes a list takes between two times that it is packed.
    pub const UNPACKED: usize = 64;

    /// The timelines whose keys begin with the prefix of `redis` and `{tl:`. All nodes give the same
    /// `options`.
    #[must_use]
    pub fn new(redis: Redis, mut options: RedisTimelinesOptions) -> Self {
        options.capacity = options.capacity.max(1);
        Self { redis, options }
    }

    fn key(&self, owner: UserId) -> String {
        format!("{}{{tl:{owner}}}", self.redis.prefix())
    }

    /// What every script of a timeline begins with.
    fn about(&self, owner: UserId, call: Call) -> Call {
        call.key(self.key(owner)).number(self.options.ttl())
    }

    /// Notes `change` in the list of every owner who has one. The server works on some while others are
    /// made ready, or their lists are packed.
    async fn note(&self, op: &'static str, owners: &[UserId], change: &Change) -> Noted {
        let element = change.encode();
        let parts = owners.chunks(NOTED_AT_ONCE);
        let parts = parts.map(|owners| self.note_some(op, owners, &element));
        let mut noted = Noted::default();
        for part in join_all(parts).await {
            noted.add(part);
        }
        noted
    }

    async fn note_some(&self, op: &'static str, owners: &[UserId], element: &[u8]) -> Noted {
        let commands = owners.iter().map(|owner| {
            let key = self.key(*owner);
            let mut command = Cmd::with_capacity(3, 6 + key.len() + element.len());
            command.arg("RPUSHX").arg(&key).arg(element);
            command
        });
        let commands: Vec<_> = commands.collect();
        let answers = self.redis.send_all(commands).await;
        let (mut noted, mut due) = (Noted::default(), Vec::new());
        for (&owner, answer) in owners.iter().zip(answers) {
            match answer.map(|answer| answer::len(&answer).ok_or(answer)) {
                Ok(Ok(0)) => noted.report.cold += 1,
                Ok(Ok(len)) => {
                    noted.report.reached += 1;
                    if is_due(len) {
                        due.push(owner);
                    }
                }
                Ok(Err(strange)) => noted.fail(owner, failure::strange(op, &strange)),
                Err(error) => noted.fail(owner, failure::of(op, error)),
            }
        }
        self.pack(&due).await;
        noted
    }

    /// Has timelines without something. Where there is no room to note that, a timeline turns cold.
    async fn take_out(&self, op: &'static str, owners: &[UserId], change: &Change) -> Noted {
        let noted = self.note(op, owners, change).await;
        match &noted.error {
            Some(error) if error.kind() == ErrorKind::Full => {
                self.turn_cold(op, &noted.report.failed).await
            }
            _ => noted,
        }
    }

    async fn turn_cold(&self, op: &'static str, owners: &[UserId]) -> Noted {
        let mut noted = Noted::default();
        for (&owner, answer) in owners.iter().zip(self.unlink_all(owners).await) {
            if let Err(error) = answer {
                noted.fail(owner, failure::of(op, error));
            }
        }
        noted
    }

    /// Packs lists. One that fails is packed [`UNPACKED`](Self::UNPACKED) notes later.
    async fn pack(&self, owners: &[UserId]) {
        let read = owners.iter().map(|owner| {
            let mut command = redis::cmd("LRANGE");
            command.arg(self.key(*owner)).arg(0).arg(-1);
            command
        });
        let lists = self.redis.send_all(read.collect::<Vec<_>>()).await;
        let mut calls = Vec::with_capacity(owners.len());
        for (&owner, list) in owners.iter().zip(lists) {
            match list.map(|list| answer::list(&list, self.options.capacity)) {
                Ok(Some(Found::List(list))) => calls.push(self.packing(owner, list)),
                Ok(Some(Found::Nothing)) => {}
                Ok(Some(Found::Unreadable) | None) => self.forget(owner).await,
                Err(error) => not_packed(&failure::of("pack", error)),
            }
        }
        for packed in self.redis.ask_all("pack", &calls, flag).await {
            if let Err(error) = packed {
                not_packed(&error);
            }
        }
    }

    fn packing(&self, owner: UserId, list: List) -> Call {
        let (floor, entries) = list.line.into_parts();
        Call::passing(&PACK)
            .key(self.key(owner))
            .bytes(list.header_element)
            .number(list.changes as u64)
            .bytes(list.header.packed(floor).encode())
            .bytes(Change::Merged(entries).encode())
    }

    /// Turns a timeline cold that cannot be read.
    async fn forget(&self, owner: UserId) {
        tracing::warn!(%owner, "a timeline that does not decode is dropped");
        // A reader who finds it still there does the same.
        let _ = self.redis.command("forget", &self.unlink(owner)).await;
    }

    fn unlink(&self, owner: UserId) -> Cmd {
        let mut command = redis::cmd("UNLINK");
        command.arg(self.key(owner));
        command
    }

    async fn found(&self, op: &'static str, owner: UserId, call: &Call) -> Result<Option<List>> {
        let read = |answer: &Value| answer::list(answer, self.options.capacity);
        Ok(match self.redis.ask(op, call, read).await? {
            Found::List(list) => Some(list),
            Found::Nothing => None,
            Found::Unreadable => {
                self.forget(owner).await;
                None
            }
        })
    }

    /// Drops timelines, and answers what there was of each.
    async fn unlink_all(&self, owners: &[UserId]) -> Vec<Result<Value, RedisError>> {
        let commands: Vec<_> = owners.iter().map(|owner| self.unlink(*owner)).collect();
        self.redis.send_all(commands).await
    }
}

#[async_trait]
impl TimelineStore for RedisTimelines {
    async fn push_many(&self, owners: &[UserId], entry: Entry) -> Result<PushReport> {
        let noted = self.note("push", owners, &Change::Pushed(entry)).await;
        noted.unless_all_failed(owners)
    }

    async fn remove_many(&self, owners: &[UserId], post: PostId) -> Result<Vec<UserId>> {
        let noted = self
            .take_out("remove", owners, &Change::Removed(post))
            .await;
        Ok(noted.unless_all_failed(owners)?.failed)
    }

    async fn merge(&self, owner: UserId, entries: &[Entry]) -> Result<TimelineState> {
        let change = Change::Merged(ascending(entries)).encode();
        let call = self.about(owner, Call::passing(&MERGE)).bytes(change);
        let Some(list) = self.found("merge", owner, &call).await? else {
            return Ok(TimelineState::Cold);
        };
        if !list.header.is_warm {
            return Ok(TimelineState::Building);
        }
        if is_due(1 + list.changes + 1) {
            self.pack(&[owner]).await;
        }
        let (floor, _) = list.line.into_parts();
        Ok(TimelineState::Warm { floor })
    }

    async fn purge_many(&self, owners: &[UserId], author: UserId) -> Result<()> {
        let noted = self
            .take_out("purge", owners, &Change::Purged(author))
            .await;
        noted.error.map_or(Ok(()), |error| Err(error.into()))
    }

    async fn window(&self, owner: UserId, seek: Seek, limit: usize) -> Result<Window> {
        let call = self.about(owner, Call::reading(&WINDOW));
        let Some(list) = self.found("window", owner, &call).await? else {
            return Ok(Window::new(Vec::new(), TimelineState::Cold));
        };
        if !list.header.is_warm {
            return Ok(Window::new(Vec::new(), TimelineState::Building));
        }
        let (floor, entries) = list.line.into_parts();
        let entries = line::range(&entries, seek, limit);
        Ok(Window::new(entries, TimelineState::Warm { floor }))
    }

    async fn begin_build(
        &self,
        owner: UserId,
        now: Timestamp,
        stale: Timestamp,
    ) -> Result<BuildStart> {
        let generation = fastrand::u64(..);
        let call = self
            .about(owner, Call::passing(&BEGIN))
            .bytes(Header::building(generation, now).encode())
            .number(header::time(stale));
        let started = BuildStart::Started(BuildTicket::new(owner, generation));
        let begun = |answer: &Value| answer::begun(answer, started);
        Ok(self.redis.ask("begin build", &call, begun).await?)
    }

    async fn commit_build(
        &self,
        ticket: BuildTicket,
        entries: &[Entry],
        floor: PostId,
    ) -> Result<bool> {
        let entries = ascending(entries);
        let call = self
            .about(ticket.owner, Call::passing(&COMMIT))
            .bytes(header::digits(ticket.generation))
            .bytes(Change::Committed { floor, entries }.encode());
        Ok(self.redis.ask("commit build", &call, flag).await?)
    }

    async fn drop_many(&self, owners: &[UserId]) -> Result<Vec<UserId>> {
        let dropped = self.turn_cold("drop", owners).await;
        Ok(dropped.unless_all_failed(owners)?.failed)
    }

    async fn retain(&self, keep: &(dyn Fn(UserId) -> bool + Send + Sync)) -> Result<usize> {
        let start = format!("{}{{tl:", self.redis.prefix());
        let owner = |key: &Vec<u8>| -> Option<UserId> {
            let owner = key.strip_prefix(start.as_bytes())?.strip_suffix(b"}")?;
            std::str::from_utf8(owner).ok()?.parse().ok()
        };
        let (mut dropped, mut scan) = (0, Scan::of(&self.redis, "retain", &start).await?);
        while let Some(keys) = scan.next().await? {
            let owners = keys.iter().filter_map(owner);
            let refused: Vec<_> = owners.filter(|&owner| !keep(owner)).collect();
            for answer in self.unlink_all(&refused).await {
                let answer = answer.map_err(|error| failure::of("retain", error))?;
                dropped += usize::from(answer == Value::Int(1));
            }
        }
        Ok(dropped)
    }
}

/// What became of a note in many lists.
#[derive(Default)]
struct Noted {
    report: PushReport,
    /// The first.
    error: Option<backplane::Error>,
}

impl Noted {
    fn fail(&mut self, owner: UserId, error: backplane::Error) {
        self.report.failed.push(owner);
        self.error.get_or_insert(error);
    }

    fn add(&mut self, part: Self) {
        self.report.reached += part.report.reached;
        self.report.cold += part.report.cold;
        self.report.failed.extend(part.report.failed);
        self.error = self.error.take().or(part.error);
    }

    fn unless_all_failed(self, owners: &[UserId]) -> Result<PushReport> {
        match self.error {
            Some(error) if self.report.failed.len() == owners.len() => Err(error.into()),
            _ => Ok(self.report),
        }
    }
}

/// Whether a list of this length is packed by whoever has made it so long.
const fn is_due(len: usize) -> bool {
    len > 2 && (len - 2).is_multiple_of(RedisTimelines::UNPACKED)
}

fn not_packed(error: &backplane::Error) {
    tracing::debug!(
        error = error as &dyn std::error::Error,
        "a timeline was not packed"
    );
}
