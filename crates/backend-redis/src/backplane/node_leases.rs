use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use backplane::{
    Result, Timestamp,
    id::{Acquired, NodeLease, NodeLeases, Renewed},
};
use redis::{FromRedisValue, Value};

use crate::{
    Redis,
    script::{Call, Script, script},
    times,
};

/// [`NodeLeases`] on Redis, for the generators of all nodes.
///
/// Each call is one round trip and one script, of a few commands however many nodes there are; an
/// `acquire` also ends up to a hundred leases that have passed, by three commands each. Leases are measured
/// by the server's clock.
///
/// Of the free nodes it leases one that was never leased, or else the one whose mark lies furthest back.
///
/// # What Redis may lose
///
/// A lease and its mark that a server acknowledged may be lost when it dies: those of the last second
/// with `appendfsync everysec`, or what its replica had not received when that takes over. Two
/// generators may then hold one node until the former holder renews, which it loses, or its lease has passed; and
/// it may have issued ids ahead of the clock. So their ids may collide for as long as both together. Where that must
/// not be, let Redis write through (`appendfsync always`, `min-replicas-to-write 1`), or give the generators nodes
/// by other means.
#[derive(Clone, Debug)]
pub struct RedisNodeLeases {
    redis: Redis,
    base: Arc<str>,
    nodes: u32,
}

script!(ACQUIRE, "node_leases/acquire.lua");
script!(RENEW, "node_leases/renew.lua");
script!(RELEASE, "node_leases/release.lua");

impl RedisNodeLeases {
    /// The nodes `0..nodes`, under keys that begin with the prefix of `redis` and `{nodes:name}`. Generators whose
    /// ids must differ lease by one `name`, and others by another. Their number may be changed: a node that is
    /// leased already stays so.
    #[must_use]
    pub fn new(redis: Redis, name: &str, nodes: u32) -> Self {
        let base = format!("{}{{nodes:{name}}}", redis.prefix()).into();
        Self { redis, base, nodes }
    }

    fn call(&self, script: &'static Script) -> Call {
        let Self { base, .. } = self;
        Call::of(script)
            .key(&**base)
            .key(format!("{base}:held"))
            .key(format!("{base}:free"))
    }
}

#[async_trait]
impl NodeLeases for RedisNodeLeases {
    async fn acquire(&self, ttl: Duration, until: Timestamp) -> Result<Acquired> {
        let call = self
            .call(&ACQUIRE)
            .number(self.nodes)
            .number(times::ttl("acquire", ttl)?)
            .bytes(digits(until));
        self.redis.ask("acquire", &call, acquired).await
    }

    async fn renew(&self, lease: &NodeLease, ttl: Duration, until: Timestamp) -> Result<Renewed> {
        let call = self
            .call(&RENEW)
            .number(lease.node)
            .number(lease.token)
            .number(times::ttl("renew", ttl)?)
            .bytes(digits(until));
        let renewed = |answer: &Value| match answer {
            Value::Int(1) => Some(Renewed::Held),
            Value::Int(0) => Some(Renewed::Lost),
            _ => None,
        };
        self.redis.ask("renew", &call, renewed).await
    }

    async fn release(&self, lease: &NodeLease, until: Timestamp) -> Result<()> {
        let call = self
            .call(&RELEASE)
            .number(lease.node)
            .number(lease.token)
            .bytes(digits(until));
        self.redis.ask("release", &call, |_| Some(())).await
    }
}

fn acquired(answer: &Value) -> Option<Acquired> {
    let parts = Vec::<String>::from_redis_value_ref(answer).ok()?;
    match &parts[..] {
        [node, token, floor] => Some(Acquired::Granted(NodeLease {
            node: node.parse().ok()?,
            token: token.parse().ok()?,
            floor: match &floor[..] {
                "" => None,
                floor => Some(Timestamp::from_millis(floor.parse().ok()?)),
            },
        })),
        [ends] => Some(Acquired::AllTaken {
            retry_after: match &ends[..] {
                "" => Duration::MAX,
                micros => Duration::from_micros(micros.parse().ok()?),
            },
        }),
        _ => None,
    }
}

/// As text that sorts as the time does: a number of Lua would lose the last digits.
fn digits(time: Timestamp) -> String {
    format!("{:020}", time.as_millis())
}
