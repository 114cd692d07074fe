//! Moving authors and pairs between push and pull, so that no post falls between.

use crate::{
    AuthorStats, Delivery, EdgeRoute, Entry, Error, ErrorKind, Feed, Follower, Result, Rhythm,
    Route, RouteStamp, UserId, telemetry,
};

impl Feed {
    /// The route of an author for all followers, after the policy was asked.
    pub(crate) async fn route(&self, stats: &AuthorStats) -> Result<Route> {
        let author = stats.author;
        let (route, stamp) = self.parts.graph.author_route(author).await?;
        match self.parts.policy.author(stats, delivery(route)) {
            Delivery::Pull if route.is_pushed() => {
                let pulled = self
                    .parts
                    .graph
                    .route_author(author, stamp, Route::Pull)
                    .await?;
                // Somebody else has changed it; pushing once more harms nobody.
                Ok(if pulled.is_some() {
                    Route::Pull
                } else {
                    Route::Both
                })
            }
            Delivery::Push if route == Route::Pull => {
                let graph = &self.parts.graph;
                match graph.route_author(author, stamp, Route::Both).await? {
                    Some(stamp) => self.settle_author(author, stamp).await,
                    None => Ok(Route::Both),
                }
            }
            _ if route == Route::Both => self.settle_author(author, stamp).await,
            _ => Ok(route),
        }
    }

    async fn settle_author(&self, author: UserId, stamp: RouteStamp) -> Result<Route> {
        let route = self.settled_route(author).await?;
        self.parts.graph.route_author(author, stamp, route).await?;
        Ok(route)
    }

    /// Where `Both` leads: what the author has published until now may be missing in timelines.
    async fn settled_route(&self, author: UserId) -> Result<Route> {
        let pulled_until = self.head(author).await?;
        Ok(Route::Push { pulled_until })
    }

    /// The same for the pairs of one author and a chunk of followers, in ascending order.
    ///
    /// A pair that is found halfway, because whoever moved it has died, is settled too.
    pub(crate) async fn route_pairs(
        &self,
        stats: &AuthorStats,
        followers: &mut [(Follower, Option<Rhythm>)],
    ) -> Result<()> {
        let policy = &self.parts.policy;
        let (mut opened, mut closed, mut halfway) = (Vec::new(), Vec::new(), Vec::new());
        for (follower, visits) in &*followers {
            let edge = |route| EdgeRoute {
                viewer: follower.viewer,
                author: stats.author,
                stamp: follower.stamp,
                route,
            };
            let now = delivery(follower.route);
            let wanted = if policy.judges_pairs() {
                policy.pair(stats, visits.as_ref(), now)
            } else {
                now
            };
            match (wanted, follower.route) {
                (Delivery::Pull, Route::Push { .. } | Route::Both) => {
                    closed.push(edge(Route::Pull));
                }
                (Delivery::Push, Route::Pull) => opened.push(edge(Route::Both)),
                (Delivery::Push, Route::Both) => halfway.push(edge(Route::Both)),
                (Delivery::Pull, Route::Pull) | (Delivery::Push, Route::Push { .. }) => {}
            }
        }
        self.apply(closed, followers).await?;
        halfway.extend(self.apply(opened, followers).await?);
        if halfway.is_empty() {
            return Ok(());
        }
        let route = self.settled_route(stats.author).await?;
        let settled = halfway
            .into_iter()
            .map(|edge| EdgeRoute { route, ..edge })
            .collect();
        self.apply(settled, followers).await?;
        Ok(())
    }

    /// Changes edges and, where that succeeded, what is known of them here. Answers the edges under
    /// their new stamps.
    async fn apply(
        &self,
        mut edges: Vec<EdgeRoute>,
        followers: &mut [(Follower, Option<Rhythm>)],
    ) -> Result<Vec<EdgeRoute>> {
        if edges.is_empty() {
            return Ok(edges);
        }
        let stamps = self.parts.graph.reroute(&edges).await?;
        for (edge, stamp) in edges.iter_mut().zip(&stamps) {
            if let Some(stamp) = stamp {
                edge.stamp = *stamp;
            }
        }
        let changed: Vec<_> = edges
            .into_iter()
            .zip(stamps)
            .filter_map(|(edge, stamp)| stamp.map(|_| edge))
            .collect();
        for edge in &changed {
            let known = followers.binary_search_by_key(&edge.viewer, |(known, _)| known.viewer);
            if let Ok(at) = known {
                let (follower, _) = &mut followers[at];
                follower.route = edge.route;
                follower.stamp = edge.stamp;
            }
        }
        Ok(changed)
    }

    /// Makes followers pull an author's posts up to `entry`, which their timelines miss, until those have
    /// gone on beyond it.
    ///
    /// Where an edge was found at `Both`, a follow or whoever else settles it may have read the outbox
    /// before the post, and may have settled it since. So it is settled here, up to the newest post, since
    /// fanout may have passed before there was an edge; if it was settled, this fails. Whoever moves an
    /// edge on from `Pull` reads the outbox after the post.
    pub(crate) async fn leave_to_followers(
        &self,
        entry: Entry,
        followers: &[Follower],
    ) -> Result<()> {
        let post = Some(entry.post);
        let is_halfway = followers
            .iter()
            .any(|follower| follower.route == Route::Both);
        let newest = if is_halfway {
            post.max(self.head(entry.author).await?)
        } else {
            post
        };
        let edge = |follower: &Follower| {
            let pulled_until = match follower.route {
                Route::Push { pulled_until } if pulled_until < post => post,
                Route::Both => newest,
                // They pull it as it is.
                Route::Push { .. } | Route::Pull => return None,
            };
            Some(EdgeRoute {
                viewer: follower.viewer,
                author: entry.author,
                stamp: follower.stamp,
                route: Route::Push { pulled_until },
            })
        };
        let edges: Vec<_> = followers.iter().filter_map(edge).collect();
        if edges.is_empty() {
            return Ok(());
        }
        telemetry::unwritten(edges.len());
        if self.parts.graph.reroute(&edges).await?.contains(&None) {
            // Somebody has changed one, so look again.
            return Err(Error::bare(ErrorKind::Unavailable, "fanout"));
        }
        Ok(())
    }

    /// Makes readers pull an author's posts up to `entry`, which was not delivered to all.
    pub(crate) async fn leave_to_readers(&self, entry: Entry) -> Result<()> {
        let Entry { post, author, .. } = entry;
        let (route, stamp) = self.parts.graph.author_route(author).await?;
        let pulled_until = match route {
            Route::Pull => return Ok(()),
            Route::Push { pulled_until } => pulled_until,
            // Whoever is about to settle it has read the head before, perhaps.
            Route::Both => self.head(author).await?,
        };
        let pulled_until = pulled_until.max(Some(post));
        let route = Route::Push { pulled_until };
        match self.parts.graph.route_author(author, stamp, route).await? {
            Some(_) => Ok(()),
            None => Err(Error::bare(ErrorKind::Unavailable, "route author")),
        }
    }
}

fn delivery(route: Route) -> Delivery {
    match route {
        Route::Push { .. } | Route::Both => Delivery::Push,
        Route::Pull => Delivery::Pull,
    }
}
