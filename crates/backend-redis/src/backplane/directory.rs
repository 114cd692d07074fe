mod answer;
mod row;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use backplane::{
    Clock, Error, ErrorKind, Result, Sleep, SystemClock,
    directory::{
        Directory, DirectoryOptions, Joined, Membership, Node, NodeChange, Tenure, View, ViewEpoch,
        check_name, check_node,
    },
};

use self::answer::{Entered, Seen};
use crate::{
    Redis,
    script::{Call, Script, script},
    times,
};

/// A [`Directory`] on Redis, which all nodes share.
///
/// Each call is one round trip and one script. A script first ends the leases that passed, so its time
/// grows with those, and [`members`](Directory::members) with the nodes of the service where the view
/// is another than the caller knows. All services are in one slot of a Cluster.
///
/// Leases are measured by the server's clock: when that is set back, or a replica takes over whose clock is behind,
/// a node that is gone stays in the view for as much longer, and when it is set forward, leases end early. Epochs
/// and tokens are microseconds of that clock, or one more than the last if that is later; so those that follow upon
/// a loss are later than what was lost, unless the clock is behind by more than that took.
///
/// Where memory is full, nobody joins, and whoever has joined stays.
#[derive(Clone, Debug)]
pub struct RedisDirectory {
    redis: Redis,
    clock: Arc<dyn Clock>,
    options: DirectoryOptions,
    poll_every: Duration,
}

script!(JOIN, "directory/service.lua", "directory/join.lua");
script!(RENEW, "directory/service.lua", "directory/renew.lua");
script!(UPDATE, "directory/service.lua", "directory/update.lua");
script!(LEAVE, "directory/service.lua", "directory/leave.lua");
script!(MEMBERS, "directory/service.lua", "directory/members.lua");

impl RedisDirectory {
    /// The directory whose keys begin with the prefix of `redis` and `{directory}`. All nodes give the
    /// same `options`.
    #[must_use]
    pub fn new(redis: Redis, mut options: DirectoryOptions) -> Self {
        options.nodes = options.nodes.max(1);
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

    /// Measures the pauses between looks by `clock`. Leases go by that of the server.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
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
        self.redis.ask(op, call, answer::tenure).await
    }

    /// What there is to see of `service`, unless its epoch is `known`.
    async fn look(
        &self,
        op: &'static str,
        service: &str,
        known: Option<ViewEpoch>,
    ) -> Result<Seen> {
        check_name(op, service)?;
        let known = known.map_or_else(String::new, |epoch| epoch.to_string());
        let call = self.about(service, Call::reading(&MEMBERS)).bytes(known);
        self.redis.ask(op, &call, answer::seen).await
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
            .bytes(row::pack("join", &node)?)
            .number(times::ttl("join", ttl)?)
            .number(self.options.nodes as u64)
            .number(self.options.services as u64);
        let entered = self.redis.ask("join", &call, answer::entered).await?;
        Ok(match entered {
            Entered::Member(token) => Joined::Member(Membership {
                service: service.into(),
                node: node.name,
                token,
            }),
            Entered::Superseded(by) => Joined::Superseded { by },
            Entered::Full => Joined::Full,
        })
    }

    async fn renew(&self, membership: &Membership, ttl: Duration) -> Result<Tenure> {
        let call = self.call_of(&RENEW, membership).number(times::micros(ttl));
        self.tenure("renew", &call).await
    }

    async fn update(&self, membership: &Membership, changes: &[NodeChange]) -> Result<Tenure> {
        let (mut state, mut weight) = ("", String::new());
        for change in changes {
            match *change {
                NodeChange::State(to) => state = row::state("update", to)?,
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
        match self.look("members", service, None).await? {
            Seen::Changed(view) => Ok(view),
            Seen::Unchanged => Err(Error::bare(ErrorKind::Corrupt, "members")),
        }
    }

    async fn changed(&self, service: &str, since: ViewEpoch) -> Result<View> {
        loop {
            if let Seen::Changed(view) = self.look("changed", service, Some(since)).await? {
                return Ok(view);
            }
            self.clock.sleep(self.poll_every.min(Sleep::LONGEST)).await;
        }
    }
}
