//! What readers need to know about viewers.

use std::{
    collections::{BTreeSet, HashMap},
    iter::zip,
    sync::Arc,
};

use feed_core::{Circle, CircleEdge, Result, Route, UserId};
use futures::join;
use redis::{Cmd, cmd};

use super::{RedisGraph, answer};
use crate::answer::flag;

const OP: &str = "circles";

impl RedisGraph {
    /// Asks for what viewers have made, and then for what goes with it elsewhere and whether a copy of
    /// something is pending: what was made later is pending then, or has its copy.
    pub(super) async fn make_circles(&self, viewers: &[UserId]) -> Result<Vec<Arc<Circle>>> {
        let (followees, ties) = (
            self.of_each(viewers, "HGETALL", "followees"),
            self.of_each(viewers, "HGETALL", "ties"),
        );
        let (followees, ties) = join!(
            self.redis.read_all(OP, &followees, answer::edges),
            self.redis.read_all(OP, &ties, answer::hides),
        );
        let followees = followees.into_iter().collect::<Result<Vec<_>, _>>()?;
        let edges = followees.iter().flatten();
        let authors = edges.map(|&(author, _)| author).collect();

        let pending = self.of_each(viewers, "EXISTS", "pending");
        let (routes, pending) = join!(
            self.routes_of(&authors),
            self.redis.read_all(OP, &pending, flag),
        );
        let routes = routes?;
        for (&viewer, pending) in zip(viewers, pending) {
            if pending? {
                self.show_all(OP, viewer).await?;
            }
        }

        let mut circles = Vec::with_capacity(viewers.len());
        for ((&viewer, edges), ties) in zip(zip(viewers, followees), ties) {
            let (blocked, muted) = ties?;
            let edges = edges.into_iter().map(|(author, edge)| CircleEdge {
                author,
                settings: edge.settings,
                route: edge.route,
                author_route: routes.get(&author).copied().unwrap_or(Route::PUSH),
            });
            circles.push(Arc::new(Circle::new(viewer, edges, blocked, muted)));
        }
        Ok(circles)
    }

    /// The routes of those authors who have another than all have.
    async fn routes_of(&self, authors: &BTreeSet<UserId>) -> Result<HashMap<UserId, Route>> {
        let (looks, asked): (Vec<_>, Vec<_>) = self.look_routes(authors).into_iter().unzip();
        let answers = self.redis.read_all(OP, &looks, answer::routes).await;
        let mut routes = HashMap::new();
        for (authors, answer) in zip(asked, answers) {
            let routed = zip(authors, answer?);
            routes.extend(routed.filter(|(_, route)| *route != Route::PUSH));
        }
        Ok(routes)
    }

    fn of_each(&self, users: &[UserId], name: &str, kind: &str) -> Vec<Cmd> {
        let command = |&user| {
            let mut command = cmd(name);
            command.arg(self.key(user, kind));
            command
        };
        users.iter().map(command).collect()
    }
}
