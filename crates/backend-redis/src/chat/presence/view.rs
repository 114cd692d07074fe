use std::{collections::HashMap, sync::Arc};

use backplane::{FencingToken, Timestamp};
use chat_core::presence::NodeLease;
use redis::{FromRedisValue, Value};

use crate::answer::{bytes, parts, rows};

/// Which leases are held, as of one moment.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// By the clock of the server that has the leases.
    pub(super) micros: u64,
    roster: Arc<Roster>,
}

/// What is the same until a lease begins or ends.
#[derive(Debug)]
pub(super) struct Roster {
    pub(super) epoch: String,
    last_token: u64,
    /// By token.
    nodes: HashMap<u64, Box<str>>,
    /// When each of the leases that ended lately was renewed last.
    ended: HashMap<u64, Timestamp>,
    /// On which server each part of the users is known to be, and since when.
    servers: HashMap<u16, (Box<str>, u64)>,
}

impl View {
    /// Reads a view, which is of `known` if nothing else is answered.
    pub(super) fn read(answer: &Value, known: Option<&Arc<Roster>>) -> Option<Self> {
        let (now, rest) = parts(answer)?.split_first()?;
        let micros = text(now)?.parse().ok()?;
        let roster = match rest {
            [epoch] => Arc::clone(known.filter(|known| Some(&*known.epoch) == text(epoch))?),
            rest => Arc::new(Roster::read(rest)?),
        };
        Some(Self { micros, roster })
    }

    pub(super) const fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.micros / 1_000)
    }

    pub(super) fn holds(&self, lease: &NodeLease) -> bool {
        let holder = self.roster.nodes.get(&lease.token.get());
        holder.is_some_and(|node| **node == *lease.node)
    }

    /// When a lease that is not held was renewed last; when it began, if that is forgotten.
    pub(super) fn ended(&self, lease: FencingToken) -> Option<Timestamp> {
        let (token, roster) = (lease.get(), &self.roster);
        if roster.nodes.contains_key(&token) {
            return None;
        }
        let began = Timestamp::from_millis(token / 1_000);
        Some(roster.ended.get(&token).copied().unwrap_or(began))
    }

    /// Whether the lease may have begun after this moment.
    pub(super) fn is_before(&self, lease: FencingToken) -> bool {
        let (token, roster) = (lease.get(), &self.roster);
        token > roster.last_token && !roster.nodes.contains_key(&token)
    }

    /// The server that a part is known to be on, empty for none.
    pub(super) fn server(&self, part: u16) -> &str {
        let known = self.roster.servers.get(&part);
        known.map_or("", |(server, _)| server)
    }

    /// Since when a part is known to be there, in microseconds: what it has from before may be older than what
    /// was there last.
    pub(super) fn since(&self, part: u16) -> u64 {
        let known = self.roster.servers.get(&part);
        known.map_or(0, |&(_, since)| since)
    }
}

impl Roster {
    fn read(answer: &[Value]) -> Option<Self> {
        let [epoch, last_token, nodes, ended, servers] = answer else {
            return None;
        };
        let node = |(name, row): (&str, &str)| Some((row.get(20..40)?.parse().ok()?, name.into()));
        let renewed = |(token, at): (&str, &str)| {
            let at = Timestamp::from_millis(at.parse().ok()?);
            Some((token.parse().ok()?, at))
        };
        let server = |(part, server): (&str, &str)| {
            let (server, since) = server.split_at_checked(40)?;
            Some((part.parse().ok()?, (server.into(), since.parse().ok()?)))
        };
        Some(Self {
            epoch: String::from_redis_value_ref(epoch).ok()?,
            last_token: text(last_token)?.parse().ok()?,
            nodes: pairs(nodes)?.map(node).collect::<Option<_>>()?,
            ended: pairs(ended)?.map(renewed).collect::<Option<_>>()?,
            servers: pairs(servers)?.map(server).collect::<Option<_>>()?,
        })
    }
}

fn text(answer: &Value) -> Option<&str> {
    std::str::from_utf8(bytes(answer)?).ok()
}

fn pairs(answer: &Value) -> Option<impl Iterator<Item = (&str, &str)>> {
    let texts: Option<Vec<_>> = rows(answer)?
        .into_iter()
        .map(|row| std::str::from_utf8(row).ok())
        .collect();
    let texts = texts?;
    let (pairs, rest) = texts.as_chunks();
    let pairs: Vec<_> = pairs.iter().map(|&[key, value]| (key, value)).collect();
    rest.is_empty().then(|| pairs.into_iter())
}
