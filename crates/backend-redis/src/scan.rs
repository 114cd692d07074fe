//! Every key of a kind, wherever it is.

use backplane::{Error, ErrorKind, Result};
use redis::{
    Cmd, FromRedisValue, InfoDict, Value,
    cluster_routing::{Route, SingleNodeRoutingInfo, Slot, SlotAddr},
    cmd,
};

use crate::{Redis, failure, slots::Range};

/// How many keys a server looks at in one step, of whatever kind.
const SLICE: usize = 1_000;

/// How often all keys are looked at while slots move.
const ROUNDS: usize = 5;

/// A walk over the keys that begin in the same way, which shows each at least once that is there all the
/// time.
///
/// A cursor means something only to the process that gave it, so each answer says who gives it, and a walk
/// begins anew when that is another, as after a failover or a restart.
///
/// While a slot is moved, its keys go one by one from a server that may not have been looked at to one
/// that has. So all are looked at again until none has moved meanwhile, or until the same slots were under
/// way for two rounds: what moves in the first is found in the second, where it has arrived.
pub(crate) struct Scan<'a> {
    redis: &'a Redis,
    op: &'static str,
    pattern: String,
    layout: Layout,
    /// Which of the masters is looked at, and up to where it was.
    at: usize,
    cursor: Vec<u8>,
    /// Which run of a server's program has given that.
    run: Option<String>,
    rounds: usize,
    /// For how many rounds the layout has been the same.
    calm: usize,
}

impl<'a> Scan<'a> {
    pub(crate) async fn of(redis: &'a Redis, op: &'static str, start: &str) -> Result<Self> {
        Ok(Self {
            redis,
            op,
            pattern: format!("{}*", literal(start)),
            layout: Layout::look(redis, op).await?,
            at: 0,
            cursor: b"0".to_vec(),
            run: None,
            rounds: 0,
            calm: 0,
        })
    }

    /// Some keys, which may be none; `None` once all were shown.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Vec<u8>>>> {
        if self.at == self.layout.masters.len() {
            if self.is_done().await? {
                return Ok(None);
            }
            self.at = 0;
        }
        let mut scan = cmd("SCAN");
        scan.arg(&self.cursor).arg("MATCH").arg(&self.pattern);
        scan.arg("COUNT").arg(SLICE);
        let (node, run) = &self.layout.masters[self.at];
        let (answer, by) = ask(self.redis, self.op, node.clone(), scan).await?;
        let expected = run.as_ref().or(self.run.as_ref());
        if expected.is_some_and(|run| *run != by) {
            return self.begin_anew().map(|()| Some(Vec::new()));
        }
        let page = <(Vec<u8>, Vec<Vec<u8>>)>::from_redis_value_ref(&answer);
        let (next, keys) = page.map_err(|_| failure::strange(self.op, &answer))?;
        let is_end = next == b"0";
        self.at += usize::from(is_end);
        self.run = (!is_end).then_some(by);
        self.cursor = next;
        Ok(Some(keys))
    }

    /// What is a cursor to one process means nothing to another. In a Cluster all is looked at anew.
    fn begin_anew(&mut self) -> Result<()> {
        self.at = if self.redis.is_cluster() {
            self.layout.masters.len()
        } else {
            0
        };
        (self.cursor, self.run) = (b"0".to_vec(), None);
        self.count_round("servers start again")
    }

    fn count_round(&mut self, what: &'static str) -> Result<()> {
        self.rounds += 1;
        if self.rounds == ROUNDS {
            return Err(Error::new(ErrorKind::Unavailable, self.op, what));
        }
        Ok(())
    }

    /// Whether none can have been overlooked when all masters were looked at.
    async fn is_done(&mut self) -> Result<bool> {
        let layout = Layout::look(self.redis, self.op).await?;
        self.calm = if layout.is_as(&self.layout) {
            self.calm + 1
        } else {
            0
        };
        self.layout = layout;
        let needed = 1 + usize::from(self.layout.is_moving);
        if self.calm >= needed && !self.layout.is_out_of_sight {
            return Ok(true);
        }
        self.count_round("slots are moving")?;
        Ok(false)
    }
}

/// Who serves which slots of a Cluster, and which of them are on their way to another.
struct Layout {
    /// How to reach each master that serves slots, and which run of its program that is; one server may be any.
    masters: Vec<(SingleNodeRoutingInfo, Option<String>)>,
    /// What each master says of its slots.
    of_each: Vec<String>,
    is_moving: bool,
    /// Whether a slot is moving to a master that serves none yet, and that no client knows.
    is_out_of_sight: bool,
}

impl Layout {
    async fn look(redis: &Redis, op: &'static str) -> Result<Self> {
        let mut layout = Self {
            masters: Vec::new(),
            of_each: Vec::new(),
            is_moving: false,
            is_out_of_sight: false,
        };
        if !redis.is_cluster() {
            layout.masters.push((SingleNodeRoutingInfo::Random, None));
            return Ok(layout);
        }
        let masters = redis.slots(op).await?.masters();
        for master in &masters {
            let mut nodes = cmd("CLUSTER");
            nodes.arg("NODES");
            let (answer, run) = ask(redis, op, to(master), nodes).await?;
            layout.masters.push((to(master), Some(run)));
            let answer = String::from_redis_value_ref(&answer);
            let answer = answer.map_err(|_| Error::bare(ErrorKind::Corrupt, op))?;
            let own = answer.lines().find(|line| line.contains("myself"));
            let own = own.ok_or_else(|| Error::bare(ErrorKind::Corrupt, op))?;
            if !own.starts_with(&master.node) {
                let other = "the client takes another server for the master of a slot";
                return Err(Error::new(ErrorKind::Unavailable, op, other));
            }
            for (_, target) in own.split(" [").filter_map(|slot| slot.split_once("->-")) {
                let is_it = |master: &Range| target.starts_with(&master.node);
                layout.is_out_of_sight |= !masters.iter().any(is_it);
            }
            layout.of_each.push(own_words(own));
        }
        layout.is_moving = layout.of_each.iter().any(|own| own.contains('['));
        Ok(layout)
    }

    fn is_as(&self, other: &Self) -> bool {
        let runs = |layout: &Self| -> Vec<_> {
            let runs = layout.masters.iter().map(|(_, run)| run.clone());
            runs.collect()
        };
        self.of_each == other.of_each && runs(self) == runs(other)
    }
}

/// Asks a node, which also says which run of its program has answered.
async fn ask(
    redis: &Redis,
    op: &'static str,
    node: SingleNodeRoutingInfo,
    command: Cmd,
) -> Result<(Value, String)> {
    let who = cmd("INFO").arg("server").take();
    let mut answers = redis.all_at(op, node, vec![who, command]).await?;
    let corrupt = || Error::bare(ErrorKind::Corrupt, op);
    let (Some(answer), Some(who)) = (answers.pop(), answers.pop()) else {
        return Err(corrupt());
    };
    let who = InfoDict::from_redis_value(who).map_err(|_| corrupt())?;
    let run = who.get("run_id").ok_or_else(corrupt)?;
    Ok((answer, run))
}

/// By one of its slots: a client that does not know an address makes all its connections anew. If the slot goes
/// to another server meanwhile, so does the rest of the walk, and [`Layout`] is not the same after it.
fn to(master: &Range) -> SingleNodeRoutingInfo {
    let slot = Slot::new(master.first);
    SingleNodeRoutingInfo::from(slot.map(|slot| Route::with_slot(slot, SlotAddr::Master)))
}

/// What a node says of itself but for times: its name, its epoch and its slots, those last that move.
fn own_words(line: &str) -> String {
    let words = line.split(' ').enumerate();
    let words = words.filter(|(place, _)| ![1, 4, 5].contains(place));
    let words: Vec<_> = words.map(|(_, word)| word).collect();
    words.join(" ")
}

/// A pattern that only this text matches.
fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for char in text.chars() {
        if "*?[]^-\\".contains(char) {
            pattern.push('\\');
        }
        pattern.push(char);
    }
    pattern
}
