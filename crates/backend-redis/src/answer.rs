//! What answers are made of.

use redis::Value;

/// What an answer says is there or not.
pub(crate) struct Maybe<T>(pub(crate) Option<T>);

pub(crate) fn parts(answer: &Value) -> Option<&[Value]> {
    match answer {
        Value::Array(parts) => Some(parts),
        _ => None,
    }
}

pub(crate) fn bytes(answer: &Value) -> Option<&[u8]> {
    match answer {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}

/// All parts of an answer of which each is bytes.
pub(crate) fn rows(answer: &Value) -> Option<Vec<&[u8]>> {
    parts(answer)?.iter().map(bytes).collect()
}

/// Eight bytes, big endian: a user, a post, a list or a number.
pub(crate) fn number(row: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(row.try_into().ok()?))
}

/// The same, or no bytes for none.
pub(crate) fn maybe_number(row: &[u8]) -> Option<Maybe<u64>> {
    if row.is_empty() {
        return Some(Maybe(None));
    }
    number(row).map(|number| Maybe(Some(number)))
}

pub(crate) const fn flag(answer: &Value) -> Option<bool> {
    match answer {
        Value::Int(0) => Some(false),
        Value::Int(1) => Some(true),
        _ => None,
    }
}

/// An answer that says no more than that there is one.
pub(crate) const fn done(answer: &Value) -> Option<()> {
    match answer {
        Value::Int(_) => Some(()),
        _ => None,
    }
}
