use std::{cmp::Reverse, fmt, sync::Arc};

use async_trait::async_trait;
use hashbrown::HashSet;

use crate::{ListId, PostId, Result, UserId};

/// Who follows, blocks and mutes whom, and how each author's posts travel.
///
/// An edge runs from a viewer to an author they follow. It carries the viewer's settings for that
/// author and a [`Route`]; each author has a route for all followers besides. What a method has
/// answered is durable, to the degree the implementation documents, and is seen by every call that
/// starts afterwards. Every call ends by itself, as those of a
/// [`TimelineStore`](crate::TimelineStore) do.
///
/// # Cancel safety
///
/// Dropping the future of any call leaves each single change done whole or not at all.
#[async_trait]
pub trait Graph: fmt::Debug + Send + Sync {
    /// Makes `viewer` follow `author`, with [`Route::Both`] until [`reroute`](Self::reroute) says
    /// otherwise. If the edge exists, only its settings change.
    ///
    /// Without `settings` an edge that exists keeps its own, and a new one has the default.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    async fn follow(
        &self,
        viewer: UserId,
        author: UserId,
        settings: Option<FollowSettings>,
    ) -> Result<Followed>;

    /// Removes the edge and says whether there was one.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    async fn unfollow(&self, viewer: UserId, author: UserId) -> Result<bool>;

    /// Sets the route of each edge whose stamp is still the one given, and answers the new stamp;
    /// `None`, and no change, for an edge that is gone or was changed by somebody else.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; some edges may then have changed.
    async fn reroute(&self, edges: &[EdgeRoute]) -> Result<Vec<Option<RouteStamp>>>;

    /// Sets the route of an author for all followers, if its stamp is still the one given, and
    /// answers the new stamp; `None`, and no change, otherwise.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; the route may then have changed.
    async fn route_author(
        &self,
        author: UserId,
        stamp: RouteStamp,
        route: Route,
    ) -> Result<Option<RouteStamp>>;

    /// The route of an author for all followers, [`Route::PUSH`] unless set, and its stamp.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    async fn author_route(&self, author: UserId) -> Result<(Route, RouteStamp)>;

    /// Up to `limit` followers of `author` with a user id above `after`, in ascending order. Fewer mean that
    /// these are the last: fanout reads no further.
    ///
    /// A follower whose edge exists from before the first page of a walk until after its last
    /// appears exactly once, whatever happens to other edges meanwhile.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    async fn followers(
        &self,
        author: UserId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<Follower>>;

    /// All that reading needs to know about each viewer, in the order asked.
    ///
    /// Each edge, relation and route is as it was at some instant of the call, not all at the same one:
    /// what was answered before the call shows, what is done during it may.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    async fn circles(&self, viewers: &[UserId]) -> Result<Vec<Arc<Circle>>>;

    /// How many followers and followees each user has, in the order asked.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    async fn degrees(&self, users: &[UserId]) -> Result<Vec<Degree>>;

    /// Adds or removes a relation of `viewer` to `other` that hides posts, and says whether that
    /// changed anything. Follow edges stay, so that taking it back restores what was hidden.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    async fn hide(&self, viewer: UserId, other: UserId, how: Hide, on: bool) -> Result<bool>;

    /// Whether each of `viewers` sees nothing of what `author` posts, in the order asked: they mute the
    /// author, or one of the two blocks the other. They may follow the author or not.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    async fn hidden_from(&self, author: UserId, viewers: &[UserId]) -> Result<Vec<bool>>;

    /// Replaces the members of one of `owner`'s lists; no members remove the list.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    async fn set_list(&self, owner: UserId, list: ListId, members: &[UserId]) -> Result<()>;

    /// The members of one of `owner`'s lists, without repetition; none if there is no such list.
    ///
    /// # Errors
    ///
    /// Fails if the engine does.
    async fn list(&self, owner: UserId, list: ListId) -> Result<Vec<UserId>>;

    /// Removes up to `limit` edges and relations from and to `user`, also memberships of lists, and
    /// says how many there were; zero means that nothing mentions the user any more.
    ///
    /// # Errors
    ///
    /// Fails if the engine does; retrying is safe.
    async fn erase(&self, user: UserId, limit: usize) -> Result<usize>;
}

/// How an author's posts reach a follower.
///
/// Fanout obeys the route it finds when it comes to a follower; readers pull whatever fanout may have
/// left out. So a change takes two steps, and no post falls between: from `Pull` to `Both`, so that
/// fanout writes again, and once the author's newest post is known, from `Both` to `Push` with that
/// post as `pulled_until`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "fanout and readers must agree on every case"
)]
pub enum Route {
    /// Fanout writes into timelines.
    Push {
        /// Posts up to this one may be missing in timelines; readers pull them.
        pulled_until: Option<PostId>,
    },
    /// Fanout writes into timelines, and readers pull as well: a change is under way.
    Both,
    /// Fanout leaves the follower out; readers pull.
    Pull,
}

impl Route {
    /// Everything is in the timelines.
    pub const PUSH: Self = Self::Push { pulled_until: None };

    /// Whether fanout writes.
    #[must_use]
    pub const fn is_pushed(self) -> bool {
        !matches!(self, Self::Pull)
    }

    /// Whether a reader of posts from `floor` on must pull.
    #[cfg(any(test, feature = "conformance"))]
    pub(crate) fn is_pulled_from(self, floor: PostId) -> bool {
        match self {
            Self::Push { pulled_until } => pulled_until.is_some_and(|until| until >= floor),
            Self::Both | Self::Pull => true,
        }
    }
}

/// Which setting of a route somebody has seen.
///
/// Never used twice for one edge or author, not even after the edge was removed and made again: a
/// change that was decided on an older sight of the graph cannot undo a younger one.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct RouteStamp(u64);

impl RouteStamp {
    /// For stores.
    #[must_use]
    pub const fn new(raw: u64) -> Self {
        Self(raw)
    }

    /// The raw stamp.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// A viewer's wishes for one author.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct FollowSettings {
    /// Show the author's own posts only.
    pub hide_reposts: bool,
    /// Notify the viewer of each of the author's posts.
    pub notify: bool,
}

impl FollowSettings {
    /// Whether to hide the author's reposts.
    #[must_use]
    pub const fn with_hide_reposts(mut self, hide: bool) -> Self {
        self.hide_reposts = hide;
        self
    }

    /// Whether to notify the viewer of each post.
    #[must_use]
    pub const fn with_notify(mut self, notify: bool) -> Self {
        self.notify = notify;
        self
    }
}

/// The answer to [`Graph::follow`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "an edge was there or not")]
pub enum Followed {
    /// The edge is new.
    Added(RouteStamp),
    /// The edge was there; its settings are the new ones, if any were given, its route is as before.
    Existing(Route, RouteStamp),
}

/// One end of an edge, as fanout sees it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Follower {
    /// The viewer.
    pub viewer: UserId,
    /// Their wishes.
    pub settings: FollowSettings,
    /// How the author's posts reach them.
    pub route: Route,
    /// Which setting of the route that is.
    pub stamp: RouteStamp,
}

impl Follower {
    /// For stores.
    #[must_use]
    pub const fn new(
        viewer: UserId,
        settings: FollowSettings,
        route: Route,
        stamp: RouteStamp,
    ) -> Self {
        Self {
            viewer,
            settings,
            route,
            stamp,
        }
    }
}

/// Who the followers are, in their order.
pub(crate) fn viewers(followers: &[Follower]) -> Vec<UserId> {
    followers.iter().map(|follower| follower.viewer).collect()
}

/// A route to set on one edge.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "an edge and its route")]
pub struct EdgeRoute {
    /// Who follows.
    pub viewer: UserId,
    /// Who is followed.
    pub author: UserId,
    /// The setting to replace.
    pub stamp: RouteStamp,
    /// How the posts travel from now on.
    pub route: Route,
}

/// A user's place in the graph.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a node of a directed graph has two degrees"
)]
pub struct Degree {
    /// How many follow the user.
    pub followers: u64,
    /// How many the user follows.
    pub followees: u64,
}

/// A relation that hides posts.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Hide {
    /// Neither sees the other's posts, also as reposts.
    Block,
    /// The viewer does not see the other's posts, also as reposts, but on the other's own page.
    Mute,
}

/// All that reading needs to know about a viewer, as it was when [`Graph::circles`] was called.
///
/// Most reads find it in no cache of the processor, so it is small: ten bytes for each author who is
/// followed, and eight more for one whose posts are pulled.
#[derive(Clone, Debug)]
pub struct Circle {
    viewer: UserId,
    /// The viewer and everybody they follow, ascending.
    sources: Box<[UserId]>,
    /// The viewer's wishes for each of `sources` whom they follow.
    settings: Box<[Option<FollowSettings>]>,
    /// First those all of whose posts must be pulled, then those who must be pulled the longest.
    pulled: Box<[UserId]>,
    /// Up to which post, for the last of `pulled`.
    pulled_until: Box<[PostId]>,
    blocked: HashSet<UserId>,
    muted: HashSet<UserId>,
}

impl Circle {
    /// The circle of `viewer`, who follows `edges`, blocks or is blocked by `blocked`, and mutes
    /// `muted`.
    pub fn new(
        viewer: UserId,
        edges: impl IntoIterator<Item = CircleEdge>,
        blocked: impl IntoIterator<Item = UserId>,
        muted: impl IntoIterator<Item = UserId>,
    ) -> Self {
        let mut sources = vec![(viewer, None)];
        let mut pulled = Vec::new();
        for edge in edges {
            sources.push((edge.author, Some(edge.settings)));
            let routes = [edge.route, edge.author_route];
            if let Some(until) = routes.map(pulled_until).into_iter().max().flatten() {
                pulled.push((edge.author, until));
            }
        }
        // Stable: an edge from the viewer to themselves comes after the viewer.
        sources.sort_by_key(|&(source, _)| source);
        sources.dedup_by(|next, first| {
            let is_same = next.0 == first.0;
            if is_same {
                first.1 = next.1;
            }
            is_same
        });
        pulled.sort_by_key(|&(_, until)| Reverse(until));
        let always = pulled.partition_point(|&(_, until)| until == PostId::MAX);
        let (sources, settings): (Vec<_>, Vec<_>) = sources.into_iter().unzip();
        Self {
            viewer,
            sources: sources.into(),
            settings: settings.into(),
            pulled_until: pulled[always..].iter().map(|&(_, until)| until).collect(),
            pulled: pulled.into_iter().map(|(author, _)| author).collect(),
            blocked: blocked.into_iter().collect(),
            muted: muted.into_iter().collect(),
        }
    }

    /// Whose circle it is.
    #[must_use]
    pub const fn viewer(&self) -> UserId {
        self.viewer
    }

    /// Whether the viewer follows `author`.
    #[must_use]
    pub fn follows(&self, author: UserId) -> bool {
        let place = self.sources.binary_search(&author);
        place.is_ok_and(|at| author != self.viewer || self.settings[at].is_some())
    }

    /// The viewer's wishes for `author`, if they follow them.
    #[must_use]
    pub fn settings(&self, author: UserId) -> Option<FollowSettings> {
        let place = self.sources.binary_search(&author).ok()?;
        self.settings[place]
    }

    /// Whether `other` is blocked, in either direction.
    #[must_use]
    pub fn blocks(&self, other: UserId) -> bool {
        !self.blocked.is_empty() && self.blocked.contains(&other)
    }

    /// Whether the viewer mutes `other`.
    #[must_use]
    pub fn mutes(&self, other: UserId) -> bool {
        !self.muted.is_empty() && self.muted.contains(&other)
    }

    /// The viewer and everybody they follow, in ascending order: the outboxes that a home feed is made
    /// of.
    #[must_use]
    pub fn sources(&self) -> &[UserId] {
        &self.sources
    }

    /// Whom the viewer follows, in ascending order.
    pub fn followees(&self) -> impl Iterator<Item = UserId> + '_ {
        let followed = self.sources.iter().zip(&self.settings);
        followed.filter_map(|(&source, settings)| settings.is_some().then_some(source))
    }

    /// The followees some of whose posts at or above `floor` may be missing in the timeline.
    #[must_use]
    pub fn pulled_from(&self, floor: PostId) -> &[UserId] {
        let always = self.pulled.len() - self.pulled_until.len();
        let count = self.pulled_until.partition_point(|until| *until >= floor);
        &self.pulled[..always + count]
    }
}

fn pulled_until(route: Route) -> Option<PostId> {
    match route {
        Route::Push { pulled_until } => pulled_until,
        Route::Both | Route::Pull => Some(PostId::MAX),
    }
}

/// One edge of a [`Circle`].
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "what an edge and its author's record hold"
)]
pub struct CircleEdge {
    /// Who is followed.
    pub author: UserId,
    /// The viewer's wishes.
    pub settings: FollowSettings,
    /// The edge's own route.
    pub route: Route,
    /// The author's route for all followers.
    pub author_route: Route,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(author: u64, route: Route, author_route: Route) -> CircleEdge {
        CircleEdge {
            author: UserId::new(author),
            settings: FollowSettings::default().with_notify(author.is_multiple_of(2)),
            route,
            author_route,
        }
    }

    fn circle(edges: impl IntoIterator<Item = CircleEdge>) -> Circle {
        Circle::new(UserId::new(5), edges, [], [])
    }

    #[test]
    fn those_who_are_pulled_the_longest_come_first() {
        let until = |post| Route::Push {
            pulled_until: Some(PostId::new(post)),
        };
        let circle = circle([
            edge(1, until(10), Route::PUSH),
            edge(2, Route::PUSH, Route::PUSH),
            edge(3, until(10), until(30)),
            edge(4, Route::PUSH, Route::Pull),
        ]);
        let order = [4, 3, 1].map(UserId::new);
        for (floor, count) in [(0, 3), (10, 3), (11, 2), (30, 2), (31, 1), (u64::MAX, 1)] {
            assert_eq!(circle.pulled_from(PostId::new(floor)), &order[..count]);
        }
    }

    #[test]
    fn a_viewer_is_a_source_and_follows_themselves_by_an_edge_alone() {
        for edges in [&[1, 9][..], &[1, 5, 9]] {
            let circle = circle(
                edges
                    .iter()
                    .map(|&author| edge(author, Route::PUSH, Route::PUSH)),
            );
            assert_eq!(circle.sources(), [1, 5, 9].map(UserId::new));
            for author in 0..10 {
                let settings = edges
                    .contains(&author)
                    .then(|| FollowSettings::default().with_notify(author.is_multiple_of(2)));
                let author = UserId::new(author);
                assert_eq!(circle.settings(author), settings);
                assert_eq!(circle.follows(author), settings.is_some());
                assert_eq!(
                    circle.followees().any(|followee| followee == author),
                    settings.is_some()
                );
            }
        }
    }
}
