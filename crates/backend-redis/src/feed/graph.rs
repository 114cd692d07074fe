mod answer;
mod circles;
mod erase;
mod heal;
mod lists;
mod routes;
mod row;
mod ties;

use std::sync::Arc;

use async_trait::async_trait;
use feed_core::{
    Circle, Degree, EdgeRoute, FollowSettings, Followed, Follower, Graph, Hide, ListId, Result,
    Route, RouteStamp, UserId,
};
use redis::cmd;

use self::{
    answer::Rerouted,
    ties::{Kind, Tie},
};
use crate::{
    Redis,
    batches::BATCH,
    script::{Call, Script, script},
};

/// A [`Graph`] on Redis, which all nodes share.
///
/// All that is of one user is in one slot of a Cluster; users are spread over all slots. So a tie, which
/// is an edge, a block or a mute, has two ends that cannot change at one instant. Who made the tie keeps
/// it, and notes the change as pending in the same step; then the copy at the other end is changed, and
/// then the note is taken back. Whoever reads the ties that a user has made and finds a note first
/// changes the copy: so nobody has seen an edge that [`followers`](Graph::followers) does not answer from
/// then on, and what a process that died has left halfway, the next reader brings to its end. Until then
/// the viewer has a route by which they pull at least what fanout may leave out.
///
/// | call | round trips | commands |
/// |---|---|---|
/// | [`follow`](Graph::follow), [`unfollow`](Graph::unfollow), [`hide`](Graph::hide) | 3, or 1 if nothing changes | a script each |
/// | [`reroute`](Graph::reroute) | 3, or 1 if nothing changes; 1 more where a stamp is another | a script an edge, one an author, one an edge; `ZRANGEBYLEX` for each whose stamp is another |
/// | [`followers`](Graph::followers) | 1 | `ZRANGEBYLEX` |
/// | [`circles`](Graph::circles) | 2 | two `HGETALL` and an `EXISTS` a viewer, up to 16 `HMGET` for all |
/// | [`degrees`](Graph::degrees) | 1 | a script a user |
/// | [`hidden_from`](Graph::hidden_from) | 1 | a script |
/// | [`route_author`](Graph::route_author), [`author_route`](Graph::author_route), [`list`](Graph::list) | 1 | a script, `HGET`, `HGET` |
/// | [`set_list`](Graph::set_list) | up to 4 | two scripts, one a member, one for each who is a member no more |
/// | [`erase`](Graph::erase) | 4 for each thousand ties, 2 a list of the user's, 3 for each thousand of others', and 5 | up to three scripts a tie, two a member |
///
/// Reading what has a change pending takes three round trips more; so does a tie that is made while
/// another copy at the same user is removed whose number is higher, since two servers' clocks differ.
///
/// Each answer is as large as what was asked for: a circle as what the viewer follows, and blocks, and
/// who blocks the viewer. A script does a bounded number of commands for each thing that it is
/// about. Stamps are microseconds of the server's clock, or one more than the last if that is later; what
/// was last is remembered for a day.
///
/// Where memory is full, new ties are refused, and ties can be removed. A copy is made all the same, since
/// its tie is there.
///
/// # What a loss means
///
/// A server that loses its newest writes has lost changes to the ties that its users have made, or to
/// copies that they have. If both ends are lost, it is as if the change had never been made. A follower
/// who is left at the author alone costs fanout a write, and an edge whose copy is lost, or has another
/// route, can leave its viewer without posts of that author. A [`reroute`](Graph::reroute) whose stamp is
/// that of the copy alone finds it out: it takes such a follower away, and makes such a viewer pull until
/// the edge is settled. So does the next change of the edge. An author whose route is lost is pushed, as all are at
/// first, and what was published while they were pulled is on no page until fanout routes them anew: when they
/// publish again.
#[derive(Clone, Debug)]
pub struct RedisGraph {
    redis: Redis,
}

script!(
    FOLLOW,
    "../lua/numbers.lua",
    "graph/user.lua",
    "graph/follow.lua"
);
script!(
    REROUTE,
    "../lua/numbers.lua",
    "graph/user.lua",
    "graph/reroute.lua"
);
script!(
    HIDE,
    "../lua/numbers.lua",
    "graph/user.lua",
    "graph/hide.lua"
);
script!(
    DEGREE,
    "../lua/numbers.lua",
    "graph/user.lua",
    "graph/degree.lua"
);
script!(
    HIDDEN,
    "../lua/numbers.lua",
    "graph/user.lua",
    "graph/hidden.lua"
);

impl RedisGraph {
    /// The graph whose keys begin with the prefix of `redis` and `{graph:`.
    #[must_use]
    pub const fn new(redis: Redis) -> Self {
        Self { redis }
    }

    /// What the names of all keys of a user begin with.
    fn base(&self, user: UserId) -> String {
        format!("{}{{graph:{user}}}", self.redis.prefix())
    }

    fn key(&self, user: UserId, kind: &str) -> String {
        format!("{}:{kind}", self.base(user))
    }

    fn call(&self, script: &'static Script, user: UserId) -> Call {
        Call::of(script).family(self.base(user))
    }

    fn reading(&self, script: &'static Script, user: UserId) -> Call {
        Call::reading(script).family(self.base(user))
    }
}

#[async_trait]
impl Graph for RedisGraph {
    async fn follow(
        &self,
        viewer: UserId,
        author: UserId,
        settings: Option<FollowSettings>,
    ) -> Result<Followed> {
        let tie = Tie::new(Kind::Edge, viewer, author);
        let call = self
            .call(&FOLLOW, viewer)
            .bytes(row::bytes(author))
            .bytes(settings.map_or_else(String::new, |wishes| row::wishes(wishes).to_string()));
        let (new, edge, owed) = self.redis.ask("follow", &call, answer::followed).await?;
        self.pay("follow", owed.map(|change| tie.owed(change)))
            .await?;
        Ok(if new {
            Followed::Added(edge.stamp)
        } else {
            Followed::Existing(edge.route, edge.stamp)
        })
    }

    async fn unfollow(&self, viewer: UserId, author: UserId) -> Result<bool> {
        self.cut("unfollow", Tie::new(Kind::Edge, viewer, author))
            .await
    }

    async fn reroute(&self, edges: &[EdgeRoute]) -> Result<Vec<Option<RouteStamp>>> {
        let call = |edge: &EdgeRoute| {
            let (kind, pulled_until) = row::route(edge.route);
            self.call(&REROUTE, edge.viewer)
                .bytes(row::bytes(edge.author))
                .bytes(edge.stamp.get().to_be_bytes())
                .number(kind)
                .bytes(pulled_until)
        };
        let calls: Vec<_> = edges.iter().map(call).collect();
        let answers = self
            .redis
            .ask_all("reroute", &calls, answer::rerouted)
            .await;
        let (mut stamps, mut owed) = (Vec::with_capacity(edges.len()), Vec::new());
        let mut doubts = Vec::new();
        for (edge, answer) in edges.iter().zip(answers) {
            let tie = Tie::new(Kind::Edge, edge.viewer, edge.author);
            stamps.push(answer.map(|rerouted| match rerouted {
                Rerouted::To(now, change) => {
                    owed.extend(change.map(|change| tie.owed(change)));
                    Some(now.stamp)
                }
                Rerouted::Not(_, Some(change)) => {
                    owed.push(tie.owed(change));
                    None
                }
                Rerouted::Not(seen, None) => {
                    doubts.push((*edge, seen));
                    None
                }
            }));
        }
        // Also where others failed.
        self.pay("reroute", owed).await?;
        self.heal("reroute", doubts).await?;
        stamps.into_iter().map(|stamp| Ok(stamp?)).collect()
    }

    async fn route_author(
        &self,
        author: UserId,
        stamp: RouteStamp,
        route: Route,
    ) -> Result<Option<RouteStamp>> {
        self.set_route("route author", author, Some(stamp), route)
            .await
    }

    async fn author_route(&self, author: UserId) -> Result<(Route, RouteStamp)> {
        self.route_of(author).await
    }

    async fn followers(
        &self,
        author: UserId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<Follower>> {
        let from = match after.map(UserId::get) {
            None => b"-".to_vec(),
            Some(u64::MAX) => return Ok(Vec::new()),
            Some(after) => [b"[", &(after + 1).to_be_bytes()[..]].concat(),
        };
        let mut page = cmd("ZRANGEBYLEX");
        page.arg(self.key(author, "followers"))
            .arg(from)
            .arg("+")
            .arg("LIMIT")
            .arg(0)
            .arg(i64::try_from(limit).unwrap_or(i64::MAX));
        let followers = self.redis.read_one("followers", page, answer::followers);
        Ok(followers.await?)
    }

    async fn circles(&self, viewers: &[UserId]) -> Result<Vec<Arc<Circle>>> {
        self.make_circles(viewers).await
    }

    async fn degrees(&self, users: &[UserId]) -> Result<Vec<Degree>> {
        let call = |&user| self.reading(&DEGREE, user);
        let calls: Vec<_> = users.iter().map(call).collect();
        let answers = self.redis.ask_all("degrees", &calls, answer::degree).await;
        let mut degrees = Vec::with_capacity(users.len());
        for (&user, answer) in users.iter().zip(answers) {
            let (degree, pending) = answer?;
            if pending {
                self.show_all("degrees", user).await?;
            }
            degrees.push(degree);
        }
        Ok(degrees)
    }

    async fn hide(&self, viewer: UserId, other: UserId, how: Hide, on: bool) -> Result<bool> {
        let tie = Tie::new(Kind::hiding(how)?, viewer, other);
        if !on {
            return self.cut("hide", tie).await;
        }
        let call = tie.about(self.call(&HIDE, viewer));
        let (new, owed) = self.redis.ask("hide", &call, answer::changed).await?;
        self.pay("hide", owed.map(|change| tie.owed(change)))
            .await?;
        Ok(new)
    }

    async fn hidden_from(&self, author: UserId, viewers: &[UserId]) -> Result<Vec<bool>> {
        const OP: &str = "hidden from";
        let mut hidden = Vec::with_capacity(viewers.len());
        for viewers in viewers.chunks(BATCH) {
            let asked = viewers.iter().flat_map(|&viewer| row::bytes(viewer));
            let asked: Vec<_> = asked.collect();
            let call = self.reading(&HIDDEN, author).bytes(asked);
            let (pending, mut some) = self.redis.ask(OP, &call, answer::hidden).await?;
            if pending {
                self.show_all(OP, author).await?;
            }
            some.resize(viewers.len(), false);
            hidden.extend(some);
        }
        Ok(hidden)
    }

    async fn set_list(&self, owner: UserId, list: ListId, members: &[UserId]) -> Result<()> {
        self.replace_list(owner, list, members).await
    }

    async fn list(&self, owner: UserId, list: ListId) -> Result<Vec<UserId>> {
        self.members(owner, list).await
    }

    async fn erase(&self, user: UserId, limit: usize) -> Result<usize> {
        self.erase_some(user, limit).await
    }
}
