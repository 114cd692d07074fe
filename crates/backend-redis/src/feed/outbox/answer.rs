//! What the scripts of an outbox answer.

use backplane::{Error, ErrorKind, Result};
use bytes::Bytes;
use feed_core::PostId;
use redis::Value;

use super::line::Line;
use crate::answer::{bytes, number, parts};

/// What became of an item in its author's keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Published {
    Stored,
    Live,
    Retracted,
    /// Only because so many newer ones were.
    BelowFloor,
    /// Its key belongs to this post.
    Known(PostId),
    /// Its post is located elsewhere, and its key new.
    Elsewhere,
}

pub(super) fn published(answer: &Value) -> Option<Vec<Published>> {
    let one = |one: &Value| {
        Some(match one {
            Value::Int(0) => Published::Retracted,
            Value::Int(1) => Published::Stored,
            Value::Int(2) => Published::Live,
            Value::Int(3) => Published::BelowFloor,
            Value::Int(4) => Published::Elsewhere,
            post => Published::Known(self::post(post)?),
        })
    };
    parts(answer)?.iter().map(one).collect()
}

/// What became of a revision in its author's keys.
pub(super) enum Version {
    New(u32),
    Retracted,
    NotHere,
}

pub(super) fn version(answer: &Value) -> Option<Version> {
    match answer {
        Value::Int(-1) => Some(Version::NotHere),
        Value::Int(0) => Some(Version::Retracted),
        Value::Int(version) => u32::try_from(*version).ok().map(Version::New),
        _ => None,
    }
}

/// What became of a retraction in its author's keys.
pub(super) enum Withdrawn {
    Before,
    /// Only because so many newer ones were.
    BelowFloor,
    NotHere,
    Now {
        line: Option<Line>,
        /// Whose retractions are not kept any more.
        dropped: Vec<PostId>,
    },
}

pub(super) fn withdrawn(answer: &Value) -> Option<Withdrawn> {
    let parts = match answer {
        Value::Int(0) => return Some(Withdrawn::Before),
        Value::Int(-1) => return Some(Withdrawn::NotHere),
        Value::Int(-2) => return Some(Withdrawn::BelowFloor),
        _ => parts(answer)?,
    };
    let (line, dropped) = parts.split_first()?;
    let line = match bytes(line)? {
        [] => None,
        line => Some(Line::decode(line)?),
    };
    Some(Withdrawn::Now {
        line,
        dropped: dropped.iter().map(post).collect::<Option<_>>()?,
    })
}

/// The line of a post and its body, if it is live, unless the line does not decode.
type Whole = Result<Option<(Line, Bytes)>>;

pub(super) fn whole(answer: &Value) -> Option<Vec<Whole>> {
    let one = |pair: &[Value]| {
        let [line, body] = pair else { return None };
        let (line, body) = (bytes(line)?, bytes(body)?);
        Some(match Line::decode(line) {
            _ if line.is_empty() => Ok(None),
            Some(line) => Ok(Some((line, Bytes::copy_from_slice(body)))),
            None => Err(Error::bare(ErrorKind::Corrupt, "posts")),
        })
    };
    parts(answer)?.chunks(2).map(one).collect()
}

/// Posts, or lines of which only the post is of interest.
pub(super) fn posts(answer: &Value) -> Option<Vec<PostId>> {
    let of_line = |line: &Value| number(bytes(line)?.get(..8)?).map(PostId::new);
    parts(answer)?.iter().map(of_line).collect()
}

pub(super) fn post(answer: &Value) -> Option<PostId> {
    number(bytes(answer)?).map(PostId::new)
}
