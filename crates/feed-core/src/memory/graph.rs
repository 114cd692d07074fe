mod author_routes;
mod edge;
mod edges;
#[cfg(test)]
mod model;
mod node;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use backplane::memory::{Room, Shards};
use hashbrown::{HashMap, HashSet};

use crate::{
    Circle, CircleEdge, Degree, EdgeRoute, FollowSettings, Followed, Follower, Graph, Hide, ListId,
    Result, Route, RouteStamp, UserId,
    memory::graph::{
        author_routes::AuthorRoutes,
        edge::Edge,
        node::{CachedCircle, Node, Nodes, Tie},
    },
};

/// A [`Graph`] in process memory: durable as long as the process.
///
/// The trait's methods are here without `async` too. Users are spread over shards, and what joins
/// two users changes in both shards at one instant. A viewer's circle is made when it is first
/// asked for and kept until something changes that it shows; it takes about half as much memory as
/// the viewer's edges.
///
/// ```
/// use feed_core::{Hide, MemoryGraph, UserId};
///
/// let graph = MemoryGraph::default();
/// let (ann, bob) = (UserId::new(1), UserId::new(2));
/// graph.follow(ann, bob, None)?;
/// graph.hide(ann, bob, Hide::Block, true)?;
///
/// assert!(graph.circle(ann).follows(bob));
/// assert!(graph.circle(bob).blocks(ann));
/// # Ok::<_, feed_core::Error>(())
/// ```
pub struct MemoryGraph {
    options: MemoryGraphOptions,
    /// Locks are taken in this order: shards, ascending; a node's circle; the routes of authors.
    nodes: Shards<HashMap<UserId, Node>>,
    routes: AuthorRoutes,
    /// The last stamp given.
    stamp: AtomicU64,
    ties: Room,
}

/// The bounds of a [`MemoryGraph`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MemoryGraphOptions {
    /// How many ties there may be: edges, relations that hide, members of lists and routes of
    /// authors together. One more is refused as [`ErrorKind::Full`](crate::ErrorKind::Full).
    /// 50,000,000 by default. An edge takes about 70 bytes where users follow fifty, and 140 where
    /// they follow three.
    pub max_ties: usize,
}

impl MemoryGraph {
    /// An empty graph within the bounds of `options`.
    #[must_use]
    pub fn new(options: MemoryGraphOptions) -> Self {
        Self {
            ties: Room::new(options.max_ties),
            options,
            nodes: Shards::default(),
            routes: AuthorRoutes::default(),
            stamp: AtomicU64::new(0),
        }
    }

    /// See [`Graph::follow`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Full`](crate::ErrorKind::Full) if the edge is new and there is no room for it.
    pub fn follow(
        &self,
        viewer: UserId,
        author: UserId,
        settings: Option<FollowSettings>,
    ) -> Result<Followed> {
        let mut nodes = self.both(viewer, author);
        if let Some(edge) = nodes.edge(viewer, author) {
            if let Some(settings) = settings {
                nodes.set_edge(viewer, author, edge.with_settings(settings));
            }
            return Ok(Followed::Existing(edge.route(), edge.stamp()));
        }
        self.ties.take(1, "follow")?;
        let stamp = self.next_stamp();
        let edge = Edge::new(settings.unwrap_or_default(), Route::Both, stamp);
        nodes.set_edge(viewer, author, edge);
        Ok(Followed::Added(stamp))
    }

    /// See [`Graph::unfollow`].
    pub fn unfollow(&self, viewer: UserId, author: UserId) -> bool {
        self.cut(viewer, Tie::Follows(author))
    }

    /// See [`Graph::reroute`].
    pub fn reroute(&self, edges: &[EdgeRoute]) -> Vec<Option<RouteStamp>> {
        edges.iter().map(|edge| self.reroute_one(edge)).collect()
    }

    /// See [`Graph::route_author`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Full`](crate::ErrorKind::Full) if the author had no route of their own and there
    /// is no room for it.
    pub fn route_author(
        &self,
        author: UserId,
        stamp: RouteStamp,
        route: Route,
    ) -> Result<Option<RouteStamp>> {
        self.routes.set(author, stamp, route, |new| {
            self.ties.take(usize::from(new.0), "route author")?;
            Ok(self.next_stamp())
        })
    }

    /// See [`Graph::author_route`].
    #[must_use]
    pub fn author_route(&self, author: UserId) -> (Route, RouteStamp) {
        self.routes.of(author)
    }

    /// See [`Graph::followers`].
    #[must_use]
    pub fn followers(&self, author: UserId, after: Option<UserId>, limit: usize) -> Vec<Follower> {
        let nodes = self.nodes.read(author.get());
        let Some(node) = nodes.get(&author) else {
            return Vec::new();
        };
        let mut page = Vec::with_capacity(limit.min(node.followers.len()));
        let follower = |(viewer, edge): (UserId, Edge)| edge.follower(viewer);
        match after {
            None => page.extend(node.followers.iter().take(limit).map(follower)),
            Some(after) => page.extend(node.followers.above(after).take(limit).map(follower)),
        }
        page
    }

    /// See [`Graph::circles`].
    #[must_use]
    pub fn circles(&self, viewers: &[UserId]) -> Vec<Arc<Circle>> {
        viewers.iter().map(|&viewer| self.circle(viewer)).collect()
    }

    /// The circle of one viewer.
    #[must_use]
    pub fn circle(&self, viewer: UserId) -> Arc<Circle> {
        let nodes = self.nodes.read(viewer.get());
        let Some(node) = nodes.get(&viewer) else {
            return Arc::new(Circle::new(viewer, [], [], []));
        };
        let mut kept = node.circle.lock();
        if let Some(CachedCircle { circle, epoch }) = &mut *kept
            && let Some(now) = self.routes.unchanged_for(circle, *epoch)
        {
            *epoch = now;
            return Arc::clone(circle);
        }
        let made = kept.insert(self.make_circle(viewer, node));
        Arc::clone(&made.circle)
    }

    /// See [`Graph::degrees`].
    #[must_use]
    pub fn degrees(&self, users: &[UserId]) -> Vec<Degree> {
        let nodes = self.nodes.read_many(users.iter().map(|user| user.get()));
        let degree = |user: &UserId| {
            let node = nodes.of(user.get()).get(user);
            node.map_or_else(Degree::default, |node| Degree {
                followers: node.followers.len() as u64,
                followees: node.followees.len() as u64,
            })
        };
        users.iter().map(degree).collect()
    }

    /// See [`Graph::hide`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Full`](crate::ErrorKind::Full) if the relation is new and there is no room for
    /// it.
    pub fn hide(&self, viewer: UserId, other: UserId, how: Hide, on: bool) -> Result<bool> {
        if !on {
            return Ok(self.cut(viewer, Tie::Hides(other, how)));
        }
        let mut nodes = self.both(viewer, other);
        if nodes.hides(viewer, other, how) {
            return Ok(false);
        }
        self.ties.take(1, "hide")?;
        nodes.hide(viewer, other, how);
        Ok(true)
    }

    /// See [`Graph::hidden_from`].
    #[must_use]
    pub fn hidden_from(&self, author: UserId, viewers: &[UserId]) -> Vec<bool> {
        let nodes = self.nodes.read(author.get());
        let node = nodes.get(&author);
        let is_hidden = |viewer: &UserId| node.is_some_and(|node| node.is_hidden_from(*viewer));
        viewers.iter().map(is_hidden).collect()
    }

    /// See [`Graph::set_list`]. It locks the whole graph, for a time that grows with the list.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Full`](crate::ErrorKind::Full) if the list grows and there is no room for it;
    /// it is as it was.
    pub fn set_list(&self, owner: UserId, list: ListId, members: &[UserId]) -> Result<()> {
        let mut seen = HashSet::new();
        let mut members = members.to_vec();
        members.retain(|&member| seen.insert(member));

        let mut nodes = Nodes(self.nodes.write_all());
        let (old, new) = (nodes.list_len(owner, list), members.len());
        self.ties.take(new.saturating_sub(old), "set list")?;
        nodes.set_list(owner, list, members);
        self.ties.give(old.saturating_sub(new));
        Ok(())
    }

    /// See [`Graph::list`].
    #[must_use]
    pub fn list(&self, owner: UserId, list: ListId) -> Vec<UserId> {
        let nodes = self.nodes.read(owner.get());
        nodes
            .get(&owner)
            .map_or_else(Vec::new, |node| node.list(list).to_vec())
    }

    /// See [`Graph::erase`]. Each tie goes at one instant, the slice does not.
    pub fn erase(&self, user: UserId, limit: usize) -> usize {
        loop {
            let ties = self.some_ties(user, limit);
            if ties.is_empty() {
                if self.routes.forget(user, self.next_stamp()) {
                    self.ties.give(1);
                }
                return 0;
            }
            let cut = ties.into_iter().filter(|&tie| self.cut(user, tie)).count();
            if cut > 0 {
                return cut;
            }
            // Others cut them all in the meantime; there may be more.
        }
    }

    fn some_ties(&self, user: UserId, limit: usize) -> Vec<Tie> {
        let nodes = self.nodes.read(user.get());
        nodes
            .get(&user)
            .map_or_else(Vec::new, |node| node.ties(user).take(limit).collect())
    }

    fn cut(&self, user: UserId, tie: Tie) -> bool {
        let was_there = self.both(user, tie.other()).cut(user, tie);
        self.ties.give(usize::from(was_there));
        was_there
    }

    fn reroute_one(&self, change: &EdgeRoute) -> Option<RouteStamp> {
        let (viewer, author) = (change.viewer, change.author);
        let mut nodes = self.both(viewer, author);
        let edge = nodes.edge(viewer, author)?;
        if edge.stamp() != change.stamp {
            return None;
        }
        let stamp = self.next_stamp();
        nodes.set_edge(viewer, author, edge.with_route(change.route, stamp));
        Some(stamp)
    }

    fn both(&self, one: UserId, other: UserId) -> Nodes<'_> {
        Nodes(self.nodes.write_many([one.get(), other.get()]))
    }

    fn next_stamp(&self) -> RouteStamp {
        RouteStamp::new(self.stamp.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn make_circle(&self, viewer: UserId, node: &Node) -> CachedCircle {
        let (routes, epoch) = self.routes.read();
        let edges = node.followees.iter().map(|(author, edge)| CircleEdge {
            author,
            settings: edge.settings(),
            route: edge.route(),
            author_route: routes.route(author),
        });
        let circle = Circle::new(viewer, edges, node.blocked(), node.muted());
        CachedCircle {
            circle: Arc::new(circle),
            epoch,
        }
    }
}

impl Default for MemoryGraph {
    fn default() -> Self {
        Self::new(MemoryGraphOptions::default())
    }
}

impl fmt::Debug for MemoryGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryGraph")
            .field("options", &self.options)
            .field("ties", &self.ties.taken())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Graph for MemoryGraph {
    async fn follow(
        &self,
        viewer: UserId,
        author: UserId,
        settings: Option<FollowSettings>,
    ) -> Result<Followed> {
        Self::follow(self, viewer, author, settings)
    }

    async fn unfollow(&self, viewer: UserId, author: UserId) -> Result<bool> {
        Ok(Self::unfollow(self, viewer, author))
    }

    async fn reroute(&self, edges: &[EdgeRoute]) -> Result<Vec<Option<RouteStamp>>> {
        Ok(Self::reroute(self, edges))
    }

    async fn route_author(
        &self,
        author: UserId,
        stamp: RouteStamp,
        route: Route,
    ) -> Result<Option<RouteStamp>> {
        Self::route_author(self, author, stamp, route)
    }

    async fn author_route(&self, author: UserId) -> Result<(Route, RouteStamp)> {
        Ok(Self::author_route(self, author))
    }

    async fn followers(
        &self,
        author: UserId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<Follower>> {
        Ok(Self::followers(self, author, after, limit))
    }

    async fn circles(&self, viewers: &[UserId]) -> Result<Vec<Arc<Circle>>> {
        Ok(Self::circles(self, viewers))
    }

    async fn degrees(&self, users: &[UserId]) -> Result<Vec<Degree>> {
        Ok(Self::degrees(self, users))
    }

    async fn hide(&self, viewer: UserId, other: UserId, how: Hide, on: bool) -> Result<bool> {
        Self::hide(self, viewer, other, how, on)
    }

    async fn hidden_from(&self, author: UserId, viewers: &[UserId]) -> Result<Vec<bool>> {
        Ok(Self::hidden_from(self, author, viewers))
    }

    async fn set_list(&self, owner: UserId, list: ListId, members: &[UserId]) -> Result<()> {
        Self::set_list(self, owner, list, members)
    }

    async fn list(&self, owner: UserId, list: ListId) -> Result<Vec<UserId>> {
        Ok(Self::list(self, owner, list))
    }

    async fn erase(&self, user: UserId, limit: usize) -> Result<usize> {
        Ok(Self::erase(self, user, limit))
    }
}

impl MemoryGraphOptions {
    /// Room for `ties` edges, relations, members of lists and routes of authors.
    #[must_use]
    pub const fn with_max_ties(mut self, ties: usize) -> Self {
        self.max_ties = ties;
        self
    }
}

impl Default for MemoryGraphOptions {
    fn default() -> Self {
        Self {
            max_ties: 50_000_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use backplane::ManualClock;

    use super::*;
    use crate::{
        ErrorKind, PostId,
        conformance::{Fresh, TestTime},
    };

    const ANN: UserId = UserId::new(1);
    const BOB: UserId = UserId::new(2);
    const CAT: UserId = UserId::new(3);
    const CLOSE: ListId = ListId::new(7);

    fn fresh() -> Fresh<dyn Graph> {
        Fresh {
            store: Arc::new(MemoryGraph::default()),
            time: TestTime::Manual(ManualClock::default()),
        }
    }

    crate::graph_conformance!(async { fresh() });

    fn follow(graph: &MemoryGraph, viewer: UserId, author: UserId) -> Result<Followed> {
        graph.follow(viewer, author, None)
    }

    #[test]
    fn a_full_graph_refuses_every_new_tie_and_nothing_else() {
        let graph = MemoryGraph::new(MemoryGraphOptions::default().with_max_ties(2));
        follow(&graph, ANN, BOB).unwrap();
        graph.hide(ANN, BOB, Hide::Mute, true).unwrap();
        let refused = [
            follow(&graph, ANN, CAT).map(|_| ()),
            graph.hide(BOB, ANN, Hide::Block, true).map(|_| ()),
            graph.set_list(ANN, CLOSE, &[BOB]),
            graph
                .route_author(BOB, RouteStamp::default(), Route::Pull)
                .map(|_| ()),
        ];
        for refused in refused {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Full);
        }
        assert!(graph.list(ANN, CLOSE).is_empty());
        assert_eq!(
            graph.author_route(BOB),
            (Route::PUSH, RouteStamp::default())
        );
        follow(&graph, ANN, BOB).unwrap();
        assert!(!graph.hide(ANN, BOB, Hide::Mute, true).unwrap());
    }

    #[test]
    fn what_goes_makes_room_and_leaves_no_memory() {
        let graph = MemoryGraph::new(MemoryGraphOptions::default().with_max_ties(5));
        for _ in 0..3 {
            follow(&graph, ANN, BOB).unwrap();
            graph.hide(BOB, ANN, Hide::Block, true).unwrap();
            graph.set_list(BOB, CLOSE, &[ANN, CAT]).unwrap();
            let (_, stamp) = graph.author_route(ANN);
            graph.route_author(ANN, stamp, Route::Pull).unwrap();
            assert_eq!(graph.ties.taken(), 5);
            graph.set_list(BOB, CLOSE, &[ANN]).unwrap();
            assert_eq!(graph.ties.taken(), 4);
            while graph.erase(ANN, 2) > 0 {}
            assert_eq!(graph.ties.taken(), 0);
            assert!(
                [ANN, BOB, CAT]
                    .iter()
                    .all(|user| graph.nodes.read(user.get()).is_empty())
            );
        }
    }

    #[test]
    fn a_circle_is_made_once_until_something_changes_that_it_shows() {
        let graph = MemoryGraph::default();
        follow(&graph, ANN, BOB).unwrap();
        follow(&graph, BOB, CAT).unwrap();
        let first = graph.circle(ANN);
        follow(&graph, CAT, BOB).unwrap();
        graph.set_list(CAT, CLOSE, &[BOB]).unwrap();
        graph
            .route_author(CAT, RouteStamp::default(), Route::Pull)
            .unwrap();
        assert!(Arc::ptr_eq(&first, &graph.circle(ANN)));
        graph
            .route_author(BOB, RouteStamp::default(), Route::Pull)
            .unwrap();
        let second = graph.circle(ANN);
        assert!(!Arc::ptr_eq(&first, &second));
        assert!(Arc::ptr_eq(&second, &graph.circle(ANN)));
    }

    #[test]
    fn writers_in_all_directions_neither_block_each_other_for_good_nor_tear_an_edge() {
        let graph = MemoryGraph::default();
        let users = 0..12_u64;
        thread::scope(|scope| {
            for seed in 0..4 {
                let (graph, users) = (&graph, users.clone());
                scope.spawn(move || churn(graph, users.end, seed));
            }
        });
        for author in users.clone().map(UserId::new) {
            for follower in graph.followers(author, None, 99) {
                let circle = graph.circle(follower.viewer);
                assert_eq!(circle.settings(author), Some(follower.settings));
                let pulled = circle.pulled_from(PostId::MAX).contains(&author);
                let routes = [follower.route, graph.author_route(author).0];
                assert_eq!(
                    pulled,
                    routes.iter().any(|route| route.is_pulled_from(PostId::MAX))
                );
            }
        }
        let all: Vec<_> = users.map(UserId::new).collect();
        let degrees = graph.degrees(&all);
        let followers: u64 = degrees.iter().map(|degree| degree.followers).sum();
        let followees: u64 = degrees.iter().map(|degree| degree.followees).sum();
        assert_eq!(followers, followees);
        for &user in &all {
            while graph.erase(user, 5) > 0 {}
        }
        assert_eq!(graph.ties.taken(), 0);
    }

    fn churn(graph: &MemoryGraph, users: u64, seed: u64) {
        let mut rng = fastrand::Rng::with_seed(seed);
        for _ in 0..3_000 {
            let mut user = || UserId::new(rng.u64(..users));
            let (one, other) = (user(), user());
            match rng.u8(..8) {
                0..3 => {
                    let settings = FollowSettings::default().with_notify(rng.bool());
                    let followed = graph.follow(one, other, Some(settings)).unwrap();
                    if let Followed::Added(stamp) = followed {
                        let (viewer, author, route) = (one, other, Route::PUSH);
                        graph.reroute(&[EdgeRoute {
                            viewer,
                            author,
                            stamp,
                            route,
                        }]);
                    }
                }
                3 => drop(graph.unfollow(one, other)),
                4 => drop(graph.hide(one, other, Hide::Block, rng.bool())),
                5 => drop(graph.set_list(one, CLOSE, &[one, other])),
                6 => {
                    let (_, stamp) = graph.author_route(one);
                    drop(graph.route_author(one, stamp, Route::Pull));
                }
                _ => drop((graph.circles(&[one, other]), graph.erase(one, 2))),
            }
        }
    }
}
