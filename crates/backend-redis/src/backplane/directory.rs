mod row;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use backplane::{
    Clock, Error, ErrorKind, FencingToken, Result, SystemClock,
    directory::{
        Directory, DirectoryOptions, Incarnation, Joined, Membership, Node, NodeChange, Tenure,
        View, ViewEpoch, check_name, check_node,
    },
};
use redis::{FromRedisValue, Value};

use super::times;
use crate::{
    Redis, failure,
    script::{Call, Script},
};

/// A [`Directory`] on Redis, which all nodes share.
///
/// Each call is one round trip and one script. A script first ends the leases that passed, so its time
/// grows with those, and [`members`](Directory::members) with the nodes of the service where the view
/// is another than the caller knows. All services are in one slot of a Cluster.
///
/// Leases are measured by the server's clock. Epochs and tokens are microseconds of that clock, or one
/// more than the last if that is later; so those that follow upon a loss are later than what was lost.
#[derive(Clone, Debug)]
pub struct RedisDirectory {
    redis: Redis,
    clock: Arc<dyn Clock>,
    options: DirectoryOptions,
    poll_every: Duration,
}

macro_rules! script {
    ($name:ident, $file:literal) => {
        static $name: Script = Script::new(concat!(
            include_str!("directory/service.lua"),
            include_str!($file)
        ));
    };
}

script!(JOIN, "directory/join.lua");
script!(RENEW, "directory/renew.lua");
script!(UPDATE, "directory/update.lua");
script!(LEAVE, "directory/leave.lua");
script!(MEMBERS, "directory/members.lua");

impl RedisDirectory {
    /// The directory whose keys begin with the prefix of `redis` and `{directory}`. All nodes give the
    /// same `options`.
    #[must_use]
    pub fn new(redis: Redis, options: DirectoryOptions) -> Self {
        Self {
            redis,
            clock: Arc::new(SystemClock::new()),
            options,
            poll_every: Duration::from_millis(500),
        }
    }

    /// Asks for changes every `interval`, for each call that waits for one. Default 500 ms.
    #[must_use]
    pub fn with_poll_every(mut self, interval: Duration) -> Self {
        self.poll_every = interval.max(Duration::from_millis(1));
        self
    }

    /// What every script of a service begins with.
    fn about(&self, service: &str, call: Call) -> Call {
        let key = |kind: &str| {
            let prefix = self.redis.prefix();
            format!("{prefix}{{directory}}{kind}:{service}")
        };
        call.key(key("known")).key(key("ends")).key(key("nodes"))
    }

    /// A call about a membership, which answers whether that was held.
    fn call_of(&self, script: &'static Script, membership: &Membership) -> Call {
        self.about(&membership.service, Call::of(script))
            .bytes(&*membership.node)
            .bytes(row::digits(membership.token.get()))
    }

    async fn tenure(&self, op: &'static str, call: &Call) -> Result<Tenure> {
        match self.redis.run(op, call).await? {
            Value::Int(1) => Ok(Tenure::Held),
            Value::Int(0) => Ok(Tenure::Lost),
            other => Err(failure::strange(op, &other)),
        }
    }

    /// The view of `service`, unless its epoch is `known`.
    async fn view(
        &self,
        op: &'static str,
        service: &str,
        known: Option<ViewEpoch>,
    ) -> Result<Option<View>> {
        check_name(op, service)?;
        let known = known.map_or_else(String::new, |epoch| epoch.to_string());
        let call = self.about(service, Call::reading(&MEMBERS)).bytes(known);
        let answer = self.redis.run(op, &call).await?;
        let parts = Vec::<Value>::from_redis_value_ref(&answer);
        let view = match parts.as_deref() {
            Ok([_]) => return Ok(None),
            Ok([epoch, nodes]) => view(epoch, nodes),
            _ => None,
        };
        let view = view.ok_or_else(|| Error::bare(ErrorKind::Corrupt, op));
        view.map(Some)
    }
}

#[async_trait]
impl Directory for RedisDirectory {
    async fn join(&self, service: &str, node: Node, ttl: Duration) -> Result<Joined> {
        check_name("join", service)?;
        check_node("join", &node)?;
        let prefix = self.redis.prefix();
        let call = self
            .about(service, Call::of(&JOIN))
            .key(format!("{prefix}{{directory}}services"))
            .bytes(service)
            .bytes(&*node.name)
            .bytes(row::digits(node.incarnation.get()))
            .bytes(row::pack(&node))
            .number(times::ttl("join", ttl)?)
            .number(self.options.nodes as u64)
            .number(self.options.services as u64);
        let answer = self.redis.run("join", &call).await?;
        let parts = Vec::<String>::from_redis_value_ref(&answer).unwrap_or_default();
        let parts: Vec<_> = parts.iter().map(String::as_str).collect();
        Ok(
            match (parts.as_slice(), parts.last().map(|last| last.parse())) {
                (["member", _], Some(Ok(token))) => Joined::Member(Membership {
                    service: service.into(),
                    node: node.name,
                    token: FencingToken::new(token),
                }),
                (["superseded", _], Some(Ok(by))) => Joined::Superseded {
                    by: Incarnation::new(by),
                },
                (["full"], _) => Joined::Full,
                _ => return Err(failure::strange("join", &answer)),
            },
        )
    }

    async fn renew(&self, membership: &Membership, ttl: Duration) -> Result<Tenure> {
        let call = self.call_of(&RENEW, membership).number(times::micros(ttl));
        self.tenure("renew", &call).await
    }

    async fn update(&self, membership: &Membership, changes: &[NodeChange]) -> Result<Tenure> {
        let (mut state, mut weight) = (String::new(), String::new());
        for change in changes {
            match *change {
                NodeChange::State(to) => state = row::state(to).into(),
                NodeChange::Weight(to) => weight = row::weight(to),
                _ => {
                    return Err(Error::new(
                        ErrorKind::Invalid,
                        "update",
                        "an unknown change",
                    ));
                }
            }
        }
        let call = self.call_of(&UPDATE, membership).bytes(state).bytes(weight);
        self.tenure("update", &call).await
    }

    async fn leave(&self, membership: &Membership) -> Result<Tenure> {
        self.tenure("leave", &self.call_of(&LEAVE, membership))
            .await
    }

    async fn members(&self, service: &str) -> Result<View> {
        let view = self.view("members", service, None).await?;
        view.ok_or_else(|| Error::bare(ErrorKind::Corrupt, "members"))
    }

    async fn changed(&self, service: &str, since: ViewEpoch) -> Result<View> {
        loop {
            if let Some(view) = self.view("changed", service, Some(since)).await? {
                return Ok(view);
            }
            self.clock.sleep(self.poll_every).await;
        }
    }
}

fn view(epoch: &Value, nodes: &Value) -> Option<View> {
    let epoch = String::from_redis_value_ref(epoch).ok()?;
    let rows = Vec::<Vec<u8>>::from_redis_value_ref(nodes).ok()?;
    let mut nodes = Vec::with_capacity(rows.len() / 2);
    for row in rows.chunks(2) {
        let [name, row] = row else {
            return None;
        };
        nodes.push(row::unpack(std::str::from_utf8(name).ok()?, row)?);
    }
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    Some(View {
        epoch: ViewEpoch::new(epoch.parse().ok()?),
        nodes: nodes.into(),
    })
}
