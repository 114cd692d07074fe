//! What the answers of a server mean to a caller.

use backplane::{Error, ErrorKind};
use redis::{RedisError, ServerErrorKind, Value};

/// The error of `op` that this answer is.
pub(crate) fn of(op: &'static str, error: RedisError) -> Error {
    Error::new(kind(&error), op, error)
}

/// The error of `op` for an answer that the script never gives. What users have written stays out of it.
pub(crate) fn strange(op: &'static str, answer: &Value) -> Error {
    let shape = match answer {
        Value::Array(parts) => format!("an unexpected answer of {} parts", parts.len()),
        Value::BulkString(bytes) => format!("an unexpected answer of {} bytes", bytes.len()),
        Value::Int(number) => format!("an unexpected {number}"),
        Value::Nil => "an unexpected absence".to_owned(),
        _ => "an answer of an unexpected kind".to_owned(),
    };
    Error::new(ErrorKind::Corrupt, op, shape)
}

/// Whether the server has not run the script before, or has forgotten it.
pub(crate) fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == redis::ErrorKind::Server(ServerErrorKind::NoScript)
}

/// Whether a replica has refused to change something.
pub(crate) fn is_of_replica(error: &RedisError) -> bool {
    code(error) == Some("READONLY")
}

fn kind(error: &RedisError) -> ErrorKind {
    use redis::ErrorKind as Redis;
    match code(error) {
        Some("OOM") => ErrorKind::Full,
        Some("NOAUTH" | "NOPERM" | "WRONGPASS" | "CROSSSLOT") => ErrorKind::Invalid,
        Some("ERR") if is_forbidden_in_script(error) => ErrorKind::Invalid,
        Some("ERR") if is_killed(error) => ErrorKind::Unavailable,
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

/// What a server calls an error. Before Redis 7, a command that a script was not let run is in the text:
/// `ERR Error running script (call to f_…): @user_script:8: @user_script: 8: -OOM command not allowed …`.
fn code(error: &RedisError) -> Option<&str> {
    let (code, text) = (error.code(), error.detail().unwrap_or_default());
    let of_script = || {
        let (_, refusal) = text.split_once(": -")?;
        refusal.split(' ').next()
    };
    match code {
        Some("ERR") if text.starts_with("Error running script") => of_script().or(code),
        code => code,
    }
}

/// Whether an operator has ended the script, before it changed anything.
fn is_killed(error: &RedisError) -> bool {
    let text = error.detail().unwrap_or_default();
    text.contains("Script killed by user")
}

/// Whether a script was to run a command, or to use a key or a channel, for which its user has no right.
/// Redis says the first, Valkey the second.
fn is_forbidden_in_script(error: &RedisError) -> bool {
    let text = error.detail().unwrap_or_default();
    [
        "The user executing the script can't",
        "ACL failure in script",
    ]
    .iter()
    .any(|refusal| text.contains(refusal))
}
