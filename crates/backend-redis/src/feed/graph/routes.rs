//! The routes of authors for all followers.

use std::{collections::BTreeSet, iter::zip};

use feed_core::{Result, Route, RouteStamp, UserId};
use redis::{Cmd, cmd};

use super::{RedisGraph, answer, row};
use crate::script::{Call, script};

script!(ROUTE, "route.lua");

/// Over how many slots the routes of all authors are spread.
///
/// A reader needs the routes of all whom they follow, of whom next to none has one: so the more
/// of them are in one hash, the fewer commands a reader sends.
const PARTS: usize = 16;

impl RedisGraph {
    /// Sets a route if the stamp is still the one that was seen; without one, if there is a route.
    pub(super) async fn set_route(
        &self,
        op: &'static str,
        author: UserId,
        seen: Option<RouteStamp>,
        route: Route,
    ) -> Result<Option<RouteStamp>> {
        let (kind, pulled_until) = row::route(route);
        let seen = seen.map(|stamp| stamp.get().to_be_bytes().to_vec());
        let call = Call::of(&ROUTE)
            .key(self.part(part(author)))
            .bytes(row::bytes(author))
            .bytes(seen.unwrap_or_default())
            .number(kind)
            .bytes(pulled_until);
        Ok(self.redis.ask(op, &call, answer::stamp).await?.0)
    }

    pub(super) async fn route_of(&self, author: UserId) -> Result<(Route, RouteStamp)> {
        let mut look = cmd("HGET");
        look.arg(self.part(part(author))).arg(&row::bytes(author));
        let read = answer::author_route;
        Ok(self.redis.read_one("author route", look, read).await?)
    }

    /// The commands that ask for the routes of these authors, each with the authors it asks for.
    pub(super) fn look_routes(&self, authors: &BTreeSet<UserId>) -> Vec<(Cmd, Vec<UserId>)> {
        let mut parts = vec![Vec::new(); PARTS];
        for &author in authors {
            parts[part(author)].push(author);
        }
        let look = |(part, authors): (usize, Vec<UserId>)| {
            let mut look = cmd("HMGET");
            look.arg(self.part(part));
            for &author in &authors {
                look.arg(&row::bytes(author));
            }
            (!authors.is_empty()).then_some((look, authors))
        };
        zip(0.., parts).filter_map(look).collect()
    }

    fn part(&self, part: usize) -> String {
        format!("{}{{graph:routes:{part}}}", self.redis.prefix())
    }
}

/// Ids may have the same low bits, all of them, so these are mixed: Fibonacci hashing (Knuth, "The Art of
/// Computer Programming" 3, 6.4).
const fn part(author: UserId) -> usize {
    (author.get().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % PARTS
}
