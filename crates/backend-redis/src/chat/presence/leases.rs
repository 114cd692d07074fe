use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use backplane::{
    Error, ErrorKind, FencingToken, Result,
    directory::{Incarnation, Tenure, check_name},
};
use chat_core::presence::{NodeJoined, NodeLease};
use redis::{FromRedisValue, Value};

use super::view::{Roster, View};
use crate::{
    Redis,
    answer::flag,
    script::{Call, Script, script},
    times,
};

/// The leases of nodes, which are in one slot of a Cluster.
#[derive(Clone, Debug)]
pub(super) struct Leases {
    redis: Redis,
    most: usize,
    /// As it was last seen.
    roster: Arc<Mutex<Option<Arc<Roster>>>>,
}

script!(JOIN, "leases/leases.lua", "leases/join.lua");
script!(RENEW, "leases/leases.lua", "leases/renew.lua");
script!(LEAVE, "leases/leases.lua", "leases/leave.lua");
script!(VIEW, "leases/leases.lua", "leases/view.lua");
script!(FOUND, "leases/leases.lua", "leases/found.lua");

/// What is noted of a part of the users: the server that it was known to be on, and the one that it is on.
pub(super) type Place<'a> = (u16, &'a str, &'a str);

impl Leases {
    pub(super) fn new(redis: Redis, most: usize) -> Self {
        Self {
            redis,
            most,
            roster: Arc::default(),
        }
    }

    pub(super) async fn join(
        &self,
        node: &str,
        incarnation: Incarnation,
        ttl: Duration,
    ) -> Result<NodeJoined> {
        check_name("join", node)?;
        let call = self
            .call(Call::of(&JOIN))
            .bytes(node)
            .bytes(digits(incarnation.get()))
            .number(times::ttl("join", ttl)?)
            .number(self.most as u64);
        match self.redis.ask("join", &call, joined).await? {
            Joined::Held(token) => Ok(NodeJoined::Held(NodeLease {
                node: node.into(),
                token,
            })),
            Joined::Superseded(by) => Ok(NodeJoined::Superseded { by }),
            Joined::Full => Err(Error::bare(ErrorKind::Full, "join")),
        }
    }

    pub(super) async fn renew(&self, lease: &NodeLease, ttl: Duration) -> Result<Tenure> {
        let call = self.call_of(&RENEW, lease).number(times::micros(ttl));
        self.redis.ask("renew", &call, tenure).await
    }

    pub(super) async fn leave(&self, lease: &NodeLease) -> Result<Tenure> {
        let call = self.call_of(&LEAVE, lease);
        self.redis.ask("leave", &call, tenure).await
    }

    /// Which leases are held. Of what has not changed since somebody of this process looked, nothing is sent.
    pub(super) async fn view(&self, op: &'static str) -> Result<View> {
        let known = self.roster().clone();
        let epoch = known.as_ref().map_or("-", |known| &known.epoch);
        let call = self.call(Call::reading(&VIEW)).bytes(epoch);
        let read = |answer: &Value| View::read(answer, known.as_ref());
        let view = self.redis.ask(op, &call, read).await?;
        *self.roster() = Some(Arc::clone(view.roster()));
        Ok(view)
    }

    /// Notes on which servers parts of the users are, and ends all leases where one was on another.
    pub(super) async fn note(&self, op: &'static str, found: &[Place<'_>]) -> Result<()> {
        let call = self.call(Call::of(&FOUND));
        let call = found.iter().fold(call, |call, &(part, former, server)| {
            call.number(part).bytes(former).bytes(server)
        });
        if self.redis.ask(op, &call, flag).await? {
            tracing::warn!("what was reported may be lost: all nodes report anew");
        }
        Ok(())
    }

    fn call(&self, call: Call) -> Call {
        let base = format!("{}{{presence}}", self.redis.prefix());
        call.key(format!("{base}known"))
            .key(format!("{base}ends"))
            .key(format!("{base}nodes"))
            .key(format!("{base}ended"))
            .key(format!("{base}servers"))
    }

    fn call_of(&self, script: &'static Script, lease: &NodeLease) -> Call {
        self.call(Call::of(script))
            .bytes(&*lease.node)
            .bytes(digits(lease.token.get()))
    }

    fn roster(&self) -> std::sync::MutexGuard<'_, Option<Arc<Roster>>> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of a node that joins.
enum Joined {
    Held(FencingToken),
    Superseded(Incarnation),
    Full,
}

fn joined(answer: &Value) -> Option<Joined> {
    let parts = Vec::<String>::from_redis_value_ref(answer).ok()?;
    let parts: Vec<_> = parts.iter().map(String::as_str).collect();
    match parts[..] {
        ["held", token] => Some(Joined::Held(FencingToken::new(token.parse().ok()?))),
        ["superseded", by] => Some(Joined::Superseded(Incarnation::new(by.parse().ok()?))),
        ["full"] => Some(Joined::Full),
        _ => None,
    }
}

fn tenure(answer: &Value) -> Option<Tenure> {
    Some(if flag(answer)? {
        Tenure::Held
    } else {
        Tenure::Lost
    })
}

/// As text that sorts as the number does.
fn digits(number: u64) -> String {
    format!("{number:020}")
}
