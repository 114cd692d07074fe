//! Every key of a kind, wherever it is.

use backplane::{Error, ErrorKind, Result};
use redis::{FromRedisValue, Value, cluster_routing::SingleNodeRoutingInfo, cmd};

use crate::{Redis, failure, slots::Address};

/// How many keys a server looks at in one step, of whatever kind.
const SLICE: usize = 1_000;

/// How often all keys are looked at while slots move.
const ROUNDS: usize = 5;

/// A walk over the keys that begin in the same way, which shows each at least once that is there all the
/// time.
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
        let mut command = cmd("SCAN");
        command.arg(&self.cursor).arg("MATCH").arg(&self.pattern);
        command.arg("COUNT").arg(SLICE);
        let master = &self.layout.masters[self.at];
        let answer = self.redis.command_at(self.op, to(master), command).await?;
        let page = <(Vec<u8>, Vec<Vec<u8>>)>::from_redis_value_ref(&answer);
        let (next, keys) = page.map_err(|_| failure::strange(self.op, &answer))?;
        self.at += usize::from(next == b"0");
        self.cursor = next;
        Ok(Some(keys))
    }

    /// Whether none can have been overlooked when all masters were looked at.
    async fn is_done(&mut self) -> Result<bool> {
        let layout = Layout::look(self.redis, self.op).await?;
        self.calm = if layout == self.layout {
            self.calm + 1
        } else {
            0
        };
        self.layout = layout;
        if self.calm == 2 || (self.calm == 1 && !self.layout.is_moving) {
            return Ok(true);
        }
        self.rounds += 1;
        if self.rounds == ROUNDS {
            return Err(Error::new(
                ErrorKind::Unavailable,
                self.op,
                "slots are moving",
            ));
        }
        Ok(false)
    }
}

/// Who serves which slots of a Cluster, and which of them are on their way to another.
#[derive(Debug, Eq, PartialEq)]
struct Layout {
    masters: Vec<Address>,
    /// What each master says of itself.
    of_each: Vec<String>,
    is_moving: bool,
}

impl Layout {
    async fn look(redis: &Redis, op: &'static str) -> Result<Self> {
        if !redis.is_cluster() {
            return Ok(Self {
                masters: vec![Address::default()],
                of_each: Vec::new(),
                is_moving: false,
            });
        }
        let mut nodes = cmd("CLUSTER");
        nodes.arg("NODES");
        let answer = text(op, &redis.command(op, &nodes).await?)?;
        let mut masters: Vec<_> = answer.lines().filter_map(master).collect();
        masters.sort_unstable();
        let mut of_each = Vec::with_capacity(masters.len());
        for address in &masters {
            let answer = text(op, &redis.command_at(op, to(address), nodes.clone()).await?)?;
            let own = answer.lines().find(|line| line.contains("myself"));
            let own = own.ok_or_else(|| Error::bare(ErrorKind::Corrupt, op))?;
            of_each.push(own_words(own));
        }
        let is_moving = of_each.iter().any(|own| own.contains('['));
        Ok(Self {
            masters,
            of_each,
            is_moving,
        })
    }
}

fn to(node: &Address) -> SingleNodeRoutingInfo {
    let (host, port) = node.clone();
    SingleNodeRoutingInfo::ByAddress { host, port }
}

/// The address of a node, if it is a master that is not dead.
fn master(line: &str) -> Option<Address> {
    let mut words = line.split(' ');
    let (_, address, flags) = (words.next()?, words.next()?, words.next()?);
    let mut flags = flags.split(',');
    if !flags.clone().any(|flag| flag == "master") || flags.any(|flag| flag == "fail") {
        return None;
    }
    let (host, rest) = address.rsplit_once(':')?;
    let port = rest.split(['@', ',']).next()?;
    Some((host.to_owned(), port.parse().ok()?))
}

/// What a node says of itself but for times: its name, its epoch and its slots, those last that move.
fn own_words(line: &str) -> String {
    let words = line.split(' ').enumerate();
    let words = words.filter(|(place, _)| ![1, 4, 5].contains(place));
    let words: Vec<_> = words.map(|(_, word)| word).collect();
    words.join(" ")
}

fn text(op: &'static str, answer: &Value) -> Result<String> {
    String::from_redis_value_ref(answer).map_err(|_| failure::strange(op, answer))
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
