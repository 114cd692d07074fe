//! What users, edges and routes are in bytes. The scripts read edges too: see `user.lua`.

use feed_core::{FollowSettings, PostId, Route, RouteStamp, UserId};

use crate::answer::number;

/// A user as a member and a field: in the order of ids.
pub(super) const fn bytes(user: UserId) -> [u8; 8] {
    user.get().to_be_bytes()
}

pub(super) fn user(bytes: &[u8]) -> Option<UserId> {
    Some(UserId::new(number(bytes)?))
}

/// Users, one after the other.
pub(super) fn users(bytes: &[u8]) -> Option<Vec<UserId>> {
    bytes.chunks(8).map(user).collect()
}

/// An edge.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    pub(super) settings: FollowSettings,
    pub(super) route: Route,
    pub(super) stamp: RouteStamp,
    /// Of the last change.
    pub(super) number: u64,
}

const ROUTE: u8 = 0b11;
const PUSH: u8 = 0;
const PUSH_UNTIL: u8 = 1;
const BOTH: u8 = 2;
const PULL: u8 = 3;
const HIDE_REPOSTS: u8 = 1 << 2;
const NOTIFY: u8 = 1 << 3;
/// The number of the last change stands at the end.
const NUMBERED: u8 = 1 << 4;

pub(super) fn edge(row: &[u8]) -> Option<Edge> {
    let (&flags, rest) = row.split_first()?;
    let (rest, last) = if flags & NUMBERED == 0 {
        (rest, None)
    } else {
        let (rest, last) = rest.split_last_chunk()?;
        (rest, Some(u64::from_be_bytes(*last)))
    };
    let (route, stamp) = routed(flags & ROUTE, rest)?;
    Some(Edge {
        settings: FollowSettings::default()
            .with_hide_reposts(flags & HIDE_REPOSTS != 0)
            .with_notify(flags & NOTIFY != 0),
        route,
        stamp,
        number: last.unwrap_or_else(|| stamp.get()),
    })
}

/// The route of an author and its stamp.
pub(super) fn author_route(row: &[u8]) -> Option<(Route, RouteStamp)> {
    let (&kind, rest) = row.split_first()?;
    routed(kind, rest)
}

fn routed(kind: u8, rest: &[u8]) -> Option<(Route, RouteStamp)> {
    let (stamp, pulled_until) = rest.split_first_chunk::<8>()?;
    let stamp = RouteStamp::new(u64::from_be_bytes(*stamp));
    let route = match (kind, pulled_until) {
        (PUSH, []) => Route::PUSH,
        (PUSH_UNTIL, post) => Route::Push {
            pulled_until: Some(PostId::new(number(post)?)),
        },
        (BOTH, []) => Route::Both,
        (PULL, []) => Route::Pull,
        _ => return None,
    };
    Some((route, stamp))
}

/// The kind of a route, and the bytes of its post.
pub(super) fn route(route: Route) -> (u8, Vec<u8>) {
    match route {
        Route::Push { pulled_until: None } => (PUSH, Vec::new()),
        Route::Push {
            pulled_until: Some(post),
        } => (PUSH_UNTIL, post.get().to_be_bytes().to_vec()),
        Route::Both => (BOTH, Vec::new()),
        Route::Pull => (PULL, Vec::new()),
    }
}

pub(super) fn wishes(settings: FollowSettings) -> u8 {
    let hide = if settings.hide_reposts {
        HIDE_REPOSTS
    } else {
        0
    };
    let notify = if settings.notify { NOTIFY } else { 0 };
    hide | notify
}
