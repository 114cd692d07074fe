//! What the answers of all these stores are made of.

use redis::Value;

/// What an answer says is there or not.
pub(super) struct Maybe<T>(pub(super) Option<T>);

pub(super) fn parts(answer: &Value) -> Option<&[Value]> {
    match answer {
        Value::Array(parts) => Some(parts),
        _ => None,
    }
}

pub(super) fn bytes(answer: &Value) -> Option<&[u8]> {
    match answer {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}

/// All parts of an answer of which each is bytes.
pub(super) fn rows(answer: &Value) -> Option<Vec<&[u8]>> {
    parts(answer)?.iter().map(bytes).collect()
}

/// Eight bytes, big endian: a user, a post, a list or a number.
pub(super) fn number(row: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(row.try_into().ok()?))
}

/// The same, or no bytes for none.
pub(super) fn maybe_number(row: &[u8]) -> Option<Maybe<u64>> {
    if row.is_empty() {
        return Some(Maybe(None));
    }
    number(row).map(|number| Maybe(Some(number)))
}

pub(super) const fn flag(answer: &Value) -> Option<bool> {
    match answer {
        Value::Int(0) => Some(false),
        Value::Int(1) => Some(true),
        _ => None,
    }
}

/// An answer that says no more than that there is one.
pub(super) const fn done(answer: &Value) -> Option<()> {
    match answer {
        Value::Int(_) => Some(()),
        _ => None,
    }
}
