//! What the answers of a server mean to a caller.

use backplane::{Error, ErrorKind};
use redis::{RedisError, ServerErrorKind, Value};

/// The error of `op` that this answer is.
pub(crate) fn of(op: &'static str, error: RedisError) -> Error {
    Error::new(kind(&error), op, error)
}

/// The error of `op` for an answer that the script never gives.
pub(crate) fn strange(op: &'static str, answer: &Value) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        op,
        format!("unexpected answer {answer:?}"),
    )
}

/// Whether the server has not run the script before, or has forgotten it.
pub(crate) fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == redis::ErrorKind::Server(ServerErrorKind::NoScript)
}

fn kind(error: &RedisError) -> ErrorKind {
    use redis::ErrorKind as Redis;
    match error.code() {
        Some("OOM") => ErrorKind::Full,
        Some("NOAUTH" | "NOPERM" | "WRONGPASS" | "CROSSSLOT") => ErrorKind::Invalid,
        // Before Redis 7, what a command in a script answers is in the text.
        Some("ERR") if error.detail().is_some_and(|text| text.contains("-OOM ")) => ErrorKind::Full,
        Some("ERR" | "WRONGTYPE") => ErrorKind::Corrupt,
        _ => match error.kind() {
            Redis::AuthenticationFailed | Redis::InvalidClientConfig | Redis::RESP3NotSupported => {
                ErrorKind::Invalid
            }
            Redis::UnexpectedReturnType | Redis::Parse => ErrorKind::Corrupt,
            _ => ErrorKind::Unavailable,
        },
    }
}
