//! What the scripts and commands of a graph answer.

use feed_core::{Degree, Follower, ListId, Route, RouteStamp, UserId};
use redis::{FromRedisValue, Value};

use super::{
    row::{self, Edge},
    ties::{Change, Kind, Pending, Tie},
};
use crate::answer::{Maybe, bytes, flag, maybe_number, number, parts, rows};

/// What became of an edge that was to have another route.
pub(super) enum Rerouted {
    /// It is gone, or was changed by somebody else: its number, which is empty if there is none.
    Not(Vec<u8>, Option<Change>),
    To(Edge, Option<Change>),
}

/// Members that were taken out of a list.
pub(super) struct CutList {
    pub(super) list: ListId,
    pub(super) members: Vec<UserId>,
    pub(super) number: u64,
}

pub(super) fn followed(answer: &Value) -> Option<(bool, Edge, Option<Change>)> {
    let [new, edge, owed @ ..] = parts(answer)? else {
        return None;
    };
    Some((flag(new)?, row::edge(bytes(edge)?)?, change(owed)?.0))
}

pub(super) fn rerouted(answer: &Value) -> Option<Rerouted> {
    let [edge, owed @ ..] = parts(answer)? else {
        return None;
    };
    match (bytes(edge)?, owed) {
        ([], [number, owed @ ..]) => Some(Rerouted::Not(bytes(number)?.to_vec(), change(owed)?.0)),
        (edge, owed) => Some(Rerouted::To(row::edge(edge)?, change(owed)?.0)),
    }
}

/// What is owed.
pub(super) fn owed(answer: &Value) -> Option<Maybe<Change>> {
    change(parts(answer)?)
}

/// The copy of an edge, if there is one.
pub(super) fn copied(answer: &Value) -> Option<Maybe<Edge>> {
    match rows(answer)?[..] {
        [] => Some(Maybe(None)),
        [member] => Some(Maybe(Some(row::edge(member.get(8..)?)?))),
        _ => None,
    }
}

/// Whether something changed, and what is owed.
pub(super) fn changed(answer: &Value) -> Option<(bool, Option<Change>)> {
    let [changed, owed @ ..] = parts(answer)? else {
        return None;
    };
    Some((flag(changed)?, change(owed)?.0))
}

/// What is owed for several ties of one user.
pub(super) fn pending(answer: &Value) -> Option<Vec<Pending>> {
    let pending = |parts: &[Value]| {
        let [kind, other, owed @ ..] = parts else {
            return None;
        };
        let kind = Kind::named(bytes(kind)?)?;
        Some((kind, row::user(bytes(other)?)?, change(owed)?.0?))
    };
    parts(answer)?.chunks(4).map(pending).collect()
}

/// Of each change nothing, or above what its number must be.
pub(super) fn refused(answer: &Value) -> Option<Vec<Vec<u8>>> {
    Vec::from_redis_value_ref(answer).ok()
}

pub(super) fn degree(answer: &Value) -> Option<(Degree, bool)> {
    let (followers, followees, pending) = <(u64, u64, u64)>::from_redis_value_ref(answer).ok()?;
    let degree = Degree {
        followers,
        followees,
    };
    Some((degree, pending > 0))
}

/// Whether anything is pending, and from whom somebody is hidden.
pub(super) fn hidden(answer: &Value) -> Option<(bool, Vec<bool>)> {
    let (pending, hidden) = parts(answer)?.split_first()?;
    let hidden: Option<_> = hidden.iter().map(flag).collect();
    Some((*pending != Value::Int(0), hidden?))
}

pub(super) fn followers(answer: &Value) -> Option<Vec<Follower>> {
    let follower = |member: &Value| {
        let (viewer, edge) = bytes(member)?.split_first_chunk::<8>()?;
        let Edge {
            settings,
            route,
            stamp,
            ..
        } = row::edge(edge)?;
        let viewer = UserId::new(u64::from_be_bytes(*viewer));
        Some(Follower::new(viewer, settings, route, stamp))
    };
    parts(answer)?.iter().map(follower).collect()
}

/// A user's edges.
pub(super) fn edges(answer: &Value) -> Option<Vec<(UserId, Edge)>> {
    let edge = |(author, edge)| Some((row::user(author)?, row::edge(edge)?));
    fields(answer)?.into_iter().map(edge).collect()
}

/// Whom a user blocks or is blocked by, and whom they mute.
pub(super) fn hides(answer: &Value) -> Option<(Vec<UserId>, Vec<UserId>)> {
    let (mut blocked, mut muted) = (Vec::new(), Vec::new());
    for (tie, _) in fields(answer)? {
        let (kind, other) = tie.split_first()?;
        let hides = match kind {
            b'B' | b'b' => &mut blocked,
            b'M' => &mut muted,
            _ => return None,
        };
        hides.push(row::user(other)?);
    }
    Some((blocked, muted))
}

/// The routes of authors, in the order asked.
pub(super) fn routes(answer: &Value) -> Option<Vec<Route>> {
    let route = |answer: &Value| author_route(answer).map(|(route, _)| route);
    parts(answer)?.iter().map(route).collect()
}

pub(super) fn author_route(answer: &Value) -> Option<(Route, RouteStamp)> {
    if *answer == Value::Nil {
        return Some((Route::PUSH, RouteStamp::default()));
    }
    row::author_route(bytes(answer)?)
}

/// A new stamp, if something changed.
pub(super) fn stamp(answer: &Value) -> Option<Maybe<RouteStamp>> {
    let Maybe(stamp) = maybe_number(bytes(answer)?)?;
    Some(Maybe(stamp.map(RouteStamp::new)))
}

pub(super) fn next_number(answer: &Value) -> Option<u64> {
    number(bytes(answer)?)
}

/// The members of a list.
pub(super) fn members(answer: &Value) -> Option<Vec<UserId>> {
    match answer {
        Value::Nil => Some(Vec::new()),
        members => row::users(bytes(members)?),
    }
}

/// Who was in a list before, unless it was changed meanwhile.
pub(super) fn replaced(answer: &Value) -> Option<Maybe<Vec<UserId>>> {
    if *answer == Value::Int(0) {
        return Some(Maybe(None));
    }
    let members = row::users(bytes(answer)?)?;
    Some(Maybe(Some(members)))
}

/// Whether somebody was in a list, and the number of the change.
pub(super) fn struck(answer: &Value) -> Option<(bool, u64)> {
    let [was_there, change] = parts(answer)? else {
        return None;
    };
    Some((flag(was_there)?, next_number(change)?))
}

pub(super) fn cut(answer: &Value) -> Option<Maybe<CutList>> {
    match parts(answer)? {
        [] => Some(Maybe(None)),
        [list, members, change] => Some(Maybe(Some(CutList {
            list: ListId::new(number(bytes(list)?)?),
            members: row::users(bytes(members)?)?,
            number: next_number(change)?,
        }))),
        _ => None,
    }
}

/// Owners and their lists, with the numbers of the notes of them.
pub(super) fn listings(answer: &Value) -> Option<Vec<((UserId, ListId), f64)>> {
    let listing = |(row, noted): (Vec<u8>, f64)| {
        let (owner, list) = row.split_at_checked(8)?;
        Some(((row::user(owner)?, ListId::new(number(list)?)), noted))
    };
    let listings = Vec::<(Vec<u8>, f64)>::from_redis_value_ref(answer).ok()?;
    listings.into_iter().map(listing).collect()
}

/// The ties that a user has an end of.
pub(super) fn ends(user: UserId, answer: &Value) -> Option<Vec<Tie>> {
    let ends = rows(answer)?.into_iter();
    ends.map(|end| Tie::with_end(user, end)).collect()
}

fn change(owed: &[Value]) -> Option<Maybe<Change>> {
    let [number, tie] = owed else {
        return None;
    };
    let (number, tie) = (bytes(number)?, bytes(tie)?.to_vec());
    if number.is_empty() {
        return Some(Maybe(None));
    }
    let number = number.try_into().ok()?;
    Some(Maybe(Some(Change { number, tie })))
}

/// A hash, as the protocol of either version answers it.
fn fields(answer: &Value) -> Option<Vec<(&[u8], &[u8])>> {
    match answer {
        Value::Map(fields) => fields
            .iter()
            .map(|(field, value)| Some((bytes(field)?, bytes(value)?)))
            .collect(),
        Value::Array(parts) => parts
            .chunks(2)
            .map(|field| match field {
                [field, value] => Some((bytes(field)?, bytes(value)?)),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}
