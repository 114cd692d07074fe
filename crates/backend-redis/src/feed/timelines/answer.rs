//! What there is of a timeline.

use feed_core::BuildStart;
use redis::{FromRedisValue, Value};

use super::{change::Change, header::Header, line::Line};
use crate::answer::rows;

/// The list of a timeline, as it was read.
pub(super) enum Found {
    /// None, or one whose end the server may have lost.
    Nothing,
    List(List),
    /// One that this version has not written.
    Unreadable,
}

pub(super) struct List {
    /// As it stands there.
    pub(super) header_element: Vec<u8>,
    pub(super) header: Header,
    pub(super) line: Line,
    /// How many elements there are beside the header.
    pub(super) changes: usize,
}

pub(super) fn list(answer: &Value, capacity: usize) -> Option<Found> {
    let elements = rows(answer)?;
    let Some((header, changes)) = elements.split_first() else {
        return Some(Found::Nothing);
    };
    Some(read(header, changes, capacity).map_or(Found::Unreadable, Found::List))
}

fn read(header_element: &[u8], changes: &[&[u8]], capacity: usize) -> Option<List> {
    let header = Header::decode(header_element)?;
    let mut line = Line::new(header.floor, capacity);
    for change in changes {
        line.apply(Change::decode(change)?);
    }
    Some(List {
        header_element: header_element.to_vec(),
        header,
        line,
        changes: changes.len(),
    })
}

/// How long a list is to which something was pushed; 0 for none.
pub(super) fn len(answer: &Value) -> Option<usize> {
    match answer {
        Value::Int(len) => usize::try_from(*len).ok(),
        _ => None,
    }
}

/// What became of a build that was begun under `ticket`.
pub(super) fn begun(answer: &Value, started: BuildStart) -> Option<BuildStart> {
    match &String::from_redis_value_ref(answer).ok()?[..] {
        "started" => Some(started),
        "underway" => Some(BuildStart::Underway),
        "warm" => Some(BuildStart::Warm),
        _ => None,
    }
}
