//! What the scripts of a directory answer.

use backplane::{
    FencingToken,
    directory::{Incarnation, Tenure, View, ViewEpoch},
};
use redis::{FromRedisValue, Value};

use super::row;

/// What became of a node that joins.
pub(super) enum Entered {
    Member(FencingToken),
    Superseded(Incarnation),
    Full,
}

pub(super) fn entered(answer: &Value) -> Option<Entered> {
    let parts = Vec::<String>::from_redis_value_ref(answer).ok()?;
    let parts: Vec<_> = parts.iter().map(String::as_str).collect();
    match parts[..] {
        ["member", token] => Some(Entered::Member(FencingToken::new(token.parse().ok()?))),
        ["superseded", by] => Some(Entered::Superseded(Incarnation::new(by.parse().ok()?))),
        ["full"] => Some(Entered::Full),
        _ => None,
    }
}

pub(super) const fn tenure(answer: &Value) -> Option<Tenure> {
    match answer {
        Value::Int(0) => Some(Tenure::Lost),
        Value::Int(1) => Some(Tenure::Held),
        _ => None,
    }
}

/// Whether a service has changed since the caller looked.
pub(super) enum Seen {
    Unchanged,
    Changed(View),
}

pub(super) fn seen(answer: &Value) -> Option<Seen> {
    let parts = Vec::<Value>::from_redis_value_ref(answer).ok()?;
    let (epoch, rows) = match &parts[..] {
        [_] => return Some(Seen::Unchanged),
        [epoch, rows] => (epoch, rows),
        _ => return None,
    };
    let epoch = String::from_redis_value_ref(epoch).ok()?.parse().ok()?;
    let rows = Vec::<Vec<u8>>::from_redis_value_ref(rows).ok()?;
    let mut nodes = Vec::with_capacity(rows.len() / 2);
    for row in rows.chunks(2) {
        let [name, row] = row else {
            return None;
        };
        nodes.push(row::unpack(std::str::from_utf8(name).ok()?, row)?);
    }
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    Some(Seen::Changed(View {
        epoch: ViewEpoch::new(epoch),
        nodes: nodes.into(),
    }))
}
